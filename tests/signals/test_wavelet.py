"""The watermark carrier: what is written is read, and noise reads as noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.signals.wavelet import (
    NEUTRAL_8BIT,
    NEUTRAL_FLOAT,
    embed,
    fold_all,
    haar_chroma,
    log10_sign_tail,
    read_votes,
)


def test_grey_has_no_chroma() -> None:
    grey = np.repeat(np.arange(64 * 64, dtype=np.uint32) % 251, 3).reshape(64, 64, 3)
    assert np.abs(haar_chroma(grey.astype(np.uint8), np.arange(8))).max() < 1e-3


def test_the_haar_values_are_twice_the_mean_chroma() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 200  # blue alone: U = 0.492 × 0.886 × 200
    blocks = haar_chroma(pixels, np.arange(1))
    assert blocks.shape == (1, 1, 4, 4)
    np.testing.assert_allclose(blocks, 2 * 0.492 * 0.886 * 200, rtol=1e-5)


@pytest.mark.parametrize("neutral", [NEUTRAL_8BIT, NEUTRAL_FLOAT])
def test_bits_survive_a_round_trip(neutral: float) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(110, 140, (64, 160, 3)).astype(np.uint8)
    bits = random.random(20) < 0.5
    marked = embed(pixels, bits, neutral)
    votes = read_votes(haar_chroma(marked, np.arange(8)), neutral).reshape(-1, 20).sum(axis=0)
    assert ((votes > 0) == bits).all()
    assert np.abs(marked.astype(int) - pixels).mean() < 4


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(2, 12),
    rows=st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True).map(sorted),
    columns=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_folding_equals_counting(length: int, rows: list[int], columns: int, seed: int) -> None:
    votes = np.random.default_rng(seed).normal(size=(2, len(rows), columns)).astype(np.float32)
    sums = fold_all(votes, np.array(rows), length)
    assert sums.shape == (2, length, length)
    for stride in range(length):
        for variant in range(2):
            expected = np.zeros(length)
            for r, row in enumerate(rows):
                for column in range(columns):
                    expected[(row * stride + column) % length] += votes[variant, r, column]
            np.testing.assert_allclose(sums[variant, stride], expected, atol=1e-3)


def test_the_smoothing_of_halved_chroma_is_undone() -> None:
    random = np.random.default_rng(2)
    plane = random.integers(90, 160, (24, 40)).astype(np.float32)  # stored at half size
    padded = np.pad(plane, 1, mode="edge")
    rows = np.stack(
        [0.25 * padded[:-2] + 0.75 * padded[1:-1], 0.75 * padded[1:-1] + 0.25 * padded[2:]]
    )
    tall = rows.transpose(1, 0, 2).reshape(48, 42)
    sides = np.stack(
        [0.25 * tall[:, :-2] + 0.75 * tall[:, 1:-1], 0.75 * tall[:, 1:-1] + 0.25 * tall[:, 2:]]
    )
    decoded = sides.transpose(1, 2, 0).reshape(48, 80)
    pixels = np.zeros((48, 80, 3), np.uint8)
    pixels[..., 0] = decoded.round().astype(np.uint8)
    exact = np.zeros((48, 80, 3), np.uint8)
    exact[..., 0] = plane.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
    chosen = np.array([0, 2, 5])
    wanted = haar_chroma(exact, chosen)
    plain = np.abs(haar_chroma(pixels, chosen) - wanted).mean()
    undone = np.abs(haar_chroma(pixels, chosen, halved=True) - wanted).mean()
    assert undone < 1.0 < plain / 5


def test_the_sign_bound_is_exact_at_full_agreement_and_holds_below() -> None:
    assert log10_sign_tail(np.ones(48)) == pytest.approx(-48 * np.log10(2), abs=1e-6)
    assert log10_sign_tail(-np.ones(48)) == 0.0
    random = np.random.default_rng(5)
    size = random.exponential(size=24)
    signs = random.choice([-1.0, 1.0], (20_000, 24))
    bounds = np.array([log10_sign_tail(row * size) for row in signs])
    for level in (-1.0, -2.0, -3.0):
        assert (bounds <= level).mean() <= 10**level
