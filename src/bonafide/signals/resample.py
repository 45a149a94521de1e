"""Periodic predictability: the trace that interpolation leaves.

Enlarging or turning a picture computes its pixels from neighbours with weights that repeat
periodically. How well a pixel can be predicted from its neighbours then repeats with the same
period, and its spectrum has lines.

Source: A. C. Popescu and H. Farid, IEEE Transactions on Signal Processing 53(2), 2005; the fixed
predictor is the one of M. Kirchner, MM&Sec 2008, equation 16.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREDICTOR_ERROR = np.array([[0.25, -0.5, 0.25], [-0.5, 1.0, -0.5], [0.25, -0.5, 0.25]], np.float32)
_STRIP = 512
_MARGIN = 16


def prediction_error(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixel minus its prediction from eight neighbours, float32 H×W, in grey levels."""
    error: NDArray[np.float32] = cv2.filter2D(
        luma, cv2.CV_32F, _PREDICTOR_ERROR, borderType=cv2.BORDER_REFLECT_101
    )
    return error


def probability_map(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """How predictable each pixel is compared with its surroundings.

    The error is divided by its mean over 15×15 pixels instead of by one constant, which makes
    strong and weak texture count alike and keeps edges from flooding the spectrum.

    Args:
        luma: float32 H×W in [0, 255].

    Returns:
        float32 H×W in [0, 1], 1 where the pixel is what its neighbours predict.
    """
    height = luma.shape[0]
    result = np.empty_like(luma)
    for top in range(0, height, _STRIP):  # strips keep the intermediate arrays small
        result[top : top + _STRIP] = _predictable(luma, top, min(height, top + _STRIP))[1]
    return result


def predictability(
    luma: NDArray[np.float32], tops: Iterable[int], size: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Bands of the picture, one after the other, so that no map of its size lies in memory.

    Args:
        luma: float32 H×W in [0, 255].
        tops: first rows of the bands, ascending, none beyond the end of the one before.
        size: rows of a band.

    Yields:
        Of each band the mean error over 9×9 pixels, float32 size×W in grey levels, and
        `probability_map`.
    """
    first = stop = 0
    error = band = np.empty((0, luma.shape[1]), np.float32)
    for top in tops:
        # Rows that neighbouring bands share are computed once.
        fresh, values = _predictable(luma, stop, top + size)
        error = np.concatenate([error[top - first :], fresh])
        band = np.concatenate([band[top - first :], values])
        first, stop = top, top + size
        yield error, band


def _predictable(
    luma: NDArray[np.float32], top: int, bottom: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean error and predictability of some rows."""
    first, last = max(0, top - _MARGIN), min(luma.shape[0], bottom + _MARGIN)
    error = prediction_error(luma[first:last])
    np.abs(error, out=error)
    mean = cv2.blur(error, (9, 9), borderType=cv2.BORDER_REFLECT_101)
    scale = cv2.blur(error, (15, 15), borderType=cv2.BORDER_REFLECT_101) + np.float32(0.3)
    rows = slice(top - first, bottom - first)
    values = error[rows] / scale[rows]
    np.multiply(values, values, out=values)
    np.negative(values, out=values)
    np.exp(values, out=values)
    return np.asarray(mean[rows], np.float32), values
