"""One answer to "where was it changed?", from the maps of all findings.

Every map is read through a fitted table: how much likelier is a pixel of this value where a picture
was changed than where it was not? The logarithms of these ratios are added, each times a weight
that is smaller where the finding as a whole stays below its threshold, to a prior under which no
single weak map marks anything. Detectors without a table, of another version than the table's, or
with nothing to map add nothing: they are missing, not innocent.

A connected part at half and more is a region. Specks are not: they are held just under half, so
that the regions are what thresholding the fused map gives. Without any finding at its threshold
the whole map is held there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from bonafide.evidence.calibration import Calibration
from bonafide.types import (
    EditedRegion,
    EditKind,
    Edits,
    Finding,
    Label,
    Reason,
    Region,
    Status,
    Verdict,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARKED = 0.5
LEAST_PIXELS = 64  # a smaller part is a speck
LEAST_SHARE = 3e-4  # of the picture, likewise
MOST_REGIONS = 20
LEVELS = 256  # steps in which a map is read
AGREES = 0.4  # mean evidence in a region, natural log, from which a detector counts as agreeing
SAME_PLACE = 0.5  # share of the smaller of two rectangles that the other covers
CONTRAST = 0.5  # by which a region looks more generated than the rest
_BELOW = np.float32(0.498)  # grey level 127 of 255
_STRIP = 512  # rows
_SAMPLES = 250_000  # pixels of a region that are looked at

Box = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Layer:
    """The map of one finding and how to read it.

    Attributes:
        detector: whose map it is.
        heatmap: float32 H×W in [0, 1].
        hit: whether the finding as a whole is at its threshold.
        weight: what it counts for, in [0, 1].
        table: float32 (LEVELS,), weighted log-likelihood ratio of each value of the map.
    """

    detector: str
    heatmap: NDArray[np.float32]
    hit: bool
    weight: float
    table: NDArray[np.float32]

    def evidence(self, rows: slice, columns: slice, step: int = 1) -> NDArray[np.float32]:
        """Weighted log-likelihood ratio of the pixels of a window, float32."""
        values = self.heatmap[rows, columns][::step, ::step]
        levels = (values * np.float32(LEVELS - 1) + np.float32(0.5)).astype(np.uint8)
        return np.asarray(cv2.LUT(levels, self.table), np.float32)


def fuse_maps(findings: Sequence[Finding], calibration: Calibration) -> Edits | None:
    """Join the maps of all findings into one map and its regions.

    Args:
        findings: with their heatmaps, in any order.
        calibration: whose `regions` hold the tables, see `tools/fit_regions.py`.

    Returns:
        The fused map, of the size of the picture, and its regions; None where no finding has a
        map that a table can read.
    """
    layers = read_layers(findings, calibration.regions)
    if not layers:
        return None
    heatmap = add_up(layers, float(calibration.regions["prior"]))
    labels, boxes = connect(heatmap)
    spoken = {finding.detector: finding for finding in findings if finding.status is Status.OK}
    kept = sorted(boxes, key=lambda label: -boxes[label][4])[:MOST_REGIONS]
    parts = [_Part(labels, label, boxes[label]) for label in kept]
    return Edits(
        heatmap=heatmap,
        regions=tuple(_explained(_region(part, heatmap, layers), part, spoken) for part in parts),
        marked_share=round(sum(box[4] for box in boxes.values()) / labels.size, 6),
        weights={layer.detector: layer.weight for layer in layers},
    )


def regard(drawn: Verdict, edits: Edits | None, findings: Sequence[Finding]) -> Verdict:
    """The verdict beside the regions: a picture with a marked region has a trace.

    Its reasons are then the findings that mark a region, not those that spoke for no trace.
    """
    if drawn.label is not Label.NO_TRACE_FOUND or edits is None or not edits.regions:
        return drawn
    return replace(
        drawn,
        label=Label.INCONCLUSIVE,
        because=tuple(
            Reason(finding.detector, finding.question, None, finding.summary)
            for finding in findings
            if any(finding.detector in region.detectors for region in edits.regions)
        ),
        caveat="A region is marked, but the evidence as a whole is not unusual enough to accuse.",
    )


def read_layers(findings: Sequence[Finding], tables: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The maps that a table can read, all of the size of the largest."""
    entries = tables.get("detectors", {})
    found = [
        (finding, entries[finding.detector])
        for finding in findings
        if finding.status is Status.OK
        and finding.heatmap is not None
        and finding.detector in entries
        and entries[finding.detector]["version"] == finding.version
    ]
    if not found:
        return ()
    height, width = max((f.heatmap.shape for f, _ in found if f.heatmap is not None), key=math.prod)
    layers = []
    for finding, entry in found:
        heatmap = finding.heatmap
        assert heatmap is not None
        if heatmap.shape != (height, width):
            heatmap = np.asarray(cv2.resize(heatmap, (width, height)), np.float32)
        hit = finding.score is not None and finding.score >= entry["threshold"]
        weight = float(entry["weight" if hit else "weight_below"])
        levels = np.arange(LEVELS) / (LEVELS - 1)
        values, ratios = zip(*entry["knots"], strict=True)
        table = (weight * np.interp(levels, values, ratios)).astype(np.float32)
        layers.append(Layer(finding.detector, heatmap, hit, weight, table))
    return tuple(layers)


def add_up(layers: Sequence[Layer], prior: float) -> NDArray[np.float32]:
    """Fused probability of each pixel, float32 H×W in [0, 1], under half if there is no hit.

    Args:
        layers: at least one, of equal sizes.
        prior: log-odds where all maps together say nothing.
    """
    height, width = layers[0].heatmap.shape
    most = np.float32(1.0) if any(layer.hit for layer in layers) else _BELOW
    fused = np.empty((height, width), np.float32)
    for top in range(0, height, _STRIP):  # the maps of a large picture are many times its size
        rows = slice(top, min(height, top + _STRIP))
        total = fused[rows]
        total[:] = prior
        for layer in layers:
            total += layer.evidence(rows, slice(None))
        np.exp(-total, out=total)
        total += 1
        np.reciprocal(total, out=total)
        np.minimum(total, most, out=total)
    return fused


def connect(heatmap: NDArray[np.float32]) -> tuple[NDArray[np.int32], dict[int, Box]]:
    """Connected parts at half and more; specks are lowered in `heatmap` itself.

    Returns:
        int32 H×W labels (those of specks are not among the boxes), and label → (x, y, width,
        height, area in pixels).
    """
    marked = (heatmap >= MARKED).view(np.uint8)
    if not marked.any():  # most pictures; labels that nobody writes to take no memory
        return np.zeros(heatmap.shape, np.int32), {}
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    large = boxes[:, cv2.CC_STAT_AREA] >= max(LEAST_PIXELS, LEAST_SHARE * heatmap.size)
    large[0] = True  # all that is not marked
    if not large.all():
        for top in range(0, len(heatmap), _STRIP):
            strip = slice(top, top + _STRIP)
            heatmap[strip][~large[labels[strip]]] = _BELOW
    kept = np.flatnonzero(large)[1:]
    return labels, {int(label): tuple(boxes[label].tolist()) for label in kept}


@dataclass(frozen=True)
class _Part:
    """The pixels of one connected part, or a sample of very many."""

    labels: NDArray[np.int32]
    label: int
    box: Box

    def sample(self) -> tuple[slice, slice, int, NDArray[np.bool_]]:
        """Rows and columns of the box, a step, and which pixels of that grid are inside."""
        x, y, width, height, _ = self.box
        rows, columns = slice(y, y + height), slice(x, x + width)
        window = self.labels[rows, columns]
        step = max(1, math.isqrt(width * height // _SAMPLES))
        inside = window[::step, ::step] == self.label
        if not inside.any():  # so thin that the grid missed it
            step, inside = 1, window == self.label
        return rows, columns, step, inside


def _region(part: _Part, heatmap: NDArray[np.float32], layers: Sequence[Layer]) -> EditedRegion:
    rows, columns, step, inside = part.sample()
    strength = float(heatmap[rows, columns][::step, ::step][inside].mean())
    evidence = {
        layer.detector: float(layer.evidence(rows, columns, step)[inside].mean())
        for layer in layers
    }
    order = sorted(evidence, key=lambda detector: -evidence[detector])
    agreeing = [detector for detector in order if evidence[detector] >= AGREES] or order[:1]
    x, y, width, height, area = part.box
    share = round(area / heatmap.size, 6)
    return EditedRegion(x, y, width, height, area, share, round(strength, 4), tuple(agreeing))


def _explained(region: EditedRegion, part: _Part, findings: Mapping[str, Finding]) -> EditedRegion:
    """`region` with what was done to it, where the evidence can tell."""
    if "copy_move" in region.detectors:
        other = _same_content(region, findings["copy_move"])
        return replace(region, kind=EditKind.CLONE, other=other)
    if any(_foreign(findings[detector]) for detector in region.detectors):
        return replace(region, kind=EditKind.SPLICE)
    if "synthetic_traces" in findings and _stands_out(findings["synthetic_traces"].heatmap, part):
        return replace(region, kind=EditKind.REGENERATED)
    return region


def _same_content(region: EditedRegion, finding: Finding) -> Region | None:
    """Where the content of a clone is found again, as copy-move says."""
    paired = [there for there in finding.regions if there.pair >= 0]
    here = max(paired, key=lambda there: _overlap(region, there), default=None)
    if here is None or _overlap(region, here) < SAME_PLACE:
        return None
    other = next((r for r in paired if r.pair == here.pair and r.role != here.role), None)
    if other is None or _overlap(region, other) >= SAME_PLACE:
        return None  # both lie in this one region
    pairs = finding.facts.get("pairs")
    known = (
        isinstance(pairs, list)
        and here.pair < len(pairs)
        and bool(pairs[here.pair].get("direction_known"))
    )
    return other if known else replace(other, role="")


def _overlap(one: EditedRegion | Region, two: EditedRegion | Region) -> float:
    """Share of the smaller rectangle that the other covers."""
    width = min(one.x + one.width, two.x + two.width) - max(one.x, two.x)
    height = min(one.y + one.height, two.y + two.height) - max(one.y, two.y)
    smaller = min(one.width * one.height, two.width * two.height)
    return max(0, width) * max(0, height) / smaller


def _foreign(finding: Finding) -> bool:
    """Whether a finding that marks a region says that it has a history of its own."""
    facts = finding.facts
    if finding.detector == "jpeg_ghost":
        return facts.get("kind") == "has"
    if finding.detector == "jpeg_grid":
        parts = facts.get("foreign_regions")
        return isinstance(parts, list) and all(part["origin"] is not None for part in parts)
    return finding.detector == "cfa_pattern"


def _stands_out(heatmap: NDArray[np.float32] | None, part: _Part) -> bool:
    """Whether a map is much stronger in a part than where nothing is marked."""
    if heatmap is None or heatmap.shape != part.labels.shape:
        return False
    rows, columns, step, inside = part.sample()
    coarse = max(1, math.isqrt(heatmap.size // _SAMPLES))
    rest = heatmap[::coarse, ::coarse][part.labels[::coarse, ::coarse] == 0]
    within = heatmap[rows, columns][::step, ::step][inside]
    return bool(rest.size) and float(within.mean() - rest.mean()) >= CONTRAST
