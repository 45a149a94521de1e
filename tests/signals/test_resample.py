"""The predictability map repeats with the interpolation and not otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.signals.resample import predictability, prediction_error, probability_map
from bonafide.signals.spectrum import near_fractions, periodogram, prominence


def noise(side: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(128, 20, (side, side))
    return values.astype(np.float32)


def test_planes_are_predicted_perfectly() -> None:
    y, x = np.mgrid[:40, :50].astype(np.float32)
    assert np.abs(prediction_error(2 * x + 3 * y)[1:-1, 1:-1]).max() < 1e-3


@pytest.mark.parametrize("factor", [1.2, 1.7])
def test_enlarged_noise_has_lines_where_theory_puts_them(factor: float) -> None:
    size = 256
    large = cv2.resize(noise(300), None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    values = prominence(periodogram(probability_map(large)[:size, :size]))
    values[near_fractions(size, 8)] = 0
    column = round(min(1 / factor, 1 - 1 / factor) * size)
    assert values[:2, column - 1 : column + 2].max() > 25


def test_plain_noise_has_no_lines() -> None:
    values = prominence(periodogram(probability_map(noise(256))))
    # 33,000 exponential values: their largest exceeds 25 with probability under 1e-6.
    assert values.max() < 25


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    low=st.integers(0, 255),
    seed=st.integers(0, 9),
)
def test_the_map_is_a_probability(height: int, width: int, low: int, seed: int) -> None:
    luma = np.random.default_rng(seed).integers(low, 256, (height, width)).astype(np.float32)
    values = probability_map(luma)
    assert values.shape == luma.shape and values.dtype == np.float32
    assert ((values >= 0) & (values <= 1)).all()


def test_strips_leave_no_seam() -> None:
    luma = np.random.default_rng(3).normal(128, 20, (1100, 64)).astype(np.float32)
    whole = probability_map(luma)
    part = probability_map(luma[400:700])
    np.testing.assert_allclose(whole[420:680], part[20:280], atol=1e-5)


def test_bands_are_the_rows_of_the_whole_map() -> None:
    luma = noise(300)[:, :200]
    whole = probability_map(luma)
    mean = cv2.blur(np.abs(prediction_error(luma)), (9, 9))
    tops = [0, 43, 86, 172]
    for top, (error, band) in zip(tops, predictability(luma, tops, 128), strict=True):
        assert error.shape == band.shape == (128, 200)
        assert np.allclose(band, whole[top : top + 128], atol=1e-6)
        assert np.allclose(error, mean[top : top + 128], atol=1e-4)
