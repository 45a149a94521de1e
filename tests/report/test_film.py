"""Videos and sounds on the page, and scores along time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bonafide.errors import DecodeError
from bonafide.report import chart
from bonafide.report.film import MOST_FRAMES, film, pick
from bonafide.report.html import render_section
from bonafide.types import Report, Series

from .conftest import Clip, make_video_report, part_changed


def test_every_frame_has_its_map_and_score(video_report: Report, clip: Any) -> None:
    shown = film(video_report, clip)
    assert shown is not None
    assert len(shown.frames) == MOST_FRAMES
    assert [frame.seconds for frame in shown.frames] == sorted(f.seconds for f in shown.frames)
    assert all(len(frame.layers) == len(shown.layers) == 1 for frame in shown.frames)
    assert all(frame.layers[0].uri for frame in shown.frames)
    scores = [float(frame.score) for frame in shown.frames]
    assert scores[shown.shown - 1] == max(scores)
    assert [frame.hit for frame in shown.frames] == [score >= 0.8 for score in scores]


def test_the_strongest_and_some_of_the_others_are_picked(clip: Any) -> None:
    report = make_video_report(clip.video, 60)
    parts = report.findings[0].parts[1:]
    ranked = sorted(parts, key=lambda part: -(part[0].score or 0))
    times = [part.where.span.start for part, _ in ranked if part.where.span]
    assert set(times[:4]) <= set(pick(report, 8))
    picked = pick(report, 8)
    assert len(picked) == 8
    assert max(picked) - min(picked) > 4  # of 8 seconds
    assert pick(report, 1) == times[:1]
    few = make_video_report(clip.video, 3)
    assert len(pick(few, 8)) == 3


def test_points_lead_to_the_frames_that_are_shown(video_report: Report, clip: Any) -> None:
    shown = film(video_report, clip)
    assert shown is not None
    ((line, points),) = shown.charts
    assert [number for _, _, number, _ in points] == list(range(1, MOST_FRAMES + 1))
    assert line.threshold == 0.8
    assert line.length == 8.0


def test_a_video_that_cannot_be_decoded_keeps_its_line(video_report: Report) -> None:
    class Broken:
        def frames(self, sampling: Any) -> Iterator[Any]:
            raise DecodeError("clip.mp4", "the video is damaged")
            yield

    clip = Clip()
    clip.video = Broken()
    shown = film(video_report, clip)
    assert shown is not None
    assert shown.frames == ()
    assert len(shown.charts) == 1
    section = render_section(video_report, clip)
    assert "Scores along time" in section
    assert "data-frame" not in section
    assert "data-point" not in section


def test_without_the_file_and_without_scores_nothing_is_shown(
    video_report: Report, quiet: Report
) -> None:
    assert film(quiet, None) is None
    shown = film(video_report, None)
    assert shown is not None
    assert not shown.frames


def test_a_gap_in_a_sound_breaks_the_line(sound_report: Report) -> None:
    (line,) = chart.charts(sound_report)
    assert line.path.count("M") == 2
    assert "nan" not in line.path
    assert line.ticks == ("0:00.0", "0:07.5", "0:15.0", "0:22.5", "0:30.0")


def test_a_long_series_keeps_its_peaks(sound_report: Report) -> None:
    values = np.zeros(100_000, np.float32)
    values[77_777] = 1.0
    times = np.arange(100_000) / 10
    finding = part_changed(sound_report.findings[0], series=(Series(times, values),))
    (line,) = chart.charts(replace(sound_report, findings=(finding,)))
    assert len(line.times) == chart.MOST_POINTS
    assert max(line.values) == 1.0
    assert len(line.path) < 20_000


values = st.lists(st.floats(-1e6, 1e6, width=32) | st.just(math.nan), min_size=0, max_size=30)


@given(values=values, threshold=st.none() | st.floats(-1e6, 1e6), ascii_only=st.booleans())
def test_any_series_can_be_drawn(
    values: list[float], threshold: float | None, ascii_only: bool
) -> None:
    times = tuple(float(index) for index in range(len(values)))
    line = chart.Chart("x", "X", times, tuple(values), threshold, max(len(values), 1))
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _, _ in line.points)
    assert len(line.points) == sum(map(math.isfinite, values))
    assert len(line.sparkline(20, ascii_only)) == min(20, len(values))
    assert line.summary
