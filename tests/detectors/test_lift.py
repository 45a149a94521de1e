"""Detectors of pictures, asked about the frames of clips that are made here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide import registry
from bonafide.detectors.lift import FRAMES, POOLS, Lifted
from bonafide.errors import DecodeError
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.testing import check_finding, measure, photograph
from bonafide.types import (
    Card,
    Finding,
    Kind,
    Measured,
    Measurement,
    NotApplicable,
    Question,
    ScoreMap,
    Span,
    Status,
    Where,
)

CARD = Card(
    id="brightness.frames",
    version="1",
    question=Question.SYNTHETIC,
    title="Brightness",
    kinds=(Kind.VIDEO,),
    facts=registry.card("spectral_peaks.frames").facts,
    pool="mean",
)


class Brightness:
    """Scores the mean level; says nothing of black frames."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def measure(self, ctx: Context) -> Measured:
        image = ctx.image
        self.seen.append(image.name)
        level = float(image.luma.mean()) / 255
        if level < 0.05:
            return NotApplicable("it is black")
        cells = np.full((-(-image.height // 16), -(-image.width // 16)), level, np.float32)
        return [
            Measurement(
                score=level,
                summary="It is bright.",
                maps=(ScoreMap(cells, 16, image.width, image.height),),
                laundered=level,
            )
        ]


def clip(frames: Sequence[NDArray[np.uint8]], rate: int = 10, container: str = "mp4") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream: Any = file.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        for pixels in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return buffer.getvalue()


def grey(level: int, count: int) -> list[NDArray[np.uint8]]:
    return [np.full((48, 64, 3), level, np.uint8)] * count


def lifted(data: bytes, pool: str = "mean", frames: int = FRAMES) -> Finding:
    card = replace(CARD, pool=pool)
    media = open_media(data, "clip.mp4")
    finding = measure(Lifted(Brightness(), card, frames), media, card)
    check_finding("lifted", card, media, finding)
    return finding


def test_the_series_shows_where_a_clip_changes() -> None:
    finding = lifted(clip(grey(80, 40) + grey(200, 40)))  # 8 seconds
    (series,) = finding.main.series
    assert len(series.times) == FRAMES and finding.facts["frames"] == FRAMES
    assert (np.diff(series.times) > 0).all() and series.times[0] >= 0 and series.times[-1] < 8
    first, second = series.values[series.times < 4], series.values[series.times >= 4]
    assert len(first) == len(second) == FRAMES // 2
    assert first.max() < 0.4 and second.min() > 0.7
    assert finding.facts["highest"] == pytest.approx(200 / 255, abs=0.02)
    assert finding.facts["lowest"] == pytest.approx(80 / 255, abs=0.02)
    assert float(str(finding.facts["highest_at"])) >= 4
    assert finding.main.where == Where() and finding.main.maps == ()


def test_each_frame_is_a_part_with_its_time_and_its_map() -> None:
    finding = lifted(clip(grey(80, 20) + grey(200, 20)), frames=8)
    whole, *parts = (measured for measured, _ in finding.parts)
    assert len(parts) == 8
    for part, second, value in zip(
        parts, whole.series[0].times, whole.series[0].values, strict=True
    ):
        assert part.where == Where("video", Span(second, second))
        assert part.score == pytest.approx(value)
        assert part.maps[0].width == 64 and part.series == ()


@pytest.mark.parametrize(
    ("pool", "expected"), [("mean", np.mean), ("median", np.median), ("maximum", np.max)]
)
def test_scores_are_pooled_as_the_card_says(pool: str, expected: Any) -> None:
    assert pool in POOLS
    finding = lifted(clip(grey(80, 30) + grey(200, 10)), pool)
    scores = [measured.score for measured, _ in finding.parts[1:]]
    assert finding.score == pytest.approx(
        getattr(np, {"maximum": "max"}.get(pool, pool))(scores), abs=1e-4
    )
    assert finding.facts["pool"] == pool and f"The {pool} score of 16 frames" in finding.summary
    assert finding.main.laundered == pytest.approx(np.mean(scores))


def test_frames_of_which_nothing_can_be_said_are_counted() -> None:
    finding = lifted(clip(grey(0, 20) + grey(200, 20)))
    assert finding.facts["frames"] == finding.facts["frames_silent"] == FRAMES // 2
    assert finding.score == pytest.approx(200 / 255, abs=0.02)


def test_a_clip_of_which_no_frame_can_be_measured_is_not_applicable() -> None:
    finding = lifted(clip(grey(0, 20)))
    assert finding.status is Status.NOT_APPLICABLE
    assert "none of 16 frames" in finding.why and finding.why.endswith("it is black")


def test_frames_without_a_score_are_silent_too() -> None:
    class Map:
        def measure(self, ctx: Context) -> Measured:
            return [Measurement(summary="It only draws.")]

    media = open_media(clip(grey(90, 20)), "clip.mp4")
    finding = measure(Lifted(Map(), CARD), media, CARD)
    assert finding.status is Status.NOT_APPLICABLE and "none of 16 frames" in finding.why


def test_a_clip_shorter_than_the_sampling_is_measured_frame_by_frame() -> None:
    finding = lifted(clip(grey(120, 3)))
    assert finding.facts["frames"] == len(finding.parts) - 1 == 3


def test_a_clip_with_no_decodable_frame_is_a_media_error() -> None:
    whole = clip(grey(120, 20))
    begins, ends = whole.index(b"mdat") + 4, whole.index(b"moov") - 4
    media = open_media(whole[:begins] + bytes(ends - begins) + whole[ends:], "clip.mp4")
    with pytest.raises(DecodeError, match=r"clip\.mp4"):
        measure(Lifted(Brightness(), CARD), media, CARD)


def test_a_damaged_tail_is_named_and_the_rest_is_measured() -> None:
    whole = clip([photograph(64, 48, seed) for seed in range(40)], container="matroska")
    media = open_media(whole[: len(whole) // 2], "clip.mkv")
    finding = measure(Lifted(Brightness(), CARD), media, CARD)
    assert finding.status is Status.OK
    assert finding.facts["defects"] == list(media.video.defects) != []  # type: ignore[union-attr]


def test_an_animation_is_measured_like_a_video(tmp_path: Path) -> None:
    pictures = [Pillow.fromarray(pixels) for pixels in (*grey(80, 1), *grey(200, 1))]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=500, loop=0
    )
    media = open_media(tmp_path / "a.gif")
    finding = measure(Lifted(Brightness(), CARD), media, CARD)
    assert [round(float(value), 1) for value in finding.main.series[0].values] == [0.3, 0.8]


def test_the_detector_sees_named_upright_pictures() -> None:
    inner = Brightness()
    media = open_media(clip(grey(90, 20)), "clip.mp4")
    measure(Lifted(inner, CARD, frames=2), media, CARD)
    assert inner.seen == ["clip.mp4 at 0.50 s", "clip.mp4 at 1.50 s"]


def test_a_shipped_detector_is_asked_about_frames() -> None:
    card = registry.card("spectral_peaks.frames")
    frames = [photograph(320, 240, seed) for seed in range(2)]
    media = open_media(clip([frames[0]] * 10 + [frames[1]] * 10), "clip.mp4")
    finding = measure(registry.load(card.id), media, card)
    check_finding(card.id, card, media, finding)
    assert finding.status is Status.OK and finding.facts["frames"] == FRAMES
