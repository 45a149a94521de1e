"""Periodic predictability: the trace that interpolation leaves.

Enlarging or turning a picture computes its pixels from neighbours with weights that repeat
periodically. How well a pixel can be predicted from its neighbours then repeats with the same
period, and its spectrum has lines.

Source: A. C. Popescu and H. Farid, IEEE Transactions on Signal Processing 53(2), 2005; the fixed
predictor is the one of M. Kirchner, MM&Sec 2008, equation 16.
"""

from __future__ import annotations

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
        first, last = max(0, top - _MARGIN), min(height, top + _STRIP + _MARGIN)
        error = prediction_error(luma[first:last])
        np.abs(error, out=error)
        scale = cv2.blur(error, (15, 15), borderType=cv2.BORDER_REFLECT_101) + np.float32(0.3)
        error /= scale
        inner = result[top : top + _STRIP]
        inner[...] = error[top - first : top - first + _STRIP]
        np.multiply(inner, inner, out=inner)
        np.negative(inner, out=inner)
        np.exp(inner, out=inner)
    return result
