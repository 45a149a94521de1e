"""The fingerprint of a camera's sensor, and how well a picture agrees with it.

Pixels of a sensor differ in their sensitivity by about a hundredth, always in the same way. A
picture I then holds the pattern I·K. From the noise residuals W of several pictures the pattern is
estimated by maximum likelihood, K = Σ W I / Σ I²; what cameras of a model have in common (periodic
traces of interpolation and compression) is removed. Agreement is the peak-to-correlation energy
(PCE): the squared correlation at the right place over the mean squared correlation elsewhere.

Sources: M. Chen, J. Fridrich, M. Goljan, J. Lukáš, "Determining Image Origin and Integrity Using
Sensor Noise", IEEE TIFS 3(1), 2008, equations 6 and 9 and section III; M. Goljan, "Digital Camera
Identification from Images - Estimating False Acceptance Probability", IWDW 2008 (PCE and its false
match rate). Ours works on luma alone, and removes periodic traces tile by tile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2, scipy
from bonafide.signals.residual import residual, wiener_share

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHOD = "luma-1"  # of fingerprints; those of another method are not compared
SATURATED = 250  # luma from which a pixel tells nothing of its sensitivity
TILE = 1024  # pixels a side of a correlation; bounds the memory
_PEAK = 5  # pixels on each side of a peak that belong to it: 11×11


class Estimate:
    """A fingerprint in the making.

    Args:
        height, width: of every picture, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.count = 0
        self._weighted = np.zeros((height, width), np.float32)
        self._power = np.ones((height, width), np.float32)

    def add(self, luma: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
        """Take a picture into account.

        Args:
            luma: float32 H×W in [0, 255].
            noise: its `spun_residual`, float32 H×W [8-bit levels].
        """
        valid = np.where(luma < SATURATED, luma, np.float32(0))
        self._weighted += noise * valid
        self._power += np.square(valid, out=valid)
        self.count += 1

    def fingerprint(self) -> NDArray[np.float32]:
        """The pattern, float32 H×W of unit variance, mean 0."""
        pattern = self._weighted / self._power
        remove_lines(pattern)
        remove_periods(pattern)
        pattern /= max(float(pattern.std()), 1e-12)
        return pattern


def remove_lines(pattern: NDArray[np.float32]) -> None:
    """Subtract the means of rows and columns, in place, for each of the sensor's 2×2 phases."""
    for row in (0, 1):
        for column in (0, 1):
            phase = pattern[row::2, column::2]
            phase -= phase.mean(axis=1, keepdims=True)
            phase -= phase.mean(axis=0, keepdims=True)


def remove_periods(pattern: NDArray[np.float32]) -> None:
    """Keep the noise-like part of each tile's spectrum, in place: peaks are flattened."""
    for rows, columns in tiles(*pattern.shape):
        part = pattern[rows, columns]
        spectrum = scipy.fft.rfft2(part)
        power = np.square(np.abs(spectrum)).astype(np.float32)
        power /= np.float32(part.size)
        spectrum *= wiener_share(power, max(float(part.var()), 1e-20))
        pattern[rows, columns] = scipy.fft.irfft2(spectrum, s=part.shape)


def weighted_residual(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Residual times luma, 0 where saturated, of mean 0: what is correlated with a fingerprint.

    Correlating K·I with W and K with I·W is the same; the second needs no alignment beforehand.

    Args:
        luma: float32 H×W in [0, 255].

    Returns:
        float32 H×W.
    """
    found = residual(luma)
    found *= luma
    found[luma >= SATURATED] = 0
    found -= found.mean()
    return found


def tiles(height: int, width: int, side: int = TILE) -> list[tuple[slice, slice]]:
    """Rows and columns of tiles of equal size, at most 1.5 `side` a side, that cover an array."""
    found = []
    down, across = max(1, round(height / side)), max(1, round(width / side))
    for i in range(down):
        for j in range(across):
            rows = slice(height * i // down, height * (i + 1) // down)
            columns = slice(width * j // across, width * (j + 1) // across)
            found.append((rows, columns))
    return found


@dataclass(frozen=True)
class Peak:
    """The best agreement among the shifts that were allowed.

    Attributes:
        pce: peak-to-correlation energy; negative where the best correlation is.
        top, left: shift [pixels]: pixel (y, x) of the picture lies on (y + top, x + left) of the
            fingerprint.
        shifts: how many were allowed.
    """

    pce: float
    top: int
    left: int
    shifts: int


def aligned(picture: NDArray[np.float32], pattern: NDArray[np.float32], reach: int = 2) -> Peak:
    """The agreement of a picture with a fingerprint that lies on it, but for a few pixels.

    Tile by tile; correlations add up, and so do the energies elsewhere.

    Args:
        picture: float32 H×W, from `weighted_residual`.
        pattern: float32 H×W.
        reach: largest shift either way [pixels]; the tiles are not moved with it, so that a part
            of each is lost.
    """
    side = 2 * reach + 1
    near = np.arange(-reach, reach + 1)
    total, energy = np.zeros((side, side)), 0.0
    for rows, columns in tiles(*picture.shape):
        found = _correlation(picture[rows, columns], pattern[rows, columns])
        total += found[np.ix_(near, near)]
        y, x = np.unravel_index(int(np.argmax(found[np.ix_(near, near)])), (side, side))
        energy += _elsewhere(found, int(y) - reach, int(x) - reach)
    y, x = np.unravel_index(int(np.argmax(total)), total.shape)
    return Peak(_ratio(float(total[y, x]), energy), int(y) - reach, int(x) - reach, side * side)


def locate(
    picture: NDArray[np.float32], pattern: NDArray[np.float32], most_pixels: int = 28_000_000
) -> Peak:
    """Where a piece of a picture lies in a larger fingerprint, all shifts tried.

    Args:
        picture: float32 h×w, from `weighted_residual`.
        pattern: float32 H×W, at least as large.
        most_pixels: size of one transform; a larger fingerprint is searched in overlapping parts.
    """
    (height, width), (rows, columns) = picture.shape, pattern.shape
    down = _parts(rows, height, math.isqrt(most_pixels * 3 // 4))
    across = _parts(columns, width, max(width, most_pixels // down[0][1]))
    best = Peak(-math.inf, 0, 0, 0)
    for top, tall in down:
        for left, wide in across:
            part = pattern[top : top + tall, left : left + wide]
            found = _search(picture, part)
            if found.pce > best.pce:
                best = Peak(found.pce, top + found.top, left + found.left, 0)
    return Peak(best.pce, best.top, best.left, (rows - height + 1) * (columns - width + 1))


def log10_false_match(pce: float, trials: int) -> float:
    """log10 of the chance that a picture of another camera agrees as well, at most 0.

    Correlations of another camera's picture are normal, so that √PCE is; each of the trials may
    exceed it (Goljan 2008; here the union bound).

    Args:
        pce: peak-to-correlation energy.
        trials: shifts, scales, orientations and cameras that were tried.
    """
    if pce <= 0:
        return 0.0
    tail = float(scipy.special.log_ndtr(-math.sqrt(pce))) / math.log(10)
    return min(0.0, tail + math.log10(max(trials, 1)))


def resized(pattern: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A fingerprint as a picture that was scaled down has it: the mean over each new pixel."""
    if pattern.shape == (height, width):
        return pattern
    smaller: NDArray[np.float32] = cv2.resize(
        np.ascontiguousarray(pattern), (width, height), interpolation=cv2.INTER_AREA
    )
    return smaller


def _search(picture: NDArray[np.float32], part: NDArray[np.float32]) -> Peak:
    rows = part.shape[0] - picture.shape[0] + 1
    columns = part.shape[1] - picture.shape[1] + 1
    # The pattern is continued by itself up to a size that transforms well, so that every shift
    # meets as much of it.
    fast = [scipy.fft.next_fast_len(length, real=True) for length in part.shape]
    padding = [(0, longer - length) for longer, length in zip(fast, part.shape, strict=True)]
    whole = np.pad(part, padding, mode="wrap") if fast != list(part.shape) else part
    found = _correlation(picture, whole)
    allowed = found[:rows, :columns]
    y, x = map(int, np.unravel_index(int(np.argmax(allowed)), allowed.shape))
    return Peak(_ratio(float(found[y, x]), _elsewhere(found, y, x)), y, x, rows * columns)


def _correlation(picture: NDArray[np.float32], pattern: NDArray[np.float32]) -> NDArray[np.float32]:
    """Σ picture[p] pattern[p + s] for every circular shift s, in the shape of `pattern`."""
    spectrum = scipy.fft.rfft2(picture, s=pattern.shape)
    np.conj(spectrum, out=spectrum)
    spectrum *= scipy.fft.rfft2(pattern)
    found: NDArray[np.float32] = scipy.fft.irfft2(spectrum, s=pattern.shape, overwrite_x=True)
    return found


def _elsewhere(found: NDArray[np.float32], y: int, x: int) -> float:
    """Mean squared correlation outside of the neighbourhood of a shift."""
    span = np.arange(-_PEAK, _PEAK + 1)
    near = found[np.ix_((span + y) % found.shape[0], (span + x) % found.shape[1])]
    total = float(np.square(found).sum(dtype=np.float64)) - float(np.square(near).sum())
    return max(total, 0.0) / max(found.size - near.size, 1)


def _ratio(correlation: float, energy: float) -> float:
    if energy <= 0:
        return 0.0
    return math.copysign(correlation * correlation / energy, correlation)


def _parts(length: int, piece: int, most: int) -> list[tuple[int, int]]:
    """Start and length of parts, at most about `most` long, such that every piece lies in one."""
    size = min(length, max(most, 2 * piece))
    starts = list(range(0, max(length - size, 0) + 1, max(size - piece + 1, 1)))
    if starts[-1] + size < length:
        starts.append(length - size)
    return [(start, size) for start in starts]
