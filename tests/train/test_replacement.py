"""Every patch comes whole from one picture, and the map says from which."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from bonafide.errors import InvalidInput
from bonafide.train import replacement

ORIGINAL = np.zeros((28, 42, 3), np.uint8)
TWIN = np.full_like(ORIGINAL, 255)
VARIANTS = (replacement.with_reconstructed_patches, replacement.with_real_patches)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_map_tells_every_pixels_origin(variant, share: float) -> None:
    pixels, synthetic = variant(ORIGINAL, TWIN, 7, share, np.random.default_rng(0))
    assert synthetic.shape == (4, 6)
    assert synthetic.dtype == np.float32
    assert np.array_equal(pixels[..., 0] == 255, np.kron(synthetic, np.ones((7, 7))) == 1)
    taken = synthetic.sum() if variant is VARIANTS[0] else (1 - synthetic).sum()
    assert taken == round(share * 24)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_generator_decides(variant) -> None:
    maps = [variant(ORIGINAL, TWIN, 7, 0.5, np.random.default_rng(k))[1] for k in (0, 0, 1)]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_inputs_stay_as_they_are() -> None:
    replacement.with_real_patches(ORIGINAL, TWIN, 7, 0.5, np.random.default_rng(0))
    assert not ORIGINAL.any()
    assert TWIN.all()


def test_what_does_not_fit_is_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(InvalidInput):
        replacement.with_real_patches(ORIGINAL, TWIN, 8, 0.5, random)
    with pytest.raises(InvalidInput):
        replacement.with_real_patches(ORIGINAL, TWIN[:14], 7, 0.5, random)
