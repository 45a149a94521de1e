"""Thirty clips that nobody means well with: each gets findings or a typed error."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from skimage import data

sys.path.insert(0, str(Path(__file__).parent.parent / "media"))
from made import clip, turned

from bonafide.errors import MediaError
from bonafide.examination import Examiner, Settings
from bonafide.questions import Question
from bonafide.types import Status

DETECTORS = ("face_probe", "spoof_probe", "frame_probe")


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    return Examiner(Settings(only=DETECTORS, asked=(Question.SPOOFED,), threads=1))


def person(size: tuple[int, int] = (128, 128), count: int = 8, rate: int = 4) -> bytes:
    """A clip of a face that moves."""
    out = io.BytesIO()
    picture = np.ascontiguousarray(data.astronaut()[30:230, 120:320])
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for step in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, step, 1), format="rgb24")
            container.mux(stream.encode(frame.reformat(*size)))
        container.mux(stream.encode())
    return out.getvalue()


def changed(content: bytes, what: bytes, offset: int, value: bytes) -> bytes:
    """A file with some bytes after a marker replaced."""
    start = content.index(what) + offset
    return content[:start] + value + content[start + len(value) :]


def hostile() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every clip."""
    whole, sound = person(), clip(sound=1.0)
    first = clip(header_first=True)
    for share in (2, 10, 50, 90, 99):
        yield f"cut to {share} %", whole[: len(whole) * share // 100]
        yield f"header first, cut to {share} %", first[: len(first) * share // 100]
    for name, matrix in {
        "90": (0, 1, -1, 0), "180": (-1, 0, 0, -1), "270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1),
        "flat": (0, 0, 0, 0),
    }.items():  # fmt: skip
        yield f"turned {name}", turned(whole, *matrix)
    yield "10,000 frames per second", person(rate=10_000)
    yield (
        "a frame, and one much later",
        clip(count=2, rate=1, times=(0, 7_200), container="matroska"),
    )
    yield "one frame", person(count=1)
    yield "no frame", changed(whole, b"stsz", 12, bytes(4))
    yield "one pixel", clip(count=3, size=(1, 1), codec="rawvideo", container="avi")
    yield "two pixels", clip(count=3, size=(2, 2))
    yield "a line", clip(count=3, size=(2, 256))
    yield "sound cut", sound[: len(sound) * 7 // 10]
    yield "sound broken", sound.replace(b"mp4a", b"xxxx")
    yield "video codec unknown", whole.replace(b"avc1", b"zzzz")
    yield "duration of years", changed(whole, b"mvhd", 20, struct.pack(">I", 0xFFFFFFFF))
    yield "duration of nothing", changed(whole, b"mvhd", 20, bytes(4))
    yield "time scale of nothing", changed(whole, b"mdhd", 16, bytes(4))
    yield "noise in the frames", changed(whole, b"mdat", 60, bytes(range(256)) * 4)
    yield "only a header", whole[: whole.index(b"mdat")] if b"mdat" in whole else whole[:40]


CLIPS = dict(hostile())


def test_there_are_thirty() -> None:
    assert len(CLIPS) >= 30


@pytest.mark.parametrize("name", CLIPS)
def test_a_hostile_clip_gets_a_typed_answer(name: str, examiner: Examiner) -> None:
    try:
        report = examiner.examine(CLIPS[name])  # type: ignore[arg-type]
    except MediaError as error:
        assert error.why
        return
    assert {finding.detector for finding in report.findings} == set(DETECTORS)
    for finding in report.findings:
        assert "internal error" not in finding.why
        assert finding.status is Status.OK or finding.why
    assert report.verdict.label
