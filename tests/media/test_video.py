"""Videos give facts and a bounded stream of frames."""

from __future__ import annotations

import io

import numpy as np
import pytest

from bonafide.errors import DecodeError, LimitExceeded, MediaError, UnsupportedFormat
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.media.video import Video
from bonafide.testing import sample_files

av = pytest.importorskip("av")


def clip(
    sizes: tuple[tuple[int, int], ...] = ((64, 48),) * 20,
    container: str = "mp4",
    codec: str = "mpeg4",
    audio: bool = False,
) -> bytes:
    """Grey frames at 10 per second, frame k of level 10·k."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuv420p"
        sound = output.add_stream("aac", rate=8000) if audio else None
        for number, (width, height) in enumerate(sizes):
            level = np.full((height, width, 3), 10 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(level, format="rgb24")))
        output.mux(stream.encode())
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
            )
            silence.sample_rate = 8000
            output.mux(sound.encode(silence))
            output.mux(sound.encode())
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("mp4", "mpeg4", "MP4"),
        ("mov", "mpeg4", "MOV"),
        ("matroska", "mpeg4", "MKV"),
        ("avi", "mpeg4", "AVI"),
    ],
)
def test_containers(container: str, codec: str, name: str) -> None:
    try:
        data = clip(container=container, codec=codec)
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"{container}/{codec} cannot be written here: {error}")
    media = open_media(data)
    assert isinstance(media, Video)
    assert media.format == name
    assert (media.width, media.height, media.codec) == (64, 48, codec)
    assert media.frame_rate == pytest.approx(10, rel=0.01)
    assert media.duration == pytest.approx(2.0, abs=0.2)
    assert not media.has_audio
    assert len(list(media.frames())) == 20


def test_frames_come_in_order_with_their_times() -> None:
    media = Video(clip())
    found = list(media.frames())
    assert [seconds for seconds, _ in found] == pytest.approx([k / 10 for k in range(20)])
    for number, (_, frame) in enumerate(found):
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert abs(int(frame.mean()) - 10 * number) <= 6
    assert len(list(media.frames())) == 20, "a second pass starts again"


def test_rate_thins_frames() -> None:
    media = Video(clip())
    assert [seconds for seconds, _ in media.frames(rate=2)] == pytest.approx([0, 0.5, 1.0, 1.5])
    assert len(list(media.frames(rate=1000))) == 20


def test_frames_are_limited() -> None:
    media = Video(clip(), limits=Limits(frames=7))
    assert len(list(media.frames())) == 7


def test_frame_size_is_limited_in_the_header() -> None:
    with pytest.raises(LimitExceeded, match="--max-pixels"):
        Video(clip(), limits=Limits(pixels=64 * 48 - 1))


def test_audio_is_noticed() -> None:
    assert Video(clip(audio=True)).has_audio


def test_damaged_videos_are_media_errors() -> None:
    data = clip()
    with pytest.raises(UnsupportedFormat):
        open_media(data[:40])
    with pytest.raises(MediaError):
        list(Video(data[: len(data) // 3]).frames())
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for position in rng.integers(0, len(broken), 12):
            broken[position] = rng.integers(256)
        try:
            media = open_media(bytes(broken))
            if isinstance(media, Video):
                list(media.frames())
        except MediaError:
            pass


def test_a_video_in_an_unknown_codec_has_no_size_and_no_frames() -> None:
    data = clip().replace(b"mp4v", b"zzzz").replace(b"esds", b"free")
    media = Video(data)
    assert (media.width, media.height) == (0, 0) or media.codec
    with pytest.raises(DecodeError):
        list(media.frames())


def test_only_sound_has_no_frames() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        sound = output.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(
            np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
        )
        silence.sample_rate = 8000
        output.mux(sound.encode(silence))
        output.mux(sound.encode())
    media = Video(buffer.getvalue())
    assert media.has_audio and (media.width, media.height, media.codec) == (0, 0, "")
    with pytest.raises(DecodeError):
        list(media.frames())


def test_the_bytes_stay_as_they_are() -> None:
    data = sample_files()["clip.mp4"]
    media = open_media(data)
    assert isinstance(media, Video)
    list(media.frames())
    assert media.data == data
