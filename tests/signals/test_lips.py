"""The offset between a mouth and a sound is found, with its sign."""

from __future__ import annotations

import numpy as np
import pytest

from bonafide.signals import lips
from bonafide.signals.speech import RATE
from bonafide.testing.sounds import babble

SECONDS = 8.0


def mouth_of(samples: np.ndarray, late: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Times and crops of a mouth that opens `late` seconds after the sound."""
    times = 0.5 + np.arange(int((SECONDS - 1) * lips.FPS)) / lips.FPS
    power = np.convolve(samples.astype(float) ** 2, np.ones(800) / 800, "same")
    level = np.interp(times - late, np.arange(len(power)) / RATE, np.sqrt(power))
    level = level / level.max()
    random = np.random.default_rng(0)
    crops = random.normal(150, 4, (len(times), 48, 48))
    for number, width in enumerate(np.rint(8 * level).astype(int)):
        crops[number, 28 - width : 28 + width, 16:32] -= 90
    return times, np.clip(crops, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("late", [-0.3, -0.08, 0.0, 0.2])
def test_the_offset_is_found(late: float) -> None:
    samples = babble(SECONDS, seed=3)
    times, crops = mouth_of(samples, late)
    curve = lips.agreement(times, lips.opening(crops), lips.loudness(samples), 0.0)
    offset, best = lips.peak(curve)
    assert offset == pytest.approx(-late, abs=0.04)
    assert best > 0.35


def test_another_sentence_agrees_less() -> None:
    right, wrong = babble(SECONDS, seed=3), babble(SECONDS, seed=4)
    times, crops = mouth_of(right)
    opened = lips.opening(crops)
    best = [lips.peak(lips.agreement(times, opened, lips.loudness(one), 0.0))[1]
            for one in (right, wrong)]  # fmt: skip
    assert best[0] > best[1] + 0.15


def test_the_local_correlation_falls_where_the_sound_is_another() -> None:
    right = babble(SECONDS, seed=3)
    mixed = np.concatenate([right[: 4 * RATE], babble(4.0, seed=9)])
    times, crops = mouth_of(right)
    found = lips.local(times, lips.opening(crops), lips.loudness(mixed), 0.0, 0.0)
    assert found[times < 3].mean() > found[times > 5].mean() + 0.2
    assert np.abs(found).max() <= 1 + 1e-9


def test_a_mouth_that_never_moves_agrees_with_nothing() -> None:
    times = np.arange(50) / lips.FPS
    crops = np.full((50, 48, 48), 120, np.uint8)
    curve = lips.agreement(times, lips.opening(crops), lips.loudness(babble(3.0)), 0.0)
    assert np.abs(curve).max() < 1e-6
    assert lips.peak(curve)[1] < 1e-6


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_frames_are_no_error(count: int) -> None:
    crops = np.random.default_rng(0).integers(0, 255, (count, 48, 48)).astype(np.uint8)
    times = np.arange(count) / lips.FPS
    curve = lips.agreement(times, lips.opening(crops), lips.loudness(babble(1.0)), 0.0)
    assert np.isfinite(curve).all()
