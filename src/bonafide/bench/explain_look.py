"""Looks at the pictures again: do explanations point at what the score rests on?

A picture whose explanation cites regions is examined again with those regions filled, with all else
filled, and with the same area filled elsewhere. All copies, the untouched one too, are lossless, so
that they differ in nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image as Pillow

from bonafide.bench import explain_erase, explain_figures
from bonafide.bench.explain_erase import Filler, Pixels
from bonafide.errors import MediaError
from bonafide.examination import Examiner
from bonafide.explain import words
from bonafide.explain.citable import citables
from bonafide.media.source import open_media
from bonafide.types import Box, Question, Report, Statement, Status

Explainer = Callable[[Report], Sequence[Statement]]
MOST_REGIONS = 3  # of one report that are looked at


@dataclass
class Looked:
    """What was seen of one report.

    Attributes:
        pointed: whether the map's maximum lies in a cited region; None where it is flat.
        deletion, sufficiency, elsewhere: by which the log-likelihood ratio for *edited* falls, by
            filler.
        before, after: whether the explanation cites a region there, before and after it was filled.
        others_before, others_after: whether it says that each other test found something.
    """

    pointed: bool | None = None
    deletion: dict[str, float] = field(default_factory=dict)
    sufficiency: dict[str, float] = field(default_factory=dict)
    elsewhere: dict[str, float] = field(default_factory=dict)
    before: list[bool] = field(default_factory=list)
    after: list[bool] = field(default_factory=list)
    others_before: list[bool] = field(default_factory=list)
    others_after: list[bool] = field(default_factory=list)


def by_words(report: Report) -> Sequence[Statement]:
    """The sentences of `words`."""
    return words.statements(
        report.media, report.findings, report.verdict, report.stability, report.edits
    )


def cited_boxes(report: Report, statements: Iterable[Statement]) -> list[Box]:
    """The joint regions that some statements cite, at most `MOST_REGIONS`."""
    known = citables(report)
    cites = dict.fromkeys(cite for one in statements for cite in one.cites)
    numbered = [cite for cite in cites if cite.removeprefix("region.").isdigit() and cite in known]
    return [known[cite].boxes[0] for cite in numbered[:MOST_REGIONS]]


def look(
    path: str,
    explainers: Mapping[str, Explainer],
    examiner: Examiner,
    fillers: Mapping[str, Filler],
    seed: int = 0,
) -> dict[str, Looked] | None:
    """Examine a picture again and again, and see what its explanations rest on.

    Args:
        path: of the picture.
        explainers: by name.
        examiner: with detectors that make the joint map.
        fillers: of holes, by name; the first one's copies are explained again (BEAF).
        seed: of the places elsewhere.

    Returns:
        By explainer that cites a region; None if the file is no picture, or cannot be read.
    """
    try:
        media = open_media(path)
        if media.image is None:
            return None
        pixels = media.image.pixels
        whole = examiner.examine(_copy(pixels))
    except (MediaError, OSError):
        return None
    found = {}
    for name, explainer in explainers.items():
        said = explainer(whole)
        boxes = cited_boxes(whole, said)
        if boxes:
            found[name] = _looked(whole, said, boxes, pixels, explainer, examiner, fillers, seed)
    return found


def _looked(
    whole: Report,
    said: Sequence[Statement],
    boxes: Sequence[Box],
    pixels: Pixels,
    explainer: Explainer,
    examiner: Examiner,
    fillers: Mapping[str, Filler],
    seed: int,
) -> Looked:
    looked = Looked()
    if whole.edits is not None and whole.edits.map is not None:
        looked.pointed = explain_figures.points(whole.edits.map, boxes)
    mask = explain_erase.mask_of(boxes, (pixels.shape[0], pixels.shape[1]))
    for number, (name, filler) in enumerate(fillers.items()):
        reports: list[Report] = []

        def score(shown: Pixels, kept: list[Report] = reports) -> float | None:
            report = whole if shown is pixels else examiner.examine(_copy(shown))
            kept.append(report)
            return evidence(report)

        owed = explain_erase.owed(pixels, mask, score, filler, seed)
        if owed is not None:
            looked.deletion[name] = owed.deletion
            looked.sufficiency[name] = owed.sufficiency
            if owed.elsewhere is not None:
                looked.elsewhere[name] = owed.elsewhere
        if number == 0 and len(reports) > 1:
            _beaf(looked, whole, reports[1], said, explainer(reports[1]), boxes)
    return looked


def _beaf(
    looked: Looked,
    whole: Report,
    erased: Report,
    said: Sequence[Statement],
    later: Sequence[Statement],
    boxes: Sequence[Box],
) -> None:
    now = cited_boxes(erased, later)
    for box in boxes:
        looked.before.append(True)
        looked.after.append(any(overlap(box, other) >= 0.1 for other in now))
    names = sorted(
        {one.detector for one in whole.findings if one.status is Status.OK}
        & {one.detector for one in erased.findings if one.status is Status.OK}
    )
    marking = {name for region in _regions(whole) for name in region}
    for name in names:
        if name not in marking:
            looked.others_before.append(_affirmed(name, said))
            looked.others_after.append(_affirmed(name, later))


def _regions(report: Report) -> list[tuple[str, ...]]:
    return [region.detectors for region in report.edits.regions] if report.edits else []


def _affirmed(detector: str, said: Iterable[Statement]) -> bool:
    """Whether a statement other than a list of what gave no answer cites a test."""
    lists = (words.UNANSWERED, words.ODDS)
    return any(
        f"finding.{detector}" in one.cites and not one.text.startswith(lists) for one in said
    )


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    both = max(0, width) * max(0, height)
    total = one.width * one.height + other.width * other.height - both
    return both / total if total else 0.0


def evidence(report: Report) -> float | None:
    """The log-likelihood ratios for *edited*, added up; None where nothing calibrated spoke."""
    known = [
        one.llr
        for one in report.findings
        if one.question is Question.EDITED and one.llr is not None and np.isfinite(one.llr)
    ]
    return float(sum(known)) if known else None


def _copy(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def figures(looked: Sequence[Looked], fillers: Sequence[str]) -> dict[str, list[Any]]:
    """The values of every figure, one per report that has it; BEAF's are shares over regions."""
    found: dict[str, list[Any]] = {"pointing": [one.pointed for one in looked]}
    for name in fillers:
        for kind in ("deletion", "sufficiency", "elsewhere"):
            found[f"{kind}_{name}"] = [getattr(one, kind).get(name) for one in looked]
    for name in ("TU", "IG", "SBp", "SBn"):
        found[f"beaf_{name}"] = [
            explain_figures.beaf(one.before, one.after)[name] for one in looked
        ]
    found["beaf_ID"] = [
        explain_figures.indecision(one.others_before, one.others_after) for one in looked
    ]
    return found
