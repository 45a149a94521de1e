"""Videos give upright frames by their own time stamps, and decode little more than is asked for."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import av
import made
import numpy as np
import pytest
from PIL import Image as Pillow

from bonafide.errors import DecodeError, LimitExceeded, MediaError, UnsupportedFormat
from bonafide.media.limits import Limits
from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.media.video import VideoTrack
from bonafide.testing import sample_files
from bonafide.types import Kind


def track(data: bytes | Path, limits: Limits | None = None) -> VideoTrack:
    video = open_media(data, limits=limits).video
    assert video is not None
    return video


def seconds(video: VideoTrack, sampling: Sampling | None = None) -> list[float]:
    return [frame.seconds for frame in video.frames(sampling)]


@pytest.mark.parametrize(
    ("container", "name"), [("mp4", "MP4"), ("mov", "MOV"), ("matroska", "MKV"), ("avi", "AVI")]
)
def test_containers(container: str, name: str) -> None:
    media = open_media(made.clip(container=container))
    video = media.video
    assert video is not None and media.audio is None and media.image is None
    assert (media.kind, media.format, media.tracks) == (Kind.VIDEO, name, (video,))
    assert (video.width, video.height, video.codec, video.rotation) == (64, 48, "mpeg4", 0)
    assert video.frame_rate == pytest.approx(10, rel=0.01)
    assert video.duration == pytest.approx(2.0, abs=0.2)
    assert video.frames_declared in (20, None)
    assert video.bit_rate is None or video.bit_rate > 0
    assert len(seconds(video)) == 20 and video.defects == ()


@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("mpeg", "mpeg1video", "MPEG"), ("vob", "mpeg2video", "MPEG"),
        ("mpegts", "mpeg2video", "TS"), ("flv", "flv1", "FLV"), ("asf", "wmv2", "ASF"),
    ],
)  # fmt: skip
def test_older_containers(container: str, codec: str, name: str) -> None:
    media = open_media(made.clip(container=container, codec=codec, rate=25))
    assert media.video is not None and (media.kind, media.format) == (Kind.VIDEO, name)
    found = seconds(media.video, Sampling(max_kept=15))
    assert len(found) == 15 and found == sorted(found)


def test_frames_come_in_order_with_their_times() -> None:
    video = track(made.clip())
    frames = video.frames()
    found = list(frames)
    assert [frame.seconds for frame in found] == pytest.approx([k / 10 for k in range(20)])
    assert [frame.index for frame in found] == list(range(20))
    for number, frame in enumerate(found):
        assert frame.pixels.shape == (48, 64, 3) and frame.pixels.dtype == np.uint8
        assert abs(float(frame.pixels[24:].mean()) - 10 * number % 200) <= 6
    assert (frames.decoded, frames.kept, frames.stopped) == (20, 20, "")
    assert len(seconds(video)) == 20, "a second pass starts again"


def test_a_variable_frame_rate_is_read_by_time_stamps() -> None:
    times = [0, 1, 2, 10, 11, 40, 41, 42, 43, 90]
    video = track(made.clip(times=times))
    assert seconds(video) == pytest.approx([stamp / 10 for stamp in times])
    shown = Sampling(times=(0.05, 0.99, 1.0, 3.9, 8.0, 9.0))
    assert seconds(video, shown) == pytest.approx([0.0, 0.2, 1.0, 1.1, 4.3, 9.0])
    assert seconds(video, Sampling(fps=1)) == pytest.approx([0.0, 1.0, 1.1, 4.0, 4.3, 9.0])


@pytest.mark.parametrize(
    ("matrix", "rotation", "corner"),
    [
        (made.IDENTITY, 0, (0, 0)),
        ((0, 1, -1, 0), 90, (0, -1)),
        ((-1, 0, 0, -1), 180, (-1, -1)),
        ((0, -1, 1, 0), 270, (-1, 0)),
        ((-1, 0, 0, 1), 0, (0, -1)),  # mirrored
    ],
)
def test_frames_are_turned_upright(
    matrix: tuple[int, int, int, int], rotation: int, corner: tuple[int, int]
) -> None:
    video = track(made.turned(made.clip(), *matrix))
    size = (48, 64) if rotation in (90, 270) else (64, 48)
    assert (video.width, video.height) == size
    assert video.rotation == rotation
    for frame in video.frames(Sampling(max_kept=3)):
        assert frame.pixels.shape == (*size[::-1], 3) and frame.pixels.flags.c_contiguous
        white = frame.pixels[..., 0] > 235
        side = made.CORNER - 2
        rows = slice(0, side) if corner[0] == 0 else slice(-side, None)
        columns = slice(0, side) if corner[1] == 0 else slice(-side, None)
        assert white[rows, columns].all() and white.sum() <= (made.CORNER + 2) ** 2


def test_a_rate_thins_frames() -> None:
    video = track(made.clip())
    assert seconds(video, Sampling(fps=2)) == pytest.approx([0, 0.5, 1.0, 1.5])
    assert len(seconds(video, Sampling(fps=1000))) == 20
    assert seconds(video, Sampling(fps=0.01)) == [0.0]


def test_times_beyond_both_ends_mean_the_first_and_the_last_frame() -> None:
    video = track(made.clip())
    assert seconds(video, Sampling(times=(99.0, -5.0))) == pytest.approx([0.0, 1.9])
    assert seconds(video, Sampling(times=(0.51, 0.52, 0.59))) == pytest.approx([0.5])
    assert seconds(video, Sampling(times=())) == []


def test_spread_takes_the_middles_of_equal_parts() -> None:
    assert Sampling.spread(10.0, 5).times == (1.0, 3.0, 5.0, 7.0, 9.0)
    video = track(made.clip(100))
    assert seconds(video, Sampling.spread(video.duration, 5)) == pytest.approx([1, 3, 5, 7, 9])


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mpeg4"), ("mp4", "libx264"), ("matroska", "libx264"), ("avi", "mpeg4")],
)
def test_sampling_decodes_little_more_than_it_keeps(container: str, codec: str) -> None:
    try:
        av.codec.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"no encoder {codec} here")
    video = track(made.clip(600, container=container, codec=codec))
    every = seconds(video)
    for sampling in (Sampling.spread(60.0, 5), Sampling(fps=1 / 12), Sampling(times=(5.05, 30.05))):
        frames = video.frames(sampling)
        found = [frame.seconds for frame in frames]
        assert found == [max(t for t in every if t <= s + 1e-6) for s in sampling.times or found]
        assert len(found) in (2, 5)
        # A group of 12 frames each; more where the container does not say where keyframes are.
        assert frames.decoded <= 30 * len(found)


def test_keyframes_alone() -> None:
    data = made.clip(60, keyframe_every=12)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        keys = [
            float(one.pts * one.time_base)
            for one in container.demux(stream)
            if one.is_keyframe and one.pts is not None
        ]
    video = track(data)
    frames = video.frames(Sampling(keyframes=True))
    assert [frame.seconds for frame in frames] == pytest.approx(keys)
    assert 5 <= frames.decoded == len(keys) < 15
    assert video.defects == ()


def test_what_is_decoded_is_bounded() -> None:
    video = track(made.clip(60))
    frames = video.frames(Sampling(max_decoded=7))
    assert len(list(frames)) == 7 == frames.decoded
    assert "7 frames that were decoded" in frames.stopped
    frames = video.frames(Sampling(times=(0.0, 5.0), max_decoded=4))
    list(frames)
    assert frames.decoded == 4 and frames.stopped
    frames = video.frames(Sampling(max_seconds=0.0))
    assert len(list(frames)) <= 1 and "0 s of decoding" in frames.stopped
    frames = video.frames(Sampling(max_kept=3))
    assert len(list(frames)) == 3 == frames.decoded
    assert len(seconds(track(made.clip(), Limits(frames=7)))) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"times": (1.0,), "fps": 1.0},
        {"fps": 0.0},
        {"fps": float("inf")},
        {"times": (float("nan"),)},
    ],
)
def test_impossible_samplings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Sampling(**wrong)


def test_frame_size_is_limited_in_the_header() -> None:
    with pytest.raises(LimitExceeded, match="--max-pixels"):
        open_media(made.clip(), limits=Limits(pixels=64 * 48 - 1))


def test_a_video_with_sound_has_two_tracks() -> None:
    media = open_media(made.clip(sound=2.0))
    assert [one.kind for one in media.tracks] == [Kind.VIDEO, Kind.AUDIO]
    assert media.audio is not None and media.audio.codec == "aac"


def test_only_sound_in_a_container_of_videos() -> None:
    media = open_media(made.sound("mp4", "aac"))
    assert (media.kind, media.format, media.video) == (Kind.AUDIO, "MP4", None)


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi"])
def test_a_truncated_video_gives_what_it_has(container: str) -> None:
    whole = made.clip(100, container=container, header_first=True)
    if container == "mp4":
        assert whole.index(b"moov") < whole.index(b"mdat")
    video = track(whole[: len(whole) * 6 // 10])
    found = seconds(video)
    assert 20 < len(found) < 90
    assert video.defects
    assert any("damaged after" in one or "ends after" in one for one in video.defects)
    # A time in what is missing gives the last frame that is there, not an error.
    assert seconds(video, Sampling(times=(0.0, 9.5)))[-1] >= found[-1] - 1.3


def test_damage_in_the_middle_is_passed_over() -> None:
    whole = made.clip(100)
    middle = whole.index(b"mdat") + (whole.index(b"moov") - whole.index(b"mdat")) // 2
    video = track(whole[:middle] + bytes(400) + whole[middle + 400 :])
    found = seconds(video)
    assert found[0] == 0.0 and found[-1] > 9.0 and len(found) < 100
    assert any("damaged after" in one for one in video.defects)
    assert seconds(video, Sampling.spread(10.0, 5))[-1] == pytest.approx(9.0)


def test_damaged_videos_are_media_errors() -> None:
    data = made.clip()
    with pytest.raises(UnsupportedFormat, match="header"):
        open_media(data[:40])
    with pytest.raises(MediaError):
        list(track(data[: len(data) // 3]).frames())
    rng = np.random.default_rng(1)
    for _ in range(60):
        broken = bytearray(data)
        for position in rng.integers(0, len(broken), 12):
            broken[position] = rng.integers(256)
        try:
            media = open_media(bytes(broken))
            for one in (media.video, media.audio):
                if isinstance(one, VideoTrack):
                    list(one.frames())
                    list(one.frames(Sampling(times=(0.1, 1.0, 1.5))))
                    assert min(one.width, one.height) >= 0
        except MediaError:
            pass


def test_a_video_in_an_unknown_codec_has_no_frames() -> None:
    data = made.clip().replace(b"mp4v", b"zzzz").replace(b"esds", b"free")
    video = track(data)
    assert (video.codec, video.width, video.height, video.rotation)[0::3] == ("", 0)
    with pytest.raises(DecodeError):
        list(video.frames())


def test_nothing_that_decodes_is_an_error() -> None:
    data = made.clip()
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    video = track(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(DecodeError, match="no frame"):
        list(video.frames())


def test_a_playlist_that_names_other_files_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(made.clip())
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path}/secret.mp4\n"
    with pytest.raises(UnsupportedFormat):
        open_media(playlist.encode())
    disguised = b"\x00\x00\x00\x18ftypisom" + playlist.encode()
    with pytest.raises(UnsupportedFormat):
        open_media(disguised)


def test_a_cover_picture_is_no_video() -> None:
    cover = io.BytesIO()
    Pillow.new("RGB", (32, 32), "red").save(cover, "JPEG")
    picture = b"\x00image/jpeg\x00\x03\x00" + cover.getvalue()
    frame = b"APIC" + len(picture).to_bytes(4, "big") + b"\x00\x00" + picture
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    media = open_media(b"ID3\x03\x00\x00" + size + frame + made.sound("mp3", "libmp3lame", 1.0))
    assert (media.kind, media.format, media.video) == (Kind.AUDIO, "MP3", None)
    assert media.audio is not None and media.audio.channels == 2


def test_the_bytes_stay_as_they_are() -> None:
    data = sample_files()["clip.mp4"]
    media = open_media(data)
    assert media.video is not None
    list(media.video.frames())
    assert media.read() == data


def test_two_hours_take_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    short, long = tmp_path / "short.mp4", tmp_path / "long.mp4"
    short.write_bytes(made.clip(60, (32, 32), rate=1))
    long.write_bytes(made.clip(7200, (32, 32), rate=1))
    peaks = []
    for path in (short, short, long):  # the first pass pays for imports
        tracemalloc.start()
        try:
            video = track(path)
            for frame in video.frames(Sampling(max_kept=10_000)):
                assert frame.pixels.shape == (32, 32, 3)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + 200_000
    video = track(long, Limits(frames=10_000))
    assert video.duration == pytest.approx(7200, abs=2)
    frames = video.frames(Sampling.spread(video.duration, 5))
    assert [frame.seconds for frame in frames] == [720, 2160, 3600, 5040, 6480]
    assert frames.decoded <= 5 * 13 + 2


def test_a_video_is_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(made.clip(300, (320, 240), header_first=True))
    monkeypatch.setattr("bonafide.media.container._BUFFER", 4096)
    video = track(path)
    reads: list[int] = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size) or b""
            reads.append(len(found))
            return found

    monkeypatch.setattr(type(video._source), "open", lambda self: Counted(self.path))
    assert len(seconds(video, Sampling(max_kept=2))) == 2
    assert sum(reads) < path.stat().st_size / 2
