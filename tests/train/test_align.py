"""What is done to a pair is done to both, and the mixes are what their formulas say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from bonafide.train.align import (
    Alignment,
    align,
    dct_mix,
    pixel_mix,
    saved_like,
)
from bonafide.train.data import History

NEVER = Alignment(resave=0, pixel=0, dct=0)


def pair(side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    original = random.integers(0, 256, (side, side, 3), np.uint8)
    noise = random.integers(-20, 21, original.shape)
    return original, np.clip(original + noise, 0, 255).astype(np.uint8)


def test_mixes_at_their_ends() -> None:
    original, twin = pair()
    assert np.array_equal(pixel_mix(original, twin, 0), original)
    assert np.array_equal(pixel_mix(original, twin, 1), twin)
    assert np.array_equal(dct_mix(original, twin, 0), twin)
    assert np.array_equal(dct_mix(original, twin, 1), original)


def test_over_all_frequencies_the_mix_is_one_of_pixels() -> None:
    original, twin = pair()
    gap = dct_mix(original, twin, 0.3).astype(int) - pixel_mix(original, twin, 0.7)
    assert np.abs(gap).max() <= 1  # where a half is rounded


def test_the_lowest_frequencies_can_stay_the_twins() -> None:
    original, _ = pair()
    twin = np.full_like(original, 128)
    mixed = dct_mix(original, twin, 1.0, lowest=0.25)
    assert abs(float(mixed.mean()) - 128) < 1
    assert mixed.std() > 0.5 * original.std()


def test_nothing_asked_nothing_done() -> None:
    original, twin = pair()
    result = align(original, twin, np.random.default_rng(0), NEVER, History(50, "4:2:0"))
    assert np.array_equal(result, twin)


def test_the_same_numbers_are_drawn_whatever_happens() -> None:
    original, twin = pair()
    states = []
    for alignment in (NEVER, Alignment(1, 1, 1), Alignment()):
        random = np.random.default_rng(5)
        align(original, twin, random, alignment, History(80, "4:2:0"), (3, 5))
        states.append(random.bit_generator.state["state"])
    assert states[0] == states[1] == states[2]


def test_alignment_brings_the_twin_closer_and_is_repeatable() -> None:
    original, twin = pair()
    results = [
        align(original, twin, np.random.default_rng(1), Alignment(0, 1, 1)) for _ in range(2)
    ]
    assert np.array_equal(*results)
    gaps = [np.abs(one.astype(int) - original).mean() for one in (results[0], twin)]
    assert gaps[0] < gaps[1]


def test_a_twin_is_saved_at_the_quality_and_grid_of_its_original() -> None:
    """Quantised again with the table of that quality on that grid, it changes hardly."""
    _, twin = pair()
    history = History(60, "4:4:4")
    once = saved_like(twin, history, (3, 5))
    again = np.abs(saved_like(once, history, (3, 5)).astype(int) - once).mean()
    shifted = np.abs(saved_like(once, history, (0, 0)).astype(int) - once).mean()
    finer = np.abs(saved_like(once, History(75, "4:4:4"), (3, 5)).astype(int) - once).mean()
    assert again < 0.5 * min(shifted, finer)
    assert np.array_equal(saved_like(twin, None, (0, 0)), twin)
