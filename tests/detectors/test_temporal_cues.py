"""What was done to the frames of a made clip is told, and nothing of what was not done."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from bonafide.detectors.edited.temporal_cues import CARD, Detector
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.signals.frame_steps import Steps, freezes, swing
from bonafide.signals.periods import period_of
from bonafide.types import Measurement, NotApplicable

Pixels = NDArray[np.uint8]
SIZE = (320, 240)
NOTHING = "No repeated or missing frames"


@cache
def scene(count: int = 150, still: bool = False, fixed: float = 0.0) -> tuple[Pixels, ...]:
    """A camera that moves over a photograph, with noise; `fixed` of it stays at its place."""
    photograph = cv2.resize(data.astronaut(), (640, 640), interpolation=cv2.INTER_AREA)
    random = np.random.default_rng(5)
    sensor = random.normal(0, fixed, (SIZE[1], SIZE[0], 1)) if fixed else 0.0
    found = []
    for number in range(count):
        time = 0.0 if still else number / 25
        x, y = 160 + 120 * np.sin(0.9 * time), 180 + 120 * np.sin(0.7 * time + 1)
        matrix = np.array([[1, 0, -x], [0, 1, -y]])
        seen = cv2.warpAffine(photograph, matrix, SIZE).astype(np.float64)
        noisy = seen * (1 + sensor) + random.normal(0, 1.5, seen.shape)
        found.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return tuple(found)


def mp4(frames: Iterable[Pixels], rate: int = 25, **options: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        options = {"crf": "18", "preset": "veryfast", **options}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, frame in enumerate(frames):
            shown = av.VideoFrame.from_ndarray(frame, format="rgb24")
            shown.pts, shown.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return out.getvalue()


def decoded(content: bytes) -> list[Pixels]:
    track = open_media(content).video
    assert track is not None
    return [frame.pixels for frame in track.frames()]


def measured(content: bytes) -> list[Measurement]:
    found = Detector().measure(Context(open_media(content)))
    assert not isinstance(found, NotApplicable), found
    parts = list(found)
    assert set(parts[0].facts) <= set(CARD.facts)
    assert parts[0].score is None  # it never votes
    return parts


def mixed(frames: Sequence[Pixels]) -> Iterable[Pixels]:
    """A mean of two frames between each two."""
    for one, other in itertools.pairwise(frames):
        yield one
        yield ((one.astype(np.uint16) + other) // 2).astype(np.uint8)


def test_an_untouched_clip_tells_nothing() -> None:
    (whole,) = measured(mp4(scene()))
    assert whole.summary.startswith(NOTHING)
    assert whole.facts["repeated"] == 0 and whole.facts["earlier_groups"] == 0


def test_a_still_scene_is_not_frozen() -> None:
    parts = measured(mp4(scene(80, still=True)))
    assert parts[0].summary.startswith(NOTHING) and len(parts) == 1
    assert parts[0].facts["noise_fixed"] == "cannot be told"


@pytest.mark.parametrize("every", [5, 6])
def test_repeated_frames_of_a_converted_rate_are_told(every: int) -> None:
    frames = []
    for number, frame in enumerate(scene(100)):
        frames += [frame] * (2 if number % (every - 1) == every - 2 else 1)
    (whole,) = measured(mp4(frames))
    assert whole.facts["repeated_every"] == every
    assert f"One frame in {every}" in whole.summary


def test_missing_frames_of_a_converted_rate_are_told() -> None:
    (whole,) = measured(mp4([one for number, one in enumerate(scene()) if number % 5 != 4]))
    assert whole.facts["missing_every"] == 4 and whole.facts["repeated_every"] == 0


def test_interpolated_frames_are_told() -> None:
    (whole,) = measured(mp4(mixed(scene(60)), rate=50))
    assert whole.facts["interpolated_every"] == 2


def test_a_freeze_is_told_with_its_times() -> None:
    frames = scene(100)
    whole, freeze = measured(mp4([*frames[:40], *[frames[40]] * 20, *frames[41:]]))
    span = freeze.where.span
    assert span is not None
    assert abs(span.start - 40 / 25) < 0.1 and abs(span.end - 59 / 25) < 0.1
    assert freeze.summary in whole.summary


@pytest.mark.parametrize("group", [12, 15])
def test_groups_of_an_earlier_compression_are_told(group: int) -> None:
    first = mp4(scene(240), crf="26", g=str(group), sc_threshold="0")
    (once,) = measured(first)
    assert once.facts["earlier_groups"] == 0  # these are its own groups
    (whole,) = measured(mp4(decoded(first), crf="18"))
    assert whole.facts["earlier_groups"] == group
    assert "compressed before" in whole.summary


def test_noise_of_a_sensor_stays_at_its_places() -> None:
    (with_sensor,) = measured(mp4(scene(100, fixed=0.02), crf="14"))
    assert with_sensor.facts["noise_fixed"] == "yes"
    (without,) = measured(mp4(scene(100), crf="14"))
    assert without.facts["noise_fixed"] == "not seen"
    (poor,) = measured(mp4(scene(100, fixed=0.02), crf="38"))
    assert poor.facts["noise_fixed"] == "not seen"


def test_few_frames_are_not_enough() -> None:
    found = Detector().measure(Context(open_media(mp4(scene(10)))))
    assert isinstance(found, NotApplicable) and "10 frames" in found.why


def test_a_regular_event_is_told_from_chance() -> None:
    random = np.random.default_rng(1)
    possible = np.ones(240, bool)
    events = random.random(240) < 0.05
    period = period_of(events, possible, 2, 60)
    assert period is None or period.log10_alarms > -2
    events[7::15] = True
    period = period_of(events, possible, 2, 60)
    assert period is not None and (period.every, period.first) == (15, 7)
    assert period.log10_alarms < -8
    explained = np.where(np.arange(240) % 15 == 7, 1.0, 0.05)
    period = period_of(events, possible, 2, 60, chance=explained)
    assert period is None or period.log10_alarms > -2


def test_numbers_of_empty_and_constant_series() -> None:
    empty = np.zeros(0)
    steps = Steps(empty, empty, np.zeros((0, 2)), empty, empty)
    assert freezes(steps) == [] and swing(empty) == 0.0
    assert swing(np.full(9, 4.0)) == 0.0
    assert swing(np.array([90.0, 110.0] * 5)) == pytest.approx(20.0)
