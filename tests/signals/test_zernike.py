import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from bonafide.signals.zernike import kernel, moments, radial, zernike_magnitudes


def test_moments_up_to_order_five() -> None:
    assert len(moments(5)) == 12
    assert moments(2) == ((0, 0), (1, 1), (2, 0), (2, 2))


def test_radial_polynomials_are_one_at_the_rim() -> None:
    for n, m in moments(6):
        assert radial(n, m, np.ones(1)) == pytest.approx(1.0)


def test_kernels_are_nearly_orthogonal() -> None:
    kernels = [kernel(n, m, 8).ravel() for n, m in moments(5)]
    products = np.abs([[np.vdot(a, b) for a in kernels] for b in kernels])
    assert np.allclose(np.diag(products), 1.0)
    assert (products - np.eye(12)).max() < 0.2


def test_a_quarter_turn_changes_nothing() -> None:
    picture = data.camera()[100:180, 200:290].astype(np.float32)
    upright = zernike_magnitudes(picture)
    turned = zernike_magnitudes(np.ascontiguousarray(np.rot90(picture)))
    assert np.allclose(np.rot90(upright), turned, atol=0.05)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-50, 50))
def test_brightness_touches_only_the_zeroth_moment(seed: int, shift: float) -> None:
    picture = np.random.default_rng(seed).uniform(60, 190, (24, 31)).astype(np.float32)
    one, two = zernike_magnitudes(picture), zernike_magnitudes(picture + np.float32(shift))
    assert np.allclose(one[..., 1:], two[..., 1:], atol=0.05)
