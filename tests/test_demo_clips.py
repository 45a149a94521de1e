"""The demonstration clips are as described, and the report tells the person and the times."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from bonafide.cli import demo_clips
from bonafide.cli.demo import DemoFile
from bonafide.cli.demo_clips import FORGED, FORGED_FROM, FORGED_TO, GENUINE, make_clips
from bonafide.examination import Settings, examine
from bonafide.media.source import open_media
from bonafide.networks.faces import find_faces
from bonafide.report.html import render_section
from bonafide.types import Question

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DemoFile]:
    files = make_clips(tmp_path_factory.mktemp("clips"))
    assert not isinstance(files, str), files
    return {file.path.name: file for file in files}


def frames(file: DemoFile) -> tuple[list[float], np.ndarray]:
    track = open_media(file.path).video
    assert track is not None
    found = list(track.frames())
    return [one.seconds for one in found], np.stack([one.pixels for one in found])


def test_the_clips_differ_in_the_face_and_for_the_time_that_is_said(
    made: dict[str, DemoFile],
) -> None:
    times, genuine = frames(made[GENUINE])
    _, forged = frames(made[FORGED])
    assert genuine.shape == forged.shape == (42, 448, 448, 3)
    assert all(np.any(a != b) for a, b in zip(genuine[1:], genuine[:-1], strict=True))
    face = find_faces(genuine[20])[0]
    rows = slice(round(face.y), round(face.y + face.height))
    columns = slice(round(face.x), round(face.x + face.width))
    change = np.abs(genuine.astype(int) - forged.astype(int)).mean(3)
    inside = change[:, rows, columns].mean((1, 2))
    outside = change[:, 320:, :].mean((1, 2))
    told = np.array([FORGED_FROM - 0.01 <= time < FORGED_TO - 0.01 for time in times])
    assert inside[told].min() > 2 * inside[~told].max()
    assert inside[told].min() > 3 * outside[told].max()


def test_both_are_described_and_made_alike_again(made: dict[str, DemoFile], tmp_path: Path) -> None:
    for file in make_clips(tmp_path):
        assert isinstance(file, DemoFile)
        assert file.done.endswith(".") and file.expect.endswith(".")
        before, now = frames(made[file.path.name])[1], frames(file)[1]
        assert np.abs(before.astype(int) - now.astype(int)).mean() < 3  # the encoder varies


def test_the_report_tells_the_person_and_the_times(made: dict[str, DemoFile]) -> None:
    told = {}
    for name, file in made.items():
        report = examine(file.path, Settings(only=("face_probe",)))
        (finding,) = report.findings
        persons = [part for part, _ in finding.parts if part.where.subject and not part.where.span]
        assert [one.where.subject for one in persons] == ["person 1"]
        told[name] = persons[0].facts.get("stretch")
        answers = [a for a in report.verdict.answers if a.question is Question.FACE_FORGED]
        assert [a.where.subject for a in answers] == [None, "person 1"]
        page = render_section(report, open_media(file.path))
        assert "person 1" in page and page.count("data:image/") > 6
    assert told[GENUINE] is None
    start, end = told[FORGED]
    assert abs(start - FORGED_FROM) < 0.3 and abs(end - FORGED_TO) < 0.3


def test_without_an_encoder_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise av.error.EncoderNotFoundError(1, "no encoder")

    monkeypatch.setattr(demo_clips, "_write", refuse)
    found = make_clips(tmp_path)
    assert isinstance(found, str) and found.startswith("No clips were made")
    assert not list(tmp_path.iterdir())
