"""Animated pictures are a picture, their first frame, and a video of all their frames."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import features

from bonafide.errors import MediaError
from bonafide.media.limits import Limits
from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.testing import photograph
from bonafide.types import Kind

DURATIONS = [100, 200, 300, 100, 50, 500]  # milliseconds
STARTS = [0.0, 0.1, 0.3, 0.6, 0.7, 0.75]  # seconds
# Mean error of a pixel: GIF has 256 colours, AVIF is lossy.
FORMATS = {"GIF": 12, "PNG": 0, "WEBP": 0, "AVIF": 12}


def animation(container: str, durations: list[int] | None = None) -> bytes:
    if container == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    durations = durations or DURATIONS
    frames = [Pillow.fromarray(photograph(40, 30, seed)) for seed in range(len(durations))]
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "AVIF": {"speed": 10}}.get(container, {})
    buffer = io.BytesIO()
    frames[0].save(
        buffer, container, save_all=True, append_images=frames[1:], duration=durations, **options
    )
    return buffer.getvalue()


@pytest.mark.parametrize("container", FORMATS)
def test_frames_and_their_times(container: str) -> None:
    media = open_media(animation(container))
    assert (media.kind, media.format) == (Kind.IMAGE, container)
    assert media.image is not None and media.video is not None and media.audio is None
    assert media.tracks == (media.image, media.video)
    video = media.video
    assert (video.width, video.height, video.rotation, video.bit_rate) == (40, 30, 0, None)
    assert video.codec == {"PNG": "apng"}.get(container, container.lower())
    assert video.frames_declared == 6 and video.duration == pytest.approx(1.25)
    assert video.frame_rate == pytest.approx(4.8)
    frames = list(video.frames())
    assert [frame.seconds for frame in frames] == pytest.approx(STARTS)
    for number, frame in enumerate(frames):
        difference = np.abs(frame.pixels.astype(int) - photograph(40, 30, number)).mean()
        assert difference <= FORMATS[container]
    assert np.array_equal(frames[0].pixels, media.image.pixels)
    assert video.defects == ()


@pytest.mark.parametrize("container", FORMATS)
def test_sampling(container: str) -> None:
    video = open_media(animation(container)).video
    assert video is not None

    def seconds(sampling: Sampling) -> list[float]:
        return [frame.seconds for frame in video.frames(sampling)]

    assert seconds(Sampling(times=(0.15, 0.5, 9.0))) == pytest.approx([0.1, 0.3, 0.75])
    assert seconds(Sampling(fps=2)) == pytest.approx([0.0, 0.3, 0.75])
    frames = video.frames(Sampling(max_kept=2))
    assert len(list(frames)) == 2 == frames.decoded
    limited = open_media(animation(container), limits=Limits(frames=3)).video
    assert limited is not None and len(list(limited.frames())) == 3


def test_durations_that_browsers_ignore() -> None:
    video = open_media(animation("GIF", [0, 0, 0])).video
    assert video is not None
    assert [frame.seconds for frame in video.frames()] == pytest.approx([0.0, 0.1, 0.2])


@pytest.mark.parametrize("container", ["PNG", "GIF", "WEBP", "TIFF", "JPEG"])
def test_still_pictures_are_no_video(container: str) -> None:
    buffer = io.BytesIO()
    picture = Pillow.fromarray(photograph(40, 30))
    more: dict[str, Any] = {}
    if container == "TIFF":  # pages are no animation
        more = {"save_all": True, "append_images": [picture.rotate(180)]}
    picture.save(buffer, container, **more)
    media = open_media(buffer.getvalue())
    assert media.image is not None and media.video is None
    assert media.image.frames == (2 if container == "TIFF" else 1)


@pytest.mark.parametrize("container", FORMATS)
def test_truncated_animations(container: str) -> None:
    data = animation(container)
    for share in (0.3, 0.6, 0.9):
        try:
            media = open_media(data[: int(len(data) * share)])
            if media.video is not None:
                found = list(media.video.frames())
                assert len(found) <= 6
                assert len(found) == 6 or media.video.defects
        except MediaError:
            pass
