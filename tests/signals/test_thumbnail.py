"""Thumbnails of real photographs, made as cameras and editors make them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bonafide.signals.thumbnail import compare

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")


def luma(name: str) -> NDArray[np.float32]:
    return cv2.cvtColor(getattr(skimage.data, name)(), cv2.COLOR_RGB2GRAY).astype(np.float32)


def shrink(array: NDArray[np.float32], width: int = 160) -> NDArray[np.float32]:
    height = round(array.shape[0] * width / array.shape[1])
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_own_thumbnails_fit(name: str) -> None:
    picture = luma(name)
    small = shrink(picture)
    height, width = small.shape
    bars = np.zeros((height + 40, width), np.float32)
    bars[20:-20] = small
    cut = small[:, 12:-12]
    toned = np.clip(40 + 0.6 * small, 0, 255).astype(np.float32)
    noisy = small + np.random.default_rng(1).normal(0, 8, small.shape).astype(np.float32)
    for made in (small, bars, cut, toned, noisy, np.rot90(small), np.rot90(small, 3)):
        found = compare(picture, np.ascontiguousarray(made))
        assert found is not None
        assert found.correlation > 0.9
        assert not found.changed.any()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("quarters", [0, 1])
def test_a_later_splice_is_marked_where_it_is(name: str, quarters: int) -> None:
    picture = luma(name)
    other = cv2.resize(luma("coffee" if name != "coffee" else "rocket"), picture.shape[::-1])
    edited = picture.copy()
    height, width = picture.shape
    rows = slice(height // 2, height // 2 + height // 3)
    columns = slice(width // 8, width // 8 + width // 3)
    edited[rows, columns] = 255 - other[rows, columns]
    truth = np.zeros(picture.shape, np.uint8)
    truth[rows, columns] = 1
    found = compare(edited, np.ascontiguousarray(np.rot90(shrink(picture), quarters)))
    assert found is not None
    shape = found.changed.shape[::-1]
    expected = cv2.resize(truth, shape, interpolation=cv2.INTER_AREA) > 0
    assert (found.changed & expected).sum() > 0.4 * expected.sum()
    assert (found.changed & ~expected).sum() < 0.25 * found.changed.sum()  # blur adds a rim


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_thumbnails_of_others_do_not_fit(name: str) -> None:
    for other in PHOTOGRAPHS:
        if other != name:
            found = compare(luma(name), shrink(luma(other)))
            assert found is not None
            assert found.correlation < 0.75
            assert found.crop_correlation < 0.9


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("part", [0.6, 0.8])
def test_a_crop_is_found_in_the_thumbnail(name: str, part: float) -> None:
    picture = luma(name)
    height, width = (round(part * side) for side in picture.shape)
    crop = picture[20 : 20 + height, 30 : 30 + width]
    found = compare(crop, shrink(picture))
    assert found is not None
    assert found.crop_correlation > max(0.9, found.correlation)
    assert found.crop_scale == pytest.approx(part, abs=0.08)


def test_flat_and_tiny_pictures_say_nothing() -> None:
    picture = luma("coffee")
    assert compare(picture, np.full((120, 160), 7, np.float32)) is None
    assert compare(np.full((300, 400), 7, np.float32), shrink(picture)) is None
    assert compare(np.ones((1, 1), np.float32), shrink(picture)) is None
    assert compare(picture, np.ones((1, 1), np.float32)) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.integers(1, 150))
def test_any_two_pictures_give_values_in_range(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    picture = (random.random((width, height)) * 255).astype(np.float32)
    thumbnail = (random.random((height, width)) * 255).astype(np.float32)
    found = compare(picture, thumbnail)
    if found is not None:
        assert -1.001 <= found.correlation <= 1.001
        assert -1.001 <= found.crop_correlation <= 1.001
        assert 0 < found.crop_scale <= 1
