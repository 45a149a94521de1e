"""Detectors of faces answer per person, and say why where they cannot."""

from __future__ import annotations

import io
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType

import av
import jsonschema
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide import to_dict
from bonafide.examination import Settings, examine
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.networks import runtime
from bonafide.report.html import render_section
from bonafide.types import WHOLE, Finding, Measurement, NotApplicable, Question, Status

WOMAN = data.astronaut()
MODULES = ("bonafide.detectors.face.face_probe", "bonafide.detectors.liveness.spoof_probe")
SCHEMA = Path(__file__).parents[2] / "docs" / "report.schema.json"


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def mp4(count: int = 10) -> bytes:
    """Two persons side by side: one photograph and its mirror image, which moves."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 640, 320, "yuv420p"
        small = np.asarray(Pillow.fromarray(WOMAN).resize((320, 320)))
        for step in range(count):
            frame = np.concatenate([small, np.roll(small[:, ::-1], step, 0)], axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


@pytest.fixture(params=MODULES, ids=["face", "live"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param)


def measured(module: ModuleType, content: bytes) -> list[Measurement]:
    found = module.Detector().measure(Context(open_media(content)))
    assert not isinstance(found, NotApplicable), found
    return list(found)


def test_the_networks_ship_and_carry_their_cards(module: ModuleType) -> None:
    weights = runtime.session(module.CARD.id).weights
    assert weights.origin == "shipped" and weights.version == module.CARD.version
    assert all(len(table["sha256"]) == 64 for table in weights.metadata["training_data"])


def test_a_portrait_is_one_person(module: ModuleType) -> None:
    whole, person = measured(module, png(WOMAN))
    assert whole.where == WHOLE and person.where.subject == "person 1"
    assert whole.score == person.score
    (region,) = whole.regions
    assert region.name == "person 1" and 80 < region.width < 105
    assert set(whole.facts) <= set(module.CARD.facts)


def test_every_person_of_a_picture_is_measured(module: ModuleType) -> None:
    two = np.concatenate([WOMAN[:, ::-1], WOMAN], axis=1)
    whole, *persons = measured(module, png(two))
    assert [one.where.subject for one in persons] == ["person 1", "person 2"]
    assert whole.score == max(one.score or 0.0 for one in persons)
    assert whole.facts["highest_person"] in whole.summary


@pytest.mark.parametrize(
    ("pixels", "why"),
    [(data.coffee(), "no face was found"), (WOMAN[::4, ::4], "smaller than 32 pixels")],
    ids=["coffee", "tiny"],
)
def test_without_a_face_it_says_so(module: ModuleType, pixels: np.ndarray, why: str) -> None:
    found = module.Detector().measure(Context(open_media(png(pixels))))
    assert isinstance(found, NotApplicable) and why in found.why


@pytest.fixture(scope="module")
def examined() -> tuple[bytes, object]:
    content = mp4()
    asked = (Question.SPOOFED,)
    return content, examine(content, Settings(only=("face_probe", "spoof_probe"), asked=asked))


def test_a_video_has_an_answer_per_person(examined: tuple[bytes, object]) -> None:
    report = examined[1]
    for finding in report.findings:  # type: ignore[attr-defined]
        check_video(finding)
    for question in (Question.FACE_FORGED, Question.SPOOFED):
        answers = [a for a in report.verdict.answers if a.question is question]  # type: ignore[attr-defined]
        assert [a.where.subject for a in answers] == [None, "person 1", "person 2"]
        assert all(a.probability is not None for a in answers)


def check_video(finding: Finding) -> None:
    assert finding.status is Status.OK
    parts = [part for part, _ in finding.parts]
    whole, persons = parts[0], [one for one in parts[1:] if one.where.span is None]
    faces = [one for one in parts[1:] if one.where.span is not None]
    assert [series.name for series in whole.series] == [one.where.subject for one in persons]
    assert len(faces) == whole.facts["faces"] >= 16
    assert all(face.where.box is not None and face.regions[0].name for face in faces)


def test_every_form_of_report_names_the_persons(examined: tuple[bytes, object]) -> None:
    content, report = examined
    record = to_dict(report)  # type: ignore[arg-type]
    jsonschema.validate(record, json.loads(SCHEMA.read_text()))
    page = render_section(report, open_media(content))  # type: ignore[arg-type]
    assert page.count("person 2") > 5


def test_live_faces_are_asked_about_only_on_request() -> None:
    report = examine(png(data.coffee()[:64, :64]), Settings())
    assert "spoof_probe" in report.untested
    asked = examine(png(data.coffee()[:64, :64]), Settings(asked=(Question.SPOOFED,)))
    assert "spoof_probe" in {finding.detector for finding in asked.findings}
