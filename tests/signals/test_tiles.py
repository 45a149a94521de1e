"""Tiles cover every pixel once they are cut, and maps go back to where they came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.signals.tiles import Mosaic, Tile, covered, cut, grid, spread


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(4, 40), st.data())
def test_every_pixel_is_covered_and_the_last_tile_is_flush(
    height: int, width: int, side: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, side - 1))
    tiles = grid(height, width, side, overlap)
    assert covered(tiles, height, width) == 1.0
    assert len(set(tiles)) == len(tiles)
    for tile in tiles:
        assert (tile.height, tile.width) == (min(side, height), min(side, width))
        assert 0 <= tile.top <= height - tile.height
        assert 0 <= tile.left <= width - tile.width


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(4, 40), st.data())
def test_a_map_of_one_value_per_pixel_comes_back_unchanged(
    height: int, width: int, side: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, side - 1))
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    mosaic = Mosaic(height, width, side, overlap)
    for tile in grid(height, width, side, overlap):
        mosaic.paste(tile, cut(pixels, [tile], side)[0, 0])
    assert mosaic.mean().dtype == np.float32
    np.testing.assert_allclose(
        Mosaic.mean(_pasted(pixels, side, overlap)), pixels[..., 0] / 255, atol=1e-5
    )


def _pasted(pixels: np.ndarray, side: int, overlap: int) -> Mosaic:
    mosaic = Mosaic(*pixels.shape[:2], side, overlap)
    for tile in grid(*pixels.shape[:2], side, overlap):
        mosaic.paste(tile, cut(pixels, [tile], side)[0, 0])
    return mosaic


def test_pixels_are_cut_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    batch = cut(pixels, [Tile(3, 5, 16, 16), Tile(24, 34, 16, 16)], 16)
    assert (batch.dtype, batch.shape) == (np.float32, (2, 3, 16, 16))
    assert np.array_equal(np.round(batch[1] * 255), pixels[24:, 34:].transpose(2, 0, 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 30), (7, 3)])
def test_a_small_picture_is_continued_by_reflection(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    (tile,) = grid(*shape, 32)
    batch = cut(pixels, [tile], 32)
    assert batch.shape == (1, 3, 32, 32) and np.isfinite(batch).all()
    if shape[0] > 1:
        assert np.array_equal(batch[0, :, shape[0], 0], batch[0, :, shape[0] - 2, 0])


@pytest.mark.parametrize("columns", [1, 2, 5, 8, 13])
def test_few_of_many_tiles_are_spread_over_rows_and_columns(columns: int) -> None:
    tiles = grid(20 * 16, columns * 16, 16)
    chosen = spread(tiles, 12)
    assert len(chosen) == 12 and set(chosen) <= set(tiles)
    assert list(chosen) == sorted(chosen, key=tiles.index)
    rows, sides = {tile.top for tile in chosen}, {tile.left for tile in chosen}
    assert len(rows) >= 6 and len(sides) >= min(columns, 4)
    assert spread(tiles[:5], 12) == tiles[:5]
