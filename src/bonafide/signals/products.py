"""Matrix products that stay on one thread.

The threads of OpenBLAS wait actively, and take the cores of detectors that run beside this one. It
uses them for products of more than 262,144 multiplications; smaller ones run on one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE_THREAD = 200_000  # multiplications of a product
BLOCKS = ONE_THREAD // 512  # 8×8 blocks side by side whose product with an 8×8 matrix is that large


def multiply(
    left: NDArray[np.float32], right: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """`left` @ `right` into `out`, a few rows at a time."""
    step = max(1, ONE_THREAD // right.size)
    for row in range(0, len(left), step):
        np.matmul(left[row : row + step], right, out=out[row : row + step])
