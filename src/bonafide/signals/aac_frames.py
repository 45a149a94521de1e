"""AAC as a codec whose frames leave a grid: see `frame_grid`.

A frame of AAC is 1,024 samples. Its transform has one of two windows, of which an encoder uses one
throughout; long frames alone are looked at.

Source: ISO/IEC 13818-7.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.frame_grid import NOTHING, Codec, Floats
from bonafide.signals.heavy import scipy

FRAME = 1024  # samples
_LINES = slice(24, 600)  # coefficients that are looked at: above hum, below the usual cut
_OFFSETS = 32  # that are searched at once


class Aac(Codec):
    """Frames of 1,024 samples, of which every one is computed from 2,048."""

    name = "AAC"
    frame = FRAME
    searched = 5
    segment = 8
    shapes = 2

    def all_offsets(self, held: Floats, shape: int) -> NDArray[np.float64]:
        """See `Codec.all_offsets`."""
        views = np.lib.stride_tricks.sliding_window_view(held, 2 * FRAME)
        starts = np.arange(FRAME)[:, None] + FRAME * np.arange(self.searched)
        parts = np.array_split(starts, FRAME // _OFFSETS)
        return np.concatenate(
            [
                _small(views[part].reshape(-1, 2 * FRAME), shape).reshape(len(part), -1).mean(1)
                for part in parts
            ]
        )

    def levels(self, held: Floats, offset: int, shape: int) -> NDArray[np.float64]:
        """See `Codec.levels`."""
        count = max(0, (len(held) - offset) // FRAME - 1)
        if not count:
            return np.zeros(0)
        frames = np.lib.stride_tricks.sliding_window_view(held[offset:], 2 * FRAME)[::FRAME]
        return _small(frames[:count], shape)


def _small(frames: Floats, shape: int) -> NDArray[np.float64]:
    """Share of coefficients that are nothing in frames (n, 2,048)."""
    lines = _transform(frames * _windows()[shape])[:, _LINES]
    return np.asarray((np.abs(lines) < NOTHING).mean(1), np.float64)


def _transform(frames: Floats) -> Floats:
    """Modified discrete cosine transform of windowed frames, (n, 2,048) → (n, 1,024)."""
    one, two, three, four = np.split(frames, 4, axis=1)
    folded = np.concatenate([-three[:, ::-1] - four, one - two[:, ::-1]], axis=1)
    return np.asarray(scipy.fft.dct(folded, type=4, axis=1, norm="ortho"), np.float32)


@lru_cache(maxsize=1)
def _windows() -> tuple[Floats, ...]:
    """The two windows of the standard: Kaiser-Bessel derived with α = 4, and sine."""
    sums = np.cumsum(np.kaiser(FRAME + 1, 4 * np.pi))
    half = np.sqrt(sums[:-1] / sums[-1])
    sine = np.sin(np.pi * (np.arange(2 * FRAME) + 0.5) / (2 * FRAME))
    return np.r_[half, half[::-1]].astype(np.float32), sine.astype(np.float32)
