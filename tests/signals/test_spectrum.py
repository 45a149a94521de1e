"""Spectra of tiles keep to the laws that thresholds rely on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.signals.spectrum import (
    crossed,
    fraction_lines,
    frequencies,
    near_fractions,
    periodogram,
    prominence,
    radial_profile,
    tile_origins,
)


@given(tile=st.integers(1, 64), extra=st.integers(0, 500), part=st.floats(0.05, 1.0))
def test_tiles_cover_every_pixel(tile: int, extra: int, part: float) -> None:
    step = max(1, int(tile * part))
    origins = tile_origins(tile + extra, tile, step)
    assert origins[0] == 0 and origins[-1] == extra
    assert (np.diff(origins) <= step).all() or tile + extra == tile
    assert (np.diff(origins) > 0).all()


def white(seed: int, size: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)


def test_prominence_of_noise_is_bounded_by_the_exponential_law() -> None:
    values = np.concatenate([prominence(periodogram(white(seed))).ravel() for seed in range(8)])
    for level in (1.0, 2.0, 4.0, 6.0):
        assert (values > level).mean() < 1.35 * np.exp(-level)
    assert values.mean() < 1.05


def test_crossed_prominence_keeps_the_bound() -> None:
    values = np.concatenate(
        [crossed(prominence(periodogram(white(seed)))).ravel() for seed in range(8)]
    )
    for level in (2.0, 4.0, 6.0):
        assert (values > level).mean() < 1.5 * np.exp(-level)


@pytest.mark.parametrize(("row", "column"), [(0, 20), (12, 30), (-12, 30)])
def test_a_lone_wave_is_prominent_but_not_crossed(row: int, column: int) -> None:
    size = 128
    y, x = np.mgrid[:size, :size]
    wave = np.cos(2 * np.pi * (row * y + column * x) / size)
    values = prominence(periodogram((white(1) + 0.5 * wave).astype(np.float32)))
    assert values[row, column] > 60
    assert crossed(values)[row, column] < 15
    turned = np.cos(2 * np.pi * (column * y - row * x) / size)
    both = prominence(periodogram((white(1) + 0.5 * wave + 0.5 * turned).astype(np.float32)))
    assert crossed(both)[row, column] > 60


def test_fractions_are_where_they_should_be() -> None:
    mask = near_fractions(128, 8)
    assert mask[0, 0] and mask[16, 48] and mask[-32, 64] and mask[15, 17]
    assert not mask[8, 0] and not mask[16, 8]


def test_the_profile_of_white_noise_is_flat_and_of_blur_falls() -> None:
    power = np.mean([periodogram(white(seed)) for seed in range(20)], axis=0)
    profile = radial_profile(power, 16)
    assert profile[2:].std() / profile[2:].mean() < 0.1
    vertical, horizontal = frequencies(128)
    falling = radial_profile(power * np.exp(-20 * np.hypot(vertical, horizontal)), 16)
    assert (np.diff(falling[2:]) < 0).all()


def test_the_lattice_of_up_sampling_is_split_without_overlap() -> None:
    total = np.zeros((128, 65), int)
    for denominator in (2, 4, 8):
        for axes in (True, False):
            total += fraction_lines(128, denominator, axes)
    expected = np.zeros_like(total)
    expected[::16, ::16] = 1
    expected[0, 0] = 0
    np.testing.assert_array_equal(total, expected)
    assert fraction_lines(128, 2, axes=True).sum() == 2
