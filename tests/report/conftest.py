"""A report with everything in it, over real pixels, and hostile text where a file can put it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from bonafide.evidence.calibration import Calibration
from bonafide.evidence.edited_regions import fuse_maps
from bonafide.media.image import Image
from bonafide.types import (
    Failure,
    Finding,
    Kind,
    Label,
    MediaFacts,
    Question,
    Reason,
    Region,
    Report,
    Stability,
    Status,
    Variant,
    Verdict,
)

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def make_image(pixels: np.ndarray, name: str = "photo.jpg") -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return Image(buffer.getvalue(), name)


def blob(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - y * height, columns - x * width) / (radius * min(height, width))
    return np.clip(1.25 - distance, 0, 1).astype(np.float32)


def make_report(image: Image, label: Label = Label.MANIPULATED, hostile: str = "") -> Report:
    height, width = image.height, image.width
    ok = Status.OK
    findings = (
        Finding(
            "jpeg_ghost", "1", Question.EDITED, ok,
            summary="A part of 14 % of the picture was saved before at another quality (70).",
            score=18.42, threshold=6.0, false_positive_rate=0.008, probability=0.9968, llr=5.73,
            heatmap=blob(height, width, 0.35, 0.4, 0.3),
            regions=(Region(width // 5, height // 7, width // 3, height // 2),),
            facts={"ghost_quality": 70, "area": 0.1423, "note": hostile or "none of note"},
            seconds=0.213,
        ),
        Finding(
            "copy_move", "1", Question.EDITED, ok,
            summary="One part occurs twice; its edges fit a copy moved to the right.",
            score=7.1, threshold=5.0, false_positive_rate=0.01, probability=0.91, llr=2.31,
            heatmap=np.maximum(
                blob(height, width, 0.2, 0.75, 0.1), blob(height, width, 0.75, 0.7, 0.1)
            ),
            regions=(
                Region(int(width * .15), int(height * .65), 60, 70, 7.1, "source", 0),
                Region(int(width * .7), int(height * .6), 60, 70, 7.1, "target", 0),
            ),
            facts={"matches": 412, "scale": 1.0, "inliers": [1, 2, 3]},
            seconds=1.02,
        ),
        Finding(
            "ela", "1", Question.EDITED, ok,
            summary="Saving once more at quality 90 changes pixels by 1.8 levels on average.",
            heatmap=np.random.default_rng(1).random((height, width), np.float32),
            facts={"resave_quality": 90, "mean_difference": 1.81, "largest_difference": 14.0},
            seconds=0.03,
        ),
        Finding(
            "spectrum_peaks", "1", Question.SYNTHETIC, ok,
            summary="The spectrum has no periodic peaks beyond those of JPEG.",
            score=0.2, threshold=4.0, false_positive_rate=0.01, probability=0.22, llr=-1.26,
            facts={"peaks": 0},
            seconds=0.05,
        ),
        Finding(
            "exif_consistency", "1", Question.PROVENANCE, ok,
            summary="EXIF names a camera and a later editor; nothing contradicts itself.",
            score=0.0,
            facts={
                "camera": "Nikon D750",
                "captured_at": "2021:05:04 10:11:12",
                "editing_software": hostile or "Adobe Photoshop 22.3",
            },
        ),
        Finding(
            "generator_metadata", "1", Question.PROVENANCE, ok, claim=Label.AI_GENERATED,
            summary="The metadata name Stable Diffusion WebUI as generator.", score=1.0,
            facts={
                "generator": "Stable Diffusion WebUI",
                "model": "v1-5-pruned",
                "seed": 1234567,
                "prompt": hostile or "a cat on a chair, 35 mm, natural light",
                "where_found": "PNG text",
            },
        ),
        Finding(
            "c2pa_manifest", "1", Question.PROVENANCE, ok,
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
            hostile + image.name, None, image.sha256, len(image.data), Kind.IMAGE, "JPEG",
            width, height, {"orientation": 1, "comment": hostile},
        ),
        findings=findings,
        verdict=Verdict(
            label,
            {
                Question.SYNTHETIC: 0.22,
                Question.EDITED: 0.997,
                Question.FACE_FORGED: None,
            },
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


@pytest.fixture(scope="session")
def image() -> Image:
    return make_image(skimage.data.coffee())


@pytest.fixture(scope="session")
def one_pixel() -> Image:
    return make_image(np.zeros((1, 1, 3), np.uint8))


@pytest.fixture(scope="session")
def report(image: Image) -> Report:
    return make_report(image)


@pytest.fixture(scope="session")
def hostile(image: Image) -> Report:
    return make_report(image, hostile=HOSTILE)


@pytest.fixture(scope="session")
def quiet(report: Report) -> Report:
    """Nothing found, nothing to show."""
    verdict = Verdict(Label.NO_TRACE_FOUND, dict.fromkeys(Question), (), "It proves nothing.")
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
    first = replace(report.findings[0], outside=("Its JPEG quality is 20.",))
    return replace(report, findings=(first, *report.findings[1:]), stability=held)


@pytest.fixture(scope="session")
def marked(report: Report) -> Report:
    """With regions: one with a history of its own, and both sides of a copy."""
    knots = [[0.0, -0.3], [0.49, -0.2], [0.5, 3.6], [1.0, 4.5]]
    entry = {"version": "1", "knots": knots, "threshold": 1.0, "weight": 1.0, "weight_below": 0.2}
    tables = {"prior": -3.0, "detectors": dict.fromkeys(("copy_move", "jpeg_ghost"), entry)}
    ghost, copied = report.findings[:2]
    findings = (
        replace(ghost, facts={**ghost.facts, "kind": "has"}),
        replace(copied, facts={"pairs": [{"direction_known": True}]}),
        *report.findings[2:],
    )
    edits = fuse_maps(findings, Calibration({}, {}, {}, "made up", "test", tables))
    return replace(report, findings=findings, edits=edits)


@pytest.fixture(scope="session")
def failure() -> Failure:
    return Failure("broken.jpg", "a/broken.jpg", "DecodeError", "the pixels cannot be decoded")
