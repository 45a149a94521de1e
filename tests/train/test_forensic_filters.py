"""Filters that suppress the picture, and bands along masks."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bonafide.errors import InvalidInput
from bonafide.train.forensic_filters import (
    BayarConv,
    SrmFilters,
    edge_band,
    srm_kernels,
)


@pytest.mark.parametrize("count", [3, 30])
def test_srm_kernels_differ_and_remove_what_is_flat(count: int) -> None:
    kernels = srm_kernels(count)
    assert kernels.shape == (count, 5, 5) and kernels.dtype == np.float32
    assert np.abs(kernels.sum((1, 2))).max() < 1e-6
    assert np.array_equal(kernels[:, 2, 2], np.full(count, -1))
    assert len({kernel.tobytes() for kernel in kernels}) == count


def test_the_bank_holds_as_many_of_each_kind_as_published() -> None:
    weights = [tuple(sorted(kernel[kernel != 0].tolist())) for kernel in srm_kernels(30)]
    assert weights.count((-1.0, 1.0)) == 8
    assert weights.count((-1.0, 0.5, 0.5)) == 4
    assert sum(len(one) == 4 for one in weights) == 8
    assert sorted(len(one) for one in weights)[-10:] == [6, 6, 6, 6, 9, 15, 15, 15, 15, 25]
    with pytest.raises(InvalidInput, match="3 or 30"):
        srm_kernels(5)


def test_third_differences_vanish_on_parabolas() -> None:
    rows = torch.arange(16.0).view(1, 1, -1, 1) / 16
    columns = torch.arange(16.0) / 16
    ramp = (rows**2 + rows * columns - columns**2).expand(1, 3, 16, 16)
    residuals = SrmFilters(30)(ramp)[0, 12:20, 3:-3, 3:-3]
    assert residuals.abs().max() < 1e-5


def test_colours_are_summed_or_kept_apart_and_cut_off() -> None:
    pixels = torch.rand(2, 3, 9, 11)
    together, apart = SrmFilters(3), SrmFilters(3, colours=True)
    kept = apart(pixels).unflatten(1, (3, 3))
    assert (together.channels, apart.channels) == (3, 9)
    torch.testing.assert_close(kept.sum(1), together(pixels))
    torch.testing.assert_close(
        kept[:, 1], together(pixels * torch.tensor([0, 1.0, 0])[:, None, None])
    )
    assert SrmFilters(3, limit=0.01)(pixels).abs().max() == pytest.approx(0.01)
    assert not together.state_dict() and not list(together.parameters())


def test_bayar_kernels_meet_their_constraint_whatever_the_weights() -> None:
    layer = BayarConv(3, 4)
    fresh = layer.weights.detach().clone()
    for weights in (fresh, torch.randn_like(fresh), torch.zeros_like(fresh)):
        layer.weights.data = weights
        kernels = layer.kernels()
        assert kernels.shape == (4, 3, 5, 5)
        assert torch.equal(kernels[..., 2, 2], torch.full((4, 3), -1.0))
        torch.testing.assert_close(kernels.sum((2, 3)), torch.zeros(4, 3), atol=1e-5, rtol=0)
    layer.weights.data = fresh
    torch.testing.assert_close(layer.kernels().flatten(2)[..., :12], fresh[..., :12])
    assert layer(torch.full((1, 3, 8, 9), 0.7)).abs().max() < 1e-5


def test_bands_of_a_square_by_hand() -> None:
    mask = torch.zeros(1, 12, 12)
    mask[0, 4:9, 4:9] = 1
    band = edge_band(mask, 3)
    inner = torch.zeros(12, 12)
    inner[4:9, 4:9] = 1
    inner[5:8, 5:8] = 0
    outer = torch.zeros(12, 12)
    outer[3, 4:9] = outer[9, 4:9] = 1
    outer[4:9, 3] = outer[4:9, 9] = 1
    assert torch.equal(band[0], inner + outer)
    assert int(edge_band(mask, 7)[0, 6].sum()) == 5 + 2 * 3


def test_the_border_of_the_picture_is_no_edge() -> None:
    assert edge_band(torch.ones(2, 9, 9)).sum() == 0
    assert edge_band(torch.zeros(2, 9, 9)).sum() == 0
    half = torch.zeros(1, 8, 20)
    half[..., 10:] = 1
    assert torch.equal(edge_band(half)[0].nonzero()[:, 1].unique(), torch.arange(7, 13))
