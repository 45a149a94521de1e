"""A report with everything in it, over real pixels, and hostile text where a file can put it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.types import (
    WHOLE,
    Answer,
    Calibrated,
    Carrier,
    Claim,
    Decision,
    EditedRegion,
    EditKind,
    Edits,
    Failure,
    Finding,
    Kind,
    Label,
    Measurement,
    MediaFacts,
    Question,
    Reason,
    Region,
    Report,
    ScoreMap,
    Series,
    Span,
    Stability,
    Status,
    Variant,
    Verdict,
    Where,
)

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def make_image(pixels: np.ndarray, name: str = "photo.jpg") -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return Image(buffer.getvalue(), name)


def lattice(values: np.ndarray, width: int, height: int, cell: int = 8) -> ScoreMap:
    """A map on cells; of single pixels where the values have the size of the picture."""
    if values.shape == (height, width):
        cell = 1
    return ScoreMap(values.astype(np.float32), cell, width, height)


def blob(height: int, width: int, x: float, y: float, radius: float, cell: int = 8) -> ScoreMap:
    shape = (-(-height // cell), -(-width // cell))
    rows, columns = (cell * axis + cell / 2 for axis in np.mgrid[: shape[0], : shape[1]])
    distance = np.hypot(rows - y * height, columns - x * width) / (radius * min(height, width))
    return lattice(np.clip(1.25 - distance, 0, 1), width, height, cell)


def both(one: ScoreMap, two: ScoreMap) -> ScoreMap:
    return replace(one, values=np.maximum(one.values, two.values))


def found(
    detector: str,
    question: Question,
    known: Calibrated | None = None,
    *further: Measurement,
    seconds: float = 0.05,
    **measured: Any,
) -> Finding:
    """A finding of any name, with a card or without."""
    first = Measurement(**measured)
    parts = ((first, known), *((one, None) for one in further))
    return Finding(detector, "1", question, Status.OK, "", parts, seconds)


def part_changed(finding: Finding, **measured: Any) -> Finding:
    """`finding` with other values in its first part."""
    first, known = finding.parts[0]
    return replace(finding, parts=((replace(first, **measured), known), *finding.parts[1:]))


def answer(
    question: Question,
    probability: float | None,
    p_value: float | None,
    decision: Decision = Decision.INCONCLUSIVE,
    where: Where = WHOLE,
    why: str = "",
) -> Answer:
    return Answer(question, where, probability, p_value, decision, (), why, 0.01, 0.4, "JPEG")


def make_report(image: Image, label: Label = Label.MANIPULATED, hostile: str = "") -> Report:
    height, width = image.height, image.width
    findings = (
        found(
            "jpeg_ghost", Question.EDITED, Calibrated(5.73, 0.9968, 6.0, 0.008, "JPEG"),
            summary="A part of 14 % of the picture was saved before at another quality (70).",
            score=18.42,
            maps=(blob(height, width, 0.35, 0.4, 0.3),),
            regions=(Region(width // 5, height // 7, width // 3, height // 2),),
            facts={"ghost_quality": 70, "area": 0.1423, "note": hostile or "none of note"},
            kind=EditKind.SPLICE,
            seconds=0.213,
        ),
        found(
            "copy_move", Question.EDITED, Calibrated(2.31, 0.91, 5.0, 0.01, "JPEG"),
            summary="One part occurs twice; its edges fit a copy moved to the right.",
            score=7.1,
            maps=(both(
                blob(height, width, 0.2, 0.75, 0.1), blob(height, width, 0.75, 0.7, 0.1)
            ),),
            regions=(
                Region(int(width * .15), int(height * .65), 60, 70, 7.1, "source", 0),
                Region(int(width * .7), int(height * .6), 60, 70, 7.1, "target", 0),
            ),
            facts={"matches": 412, "scale": 1.0, "inliers": [1, 2, 3]},
            kind=EditKind.CLONE,
            seconds=1.02,
        ),
        found(
            "ela", Question.EDITED,
            summary="Saving once more at quality 90 changes pixels by 1.8 levels on average.",
            maps=(lattice(
                np.random.default_rng(1).random((height, width), np.float32), width, height
            ),),
            facts={"resave_quality": 90, "mean_difference": 1.81, "largest_difference": 14.0},
            seconds=0.03,
        ),
        found(
            "spectrum_peaks", Question.SYNTHETIC, Calibrated(-1.26, 0.22, 4.0, 0.01, "JPEG"),
            summary="The spectrum has no periodic peaks beyond those of JPEG.",
            score=0.2,
            facts={"peaks": 0},
        ),
        found(
            "exif_consistency", Question.PROVENANCE,
            summary="EXIF names a camera and a later editor; nothing contradicts itself.",
            score=0.0,
            facts={
                "camera": "Nikon D750",
                "captured_at": "2021:05:04 10:11:12",
                "editing_software": hostile or "Adobe Photoshop 22.3",
            },
        ),
        found(
            "generator_metadata", Question.PROVENANCE,
            claim=Claim(Label.AI_GENERATED, Carrier.UNSIGNED_TEXT),
            summary="The metadata name Stable Diffusion WebUI as generator.", score=1.0,
            facts={
                "generator": "Stable Diffusion WebUI",
                "model": "v1-5-pruned",
                "seed": 1234567,
                "prompt": hostile or "a cat on a chair, 35 mm, natural light",
                "where_found": "PNG text",
            },
        ),
        found(
            "c2pa_manifest", Question.PROVENANCE,
            summary="Content credentials are present and valid; the signer is not on a trust list.",
            score=0.0,
            facts={
                "state": "Valid",
                "signer": "Example Press Agency",
                "signed_at": "2024-02-03T04:05:06+00:00",
                "claim_generator": "Example Camera 2.1",
                "actions": ["c2pa.created", "c2pa.cropped"],
                "digital_source_types": ["digitalCapture"],
                "ingredients": [{"title": "IMG_0001.jpg", "relationship": "parentOf"}],
            },
        ),
        Finding(
            "cfa_pattern", "1", Question.EDITED, Status.NOT_APPLICABLE,
            why="JPEG compression has erased the traces of the colour filter",
        ),
        Finding("prnu", "1", Question.EDITED, Status.FAILED, why="the picture is all one colour"),
    )  # fmt: skip
    because = (
        Reason("jpeg_ghost", Question.EDITED, 5.73, findings[0].summary),
        Reason("copy_move", Question.EDITED, 2.31, findings[1].summary),
        Reason("spectrum_peaks", Question.SYNTHETIC, -1.26, findings[3].summary),
    )
    return Report(
        media=MediaFacts(
            hostile + image.name, None, hashlib.sha256(image.data).hexdigest(),
            len(image.data), Kind.IMAGE, "JPEG", width, height,
            {"orientation": 1, "comment": hostile},
        ),
        findings=findings,
        verdict=Verdict(
            label,
            (
                answer(
                    Question.SYNTHETIC, 0.22, 0.4,
                    why="40 % of bona fide files show as much evidence of generation.",
                ),
                answer(Question.EDITED, 0.997, 0.004, Decision.ACCUSED),
            ),
            because,
            "At most 1 in 100 genuine pictures like those it was calibrated on is accused.",
        ),
        explanation=(
            findings[0].summary,
            "The two tests that found something looked at different traces and mark different "
            "places.",
        ),
        untested={"patchmatch_moves": "runs from profile thorough on"},
        settings={"profile": "standard", "network": False},
        versions={"bonafide": "0.1.0", "numpy": "2.1.0"},
        examined_at="2025-01-02T03:04:05+00:00",
    )  # fmt: skip


@dataclass(frozen=True)
class StillFrame:
    """What a video track gives of one frame."""

    pixels: np.ndarray
    seconds: float


class Track:
    """A video track that is made up: a picture that moves, `height` pixels high."""

    duration = 8.0

    def __init__(self, height: int = 270) -> None:
        self.height, self.width = height, height * 16 // 9

    def frames(self, sampling: Any) -> Iterator[StillFrame]:
        picture = np.asarray(
            Pillow.fromarray(skimage.data.coffee()).resize((self.width + 80, self.height))
        )
        for seconds in sampling.times:
            shift = round(10 * seconds)
            yield StillFrame(np.ascontiguousarray(picture[:, shift : shift + self.width]), seconds)


class Clip:
    """A media with a video track alone."""

    image = audio = None

    def __init__(self, height: int = 270) -> None:
        self.video: Any = Track(height)


def make_video_report(track: Track, frames: int = 16) -> Report:
    """What a detector lifted onto frames says of a clip, and one that was not asked before."""
    times = np.linspace(0.25, 7.75, frames)
    scores = 1.5 * np.sin(times * 0.9) + 0.4 * np.cos(5 * times)
    parts = [
        Measurement(
            score=float(score),
            summary="Part of the frame looks generated.",
            where=Where("video", Span(float(at), float(at))),
            maps=(blob(track.height, track.width, 0.3 + 0.04 * at, 0.5, 0.3 * (1 + score) / 2.5),),
        )
        for at, score in zip(times, np.maximum(scores, -0.9), strict=True)
    ]
    lifted = found(
        "spectral_peaks.frames", Question.SYNTHETIC,
        Calibrated(3.4, 0.968, 0.8, 0.01, "video"), *parts,
        score=round(float(scores.mean()), 4),
        summary=f"The mean score of {frames} frames is +0.21; the highest is +1.62, at 1.6 s.",
        series=(Series(times, scores.astype(np.float32)),),
        facts={"frames": frames, "pool": "mean", "defects": []},
    )  # fmt: skip
    reason = Reason("spectral_peaks.frames", Question.SYNTHETIC, 3.4, lifted.summary)
    return Report(
        media=MediaFacts(
            "clip.mp4", None, "ab" * 32, 123456, Kind.VIDEO, "MP4", track.width, track.height,
            {"duration_seconds": 8.0, "frame_rate": 25.0, "codec": "h264", "has_audio": True},
        ),
        findings=(lifted,),
        verdict=Verdict(
            Label.AI_GENERATED,
            (
                answer(Question.SYNTHETIC, 0.968, 0.006, Decision.ACCUSED),
                answer(
                    Question.FACE_FORGED, 0.91, 0.02,
                    where=Where("video", Span(2, 5.5), None, "face 1"),
                ),
            ),
            (reason,),
            "At most 1 % of bona fide videos are wrongly accused.",
        ),
        explanation=(lifted.summary,),
        untested={},
        settings={"profile": "standard"},
        versions={"bonafide": "0.2.0"},
        examined_at="2026-01-02T03:04:05+00:00",
    )  # fmt: skip


@pytest.fixture(scope="session")
def clip() -> Any:
    return Clip()


@pytest.fixture(scope="session")
def video_report(clip: Any) -> Report:
    return make_video_report(clip.video)


@pytest.fixture(scope="session")
def sound_report() -> Report:
    """A voice along time, with a gap in which nobody spoke."""
    times = np.arange(0, 30, 0.5)
    values = np.where((times > 10) & (times < 14), np.nan, np.sin(times / 3)).astype(np.float32)
    spoken = found(
        "voice", Question.VOICE_CLONED, Calibrated(1.0, 0.7, 0.9, 0.02, "sound"),
        score=0.3, summary="The voice was measured in 26 s.", series=(Series(times, values),),
    )  # fmt: skip
    verdict = Verdict(
        Label.INCONCLUSIVE, (answer(Question.VOICE_CLONED, 0.7, 0.07),), (), "Too little to accuse."
    )
    facts = MediaFacts(
        "voice.wav", None, "cd" * 32, 99, Kind.AUDIO, "WAV", details={"duration_seconds": 30.0}
    )
    return Report(facts, (spoken,), verdict, (), {}, {}, {}, "2026-01-02T03:04:05+00:00")


@pytest.fixture(scope="session")
def media(image: Image) -> Media:
    return Media.of_image(image)


@pytest.fixture(scope="session")
def image() -> Image:
    return make_image(skimage.data.coffee())


@pytest.fixture(scope="session")
def one_pixel() -> Media:
    return Media.of_image(make_image(np.zeros((1, 1, 3), np.uint8)))


@pytest.fixture(scope="session")
def report(image: Image) -> Report:
    return make_report(image)


@pytest.fixture(scope="session")
def hostile(image: Image) -> Report:
    return make_report(image, hostile=HOSTILE)


@pytest.fixture(scope="session")
def quiet(report: Report) -> Report:
    """Nothing found, nothing to show."""
    verdict = Verdict(Label.NO_TRACE_FOUND, (), (), "It proves nothing.")
    return replace(report, findings=(), verdict=verdict, explanation=())


@pytest.fixture(scope="session")
def checked(report: Report) -> Report:
    """With changed copies, and a finding on a file that its calibration never saw."""
    edited, both = {Question.EDITED: 0.31}, {Question.EDITED: 0.42, Question.SYNTHETIC: 0.08}
    held = Stability(
        (
            Variant("jpeg:90", "saved as JPEG at quality 90", True, edited),
            Variant("scale:0.5", "reduced to 50 %", False, both),
        ),
        {"crop:1": "no time was left"},
        Label.MANIPULATED,
        False,
        "On 1 of 1 mildly changed copies it falls.",
    )
    measured, known = report.findings[0].parts[0]
    assert known is not None
    known = replace(known, warnings=("Its JPEG quality is 20.",))
    first = replace(report.findings[0], parts=((measured, known),))
    return replace(report, findings=(first, *report.findings[1:]), stability=held)


@pytest.fixture(scope="session")
def marked(report: Report) -> Report:
    """With regions: one with a history of its own, and both sides of a copy."""
    height, width = report.media.height or 0, report.media.width or 0
    values = np.zeros((-(-height // 8), -(-width // 8)), np.float32)
    boxes = ((120, 70, 184, 180), (60, 240, 64, 72), (400, 230, 64, 72))
    for x, y, w, h in boxes:
        values[y // 8 : (y + h) // 8, x // 8 : (x + w) // 8] = 0.9
    ghost, source, target = (
        EditedRegion(x, y, w, h, w * h, w * h / (width * height), 0.9, names, kind)
        for (x, y, w, h), names, kind in zip(
            boxes,
            (("jpeg_ghost", "copy_move"), ("copy_move",), ("copy_move",)),
            (EditKind.SPLICE, EditKind.CLONE, EditKind.CLONE),
            strict=True,
        )
    )
    source = replace(source, other=Region(*boxes[2], None, "target", 0))
    target = replace(target, other=Region(*boxes[1], None, "source", 0))
    regions = (ghost, source, target)
    share = sum(region.share for region in regions)
    edits = Edits(lattice(values, width, height), regions, share, {"copy_move": 1.0})
    return replace(report, edits=edits)


@pytest.fixture(scope="session")
def failure() -> Failure:
    return Failure("broken.jpg", "a/broken.jpg", "DecodeError", "the pixels cannot be decoded")
