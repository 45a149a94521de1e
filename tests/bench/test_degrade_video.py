"""Degradations of videos, on a clip that is made here."""

from __future__ import annotations

import io
import struct
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bonafide.bench import degrade_video
from bonafide.errors import MediaError
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.media.video import VideoTrack

RATE = 24


def clip(width: int = 96, height: int = 64, frames: int = 24, codec: str = "libx264") -> bytes:
    """A window that slides over a soft texture."""
    texture = np.random.default_rng(0).integers(0, 255, (200, 250, 3), np.uint8)
    texture = cv2.GaussianBlur(texture, (0, 0), 2)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4" if codec == "libx264" else "avi") as container:
        container.metadata["title"] = "mine"
        stream: Any = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p" if codec == "libx264" else "bgr0"
        for number in range(frames):
            window = texture[number : number + height, number : number + width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(window), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


CLIP = clip()


def video_of(data: bytes) -> VideoTrack:
    video = open_media(data).video
    assert video is not None
    return video


def frames_of(data: bytes) -> tuple[list[float], list[NDArray[np.uint8]]]:
    frames = list(video_of(data).frames())
    return [frame.seconds for frame in frames], [frame.pixels for frame in frames]


def difference(one: bytes, other: bytes) -> float:
    pairs = zip(frames_of(one)[1], frames_of(other)[1], strict=True)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


@pytest.mark.parametrize(
    "name", ["h264:28", "h265:32", "fps:10", "height:36", "fps:8+height:40+h264:30"]
)
def test_equal_bytes_from_equal_names(name: str) -> None:
    results = {degrade_video.apply(CLIP, name, seed).data for seed in (0, 0, 1, 1, 2, 2)}
    assert len(results) == 1
    data = results.pop()
    video = video_of(data)
    assert video.codec == ("hevc" if "h265" in name else "h264")
    assert video.duration == pytest.approx(1.0, abs=0.01)
    with av.open(io.BytesIO(data)) as container:
        assert "mp4" in container.format.name
        assert "title" not in container.metadata


def test_native_is_untouched() -> None:
    assert degrade_video.apply(CLIP, "native").data is CLIP


def test_a_higher_factor_costs_more_quality() -> None:
    errors = [
        difference(CLIP, degrade_video.apply(CLIP, f"{codec}:{factor}").data)
        for codec in ("h264", "h265")
        for factor in (10, 28, 45)
    ]
    assert errors[:3] == sorted(errors[:3])
    assert errors[3:] == sorted(errors[3:])
    assert errors[0] < 2 < errors[2]


def test_frame_rate_drops_frames_and_keeps_time() -> None:
    degraded = degrade_video.apply(CLIP, "fps:6")
    times, frames = frames_of(degraded.data)
    assert times == pytest.approx([number / 6 for number in range(6)], abs=1e-4)
    originals = frames_of(CLIP)[1]
    for number, frame in enumerate(frames):
        nearest = min(range(24), key=lambda n: np.abs(originals[n].astype(int) - frame).mean())
        assert nearest == 4 * number
    kept = degrade_video.apply(CLIP, "fps:60")
    assert frames_of(kept.data)[0] == pytest.approx(frames_of(CLIP)[0], abs=1e-4)
    assert kept.notes == ("its rate is 24: no frame was dropped",)


def test_height_shrinks_in_proportion_and_never_enlarges() -> None:
    small = video_of(degrade_video.apply(CLIP, "height:32").data)
    assert (small.width, small.height) == (48, 32)
    odd = video_of(degrade_video.apply(CLIP, "height:33").data)
    assert (odd.width % 2, odd.height) == (0, 32)
    same = degrade_video.apply(CLIP, "height:480")
    assert (video_of(same.data).width, video_of(same.data).height) == (96, 64)
    assert same.notes == ("its height is 64: not enlarged to 480",)


def test_odd_sides_are_cut_not_scaled() -> None:
    odd = clip(61, 43, 5, codec="ffv1")
    assert (video_of(odd).width, video_of(odd).height) == (61, 43)
    result = degrade_video.apply(odd, "h264:5").data
    assert (video_of(result).width, video_of(result).height) == (60, 42)
    for before, after in zip(frames_of(odd)[1], frames_of(result)[1], strict=True):
        assert np.abs(before[:42, :60].astype(int) - after).mean() < 4


def test_steps_are_done_in_order() -> None:
    chained = degrade_video.apply(CLIP, "h264:23+h264:40").data
    first = degrade_video.apply(CLIP, "h264:23").data
    assert chained == degrade_video.apply(first, "h264:40").data
    assert len(frames_of(degrade_video.apply(CLIP, "fps:12+fps:6").data)[0]) == 6
    # The last step that encodes decides, also when frames change after another encoding.
    assert video_of(degrade_video.apply(CLIP, "h264:28+fps:12+h265:30").data).codec == "hevc"


def test_long_videos_are_cut_and_say_so() -> None:
    result = degrade_video.apply(CLIP, "h264:28", limits=Limits(frames=10))
    assert len(frames_of(result.data)[0]) == 10
    assert result.notes == ("cut after 10 frames",)
    assert degrade_video.apply(CLIP, "h264:28", limits=Limits(frames=24)).notes == ()


def test_damaged_videos_keep_what_can_be_decoded_or_are_errors() -> None:
    with pytest.raises(MediaError):
        degrade_video.apply(b"no video", "h264:28")
    with pytest.raises(MediaError):
        degrade_video.apply(CLIP[:200], "h264:28")
    whole = clip(codec="ffv1")
    part = degrade_video.apply(whole[: len(whole) * 6 // 10], "h264:28")
    assert 10 < len(frames_of(part.data)[0]) < 18


def test_a_missing_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, mode: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr(av.codec, "Codec", missing)
    with pytest.raises(RuntimeError, match="libx265"):
        degrade_video.apply(CLIP, "h265:28")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jpeg:75", "no degradation of videos is called 'jpeg'; there are: .*h264:FACTOR"),
        ("h264:52", "whole number from 0 to 51"),
        ("fps:0", "from 0.1 to 240"),
        ("h264:28+native", "stands alone"),
    ],
)
def test_wrong_names_say_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        degrade_video.apply(CLIP, name)


def test_help() -> None:
    assert degrade_video.GRAMMAR.names == ("native", "h264", "h265", "fps", "height")
    assert degrade_video.GRAMMAR.usage["fps:RATE"] == "keep at most RATE frames a second"
    assert degrade_video.GRAMMAR.describe("height:360+h264:28") == (
        "shrink to 360 rows, then encode as H.264 at constant rate factor 28"
    )
    for ladder in degrade_video.LADDERS.values():
        assert list(ladder) == [degrade_video.GRAMMAR.canonical(name) for name in ladder]


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, 1)])
def test_frames_are_turned_upright(matrix: tuple[int, int, int, int]) -> None:
    start = CLIP.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    fields = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    turned = CLIP[:start] + fields + CLIP[start + 36 :]
    result = degrade_video.apply(turned, "h264:10").data
    assert video_of(result).rotation == 0
    assert difference(turned, result) < 6
