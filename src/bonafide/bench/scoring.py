"""Score one file under one degradation with several detectors: what a worker process does."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide import __version__, registry
from bonafide.bench import degrade, degrade_video
from bonafide.bench.masks import MARKS, marked
from bonafide.bench.pixel_metrics import score_picture
from bonafide.errors import MediaError, SourceError
from bonafide.evidence.calibration import default_calibration
from bonafide.examination import Settings, examine, select
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.media.source import open_media, open_source
from bonafide.types import ACCUSATIONS, Edits, Finding, Kind, Profile, Question, ScoreMap, Status

VERDICT = "verdict"  # not a detector: all of them together, and their fused map
NATIVE = "native"


@dataclass(frozen=True)
class Task:
    """One file under one degradation.

    Attributes:
        path: as the manifest writes it.
        file: where it lies.
        mask: where its mask lies, None if it has none.
        marks: how the mask marks what was edited, one of `bonafide.bench.masks.MARKS`.
        authentic: whether its mask is known to be empty.
        pixel: whether heatmaps are compared with masks.
        degradation: canonical name.
        detectors: ids, and perhaps `VERDICT`.
        question: what the protocol asks.
        number: of the task, for progress.
        seed: of the degradation.
        limits: what the file may cost.
    """

    path: str
    file: str
    mask: str | None
    authentic: bool
    pixel: bool
    degradation: str
    detectors: tuple[str, ...]
    question: str
    number: int = 0
    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    marks: str = "white"


def version_of(detector: str) -> str:
    """What scores of a detector are bound to.

    Raises:
        UnknownDetector: no detector has that id.
    """
    if detector == VERDICT:
        return f"{__version__}/{default_calibration().id}"
    return registry.card(detector).version


def canonical(degradation: str) -> str:
    """The one spelling of a degradation of pictures or of videos; "none" is "native".

    Raises:
        ValueError: it is neither.
    """
    name = NATIVE if degradation == "none" else degradation
    try:
        return degrade.GRAMMAR.canonical(name)
    except ValueError as error:
        try:
            return degrade_video.GRAMMAR.canonical(name)
        except ValueError:
            raise error from None


def perform(task: Task) -> dict[str, Any]:
    """Score a task.

    Returns:
        A journal record; a file that fails is one in which every detector failed, and a mask that
            does not fit its picture is a note.
    """
    record: dict[str, Any] = {
        "path": task.path,
        "sha256": "",
        "mask_sha256": "",
        "degradation": task.degradation,
        "megapixels": None,
        "notes": "",
    }
    try:
        media = open_media(task.file, Path(task.path).name, task.limits)
        record["sha256"] = media.sha256
        mask = None
        if task.pixel and task.mask is not None:
            drawn = _read(task.mask, task.limits)
            record["mask_sha256"] = _mask_key(drawn, task.marks)
            mask = marked(Image(drawn, Path(task.mask).name).pixels, task.marks)
        media, mask, notes = _degrade(task, media, mask)
        record["notes"] = "; ".join(notes)
        findings, fused, edits = _ask(task, media)
    except MediaError as error:
        return {**record, "said": failed(task.detectors, error.why)}
    if media.image is not None:
        height, width = _size(media)
        record["megapixels"] = round(width * height / 1e6, 6)
        if task.pixel and task.authentic:
            mask = np.zeros((height, width), np.bool_)
    said = [_said(task, finding, mask) for finding in findings]
    if fused is not None:
        said.append(fused | _on_pixels(mask, edits.map if edits else None))
    return {**record, "said": said}


def digests(file: str, mask: str | None, marks: str, limits: Limits) -> tuple[str, str]:
    """SHA-256 of a file and of its mask, "" for what cannot be read, as `perform` records them."""
    try:
        sha256 = open_source(file, limits=limits).sha256
    except MediaError:
        return "", ""
    try:
        return sha256, _mask_key(_read(mask, limits), marks) if mask else ""
    except MediaError:
        return sha256, ""


def _mask_key(data: bytes, marks: str) -> str:
    """The same picture read in another way is another mask."""
    digest = hashlib.sha256(data).hexdigest()
    return digest if marks == MARKS[0] else f"{digest}:{marks}"


def failed(detectors: Sequence[str], why: str, seconds: float = 0.0) -> list[dict[str, Any]]:
    """What a record says of detectors that a fault of the file kept from speaking."""
    return [
        _blank(name, version_of(name), Status.FAILED.value, why) | {"seconds": seconds}
        for name in detectors
    ]


def _read(path: str, limits: Limits) -> bytes:
    name = Path(path).name
    try:
        limits.check(name, "file_bytes", Path(path).stat().st_size)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(name, f"it cannot be read: {reason}") from error


def _degrade(
    task: Task, media: Media, mask: NDArray[np.bool_] | None
) -> tuple[Media, NDArray[np.bool_] | None, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if mask is not None:
        size = _size(media)
        if mask.shape != size:
            # Of no use, but no fault of the picture.
            notes = (f"its mask has {mask.shape[1]}×{mask.shape[0]} pixels, it has "
                     f"{size[1]}×{size[0]}",)  # fmt: skip
            mask = None
    if task.degradation == NATIVE:
        return media, mask, notes
    video = media.kind is Kind.VIDEO
    module: Any = degrade_video if video else degrade
    try:
        module.GRAMMAR.canonical(task.degradation)
    except ValueError as error:
        raise MediaError(media.name, str(error)) from None
    extra = {} if video else {"mask": mask}
    degraded = module.apply(media.read(), task.degradation, task.seed, limits=task.limits, **extra)
    mask = None if video else degraded.mask
    return open_media(degraded.data, media.name, task.limits), mask, notes + degraded.notes


def _size(media: Media) -> tuple[int, int]:
    track = media.image or media.video
    return (track.height, track.width) if track else (0, 0)


def _ask(task: Task, media: Media) -> tuple[list[Finding], dict[str, Any] | None, Edits | None]:
    asked = tuple(name for name in task.detectors if name != VERDICT)
    only = asked
    if VERDICT in task.detectors:
        # The verdict is drawn from every detector that the usual profile asks, scored or not.
        usual = tuple(card.id for card in select(Settings())[0])
        only = tuple(dict.fromkeys(usual + asked))
    settings = Settings(profile=Profile.THOROUGH, only=only, limits=task.limits, threads=1)
    report = examine(media, settings)
    by_name = {finding.detector: finding for finding in report.findings}
    fused = None
    if VERDICT in task.detectors:
        probability = report.verdict.probabilities.get(Question(task.question))
        status = Status.NOT_APPLICABLE if probability is None else Status.OK
        why = "nothing that is calibrated spoke" if probability is None else ""
        fused = _blank(VERDICT, version_of(VERDICT), status.value, why)
        fused["score"] = fused["probability"] = probability
        fused["seconds"] = round(sum(finding.seconds for finding in report.findings), 4)
    edits = report.edits if task.question == Question.EDITED else None
    return [by_name[name] for name in asked], fused, edits


def _said(task: Task, finding: Finding, mask: NDArray[np.bool_] | None) -> dict[str, Any]:
    said = _blank(finding.detector, finding.version, finding.status.value, finding.why)
    said["seconds"] = finding.seconds
    if finding.status is Status.OK:
        score = finding.score
        if score is None and finding.question is Question.PROVENANCE:
            # What a file says of itself is a score of two values.
            score = float(_claims(finding, task.question))
        if score is not None and not math.isfinite(score):
            said |= {"status": Status.FAILED.value, "why": f"its score is {score}"}
        else:
            said |= {"score": score, "probability": finding.probability}
    return said | _on_pixels(mask, finding.map)


def _on_pixels(mask: NDArray[np.bool_] | None, found: ScoreMap | None) -> dict[str, Any]:
    """What a map marks, and how well that agrees with the mask where there is one."""
    said: dict[str, Any] = {}
    if found is not None:
        said["marked_share"] = found.marked_share
    if mask is not None and (found is None or (found.height, found.width) == mask.shape):
        # A map of zeros is no map, to which the answer is known without sorting its pixels.
        blank = found is None or found.peak == 0
        pixels = score_picture(mask, None if blank or found is None else found.enlarge())
        counts = pixels.counts
        said |= {
            "tp": counts.true_positives,
            "fp": counts.false_positives,
            "fn": counts.false_negatives,
            "tn": counts.true_negatives,
            "pixel_auc": None if math.isnan(pixels.auc) else pixels.auc,
        }
    return said


def _claims(finding: Finding, question: str) -> bool:
    return finding.claim is not None and ACCUSATIONS.get(finding.claim.label) == question


def _blank(detector: str, version: str, status: str, why: str) -> dict[str, Any]:
    empty = dict.fromkeys(("score", "probability", "marked_share", "tp", "fp", "fn", "tn",
                           "pixel_auc"))  # fmt: skip
    return {"detector": detector, "version": version, "status": status, "why": why, **empty,
            "seconds": 0.0}  # fmt: skip
