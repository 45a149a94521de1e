"""A video goes the whole way: frames, a pooled score, a series, every form of report."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import av
import jsonschema
import numpy as np
import pytest

from bonafide import Settings, examine, to_dict
from bonafide.report.html import render_section
from bonafide.testing import photograph
from bonafide.types import Question, Status

FRAMES = "frame_probe"
SCHEMA = Path(__file__).parent.parent / "docs" / "report.schema.json"


def clip(seconds: int = 3, rate: int = 5) -> bytes:
    """A soundless MP4 of a picture that moves, 192×128 pixels."""
    picture = photograph(256, 192)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.bit_rate = 192, 128, 2_000_000
        for number in range(seconds * rate):
            shifted = np.ascontiguousarray(picture[number : number + 128, number : number + 192])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shifted, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def examined() -> tuple[bytes, object]:
    data = clip()
    return data, examine(data, Settings(only=(FRAMES, "c2pa_manifest")))


def test_frames_are_pooled_into_one_answer(examined: tuple[bytes, object]) -> None:
    report = examined[1]
    finding = next(one for one in report.findings if one.detector == FRAMES)  # type: ignore[attr-defined]
    assert finding.status is Status.OK
    (series,) = finding.main.series
    frames = finding.parts[1:]
    assert len(frames) == len(series.times) == finding.facts["frames"] > 3
    assert all(part.where.span is not None for part, _ in frames)
    assert finding.score == pytest.approx(float(np.mean(series.values)), abs=1e-3)
    asked = {answer.question for answer in report.verdict.answers}  # type: ignore[attr-defined]
    assert Question.SYNTHETIC in asked


def test_every_form_of_report_shows_the_time(examined: tuple[bytes, object]) -> None:
    data, report = examined
    record = to_dict(report)  # type: ignore[arg-type]
    jsonschema.validate(json.loads(json.dumps(record)), json.loads(SCHEMA.read_text("utf-8")))
    from bonafide import open_media

    page = render_section(report, open_media(data, "clip.mp4"))  # type: ignore[arg-type]
    assert "<svg" in page
    assert page.count("data:image/") >= 4  # a strip of frames


def test_the_command_line_takes_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip())
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "bonafide", str(path), "--only", FRAMES, "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Looks like the work of a generator" in page.read_text("utf-8")
