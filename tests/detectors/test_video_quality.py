"""The quality of a video is told in words, and of a poor one that nothing is decided by it."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from bonafide.detectors.provenance.video_quality import CARD, Detector
from bonafide.evidence.calibration import measures, poor_pictures
from bonafide.examination import Settings, examine
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.report.html import render_section
from bonafide.signals.video_quality import LEAST_LINES, quality_of, too_poor
from bonafide.types import Decision, Label, Measurement, NotApplicable, Question, Report

Pixels = NDArray[np.uint8]


def filmed(side: int, crf: int, count: int = 20, blur: float = 0.0) -> bytes:
    """A camera that moves over a portrait, at a size and a strength of compression."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for number in range(count):
            frame: Pixels = data.astronaut()[number : number + 480, 10:490]
            if side != 480:
                frame = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
            if blur:
                frame = cv2.GaussianBlur(frame, (0, 0), blur)
            frame = np.ascontiguousarray(frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def told(content: bytes) -> Measurement:
    found = Detector().measure(Context(open_media(content)))
    assert not isinstance(found, NotApplicable)
    (one,) = found
    assert set(one.facts) <= set(CARD.facts) and one.score is None
    return one


def examined(content: bytes) -> Report:
    return examine(content, Settings(only=("face_probe", "video_quality")))


def face_answers(report: Report) -> list[Decision]:
    return [a.decision for a in report.verdict.answers if a.question is Question.FACE_FORGED]


def test_a_good_clip_is_good_enough() -> None:
    content = filmed(480, 20)
    found = told(content)
    assert found.facts["too_poor"] == "" and "480 × 480 pixels" in found.summary
    assert "no blocks" in found.summary and "sharp" in found.summary
    report = examined(content)
    assert Decision.NOT_ASSESSED not in face_answers(report)
    assert "for a verdict on its pictures" not in report.verdict.caveat


@pytest.mark.parametrize(
    ("side", "crf", "why"),
    [(144, 20, "144 pixels on its shorter side"), (480, 45, "compressed too strongly")],
    ids=["144p", "compressed"],
)
def test_a_poor_clip_has_no_verdict(side: int, crf: int, why: str) -> None:
    content = filmed(side, crf)
    found = told(content)
    assert why in str(found.facts["too_poor"]) and why in found.summary
    report = examined(content)
    assert report.verdict.label is Label.INCONCLUSIVE and why in report.verdict.caveat
    assert set(face_answers(report)) == {Decision.NOT_ASSESSED}
    assert why in render_section(report, open_media(content))


def test_a_score_of_a_poor_clip_is_shown_and_does_not_vote() -> None:
    report = examined(filmed(480, 45))
    scored = next(one for one in report.findings if one.detector == "face_probe")
    assert scored.main.score is not None and scored.main.outside
    assert scored.calibrated is not None and scored.calibrated.llr is None


def test_compression_and_blur_show_in_the_numbers() -> None:
    good, poor, soft = (told(filmed(480, crf, blur=blur)).facts
                        for crf, blur in ((20, 0.0), (45, 0.0), (20, 3.0)))  # fmt: skip
    for name, larger in (("keyframe_bits_per_pixel", good), ("blockiness", poor)):
        other = poor if larger is good else good
        assert float(str(larger[name])) > 1.2 * float(str(other[name]))
    assert float(str(soft["sharpness"])) < 0.3 < float(str(good["sharpness"]))


def test_noise_is_measured_in_flat_places() -> None:
    random = np.random.default_rng(3)
    out = io.BytesIO()
    with av.open(out, "w", format="avi") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "bgr0"
        for _ in range(5):
            grey = 120 + random.normal(0, 6, (256, 256, 1))
            frame = np.clip(np.rint(grey), 0, 255).astype(np.uint8).repeat(3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    found = told(out.getvalue())
    assert 4 < float(str(found.facts["noise"])) < 7 and "much noise" in found.summary


def test_the_limits() -> None:
    assert too_poor(LEAST_LINES, 0.0, 0.0, 5.0) == "" and too_poor(LEAST_LINES - 1, 1.0, 1.0, 1.0)
    assert too_poor(480, 0.09, 1.2, 0.3) == "" and too_poor(480, 0.09, 2.0, 0.3)
    assert too_poor(480, 0.3, 1.0, 2.0) == "" and too_poor(480, 0.3, 1.0, 4.0)
    assert poor_pictures({"short_side": 100.0}) == ""  # a picture, which has no seconds
    assert poor_pictures({"short_side": 100.0, "seconds": 2.0})


def test_a_video_is_measured_once() -> None:
    media = open_media(filmed(480, 30, count=5))
    assert media.video is not None
    assert quality_of(media.video) is quality_of(media.video)
    assert measures(media)["blockiness"] > 0
