"""Where in a media something is: the part of the vocabulary that speaks of places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture that a finding points at, in pixels of the oriented picture.

    Attributes:
        x, y: left and top edge, 0-based.
        width, height: size, at least 1.
        score: strength of the evidence in this region, in the detector's own scale.
        role: "" or, for copy-move, "source" / "target".
        pair: regions with equal `pair` belong together; -1 when unpaired.
    """

    x: int
    y: int
    width: int
    height: int
    score: float | None = None
    role: str = ""
    pair: int = -1


@dataclass(frozen=True)
class Segment:
    """A stretch of a video, in seconds from its start."""

    start: float
    end: float
    score: float | None = None


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
        heatmap: float32 H×W in [0, 1], the fused probability of having been changed; at 0.5 and
            more lie exactly the pixels of all regions that were found. None where it was not kept.
        regions: the largest first, at most `edits.MOST_REGIONS`.
        marked_share: share of the picture at 0.5 and more, in [0, 1].
        weights: detector id → what its map counted for here, in [0, 1].
    """

    heatmap: NDArray[np.float32] | None = field(compare=False, repr=False)
    regions: tuple[EditedRegion, ...]
    marked_share: float
    weights: Mapping[str, float]
