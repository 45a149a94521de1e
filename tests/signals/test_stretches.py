"""A stretch of higher scores is found within half a step, and noise has none."""

from __future__ import annotations

import numpy as np

from bonafide.signals.stretches import highest_stretch

TIMES = np.arange(24) * 10 / 24


def test_three_of_ten_seconds() -> None:
    for seed in range(20):
        values = np.random.default_rng(seed).normal(0, 0.5, 24)
        values[(TIMES > 4) & (TIMES < 7)] += 3
        found = highest_stretch(TIMES, values)
        assert found is not None
        assert abs(found.start - 4) < 0.5 and abs(found.end - 7) < 0.5
        assert found.inside > found.outside + 2


def test_noise_seldom_has_a_stretch() -> None:
    noise = [np.random.default_rng(seed).normal(0, 1, 24) for seed in range(200)]
    assert sum(highest_stretch(TIMES, values) is not None for values in noise) <= 4


def test_a_lower_stretch_is_none_and_few_values_are_too_few() -> None:
    values = np.zeros(24)
    values[8:14] -= 5
    inner = highest_stretch(TIMES, values + np.random.default_rng(0).normal(0, 0.1, 24))
    assert inner is None or inner.outside < inner.inside
    assert highest_stretch(TIMES[:5], np.ones(5)) is None
