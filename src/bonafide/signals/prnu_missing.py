"""Where a camera's fingerprint is missing from a picture that it took.

In windows of the picture the correlation with the fingerprint is compared with what is expected
there. The expectation is fitted to the picture itself: the gain of the pattern as a function of
brightness, texture and the energy of the residual, robustly, so that a missing part does not lower
it. A window is marked where "missing" explains the correlation much better than "present", and
where it is far below what present windows scatter.

Source: M. Chen, J. Fridrich, M. Goljan, J. Lukáš, "Determining Image Origin and Integrity Using
Sensor Noise", IEEE TIFS 3(1), 2008, section V. Ours is simpler: normal instead of generalised
normal distributions, and a predictor with three features that is fitted to the picture under test
instead of other pictures of the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.signals.heavy import cv2, scipy
from bonafide.signals.prnu import SATURATED

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPECTED = 7.0  # standard deviations by which a present window of usual content stands out
LEAST = 4.5  # the same, below which a window is not judged
FAR = 4.5  # standard deviations below the expectation from which a window is marked
LEAST_RATIO = math.log(1000)  # log-likelihood ratio, missing over present, likewise
SMALLEST_WINDOW = 64  # pixels
LARGEST_SHARE = 0.25  # of the picture's shorter side that a window may have


@dataclass(frozen=True)
class Missing:
    """Which parts lack the fingerprint.

    Attributes:
        values: float32 h×w in [0, 1] on a lattice that begins at (0, 0); 0.5 and more is missing.
        cell: pixels a side of one value.
        window: pixels a side of the windows that were compared.
        judged: share of the picture where a missing fingerprint would be noticed, in [0, 1].
    """

    values: NDArray[np.float32]
    cell: int
    window: int
    judged: float


def missing(
    luma: NDArray[np.float32], weighted: NDArray[np.float32], pattern: NDArray[np.float32]
) -> Missing | None:
    """Look where a matching fingerprint is absent.

    Args:
        luma: float32 H×W in [0, 255].
        weighted: its `weighted_residual`.
        pattern: float32 H×W, the part of the fingerprint that the picture lies on.

    Returns:
        The map; None where the agreement is too weak for windows of at most a quarter of the
        shorter side.
    """
    correlation = float((weighted * pattern).sum(dtype=np.float64))
    energy = float(np.square(weighted).sum(dtype=np.float64))
    strength = correlation / math.sqrt(max(energy, 1e-12))
    if strength <= 0:
        return None
    window = max(SMALLEST_WINDOW, math.ceil(EXPECTED / strength * math.sqrt(luma.size)))
    if window > LARGEST_SHARE * min(luma.shape):
        return None
    cell = max(8, window // 8)
    side = round(window / cell) | 1
    found = cv2.boxFilter(_cells(weighted * pattern, cell), -1, (side, side), normalize=False)
    power = np.where(luma < SATURATED, luma, np.float32(0))
    texture = luma - cv2.blur(luma, (5, 5))
    scatter, light, rough = (
        np.maximum(cv2.boxFilter(_cells(one * one, cell), -1, (side, side), normalize=False), least)
        for one, least in ((weighted, 1e-3), (power, 1.0), (texture, 1.0))
    )
    expected, spread = _expectation(found, scatter, light, rough)
    stands = found / np.sqrt(scatter)
    distance = (stands - expected) / spread
    ratio = np.square(distance) / 2 + np.log(spread) - np.square(stands) / 2
    judged = expected >= LEAST
    marked = judged & (distance < -FAR) & (ratio > LEAST_RATIO)
    reach = max(1, side // 4)
    marked = scipy.ndimage.binary_opening(marked, np.ones((2 * reach + 1,) * 2))
    values = np.where(judged, 0.49 / (1 + np.exp(-np.clip(ratio, -30, 30))), 0.0)
    strong = 0.5 + 0.5 * np.clip(ratio / 30, 0, 1)
    values = np.where(marked, strong, values).astype(np.float32)
    return Missing(values, cell, side * cell, float(judged.mean()))


def _expectation(
    found: NDArray[np.float32],
    scatter: NDArray[np.float32],
    light: NDArray[np.float32],
    rough: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a window with the fingerprint shows, and how far such windows scatter around that.

    Args:
        found: h×w, sums of residual times luma times pattern over windows.
        scatter: sums of squares of residual times luma.
        light: sums of squared luma.
        rough: sums of squared texture.

    Returns:
        Mean and standard deviation, float32 h×w, in standard deviations of chance.
    """
    stands = (found / np.sqrt(scatter)).ravel()
    scale = (light / np.sqrt(scatter)).ravel()  # what a gain of 1 would show
    logs = [np.log(one / light).ravel() for one in (scatter, rough)] + [np.log(light).ravel()]
    features = np.stack([np.ones_like(scale), *(one - one.mean() for one in logs)], axis=1)
    design = features * scale[:, None]
    weights = np.ones_like(scale)
    for _ in range(12):
        root = np.sqrt(weights)
        gains, *_ = np.linalg.lstsq(design * root[:, None], stands * root, rcond=None)
        mean = np.maximum(design @ gains, 0)
        share = _relative(stands, mean)
        off = (stands - mean) / np.sqrt(1 + np.square(share * mean))
        # Tukey's biweight: windows far off have no say.
        weights = np.square(np.maximum(1 - np.square(off / 4.0), 0)) + 1e-6
        weights /= 1 + np.square(share * mean)
    spread = np.sqrt(1 + np.square(share * mean))
    return mean.reshape(found.shape), spread.astype(np.float32).reshape(found.shape)


def _relative(stands: NDArray[Any], mean: NDArray[Any]) -> float:
    """How far present windows scatter, as a share of their mean, beyond chance."""
    clear = mean >= LEAST
    if np.count_nonzero(clear) < 20:
        return 0.3
    off = 1.4826 * float(np.median(np.abs(stands[clear] - mean[clear])))
    return math.sqrt(max(off * off - 1, 0)) / float(np.median(mean[clear]))


def _cells(values: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """Sums over cells, float32 ceil(H / cell) × ceil(W / cell)."""
    height, width = values.shape
    padded = cv2.copyMakeBorder(
        values, 0, -height % cell, 0, -width % cell, cv2.BORDER_CONSTANT, value=0
    )
    size = padded.shape[1] // cell, padded.shape[0] // cell
    sums: NDArray[np.float32] = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
    sums *= np.float32(cell * cell)
    return sums
