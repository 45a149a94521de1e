"""The frame grid that a codec leaves in sound, and where it jumps.

AAC and MP3 code frames by a lapped transform and round most coefficients to nothing. Sound that was
decoded and then kept without loss shows those zeros again when it is transformed with frames that
begin at the same samples, and at no others. Where sound was taken out or put in, the grid goes on
at another offset.

Source: R. Yang, Z. Qu, J. Huang, "Detecting Digital Audio Forgeries by Checking Frame Offsets", ACM
MM&Sec 2008 (on MP3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTHING = 3e-5  # of full scale: what rounding to 16 bits leaves of a coefficient that was zero
FOUND = 10.0  # standard deviations from which an offset counts as found
_SPREAD = 0.0005  # smallest standard deviation of the share of small coefficients
_KEPT = 0.35  # share of what an offset showed when it was found from which it still holds
_SEARCHES = 40  # of all offsets, at most
_TRIES = 3  # searches for a first grid before a recording counts as having none
_PAST = 4  # segments in which the ends of grids are looked for
_LEAST = 10 ** (-60 / 20)  # peak of a segment that is looked at

Floats = NDArray[np.float32]


class Codec(ABC):
    """How a codec transforms sound.

    Attributes:
        name: of the codec.
        frame: samples from one frame to the next.
        searched: frames that are searched for a grid.
        segment: frames from one look to the next; two more are held.
        shapes: windows that an encoder may have used.
    """

    name: str
    frame: int
    searched: int
    segment: int
    shapes: int

    @abstractmethod
    def all_offsets(self, held: Floats, shape: int) -> NDArray[np.float64]:
        """Share of coefficients that are nothing, over `searched` frames, by offset, (frame,)."""

    @abstractmethod
    def levels(self, held: Floats, offset: int, shape: int) -> NDArray[np.float64]:
        """Share of coefficients that are nothing in each whole frame at an offset, (frames,)."""


@dataclass(frozen=True)
class GridJump:
    """Where one grid ends and another begins.

    Attributes:
        end, begin: where the first one ends and the second begins, samples from the start; between
            them lies what belongs to neither.
        distance: from which distance in standard deviations the weaker of both grids was found.
        before, after: offsets of the frames, samples, 0 to less than a frame.
    """

    end: int
    begin: int
    distance: float
    before: int
    after: int


@dataclass(frozen=True)
class _Grid:
    offset: int  # of the frames, counted from sample 0
    shape: int  # of the window
    distance: float  # in standard deviations
    strength: float  # by which share it shows more than other offsets


class FrameGrid:
    """Follows the grid through a recording that is given piece by piece, as it was coded.

    A jump is told when the grid before it and that after it have each held in two segments: other
    codecs can show a grid that is another one at every look. What is held does not grow with the
    length of the recording.
    """

    def __init__(self, codec: Codec) -> None:
        """Nothing is known yet."""
        self.codec = codec
        self.segments = 0  # in which a grid was seen
        self._hop = codec.segment * codec.frame
        self._need = self._hop + 2 * codec.frame
        self._held = np.zeros(0, np.float32)
        self._first = 0  # sample at which what is held begins
        self._gone = np.zeros(0, np.float32)  # the segments before
        self._searches = 0
        self._grid: _Grid | None = None  # that was found last
        self._sure: _Grid | None = None  # that held in two segments or more, the last one
        self._pending: GridJump | None = None  # told once the grid after it has held

    def add(self, samples: Floats) -> Iterator[GridJump]:
        """Samples that follow those given before, float32 (n,) → the jumps in them."""
        self._held = np.concatenate([self._held, samples])
        while len(self._held) >= self._need and self._wanted:
            yield from self._segment()
            self._gone = np.concatenate([self._gone, self._held[: self._hop]])[-_PAST * self._hop :]
            self._held = self._held[self._hop :]
            self._first += self._hop
        if not self._wanted:
            self._held = self._held[:0]

    @property
    def _wanted(self) -> bool:
        return self._searches < (_TRIES if self._grid is None else _SEARCHES)

    def _segment(self) -> Iterator[GridJump]:
        held = self._held[: self._need]
        if np.abs(held).max() < _LEAST:
            return
        grid = self._grid
        if grid is not None:
            depth = self._depth(held, grid.offset - self._first, grid.shape)
            if depth[: self.codec.searched].mean() >= _KEPT * grid.strength:
                self.segments += 1
                self._sure = grid
                if self._pending is not None:
                    yield self._pending
                    self._pending = None
                return
        self._searches += 1
        shapes = range(self.codec.shapes) if grid is None else (grid.shape,)
        shape, found, distance, strength = _search(self.codec, held, shapes)
        if distance < FOUND:
            return
        new = _Grid((found + self._first) % self.codec.frame, shape, distance, strength)
        self._grid, self._pending = new, None
        self.segments += 1
        if self._sure is not None and new.offset != self._sure.offset:
            self._pending = self._jump(self._sure, new)

    def _depth(self, samples: Floats, offset: int, shape: int) -> NDArray[np.float64]:
        """By how much a grid shows in each frame more than two others do."""
        frame = self.codec.frame
        levels = [
            self.codec.levels(samples, (offset + turn) % frame, shape)
            for turn in (0, frame // 3, 2 * frame // 3)
        ]
        count = min(map(len, levels))
        return np.asarray(levels[0][:count] - (levels[1][:count] + levels[2][:count]) / 2)

    def _jump(self, before: _Grid, after: _Grid) -> GridJump:
        """Where one grid ends and the other begins."""
        near = np.concatenate([self._gone, self._held[: self._need]])
        start = self._first - len(self._gone)
        frame = self.codec.frame
        old = self._depth(near, before.offset - start, before.shape) - before.strength / 2
        new = self._depth(near, after.offset - start, after.shape) - after.strength / 2
        kept = int(np.argmax(np.cumsum(np.r_[0.0, old])))  # frames in which the old one shows
        lost = len(new) - int(np.argmax(np.cumsum(np.r_[0.0, new[::-1]])))
        # A frame that holds a cut shows neither grid. It reaches over the one that follows it.
        end = start + (before.offset - start) % frame + (kept + 1) * frame
        begin = start + (after.offset - start) % frame + lost * frame
        distance = min(before.distance, after.distance)
        return GridJump(min(end, begin), max(end, begin), distance, before.offset, after.offset)


def _search(codec: Codec, held: Floats, shapes: Sequence[int]) -> tuple[int, int, float, float]:
    """Window and offset that show most, their distance in standard deviations, and their depth."""
    found = (0, 0, -np.inf, 0.0)
    for shape in shapes:
        levels = codec.all_offsets(held, shape)
        best = int(np.argmax(levels))
        near = (np.arange(codec.frame) - best) % codec.frame
        others = levels[(near > 8) & (near < codec.frame - 8)]
        usual = float(np.median(others))
        spread = max(1.4826 * float(np.median(np.abs(others - usual))), _SPREAD)
        distance = (float(levels[best]) - usual) / spread
        if distance > found[2]:
            found = (shape, best, distance, float(levels[best]) - usual)
    return found
