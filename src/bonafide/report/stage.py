"""The picture of a page, and everything that can be laid over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import ngettext, sentence, told
from bonafide.media.image import Image
from bonafide.report import preview, regions, wording
from bonafide.report.templates import said, titled
from bonafide.types import Edits, Finding, Measurement, Region, Report

MOST_LAYERS = 60  # of one picture; the style sheet has one rule for each
_SMALL = 400  # a picture below this many pixels is shown enlarged, pixel by pixel
_MOST_BOXES = 20
_UNMARKED = sentence("Nothing on this map reaches the level that counts as marked.")


@dataclass(frozen=True)
class Layer:
    """What can be laid over the picture; sizes are those of the full picture.

    Attributes:
        detector: whose it is, "" for all of them together.
        title, text: its heading and caption.
        uri: the map, "" for none.
        boxes: rectangles.
        paths: outlines and arrows.
        arrows: whether there are arrows among them.
    """

    detector: str
    title: str
    text: str
    uri: str = ""
    boxes: tuple[Region, ...] = ()
    paths: tuple[str, ...] = ()
    arrows: bool = False


@dataclass(frozen=True)
class Stage:
    """The picture and what can be laid over it."""

    uri: str
    width: int
    height: int
    preview_width: int
    preview_height: int
    shown_width: int
    layers: tuple[Layer, ...]
    chosen: int
    regions: tuple[regions.Shown, ...]


def stage(report: Report, image: Image, longest: int) -> Stage:
    """The picture with the fused map and the maps and regions of every finding.

    Raises:
        DecodeError: the picture's pixels are damaged.
    """
    shown = preview.picture(image.pixels, longest)
    side = max(image.width, image.height)
    layers = [] if report.edits is None else [_fused(report.edits, side, longest)]
    layers += [
        _layer(finding, side, longest)
        for finding in wording.ordered(report)[:MOST_LAYERS]
        if finding.map is not None or finding.regions
    ]
    del layers[MOST_LAYERS:]
    chosen = first_that_moved(report, [layer.detector for layer in layers])
    enlarge = max(1, _SMALL // max(shown.width, shown.height))
    return Stage(
        shown.uri,
        image.width,
        image.height,
        shown.width,
        shown.height,
        shown.width * enlarge,
        tuple(layers),
        chosen,
        regions.shown(report.edits, image.pixels) if report.edits else (),
    )


def first_that_moved(report: Report, detectors: Sequence[str]) -> int:
    """Which layer is shown at first, from 1: one that moved the verdict; 0 for none."""
    moved = [reason.detector for reason in report.verdict.because if (reason.llr or 1.0) > 0]
    moved += [""] if report.edits and report.edits.regions else []
    return next((n for n, detector in enumerate(detectors, 1) if detector in moved), 0)


def drawn(measured: Measurement, side: int, longest: int) -> Layer:
    """The maps and regions of one measurement, without heading and caption.

    Args:
        measured: of a picture or a frame.
        side: the longer side of the picture, pixels.
        longest: of the preview.
    """
    boxes = measured.regions[:_MOST_BOXES]
    paths = tuple(arrows(boxes, side))
    score_map = measured.maps[0] if measured.maps else None
    uri = "" if score_map is None else preview.overlay(preview.sample(score_map, longest)).uri
    return Layer("", "", "", uri, boxes, paths, bool(paths))


def _layer(finding: Finding, side: int, longest: int) -> Layer:
    found = drawn(finding.main, side, longest)
    text = said(finding.summary + (f" {_UNMARKED}" if _empty(finding) else ""))
    name = titled(finding.detector)
    return Layer(finding.detector, name, text, found.uri, found.boxes, found.paths, found.arrows)


def _fused(edits: Edits, side: int, longest: int) -> Layer:
    """All maps together, the answer to where it was changed."""
    uri = outline = ""
    if edits.map is not None:
        values = preview.sample(edits.map, longest)
        uri = preview.overlay(values).uri
        outline = regions.outlines(values, edits.map.width, edits.map.height)
    count = len(edits.regions)
    marked = told(_UNMARKED)
    if count:
        marked = ngettext("%(n)s marked region.", "%(n)s marked regions.", count)
    pairs = regions.arrows(edits)
    shafts = tuple(arrows(pairs, side))
    sources = tuple(region for region in pairs if region.role == "source")
    text = _("The maps of all detectors, weighted and combined. %(marked)s", marked=marked)
    paths = tuple(filter(None, (outline, *shafts)))
    return Layer("", _("All maps together"), text, uri, sources, paths, bool(shafts))


def _empty(finding: Finding) -> bool:
    """Whether a map that votes marks no pixel; a map for the eye alone has no mark to reach."""
    if finding.regions or finding.score is None or finding.map is None:
        return False
    return finding.map.marked_share == 0.0


def arrows(regions: Sequence[Region], side: int) -> Iterator[str]:
    """SVG path data from each copy-move source to its target, with a head."""
    sources = {region.pair: region for region in regions if region.role == "source"}
    for target in regions:
        source = sources.get(target.pair)
        if target.role != "target" or target.pair < 0 or source is None:
            continue
        x0, y0 = source.x + source.width / 2, source.y + source.height / 2
        x1, y1 = target.x + target.width / 2, target.y + target.height / 2
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        if length < 1:
            continue
        head = min(0.025 * side, length / 2)
        ux, uy = (x1 - x0) / length * head, (y1 - y0) / length * head
        wings = [
            (x1 - ux - 0.6 * uy, y1 - uy + 0.6 * ux),
            (x1 - ux + 0.6 * uy, y1 - uy - 0.6 * ux),
        ]
        (ax, ay), (bx, by) = wings
        tip = f"L{x1:.1f} {y1:.1f}"
        yield f"M{x0:.1f} {y0:.1f}{tip}M{ax:.1f} {ay:.1f}{tip}L{bx:.1f} {by:.1f}"
