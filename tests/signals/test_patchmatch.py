import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.signals.patchmatch import linear_fit_error, match_field
from bonafide.signals.zernike import zernike_magnitudes


def test_a_planted_block_is_matched_to_its_origin() -> None:
    random = np.random.default_rng(3)
    picture = random.normal(128, 30, (120, 160)).astype(np.float32)
    picture[60:110, 90:150] = picture[5:55, 10:70]
    field = match_field(zernike_magnitudes(picture), min_distance=16)
    rows, columns = field.offsets()
    inner = (slice(70, 100), slice(100, 140))
    assert np.mean((rows[inner] == -55) & (columns[inner] == -80)) > 0.8


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(12, 40), st.integers(12, 40), st.integers(1, 12))
def test_every_match_is_legal(seed: int, height: int, width: int, distance: int) -> None:
    features = np.random.default_rng(seed).random((height, width, 4), np.float32)
    field = match_field(features, distance, iterations=1, seed=seed)
    found = np.isfinite(field.distance)
    rows, columns = field.offsets()
    assert (np.hypot(rows, columns)[found] >= distance).all()
    assert field.rows.min() >= 0 and field.rows.max() < height
    assert field.columns.min() >= 0 and field.columns.max() < width
    flat = features.reshape(-1, 4)
    there = flat[(field.rows * width + field.columns).ravel()]
    true = ((flat - there) ** 2).sum(1).reshape(height, width)
    assert np.allclose(field.distance[found], true[found], rtol=1e-4, atol=1e-6)


def test_equal_seeds_give_equal_fields() -> None:
    features = np.random.default_rng(0).random((40, 50, 5), np.float32)
    one, two = match_field(features, 5, seed=7), match_field(features, 5, seed=7)
    assert np.array_equal(one.rows, two.rows) and np.array_equal(one.columns, two.columns)


@settings(max_examples=25, deadline=None)
@given(*[st.floats(-1, 1)] * 4, st.floats(-100, 100))
def test_affine_fields_fit_without_error(a: float, b: float, c: float, d: float, e: float) -> None:
    y, x = np.mgrid[:40, :50].astype(np.float32)
    error = linear_fit_error(a * x + b * y + e, c * x + d * y - e)
    assert error[8:-8, 8:-8].max() < 0.05


def test_random_fields_do_not_fit() -> None:
    random = np.random.default_rng(0)
    rows, columns = random.normal(0, 30, (2, 40, 50)).astype(np.float32)
    assert linear_fit_error(rows, columns).min() > 300
