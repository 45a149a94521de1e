"""Quantised JPEG coefficients laid out as planes, as a network that compares histories reads them.

Source: M.-J. Kwon et al., "Learning JPEG Compression Artifacts for Image Manipulation Detection
and Localization" (CAT-Net), IJCV 2022, for learning from clipped magnitudes of coefficients beside
the quantisation table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The lowest frequencies, which keep non-zero values in most pictures, as (row, column).
FREQUENCIES = (
    *((0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2)),
    *((2, 1), (3, 0), (4, 0), (3, 1), (2, 2), (1, 3), (0, 4)),
)
LARGEST = 15  # magnitudes beyond count as this
PLANES = 2 * len(FREQUENCIES)


def planes(coefficients: NDArray[np.int16], table: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Magnitudes of coefficients, and the steps that they were quantised with.

    Args:
        coefficients: int16 (block rows, block columns, 8, 8) of one component.
        table: (8, 8), its quantisation steps, from 1.

    Returns:
        uint8 (block rows, block columns, `PLANES`): of each frequency the magnitude, at most
        `LARGEST`, then of each the step, at most 255.
    """
    rows, columns = (np.array(axis) for axis in zip(*FREQUENCIES, strict=True))
    result = np.empty((*coefficients.shape[:2], PLANES), np.uint8)
    for place, (row, column) in enumerate(FREQUENCIES):
        magnitude = np.abs(coefficients[:, :, row, column].astype(np.int32))
        result[..., place] = np.minimum(magnitude, LARGEST)
    result[..., len(FREQUENCIES) :] = np.minimum(table[rows, columns], 255)
    return result
