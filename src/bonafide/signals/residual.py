"""Noise residual of a picture: what a wavelet denoiser takes away.

Four levels of the orthogonal wavelet with eight taps split the picture; in each detail band the
local variance of the content is estimated with four window sizes, and the part of each coefficient
that a Wiener filter attributes to noise is kept. The residual is the inverse transform of these
parts, so that the sensor's pattern stays and most of the scene does not.

Sources: M. K. Mıhçak, I. Kozintsev, K. Ramchandran, "Spatially Adaptive Statistical Modeling of
Wavelet Image Coefficients and its Application to Denoising", ICASSP 1999; J. Lukáš, J. Fridrich,
M. Goljan, "Digital Camera Identification from Sensor Pattern Noise", IEEE TIFS 1(2), 2006,
appendix A; I. Daubechies, "Orthonormal Bases of Compactly Supported Wavelets", 1988, table 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMA = 3.0  # standard deviation of the noise that is expected [8-bit levels]
LEVELS = 4
WINDOWS = (3, 5, 7, 9)  # sides of the windows for the local variance
HALO = 160  # pixels around a tile that its residual depends on, a multiple of 2**LEVELS
_EDGE = 32  # mirrored pixels around the picture itself, likewise
TILE = 1536  # pixels a side worked on at once; bounds the memory

_LOW = np.array(
    [
        0.2303778133088964, 0.7148465705529154, 0.6308807679298587, -0.0279837694168599,
        -0.1870348117190931, 0.0308413818355607, 0.0328830116668852, -0.0105974017850690,
    ],
    np.float32,
)  # fmt: skip
_HIGH = (_LOW[::-1] * np.array([1, -1] * 4, np.float32)).astype(np.float32)


def residual(luma: NDArray[np.float32], sigma: float = SIGMA) -> NDArray[np.float32]:
    """The noise residual of a picture, tile by tile.

    Args:
        luma: float32 H×W in [0, 255].
        sigma: standard deviation of the expected noise [8-bit levels], above 0.

    Returns:
        float32 H×W, mean about 0 [8-bit levels]; mirrored borders count as the picture.
    """
    height, width = luma.shape
    found = np.empty((height, width), np.float32)
    for top in range(0, height, TILE):
        bottom = min(top + TILE, height)
        for left in range(0, width, TILE):
            right = min(left + TILE, width)
            # Beyond the picture it is mirrored; sizes are made multiples of the coarsest step.
            upper, before = (HALO if first else _EDGE for first in (top, left))
            lower, after = HALO if bottom < height else _EDGE, HALO if right < width else _EDGE
            first, start = max(0, top - upper), max(0, left - before)
            part = luma[first : bottom + lower, start : right + after]
            above, beside = first - (top - upper), start - (left - before)
            rows, columns = bottom - top + upper + lower, right - left + before + after
            padded = cv2.copyMakeBorder(
                part,
                above,
                rows - part.shape[0] - above + -rows % (1 << LEVELS),
                beside,
                columns - part.shape[1] - beside + -columns % (1 << LEVELS),
                cv2.BORDER_REFLECT,
            )
            noise = _noise(padded, sigma * sigma)
            found[top:bottom, left:right] = noise[
                upper : upper + bottom - top, before : before + right - left
            ]
    return found


def spun_residual(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the residuals for the four places that the transform may start from.

    The transform sees a picture that was moved by one pixel differently: residuals of both
    correlate by a half. This mean agrees about as well with a residual from any start, so that
    cropped pictures are recognised too. It takes four times as long.

    Source: R. R. Coifman, D. L. Donoho, "Translation-Invariant De-Noising", 1995.

    Args:
        luma: float32 H×W in [0, 255].

    Returns:
        float32 H×W [8-bit levels]; the first row and column have fewer than four parts.
    """
    found = residual(luma)
    for down, right in ((0, 1), (1, 0), (1, 1)):
        found[down:, right:] += residual(luma[down:, right:])
    found /= 4
    return found


def wiener_share(power: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    """The share of each coefficient that is noise: noise / (signal + noise), in (0, 1].

    Args:
        power: float32 h×w, squared coefficients.
        noise: expected power of the noise alone, above 0.

    Returns:
        float32 h×w; the signal's power is the least of the estimates with `WINDOWS`.
    """
    least: NDArray[np.float32] = cv2.blur(
        power, (WINDOWS[0], WINDOWS[0]), borderType=cv2.BORDER_REFLECT
    )
    for side in WINDOWS[1:]:
        other = cv2.blur(power, (side, side), borderType=cv2.BORDER_REFLECT)
        np.minimum(least, other, out=least)
    # signal = max(least - noise, 0), so that signal + noise = max(least, noise)
    np.maximum(least, np.float32(noise), out=least)
    np.divide(np.float32(noise), least, out=least)
    return least


def _noise(picture: NDArray[np.float32], variance: float) -> NDArray[np.float32]:
    """Noise part of a picture whose sides are multiples of 2**LEVELS; wrong near its borders."""
    details = []
    low = picture
    for _ in range(LEVELS):
        above, beside = _split(low)
        low, first = (one.T for one in _split(np.ascontiguousarray(above.T)))
        second, third = (one.T for one in _split(np.ascontiguousarray(beside.T)))
        bands = [np.ascontiguousarray(one) for one in (first, second, third)]
        low = np.ascontiguousarray(low)
        for band in bands:
            band *= wiener_share(np.square(band), variance)
        details.append(bands)
    low = np.zeros_like(low)
    for first, second, third in reversed(details):
        above = _joined(np.ascontiguousarray(low.T), np.ascontiguousarray(first.T)).T
        beside = _joined(np.ascontiguousarray(second.T), np.ascontiguousarray(third.T)).T
        low = _joined(np.ascontiguousarray(above), np.ascontiguousarray(beside))
    return low


def _split(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One level of the transform along the rows of an array: low and high half, h×(w/2) each."""
    even, odd = np.ascontiguousarray(rows[:, 0::2]), np.ascontiguousarray(rows[:, 1::2])
    low, high = (_filtered(even, taps[0::2]) + _filtered(odd, taps[1::2]) for taps in (_LOW, _HIGH))
    return low, high


def _joined(low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `_split`, which is its transpose."""
    rows = np.empty((low.shape[0], 2 * low.shape[1]), np.float32)
    for phase in (0, 1):
        rows[:, phase::2] = _filtered(low, _LOW[phase::2], True)
        rows[:, phase::2] += _filtered(high, _HIGH[phase::2], True)
    return rows


def _filtered(
    rows: NDArray[np.float32], taps: NDArray[np.float32], transposed: bool = False
) -> NDArray[np.float32]:
    """Σ taps[k] rows[:, x + k], or rows[:, x - k] where transposed."""
    kernel = taps[None, ::-1] if transposed else taps[None]
    anchor = (taps.size - 1 if transposed else 0, 0)
    filtered: NDArray[np.float32] = cv2.filter2D(
        rows, cv2.CV_32F, kernel, anchor=anchor, borderType=cv2.BORDER_REFLECT
    )
    return filtered
