"""Block noise and concentrations, against noise and counts that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import fft

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.signals.noise import NOISE_BLOCKS, concentrations, noise_blocks
from bonafide.testing import photograph


def picture(sigma: float, size: tuple[int, int] = (200, 240)) -> NDArray[np.float32]:
    slope = np.linspace(60, 190, size[1])[None, :]
    noise = np.random.default_rng(0).normal(0, sigma, size)
    return np.clip(slope + noise, 0, 255).astype(np.float32)


def as_pixels(luma: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.repeat(np.round(luma).astype(np.uint8)[..., None], 3, axis=2)


@given(sigma=st.floats(0.5, 10))
@settings(max_examples=15, deadline=None)
def test_noise_is_measured_in_levels(sigma: float) -> None:
    luma = picture(sigma)
    blocks = noise_blocks(luma, as_pixels(luma))
    assert np.sqrt(np.mean(np.square(blocks.high))) == pytest.approx(sigma, rel=0.05)


def test_statistics_are_those_of_the_transform() -> None:
    luma = picture(4.0)
    blocks = noise_blocks(luma, as_pixels(luma))
    row, column = 17, 31
    y, x = row * blocks.stride, column * blocks.stride
    expected = fft.dctn(luma[y : y + 8, x : x + 8].astype(np.float64), norm="ortho")
    order = np.add.outer(np.arange(8), np.arange(8))
    low = np.square(expected[(order >= 1) & (order <= 4)]).mean()
    high = np.sqrt(np.square(expected[order >= 9]).mean())
    assert blocks.mean[row, column] == pytest.approx(luma[y : y + 8, x : x + 8].mean(), rel=1e-4)
    assert blocks.low[row, column] == pytest.approx(low, rel=1e-3)
    assert blocks.high[row, column] == pytest.approx(high, rel=1e-3)


def test_blocks_of_a_media_are_measured_once() -> None:
    pixels = photograph(200, 120)
    ctx = Context(Media.of_image(Image.of_pixels(pixels)))
    blocks = ctx.get(NOISE_BLOCKS)
    again = noise_blocks(ctx.image.luma, pixels)
    for name in ("mean", "low", "high", "usable"):
        np.testing.assert_array_equal(getattr(blocks, name), getattr(again, name))
    assert ctx.get(NOISE_BLOCKS) is blocks


def test_clipped_and_flat_blocks_are_left_out() -> None:
    luma = picture(3.0)
    luma[:40, :40] = 100.0
    pixels = as_pixels(luma)
    pixels[100:140, 100:140, 2] = 255
    usable = noise_blocks(luma, pixels).usable
    assert not usable[:16, :16].any()
    assert not usable[48:68, 48:68].any()
    assert usable[:, 80:].all()


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (8, 8), (9, 8), (2000, 8)])
def test_any_size_is_survived(size: tuple[int, int]) -> None:
    luma = picture(2.0, size)
    blocks = noise_blocks(luma, as_pixels(luma))
    assert blocks.high.shape == blocks.usable.shape
    assert (blocks.high.size == 0) == (min(size) < 8)


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_chance_seldom_concentrates(probability: float) -> None:
    alarms = 0
    for seed in range(20):
        trials = np.full((30, 40), 6.0)
        successes = np.random.default_rng(seed).binomial(6, probability, trials.shape)
        alarms += bool(concentrations(successes.astype(float), trials, probability, 1, -1.0).any())
    # At most one alarm in ten pictures is promised on average.
    assert alarms <= 4


def test_a_concentration_is_found_where_it_is() -> None:
    generator = np.random.default_rng(3)
    trials = np.full((30, 40), 6.0)
    rate = np.full(trials.shape, 0.3)
    rate[5:13, 20:28] = 0.9
    successes = generator.binomial(6, rate).astype(float)
    strength = concentrations(successes, trials, 0.3)
    assert (strength[5:13, 20:28] > 20).all()
    assert strength[:, :8].max() == 0 and strength[24:].max() == 0


def test_a_grid_without_trials_says_nothing() -> None:
    nothing = np.zeros((10, 10))
    assert not concentrations(nothing, nothing, 0.5).any()
    assert concentrations(np.zeros((1, 0)), np.zeros((1, 0)), 0.5).shape == (1, 0)
