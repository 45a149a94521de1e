"""The vocabulary of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from bonafide.types import MediaFacts, Region

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Relation(StrEnum):
    """How a suspect relates to a reference."""

    IDENTICAL_BYTES = "identical_bytes"
    IDENTICAL_PIXELS = "identical_pixels"
    REENCODED_COPY = "reencoded_copy"  # saved, resized, cropped or toned again; nothing changed
    EDITED_COPY = "edited_copy"  # of the same exposure, with changed parts
    LOOK_ALIKE = "look_alike"  # the same scene or thing, captured another time
    UNRELATED = "unrelated"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Change:
    """One changed region.

    Attributes:
        suspect: its box in the suspect, pixels; `score` is `strength`.
        reference: the box it comes from in the reference, None where that has nothing there.
        share: of the suspect's area, in [0, 1].
        strength: largest difference, in multiples of what counts as a difference.
        levels: mean change of red, green and blue in it, grey levels.
        kept_detail: how much of the structure inside is still there, correlation in [-1, 1]:
            near 1 only light or colour was changed, near 0 something else is there now. None
            where both are flat.
    """

    suspect: Region
    reference: Region | None
    share: float
    strength: float
    levels: tuple[float, float, float]
    kept_detail: float | None


@dataclass(frozen=True)
class Evidence:
    """What was measured; None where it could not be.

    Attributes:
        keypoints: found in reference and suspect.
        matches: keypoints that are each other's nearest.
        inliers: matches that obey the homography.
        log10_false_alarms: log10 of the number of homographies that chance would support as well.
        planes: homographies that matches support one after another; more than one speaks of depth.
        mirrored: whether the suspect is a mirror image.
        scale: suspect pixels per reference pixel.
        perspective: how far the homography is from an affine map, pixels of the suspect.
        coverage: share of the suspect that the reference reaches, in [0, 1].
        used: share of the reference that the suspect shows, in [0, 1].
        tightness: share of nearby matches that lie within a pixel, in [0, 1].
        shift: median distance by which patches are still shifted after alignment, pixels.
        shift_90: the same, 90th percentile.
        blocks: textured blocks compared.
        agreeing: share of them whose detail correlates at 0.8 or more, in [0, 1].
        exact: share of those that correlate at 0.95 or more, in [0, 1].
        agreement: median correlation of all blocks.
        grain_pixels: flat pixels whose noise was compared.
        grain_reference, grain_suspect: standard deviation of that noise, grey levels.
        grain_slope: share of the reference's noise that is found in the suspect.
        grain_significance: the same in multiples of what it is at wrong alignments.
        tone: median distance by which colours of the whole picture were moved, grey levels.
        noise: of the difference in flat places, grey levels.
    """

    keypoints: tuple[int, int] = (0, 0)
    matches: int = 0
    inliers: int = 0
    log10_false_alarms: float = 0.0
    planes: int = 0
    mirrored: bool = False
    scale: float | None = None
    perspective: float | None = None
    coverage: float | None = None
    used: float | None = None
    tightness: float | None = None
    shift: float | None = None
    shift_90: float | None = None
    blocks: int = 0
    agreeing: float | None = None
    exact: float | None = None
    agreement: float | None = None
    grain_pixels: int = 0
    grain_reference: float | None = None
    grain_suspect: float | None = None
    grain_slope: float | None = None
    grain_significance: float | None = None
    tone: float | None = None
    noise: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        reference, suspect: the files.
        relation: how they relate.
        because: why, in plain sentences made from `evidence`, the deciding one first.
        evidence: the measurements.
        changes: changed regions, largest first; () where none was found or none can be told.
        changed_share: of the suspect's area that both show, in [0, 1]; None where not measured.
        homographies: reference → suspect, row by row, one per plane; pixel centres, 0-based.
        mask: bool H×W of the suspect, True where it was changed; None where not measured.
        strength: uint8 H×W: 32 is what counts as a difference, 255 eight times that or more.
        settings: that could change the outcome.
        versions: of the tool and its libraries.
        compared_at: UTC, ISO 8601.
        seconds: wall time.
        schema: number of the JSON schema.
    """

    reference: MediaFacts
    suspect: MediaFacts
    relation: Relation
    because: tuple[str, ...]
    evidence: Evidence
    changes: tuple[Change, ...]
    changed_share: float | None
    homographies: tuple[tuple[float, ...], ...]
    settings: Mapping[str, object]
    versions: Mapping[str, str]
    compared_at: str
    seconds: float
    mask: NDArray[np.bool_] | None = field(default=None, compare=False, repr=False)
    strength: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    schema: int = 1
