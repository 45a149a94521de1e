"""The frame grid that AAC leaves in sound, and where it jumps.

AAC codes frames of 1,024 samples by a lapped transform and rounds most coefficients to nothing.
Sound that was decoded from AAC and then kept without loss shows those zeros again when it is
transformed with frames that begin at the same samples, and at no others. Where sound was taken out
or put in, the grid goes on at another offset.

Source: the transform is that of ISO/IEC 13818-7; the idea is that of R. Yang, Z. Qu, J. Huang,
"Detecting Digital Audio Forgeries by Checking Frame Offsets", ACM MM&Sec 2008 (on MP3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.heavy import scipy

FRAME = 1024  # samples
_LINES = slice(24, 600)  # coefficients that are looked at: above hum, below the usual cut
_NOTHING = 3e-5  # of full scale: what rounding to 16 bits leaves of a coefficient that was zero
_FRAMES = 5  # that are searched for a grid
_OFFSETS = 32  # that are searched at once
_SEGMENT = 8  # frames from one look to the next
FOUND = 10.0  # standard deviations from which an offset counts as found
_SPREAD = 0.0005  # smallest standard deviation of the share of small coefficients
_KEPT = 0.35  # share of what an offset showed when it was found from which it still holds
_SEARCHES = 40  # of all offsets, at most
_TRIES = 3  # searches for a first grid before a recording counts as having none
_LEAST = 10 ** (-60 / 20)  # peak of a segment that is looked at

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class GridJump:
    """Where one grid ends and another begins.

    Attributes:
        sample: about where, samples from the start.
        distance: from which distance in standard deviations the weaker of both grids was found.
        before, after: offsets of the frames, samples, 0 to 1,023.
    """

    sample: int
    distance: float
    before: int
    after: int


class AacGrid:
    """Follows the grid through a recording that is given piece by piece, as it was coded.

    What is held does not grow with the length of the recording.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._held = np.zeros(0, np.float32)
        self._first = 0  # sample at which what is held begins
        self._gone = np.zeros(0, np.float32)  # the segment before
        self._searches = 0
        self._offset: int | None = None  # of the grid, counted from sample 0
        self._shape = 0  # of its window
        self._strength = self._distance = 0.0
        self._last = 0  # first sample after the last segment in which the grid held
        self.segments = 0  # in which a grid was seen

    def add(self, samples: Floats) -> Iterator[GridJump]:
        """Samples that follow those given before, float32 (n,) → the jumps in them."""
        self._held = np.concatenate([self._held, samples])
        need = (_SEGMENT + 2) * FRAME
        while len(self._held) >= need and self._wanted:
            yield from self._segment()
            self._gone = self._held[: _SEGMENT * FRAME]
            self._held = self._held[_SEGMENT * FRAME :]
            self._first += _SEGMENT * FRAME
        if not self._wanted:
            self._held = self._held[:0]

    @property
    def _wanted(self) -> bool:
        if self._offset is None:
            return self._searches < _TRIES
        return self._searches < _SEARCHES

    def _segment(self) -> Iterator[GridJump]:
        held = self._held[: (_SEGMENT + 2) * FRAME]
        if np.abs(held).max() < _LEAST:
            return
        if self._offset is not None:
            here = (self._offset - self._first) % FRAME
            levels = [_level(held, (here + turn) % FRAME, self._shape) for turn in (0, 341, 682)]
            if levels[0] - (levels[1] + levels[2]) / 2 >= _KEPT * self._strength:
                self._last = self._first + _SEGMENT * FRAME
                self.segments += 1
                return
        self._searches += 1
        shapes = range(len(_windows())) if self._offset is None else (self._shape,)
        shape, found, distance, strength = _search(held, shapes)
        if distance < FOUND:
            return
        offset = (found + self._first) % FRAME
        if self._offset is not None and offset != self._offset:
            at = self._boundary(self._offset, offset)
            yield GridJump(at, min(distance, self._distance), self._offset, offset)
        self._offset, self._shape = offset, shape
        self._strength, self._distance = strength, distance
        self._last = self._first + _SEGMENT * FRAME
        self.segments += 1

    def _boundary(self, before: int, after: int) -> int:
        """The sample at which the grid `before` gives way, within the last two segments."""
        near = np.concatenate([self._gone, self._held[: (_SEGMENT + 2) * FRAME]])
        start = self._first - len(self._gone)
        old = _levels(near, (before - start) % FRAME, self._shape)
        new = _levels(near, (after - start) % FRAME, self._shape)
        count = min(len(old), len(new))
        gain = np.cumsum(np.r_[0.0, old[:count] - new[:count]])
        at = start + (int(np.argmax(gain)) + 1) * FRAME
        return (self._last + at) // 2 if start > self._last + FRAME else at


def _search(held: Floats, shapes: Sequence[int]) -> tuple[int, int, float, float]:
    """Window and offset that show most, their distance in standard deviations, and their depth."""
    found = (0, 0, -np.inf, 0.0)
    views = np.lib.stride_tricks.sliding_window_view(held, 2 * FRAME)
    starts = np.arange(FRAME)[:, None] + FRAME * np.arange(_FRAMES)
    for shape in shapes:
        levels = np.concatenate(
            [
                _small(views[part].reshape(-1, 2 * FRAME), shape).reshape(len(part), -1).mean(1)
                for part in np.array_split(starts, FRAME // _OFFSETS)
            ]
        )
        best = int(np.argmax(levels))
        near = (np.arange(FRAME) - best) % FRAME
        others = levels[(near > 8) & (near < FRAME - 8)]
        usual = float(np.median(others))
        spread = max(1.4826 * float(np.median(np.abs(others - usual))), _SPREAD)
        distance = (float(levels[best]) - usual) / spread
        if distance > found[2]:
            found = (shape, best, distance, float(levels[best]) - usual)
    return found


def _level(held: Floats, offset: int, shape: int) -> float:
    """Share of coefficients that are nothing, over `_FRAMES` frames at an offset."""
    return float(_levels(held[: offset + (_FRAMES + 1) * FRAME], offset, shape).mean())


def _levels(held: Floats, offset: int, shape: int) -> NDArray[np.float64]:
    """Share of coefficients that are nothing in each frame at an offset."""
    count = max(0, (len(held) - offset) // FRAME - 1)
    if not count:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(held[offset:], 2 * FRAME)[::FRAME][:count]
    return _small(frames, shape)


def _small(frames: Floats, shape: int) -> NDArray[np.float64]:
    """Share of coefficients that are nothing in frames (n, 2,048)."""
    lines = _transform(frames * _windows()[shape])[:, _LINES]
    return np.asarray((np.abs(lines) < _NOTHING).mean(1), np.float64)


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
