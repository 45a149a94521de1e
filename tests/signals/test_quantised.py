"""Planes of quantised coefficients."""

from __future__ import annotations

import numpy as np

from bonafide.signals.quantised import FREQUENCIES, LARGEST, PLANES, planes


def test_magnitudes_come_first_and_steps_behind_them() -> None:
    random = np.random.default_rng(0)
    coefficients = random.integers(-40, 41, (3, 5, 8, 8)).astype(np.int16)
    table = np.arange(1, 65, dtype=np.int32).reshape(8, 8)
    table[1, 1] = 700  # a 16-bit table
    seen = planes(coefficients, table)
    assert seen.shape == (3, 5, PLANES) and seen.dtype == np.uint8
    for place, (row, column) in enumerate(FREQUENCIES):
        wanted = np.minimum(np.abs(coefficients[:, :, row, column]), LARGEST)
        np.testing.assert_array_equal(seen[..., place], wanted)
        assert (seen[..., len(FREQUENCIES) + place] == min(table[row, column], 255)).all()


def test_transposed_blocks_have_transposed_frequencies() -> None:
    """Turned pictures can be read only because the choice of frequencies is symmetrical."""
    assert {(column, row) for row, column in FREQUENCIES} == set(FREQUENCIES)


def test_the_most_negative_coefficient_has_a_magnitude() -> None:
    lowest = np.full((1, 1, 8, 8), np.iinfo(np.int16).min, np.int16)
    assert (planes(lowest, np.ones((8, 8), np.int32))[..., : len(FREQUENCIES)] == LARGEST).all()
