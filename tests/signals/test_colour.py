"""Votes for the colour filter array, on mosaics made here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from bonafide.signals.colour import contrary_windows, lattice_votes


def camera(picture: NDArray[np.uint8], red_y: int = 0, red_x: int = 0) -> NDArray[np.uint8]:
    """Record `picture` through a Bayer filter with red at (red_y, red_x), bilinearly filled."""
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = np.clip(small + np.random.default_rng(0).normal(0, 2, small.shape), 0, 255)
    height, width = small.shape[0] // 2 * 2, small.shape[1] // 2 * 2
    y, x = np.indices((height, width))
    channel = (y + red_y) % 2 + (x + red_x) % 2  # 0 red, 1 green, 2 blue
    mosaic = np.take_along_axis(small[:height, :width], channel[..., None], axis=2)[..., 0]
    code = {
        (0, 0): cv2.COLOR_BayerRGGB2RGB,
        (0, 1): cv2.COLOR_BayerGRBG2RGB,
        (1, 0): cv2.COLOR_BayerGBRG2RGB,
        (1, 1): cv2.COLOR_BayerBGGR2RGB,
    }[red_y, red_x]
    return cv2.cvtColor(np.round(mosaic).astype(np.uint8), code)


@pytest.mark.parametrize("red_y", [0, 1])
@pytest.mark.parametrize("red_x", [0, 1])
def test_votes_name_the_filter_that_was_used(red_y: int, red_x: int) -> None:
    votes = lattice_votes(camera(data.coffee(), red_y, red_x))
    even = red_y == red_x
    assert np.mean(votes.green == (1 if even else -1)) > 0.95
    red = votes.red_even if even else votes.red_odd
    expected = 1 if (red_y == 0) else -1
    assert np.mean(red == expected) > 0.9


def test_votes_do_not_depend_on_strips() -> None:
    tall = np.tile(camera(data.coffee()), (4, 1, 1))
    votes = lattice_votes(tall)
    top = lattice_votes(tall[:600])
    assert np.array_equal(votes.green[:74], top.green[:74])


def test_a_picture_without_filter_votes_by_the_toss_of_a_coin() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    votes = lattice_votes(noise)
    for grid in (votes.green, votes.red_even, votes.red_odd):
        assert abs(float(np.mean(grid == 1)) - 0.5) < 0.05


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_any_size_is_survived(height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    votes = lattice_votes(picture)
    assert votes.green.shape == (height // 8, width // 8)
    assert set(np.unique(votes.green)) <= {-1, 0, 1}


def test_flat_blocks_have_no_opinion() -> None:
    votes = lattice_votes(np.full((64, 64, 3), 7, np.uint8))
    assert not votes.green.any() and not votes.red_even.any() and not votes.red_odd.any()


@pytest.mark.parametrize("seed", range(5))
def test_coin_tosses_mark_nothing(seed: int) -> None:
    votes = np.random.default_rng(seed).choice([-1, 1], (90, 120)).astype(np.int8)
    assert not contrary_windows(votes).any()


def test_a_contrary_corner_is_marked_and_nothing_else() -> None:
    votes = np.where(np.random.default_rng(2).random((60, 80)) < 0.85, 1, -1).astype(np.int8)
    votes[:14, :12] *= -1
    marked = contrary_windows(votes) > 0
    assert marked[1:12, 1:10].mean() > 0.9
    assert not marked[18:].any() and not marked[:, 16:].any()
