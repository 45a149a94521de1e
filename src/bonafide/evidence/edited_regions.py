"""One answer to "where was it changed?", from the maps of all findings.

Every map is read through a fitted table: how much likelier is a place of this value where a picture
was changed than where it was not? The logarithms of these ratios are added, each times a weight
that is smaller where the finding as a whole stays below its threshold, to a prior under which no
single weak map marks anything. Detectors without a table, of another version than the table's, or
with nothing to map add nothing: they are missing, not innocent.

All maps are brought onto one lattice, that of the finest of them, or a coarser one for a large
picture. A connected part at half and more is a region. Specks are not: they are held just under
half, so that the regions are what thresholding the fused map gives. Without any finding at its
threshold the whole map is held there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.evidence.calibration import Calibration
from bonafide.signals.heavy import cv2
from bonafide.types import (
    EditedRegion,
    EditKind,
    Edits,
    Finding,
    Label,
    Question,
    Reason,
    Region,
    ScoreMap,
    Status,
    Verdict,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKED = 0.5
LEAST_PIXELS = 64  # a smaller part is a speck
LEAST_SHARE = 3e-4  # of the picture, likewise
MOST_REGIONS = 20
MOST_CELLS = 1.5e6  # of the common lattice
LEVELS = 256  # steps in which a map is read
AGREES = 0.4  # mean evidence in a region, natural log, from which a detector counts as agreeing
SAME_PLACE = 0.5  # share of the smaller of two rectangles that the other covers
CONTRAST = 0.5  # by which a region looks more generated than the rest
_BELOW = np.float32(0.498)  # grey level 127 of 255

Part = tuple[int, int, int, int, int]  # x, y, width, height and area of a connected part, cells


@dataclass(frozen=True)
class Layer:
    """The map of one finding on the common lattice, and how to read it.

    Attributes:
        detector: whose map it is.
        values: float32 h×w in [0, 1].
        hit: whether the finding as a whole is at its threshold.
        weight: what it counts for, in [0, 1].
        table: float32 (LEVELS,), weighted log-likelihood ratio of each value of the map.
    """

    detector: str
    values: NDArray[np.float32]
    hit: bool
    weight: float
    table: NDArray[np.float32]

    def evidence(self) -> NDArray[np.float32]:
        """Weighted log-likelihood ratio of each cell, float32 h×w."""
        levels = (self.values * np.float32(LEVELS - 1) + np.float32(0.5)).astype(np.uint8)
        return np.asarray(cv2.LUT(levels, self.table), np.float32)


@dataclass(frozen=True)
class Lattice:
    """The lattice that all maps are brought onto; it begins at (0, 0).

    Attributes:
        cell: pixels a side.
        width, height: of the picture, pixels.
    """

    cell: int
    width: int
    height: int

    @classmethod
    def of(cls, maps: Sequence[ScoreMap]) -> Lattice:
        """The lattice of the finest map, coarser where that has too many cells."""
        largest = max(maps, key=lambda one: one.width * one.height)
        pixels = largest.width * largest.height
        cell = max(min(one.cell for one in maps), math.ceil(math.sqrt(pixels / MOST_CELLS)))
        return cls(cell, largest.width, largest.height)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return -(-self.height // self.cell), -(-self.width // self.cell)

    def read(self, scores: ScoreMap) -> NDArray[np.float32]:
        """The values of a map on this lattice; one of another size is stretched."""
        if (scores.width, scores.height) == (self.width, self.height):
            return scores.resample(self.cell)
        rows, columns = self.shape
        return np.asarray(
            cv2.resize(scores.values, (columns, rows), interpolation=cv2.INTER_NEAREST), np.float32
        )

    def areas(self) -> NDArray[np.int64]:
        """Pixels of the picture in each cell; those at the right and lower edge have fewer."""
        rows, columns = self.shape
        heights = np.minimum(self.cell, self.height - self.cell * np.arange(rows))
        widths = np.minimum(self.cell, self.width - self.cell * np.arange(columns))
        return np.asarray(np.outer(heights, widths), np.int64)


def fuse_maps(findings: Sequence[Finding], calibration: Calibration) -> Edits | None:
    """Join the maps of all findings into one map and its regions.

    Args:
        findings: with their maps, in any order.
        calibration: whose `regions` hold the tables, see `bonafide bench regions`.

    Returns:
        The fused map and its regions; None where no finding has a map that a table can read.
    """
    readable = _readable(findings, calibration.regions)
    if not readable:
        return None
    lattice = Lattice.of([scores for _, scores, _ in readable])
    layers = read_layers(findings, calibration.regions, lattice)
    fused = add_up(layers, float(calibration.regions["prior"]))
    labels, parts = connect(fused, lattice)
    pixels = lattice.width * lattice.height
    areas = _pixels_of(labels, parts, lattice)
    spoken = [finding for finding in findings if finding.status is Status.OK]
    kept = sorted(parts, key=lambda label: -areas[label])[:MOST_REGIONS]
    regions = []
    for label in kept:
        region = _region(labels, label, parts[label], areas[label], fused, layers, lattice)
        regions.append(_explained(region, labels, label, spoken, lattice))
    return Edits(
        map=ScoreMap(fused, lattice.cell, lattice.width, lattice.height),
        regions=tuple(regions),
        marked_share=round(sum(areas.values()) / pixels, 6),
        weights={layer.detector: layer.weight for layer in layers},
    )


def regard(drawn: Verdict, edits: Edits | None, findings: Sequence[Finding] = ()) -> Verdict:
    """The verdict beside the regions: a picture with a marked region has a trace.

    Args:
        drawn: the verdict from findings.
        edits: the regions, None without maps.
        findings: whose summaries stand beside the detectors that mark a region.

    Returns:
        `drawn`, or *inconclusive* in place of *no trace found*, for the reasons that speak for a
        trace.
    """
    if drawn.label is not Label.NO_TRACE_FOUND or edits is None or not edits.regions:
        return drawn
    because = [
        reason for answer in drawn.answers for reason in answer.because if (reason.llr or 0.0) > 0
    ]
    named = {reason.detector for reason in because}
    said = {finding.detector: finding for finding in findings}
    for detector in dict.fromkeys(d for region in edits.regions for d in region.detectors):
        if detector in said and detector not in named:
            found = said[detector]
            because.append(Reason(detector, found.question, None, found.summary))
    return replace(
        drawn,
        label=Label.INCONCLUSIVE,
        because=tuple(because),
        caveat="A region is marked, but the evidence as a whole is not unusual enough to accuse.",
    )


def read_layers(
    findings: Sequence[Finding], tables: Mapping[str, Any], lattice: Lattice
) -> tuple[Layer, ...]:
    """The maps that a table can read, on one lattice."""
    layers = []
    for finding, scores, entry in _readable(findings, tables):
        hit = finding.score is not None and finding.score >= entry["threshold"]
        hit = hit and conviction(scores.values) >= entry.get("conviction", 0.0)
        weight = float(entry["weight" if hit else "weight_below"])
        levels = np.arange(LEVELS) / (LEVELS - 1)
        values, ratios = zip(*entry["knots"], strict=True)
        table = (weight * np.interp(levels, values, ratios)).astype(np.float32)
        layers.append(Layer(finding.detector, lattice.read(scores), hit, weight, table))
    return tuple(layers)


def conviction(values: NDArray[np.float32]) -> float:
    """Mean of a map over the cells that it marks, in [0.5, 1]; 0.0 where it marks none.

    A graded map that is right falls into two parts; one that is wrong barely passes one half.
    """
    marked = values[values >= MARKED]
    return float(marked.mean(dtype=np.float64)) if marked.size else 0.0


def add_up(layers: Sequence[Layer], prior: float) -> NDArray[np.float32]:
    """Fused probability of each cell, float32 h×w in [0, 1], under half if there is no hit.

    Args:
        layers: at least one, of equal sizes.
        prior: log-odds where all maps together say nothing.
    """
    most = np.float32(1.0) if any(layer.hit for layer in layers) else _BELOW
    total = np.full(layers[0].values.shape, prior, np.float32)
    for layer in layers:
        total += layer.evidence()
    np.exp(-total, out=total)
    total += 1
    np.reciprocal(total, out=total)
    return np.minimum(total, most, out=total)


def connect(
    fused: NDArray[np.float32], lattice: Lattice
) -> tuple[NDArray[np.int32], dict[int, Part]]:
    """Connected parts at half and more; specks are lowered in `fused` itself.

    Returns:
        int32 h×w labels (those of specks are not among the parts), and label → (x, y, width,
        height, number) in cells.
    """
    marked = (fused >= MARKED).view(np.uint8)
    if not marked.any():  # most pictures
        return np.zeros(fused.shape, np.int32), {}
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    areas = _areas(labels, lattice)
    large = areas >= max(LEAST_PIXELS, LEAST_SHARE * lattice.width * lattice.height)
    large[0] = True  # all that is not marked
    if not large.all():
        fused[~large[labels]] = _BELOW
    kept = np.flatnonzero(large)[1:]
    return labels, {int(label): tuple(boxes[label].tolist()) for label in kept}


def _readable(
    findings: Sequence[Finding], tables: Mapping[str, Any]
) -> list[tuple[Finding, ScoreMap, Mapping[str, Any]]]:
    entries = tables.get("detectors", {})
    return [
        (finding, finding.map, entries[finding.detector])
        for finding in findings
        if finding.status is Status.OK
        and finding.map is not None
        and finding.map.values.size
        and not finding.main.outside
        and finding.detector in entries
        and entries[finding.detector]["version"] == finding.version
    ]


def _areas(labels: NDArray[np.int32], lattice: Lattice) -> NDArray[np.float64]:
    """Pixels of each label."""
    return np.asarray(np.bincount(labels.ravel(), lattice.areas().ravel()), np.float64)


def _pixels_of(
    labels: NDArray[np.int32], parts: Mapping[int, Part], lattice: Lattice
) -> dict[int, int]:
    if not parts:
        return {}
    areas = _areas(labels, lattice)
    return {label: int(areas[label]) for label in parts}


def _region(
    labels: NDArray[np.int32],
    label: int,
    part: Part,
    area: int,
    fused: NDArray[np.float32],
    layers: Sequence[Layer],
    lattice: Lattice,
) -> EditedRegion:
    left, top, wide, high, _ = part
    window = slice(top, top + high), slice(left, left + wide)
    inside = labels[window] == label
    strength = float(fused[window][inside].mean())
    evidence = {layer.detector: float(_within(layer, window, inside)) for layer in layers}
    order = sorted(evidence, key=lambda detector: -evidence[detector])
    agreeing = [detector for detector in order if evidence[detector] >= AGREES] or order[:1]
    x, y = left * lattice.cell, top * lattice.cell
    width = min(wide * lattice.cell, lattice.width - x)
    height = min(high * lattice.cell, lattice.height - y)
    share = round(area / (lattice.width * lattice.height), 6)
    return EditedRegion(x, y, width, height, area, share, round(strength, 4), tuple(agreeing))


def _within(layer: Layer, window: tuple[slice, slice], inside: NDArray[np.bool_]) -> float:
    part = replace(layer, values=np.ascontiguousarray(layer.values[window]))
    return float(part.evidence()[inside].mean())


def _explained(
    region: EditedRegion,
    labels: NDArray[np.int32],
    label: int,
    findings: Sequence[Finding],
    lattice: Lattice,
) -> EditedRegion:
    """`region` with what was done to it, where the evidence can tell."""
    agreeing = [finding for finding in findings if finding.detector in region.detectors]
    clone = next((f for f in agreeing if f.main.kind is EditKind.CLONE), None)
    if clone is not None:
        return replace(region, kind=EditKind.CLONE, other=_same_content(region, clone))
    if any(finding.main.kind is EditKind.SPLICE for finding in agreeing):
        return replace(region, kind=EditKind.SPLICE)
    maps = [f.map for f in findings if f.question is Question.SYNTHETIC and f.map is not None]
    if any(_stands_out(scores, labels, label, lattice) for scores in maps):
        return replace(region, kind=EditKind.REGENERATED)
    return region


def _same_content(region: EditedRegion, finding: Finding) -> Region | None:
    """Where the content of a clone is found again, as the finding's pairs say."""
    paired = [there for there in finding.regions if there.pair >= 0]
    here = max(paired, key=lambda there: _overlap(region, there), default=None)
    if here is None or _overlap(region, here) < SAME_PLACE:
        return None
    others = [there for there in paired if there.pair == here.pair and there is not here]
    other = min(others, key=lambda there: _overlap(region, there), default=None)
    if other is None or _overlap(region, other) >= SAME_PLACE:
        return None  # both lie in this one region
    return other


def _overlap(one: EditedRegion | Region, two: EditedRegion | Region) -> float:
    """Share of the smaller rectangle that the other covers."""
    width = min(one.x + one.width, two.x + two.width) - max(one.x, two.x)
    height = min(one.y + one.height, two.y + two.height) - max(one.y, two.y)
    smaller = min(one.width * one.height, two.width * two.height)
    return max(0, width) * max(0, height) / smaller


def _stands_out(scores: ScoreMap, labels: NDArray[np.int32], label: int, lattice: Lattice) -> bool:
    """Whether a map is much stronger in a part than where nothing is marked."""
    if (scores.width, scores.height) != (lattice.width, lattice.height) or not scores.values.size:
        return False
    values = lattice.read(scores)
    rest, within = values[labels == 0], values[labels == label]
    return bool(rest.size) and float(within.mean() - rest.mean()) >= CONTRAST
