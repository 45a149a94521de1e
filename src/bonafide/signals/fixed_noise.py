"""Whether noise stays at fixed places of the picture while the scene moves.

A sensor's pixels differ a little, always in the same way, so that what a filter leaves of two
frames correlates at the same places and nowhere else. Frames of the first and of the second half of
a clip are compared. Where the scene itself stands still, everything correlates, and nothing can be
told: a coarser band, in which a sensor has no pattern, shows that. Patterns of blocks repeat every
16 pixels, so that shifts by multiples of 16 are what the correlation is compared with.

Sources: J. Lukáš, J. Fridrich, M. Goljan, "Digital Camera Identification from Sensor Pattern
Noise", IEEE TIFS 1(2), 2006; M. Chen, J. Fridrich, M. Goljan, J. Lukáš, "Source Digital Camcorder
Identification Using Sensor Photo Response Non-Uniformity", SPIE 6505, 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.heavy import cv2

BLOCK = 16
SURE = 8.0  # deviations of the shifted correlations from which a pattern is told
STILL = 0.1  # correlation of the coarse band from which the scene stands still
FEWEST = 12  # frames
_REACH = 3  # blocks by which frames are shifted
_ALIVE = 4.0  # deviation over time of a block's mean [8-bit levels]
_LEAST_BLOCKS = 60
_FEWEST_SHIFTS = 20
_NOISE = 4.0  # variance of the noise that is expected [8-bit levels²]


@dataclass(frozen=True)
class Pattern:
    """How noise correlates between the halves of a clip.

    Attributes:
        correlation: at the same places, in [-1, 1].
        deviations: how far that stands above the correlations of shifted frames.
        scene: the same correlation of the coarse band; high where the scene stands still.
        frames: that were compared.
    """

    correlation: float
    deviations: float
    scene: float
    frames: int

    @property
    def still(self) -> bool:
        """Whether the scene stands still, so that nothing can be told."""
        return self.scene >= STILL

    @property
    def fixed(self) -> bool:
        """Whether noise stays at its places."""
        return not self.still and self.deviations >= SURE


class Reader:
    """Takes the lumas of frames, and keeps what its two sums need."""

    def __init__(self) -> None:
        self._kept: list[tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float32]]] = []

    def add(self, luma: NDArray[np.float32]) -> None:
        """Take the luma of a frame, float32 h×w; frames of another size are passed over."""
        rows, columns = (side // BLOCK * BLOCK for side in luma.shape)
        part = luma[:rows, :columns]
        if min(rows, columns) < (2 * _REACH + 2) * BLOCK:
            return
        noise, coarse = _noise(part).astype(np.float16), _coarse(part).astype(np.float16)
        if self._kept and self._kept[0][0].shape != noise.shape:
            return
        size = (columns // BLOCK, rows // BLOCK)
        means = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        self._kept.append((noise, coarse, means))

    def pattern(self) -> Pattern | None:
        """What the frames say; None where they are few, or too little of the picture moves."""
        count = len(self._kept)
        if count < FEWEST:
            return None
        alive = np.stack([means for _, _, means in self._kept]).std(0) > _ALIVE
        inner = cv2.erode(alive.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if int(inner.sum()) < _LEAST_BLOCKS:
            return None
        half = count // 2
        found: list[tuple[float, list[float]]] = []
        for band in (0, 1):
            sums = [
                np.asarray(sum(one[band].astype(np.float32) for one in part), np.float32)
                for part in (self._kept[:half], self._kept[half:])
            ]
            found.append(_correlations(sums[0], sums[1], inner))
            if len(found[0][1]) < _FEWEST_SHIFTS:
                return None
        (noise, shifted), (scene, _) = found
        away = (noise - float(np.mean(shifted))) / max(float(np.std(shifted)), 1e-6)
        return Pattern(noise, float(away), scene, count)


def _noise(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a small blur removes, less where there is texture, without rows and columns."""
    high = luma - cv2.blur(luma, (3, 3))
    power = cv2.blur(high * high, (5, 5))
    kept: NDArray[np.float32] = high * np.float32(_NOISE) / np.maximum(power, np.float32(_NOISE))
    kept -= kept.mean(0, keepdims=True)
    kept -= kept.mean(1, keepdims=True)
    return kept


def _coarse(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    band = cv2.GaussianBlur(luma, (0, 0), 2.0) - cv2.GaussianBlur(luma, (0, 0), 8.0)
    found: NDArray[np.float32] = band / np.sqrt(cv2.blur(band * band, (33, 33)) + np.float32(4))
    return found


def _correlations(
    first: NDArray[np.float32], second: NDArray[np.float32], used: NDArray[np.bool_]
) -> tuple[float, list[float]]:
    """At the same places, and at each shift: means over blocks, without the outer tenths."""
    powers = _blocks(first * first), _blocks(second * second)
    same, others = 0.0, []
    for down in range(-_REACH, _REACH + 1):
        for across in range(-_REACH, _REACH + 1):
            shift = (down, across)
            moved = np.roll(second, (down * BLOCK, across * BLOCK), (0, 1))
            both = used & np.roll(used, shift, (0, 1))
            if int(both.sum()) < _LEAST_BLOCKS // 3:
                continue
            scale = np.sqrt(powers[0] * np.roll(powers[1], shift, (0, 1)) + 1e-6)
            ranked = np.sort((_blocks(first * moved) / scale)[both])
            cut = len(ranked) // 10
            mean = float(ranked[cut : len(ranked) - cut].mean())
            if shift == (0, 0):
                same = mean
            else:
                others.append(mean)
    return same, others


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = values.shape
    found: NDArray[np.float32] = values.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK).sum(
        (1, 3)
    )
    return found
