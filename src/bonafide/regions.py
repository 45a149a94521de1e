"""Where in a media something is: the part of the vocabulary that speaks of places and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """A stretch of time, in seconds from the start of the media."""

    start: float
    end: float


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels of the upright picture or frame; left and top edge are 0-based."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Where:
    """A track, a time, a place, a person; absent parts mean "all of it".

    Attributes:
        track: "image", "video" or "audio"; "" for the media as a whole.
        span: stretch of time.
        box: rectangle of the picture.
        subject: id of a face, a voice or a shot.
    """

    track: str = ""
    span: Span | None = None
    box: Box | None = None
    subject: str | None = None


WHOLE = Where()


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    import numpy as np

    return np.array_equal(one, other)


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """Evidence by place, kept on the lattice on which it was measured.

    Attributes:
        values: float32 h×w in [0, 1]; 0.5 and above means *marked*.
        cell: pixels a side that one value stands for.
        width, height: of the picture, in pixels.
        left, top: where the first cell begins, in pixels; at most 0 (a cell may lie partly
            outside), so that the lattice covers the picture.
    """

    values: NDArray[np.float32] = field(repr=False)
    cell: int
    width: int
    height: int
    left: int = 0
    top: int = 0

    def resample(self, cell: int) -> NDArray[np.float32]:
        """The map on another lattice that begins at (0, 0): nearest value, or the cell's maximum.

        Args:
            cell: pixels a side of the new cells.

        Returns:
            float32 ceil(height / cell) × ceil(width / cell) in [0, 1].
        """
        import numpy as np

        if cell <= self.cell:
            rows = self._index(self.height, cell, cell // 2, self.top, self.values.shape[0])
            columns = self._index(self.width, cell, cell // 2, self.left, self.values.shape[1])
            return self.values[np.ix_(rows, columns)]
        # Larger cells: the maximum of what they cover, so that nothing marked is lost.
        maximum = self.values
        for axis, length, first in ((0, self.height, self.top), (1, self.width, self.left)):
            count = self.values.shape[axis]
            begins = self._index(length, cell, 0, first, count)
            ends = self._index(length, cell, cell - 1, first, count)
            seen = maximum.take(range(ends[-1] + 1), axis)
            # What lies across an edge of a new cell counts on both sides of it.
            inside, across = np.maximum.reduceat(seen, begins, axis), seen.take(ends, axis)
            maximum = np.maximum(inside, across)
        return maximum

    def enlarge(self) -> NDArray[np.float32]:
        """The map at the size of the picture, float32 height×width in [0, 1]."""
        return self.resample(1)

    @property
    def peak(self) -> float:
        """The largest value, 0.0 for an empty map."""
        return float(self.values.max(initial=0.0))

    @property
    def marked_share(self) -> float:
        """Share of the picture at 0.5 and more, in [0, 1]."""
        import numpy as np

        if not self.values.size:
            return 0.0
        rows, columns = (  # pixels of the picture that lie in each
            np.bincount(self._index(length, 1, 0, first, count), minlength=count)
            for length, first, count in zip(
                (self.height, self.width), (self.top, self.left), self.values.shape, strict=True
            )
        )
        marked = rows @ (self.values >= 0.5) @ columns
        return float(marked) / (self.width * self.height)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScoreMap):
            return NotImplemented
        return self._frame == other._frame and _equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash(self._frame)

    @property
    def _frame(self) -> tuple[int, ...]:
        return (self.cell, self.width, self.height, self.left, self.top)

    def _index(
        self, length: int, cell: int, within: int, first: int, count: int
    ) -> NDArray[np.intp]:
        """Of each new cell, where on the lattice its pixel `within` lies."""
        import numpy as np

        places = np.minimum(np.arange(0, length, cell) + within, length - 1)
        found: NDArray[np.intp] = np.clip((places - first) // self.cell, 0, count - 1)
        return found


@dataclass(frozen=True, eq=False)
class Series:
    """A score along time.

    Attributes:
        times: float64 (n,), seconds from the start, rising.
        values: float32 (n,), the detector's own scale.
        name: what was measured, "" for the detector's score.
    """

    times: NDArray[np.float64] = field(repr=False)
    values: NDArray[np.float32] = field(repr=False)
    name: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Series):
            return NotImplemented
        same = self.name == other.name and _equal(self.times, other.times)
        return same and _equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.name, self.times.shape))


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture that a finding points at, in pixels of the oriented picture.

    Attributes:
        x, y: left and top edge, 0-based.
        width, height: size, at least 1.
        score: strength of the evidence in this region, in the detector's own scale.
        role: for copy-move "source" or "target" where the picture tells which came first, else "".
        pair: regions with equal `pair` belong together; -1 when unpaired.
        name: what is there, as a subject is called: "person 1"; "" where it has no name.
    """

    x: int
    y: int
    width: int
    height: int
    score: float | None = None
    role: str = ""
    pair: int = -1
    name: str = ""


class EditKind(StrEnum):
    """What was done to a region, as far as the detectors that agree can tell.

    Removal and retouching leave no trace that only they leave; they stay `UNKNOWN`.
    """

    CLONE = "clone"  # repeats another part of the picture, or is what was repeated
    SPLICE = "splice"  # has a history of its own: another JPEG grid, quality or camera lattice
    REGENERATED = "regenerated"  # looks generated while the rest does not
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class EditedRegion:
    """A connected part of the picture that all maps together mark as changed after capture.

    Attributes:
        x, y, width, height: the rectangle around it, in pixels of the oriented picture.
        area: its pixels.
        share: its share of the picture, in (0, 1].
        strength: mean fused probability inside it, in [0.5, 1].
        detectors: ids of those whose own maps mark it, the strongest first.
        kind: what was done, where the evidence can tell.
        other: for a clone, the rectangle of the same content elsewhere. Its role is "source" or
            "target" where the picture tells which came first, and "" where it does not.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    share: float
    strength: float
    detectors: tuple[str, ...]
    kind: EditKind = EditKind.UNKNOWN
    other: Region | None = None


@dataclass(frozen=True)
class Edits:
    """One answer to "where was it changed?", from the maps of all findings.

    Attributes:
        map: the fused probability of having been changed; at 0.5 and more lie exactly the cells
            of all regions that were found. None where it was not kept.
        regions: the largest first, at most `edits.MOST_REGIONS`.
        marked_share: share of the picture at 0.5 and more, in [0, 1].
        weights: detector id → what its map counted for here, in [0, 1].
    """

    map: ScoreMap | None = field(compare=False, repr=False)
    regions: tuple[EditedRegion, ...]
    marked_share: float
    weights: Mapping[str, float]
