"""A face that is another for a time is found, with its ends; a face that stays is not."""

from __future__ import annotations

import io
from importlib import import_module

import av
import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.examination import Settings, examine
from bonafide.media.source import open_media
from bonafide.networks import runtime
from bonafide.report.html import render_section
from bonafide.subjects import changes
from bonafide.types import Decision, Question

TIMES = np.arange(24) * 10 / 24
SIDE = 1088


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def persons(seed: int, swapped: slice | None = None) -> np.ndarray:
    """24 vectors of one person, of another one in a slice."""
    random = np.random.default_rng(seed)
    one, other = random.normal(size=(2, 128))
    rows = one + 0.5 * random.normal(size=(24, 128))
    if swapped:
        rows[swapped] += other - one
    return unit(rows)


def features(seed: int, by: float = 0.0, inside: slice = slice(0, 0)) -> np.ndarray:
    """Noise, moved along the direction that ships in a slice."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(24, 1, SIDE)) * 0.02
    eye = np.eye(SIDE, dtype=np.float32)[:, None]
    direction = runtime.session(changes.NETWORK).run(tokens=eye)["contrast"].ravel()
    noise = np.diff(rows[:, 0] @ direction).std()
    rows[inside] += by * max(noise, 1.0) * direction / (direction @ direction)
    return rows.astype(np.float32)


def test_another_identity_is_found_with_its_ends() -> None:
    for seed in range(10):
        found = changes.change_of(TIMES, features(seed), persons(seed, slice(10, 17)))
        assert found is not None and found.what == "identity"
        assert abs(found.stretch.start - TIMES[10]) < 0.3
        assert abs(found.stretch.end - TIMES[17]) < 0.3
        assert "another face" in found.sentence("person 1")


def test_another_texture_is_found_with_its_ends() -> None:
    for seed in range(10):
        moved = features(seed, 12.0, slice(8, 15))
        found = changes.change_of(TIMES, moved, persons(seed))
        assert found is not None and found.what == "texture"
        assert abs(found.stretch.start - TIMES[8]) < 0.5
        assert abs(found.stretch.end - TIMES[15]) < 0.5


def test_a_face_that_stays_has_no_change() -> None:
    for seed in range(20):
        assert changes.change_of(TIMES, features(seed), persons(seed)) is None
    assert changes.change_of(TIMES[:6], features(0)[:6], persons(0)[:6]) is None


def test_the_direction_ships_with_its_card() -> None:
    weights = runtime.session(changes.NETWORK).weights
    assert weights.origin == "shipped"
    assert weights.metadata["settings"]["blocks"] == ["regions"]


@pytest.fixture(scope="module")
def clip() -> bytes:
    """A person who moves, whose face is drawn at a lower resolution from 2 s to 4 s of 7 s."""
    woman = np.asarray(Pillow.fromarray(data.astronaut()[:320, 60:380]).resize((320, 320)))
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        for number in range(56):
            frame = np.roll(woman, number % 5, 1).copy()
            if 16 <= number < 32:
                face = frame[30:230, 70:250]
                small = cv2.resize(face, (36, 40), interpolation=cv2.INTER_AREA)
                frame[50:210, 85:235] = cv2.resize(small, (180, 200))[20:180, 15:165]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def test_a_change_is_told_everywhere_and_is_not_clear(clip: bytes) -> None:
    report = examine(clip, Settings(only=(import_module(PROBE).CARD.id,)))
    (finding,) = report.findings
    person = next(part for part, _ in finding.parts[1:] if part.where.subject == "person 1")
    start, end = person.facts["stretch"]  # type: ignore[misc]
    assert abs(float(start) - 2) < 0.5 and abs(float(end) - 4) < 0.5
    assert f"From {float(start):.1f} s" in finding.summary
    answers = {a.where.subject: a for a in report.verdict.answers
               if a.question is Question.FACE_FORGED}  # fmt: skip
    assert {one.decision for one in answers.values()} == {Decision.INCONCLUSIVE}
    assert f"From {float(start):.1f} s" in render_section(report, open_media(clip))


PROBE = "bonafide.detectors.face.face_probe"
