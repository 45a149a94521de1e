"""The last hundredths of a pixel of a map between two places of a picture.

Correlation with interpolated pixels (OpenCV's ECC) ends wherever its steps happen to end, a few
tenths of a pixel beside the best map. Least squares on cubic interpolation has one resting point
near it, so the result does not depend on rounding.

Source: S. Baker, I. Matthews, "Lucas-Kanade 20 Years On: A Unifying Framework", IJCV, 2004
(forward compositional Gauss-Newton).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 20
RESTING = 1e-3  # movement of the corners, in pixels, that ends the steps
FARTHEST = 3.0  # movement of the corners, in pixels, after which the result is not trusted
MOST = 20_000  # pixels that are compared
OUTSIDE = -1e3  # warped values below lie outside of the picture


def polish(
    here: NDArray[np.float32],
    luma: NDArray[np.float32],
    matrix: NDArray[np.float64],
    core: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The affine map near `matrix` that leaves the least squared difference of light.

    Args:
        here: float32 h×w, the place that is predicted.
        luma: float32 H×W, the picture it is predicted from.
        matrix: float64 2×3, from `here` to `luma`, less than about a pixel off.
        core: bool h×w, the pixels of `here` that are compared, a few pixels inside the part.

    Returns:
        float64 2×3; `matrix` itself where too few pixels are compared or the steps lead away.
    """
    every = np.flatnonzero(core)
    every = every[:: max(1, len(every) // MOST)]
    if len(every) < 50:
        return matrix
    height, width = here.shape
    rows, columns = np.divmod(every, width)
    size = 0.5 * max(height, width)
    y, x = rows / size - 1, columns / size - 1
    corners = np.array([(a, b) for a in (0, width) for b in (0, height)], np.float64)
    result = matrix
    for _ in range(STEPS):
        there = _warped(luma, result, (width, height))
        if there.ravel()[every].min() < OUTSIDE:
            return matrix
        step = _step(here, there, every, x, y, size)
        moved = corners @ (step[:, :2] - np.eye(2)).T + step[:, 2]
        result = _composed(result, step)
        if np.abs(moved).max() < RESTING:
            break
    drift = corners @ (result - matrix)[:, :2].T + (result - matrix)[:, 2]
    return result if np.abs(drift).max() < FARTHEST else matrix


def _warped(
    luma: NDArray[np.float32], matrix: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float32]:
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_CONSTANT
    warped = cv2.warpAffine(luma, matrix, size, flags=flags, borderMode=border, borderValue=-1e4)
    return np.asarray(warped, np.float32)


def _step(
    here: NDArray[np.float32],
    there: NDArray[np.float32],
    every: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    size: float,
) -> NDArray[np.float64]:
    """The affine map (float64 2×3, of `here`) that `there` must still be moved by."""
    dx = cv2.Scharr(there, cv2.CV_32F, 1, 0, scale=1 / 32).ravel()[every].astype(np.float64)
    dy = cv2.Scharr(there, cv2.CV_32F, 0, 1, scale=1 / 32).ravel()[every].astype(np.float64)
    error = (here.ravel()[every] - there.ravel()[every]).astype(np.float64)
    # The last column takes a common offset of light.
    columns = np.stack([dx * x, dx * y, dx, dy * x, dy * y, dy, np.ones_like(dx)], axis=1)
    gram = columns.T @ columns
    gram[np.diag_indices(7)] *= 1 + 1e-6
    found = np.linalg.solve(gram + 1e-6 * np.eye(7), columns.T @ error)[:6].reshape(2, 3)
    # From coordinates in [-1, 1] back to pixels.
    linear = found[:, :2] / size
    return np.column_stack([np.eye(2) + linear, found[:, 2] - found[:, :2].sum(axis=1)])


def _composed(matrix: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
    """First `step`, then `matrix`."""
    linear = matrix[:, :2]
    return np.column_stack([linear @ step[:, :2], linear @ step[:, 2] + matrix[:, 2]])
