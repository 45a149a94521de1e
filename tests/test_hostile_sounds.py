"""Fifty hostile sounds: each gives a finding or a typed error, in bounded time and memory."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from functools import cache

import av
import numpy as np
import pytest

from bonafide import Settings, examine, open_media
from bonafide.errors import MediaError
from bonafide.media.limits import Limits
from bonafide.questions import Question
from bonafide.report.html import render_section
from bonafide.testing.sounds import babble, wav
from bonafide.types import Status

VOICES = Settings(only=("voice_probe",), limits=Limits(sound_seconds=60.0), threads=1)
PCM, FLOAT = 1, 3


def riff(
    body: bytes, rate: int, channels: int = 1, bits: int = 16, kind: int = PCM,
    size: int | None = None,
) -> bytes:  # fmt: skip
    """A WAV whose header says what the test wants it to say."""
    block = min(channels * bits // 8, 65_535)
    form = struct.pack("<HHIIHH", kind, channels, rate, min(rate * block, 2**32 - 1), block, bits)
    size = len(body) if size is None else size
    head = struct.pack("<4sI4s4sI", b"RIFF", min(36 + size, 2**32 - 1), b"WAVE", b"fmt ", len(form))
    return head + form + struct.pack("<4sI", b"data", min(size, 2**32 - 1)) + body


def coded(codec: str, container: str, rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        sound = np.rint(babble(3) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
        frame.sample_rate = 16_000
        form = stream.codec_context
        form.open()
        size = form.frame_size or None
        resampler = av.AudioResampler(form.format.name, "mono", rate, frame_size=size)
        for one in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(one))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def with_id3(mp3: bytes, declared: int, body: bytes) -> bytes:
    """An MP3 after an ID3v2 tag that declares so many bytes."""
    size = bytes(declared >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + body + mp3


@cache
def hostile() -> Mapping[str, bytes]:
    spoken = babble(3)
    words = np.rint(spoken * 32767).astype("<i2").tobytes()
    whole = wav(spoken)
    mp3, ogg = coded("libmp3lame", "mp3"), coded("libopus", "ogg", 48_000)
    flac, aac, m4a = coded("flac", "flac"), coded("aac", "adts"), coded("aac", "mp4")
    floats = spoken.astype("<f4").copy()
    random = np.random.default_rng(0)
    files = {
        "one_hertz.wav": riff(words, 1),
        "zero_hertz.wav": riff(words, 0),
        "384_kilohertz.wav": riff(words, 384_000),
        "four_gigahertz.wav": riff(words, 2**32 - 1),
        "64_channels.wav": riff(words, 16_000, channels=64),
        "255_channels.wav": riff(words, 16_000, channels=255),
        "65535_channels.wav": riff(words, 16_000, channels=65_535),
        "no_channels.wav": riff(words, 16_000, channels=0),
        "no_bits.wav": riff(words, 16_000, bits=0),
        "three_bits.wav": riff(words, 16_000, bits=3),
        "64_bits.wav": riff(words, 16_000, bits=64),
        "unknown_codec.wav": riff(words, 16_000, kind=0x7777),
        "ten_hours_of_silence.wav": riff(bytes(32_000), 8_000, size=10 * 3600 * 8_000 * 2),
        "size_of_four_gigabytes.wav": riff(words, 16_000, size=2**32 - 1),
        "size_zero.wav": riff(words, 16_000, size=0),
        "odd_bytes.wav": riff(words + b"\x01", 16_000),
        "empty_data.wav": riff(b"", 16_000),
        "one_sample.wav": riff(b"\x01\x00", 16_000),
        "header_alone.wav": whole[:44],
        "half_a_header.wav": whole[:20],
        "magic_alone.wav": b"RIFF",
        "nothing.wav": b"",
        "not_a_sound.wav": b"A text that is called a sound.\n" * 40,
        "random.wav": b"RIFF\xff\xff\xff\xffWAVE" + random.bytes(4000),
        "loud_noise.wav": riff(random.bytes(96_000), 16_000),
        "full_scale.wav": riff(b"\xff\x7f" * 48_000, 16_000),
        "silence.wav": riff(bytes(96_000), 16_000),
        "direct_current.wav": riff(b"\x00\x20" * 48_000, 16_000),
        "eight_bits.wav": riff(bytes((spoken * 127 + 128).astype(np.uint8)), 16_000, bits=8),
    }
    for name, value in (("nan", np.nan), ("inf", np.inf), ("huge", 3e38), ("tiny", 1e-42)):
        dirty = floats.copy()
        dirty[::50] = value
        files[f"{name}_floats.wav"] = riff(dirty.tobytes(), 16_000, bits=32, kind=FLOAT)
        files[f"all_{name}.wav"] = riff(
            np.full(48_000, value, "<f4").tobytes(), 16_000, bits=32, kind=FLOAT
        )
    for name, data in (("mp3", mp3), ("ogg", ogg), ("flac", flac), ("aac", aac), ("m4a", m4a)):
        files[f"truncated.{name}"] = data[: len(data) // 2]
        broken = bytearray(data)
        broken[len(data) // 2 : len(data) // 2 + 200] = random.bytes(200)
        files[f"broken.{name}"] = bytes(broken)
    files |= {
        "id3_bomb.mp3": with_id3(mp3, 2**28 - 1, b""),
        "id3_of_a_megabyte.mp3": with_id3(mp3, 2**20, bytes(2**20)),
        "id3_in_id3.mp3": with_id3(with_id3(mp3, 0, b""), 0, b""),
        "id3_of_frames.mp3": with_id3(mp3, 11_000, b"TXXX\x00\x00\x00\x01\x00\x00\x00" * 1_000),
        "two_in_one.mp3": mp3 + whole,
        "named_otherwise.flac": mp3,
    }  # fmt: skip
    return files


def test_there_are_fifty() -> None:
    assert len(hostile()) >= 50


@pytest.mark.parametrize("name", sorted(hostile()))
def test_a_hostile_sound_gets_a_typed_answer(name: str) -> None:
    data = hostile()[name]
    try:
        media = open_media(data, name)
        report = examine(media, VOICES)
    except MediaError as error:
        assert error.why and name in str(error)
        return
    (finding,) = report.findings
    assert finding.question is Question.VOICE_CLONED
    if finding.status is Status.OK:
        assert finding.score is not None and np.isfinite(finding.score)
        assert np.isfinite(finding.main.series[0].values).all()
    else:
        assert finding.why
        assert "internal error" not in finding.why
    assert "<section" in render_section(report, media)


def test_detectors_of_pictures_are_not_asked_about_a_sound() -> None:
    report = examine(wav(babble(3)), Settings(threads=1))
    asked = {finding.detector for finding in report.findings}
    assert "voice_probe" in asked and "copy_move" not in asked
    assert report.untested["copy_move"] == "it reads images, not sounds"
    named = examine(wav(babble(3)), Settings(only=("copy_move",)))
    assert named.findings[0].why == "it reads images, not sounds"
