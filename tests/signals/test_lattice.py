"""Maps keep their values when they are enlarged, resampled, turned and outlined."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.media.image import Image
from bonafide.regions import ScoreMap, Series
from bonafide.signals.lattice import marked_regions, sampled_map, upright_map

WIDTH, HEIGHT = 45, 31  # of stored pictures: no multiple of most cells


@st.composite
def maps(draw: st.DrawFn, cells: st.SearchStrategy[int] | None = None) -> ScoreMap:
    """A map of a small picture whose lattice may begin outside of it and ends at its border."""
    cell = draw(st.integers(1, 16) if cells is None else cells)
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    left, top = (-draw(st.integers(0, cell - 1)) for _ in range(2))
    shape = (-(-(height - top) // cell), -(-(width - left) // cell))
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(shape, np.float32)
    return ScoreMap(values, cell, width, height, left, top)


def pixel_by_pixel(found: ScoreMap) -> NDArray[np.float32]:
    rows = (np.arange(found.height) - found.top) // found.cell
    columns = (np.arange(found.width) - found.left) // found.cell
    return found.values[rows][:, columns]


@given(maps())
def test_every_pixel_has_the_value_of_its_cell(found: ScoreMap) -> None:
    enlarged = found.enlarge()
    assert enlarged.dtype == np.float32
    np.testing.assert_array_equal(enlarged, pixel_by_pixel(found))


@given(maps(st.just(8)), st.integers(1, 40))
def test_larger_cells_hold_the_maximum_of_what_they_cover(found: ScoreMap, cell: int) -> None:
    small, pixels = found.resample(cell), pixel_by_pixel(found)
    assert small.dtype == np.float32
    assert small.shape == (-(-found.height // cell), -(-found.width // cell))
    for row in range(small.shape[0]):
        for column in range(small.shape[1]):
            y, x = row * cell, column * cell
            covered = pixels[y : y + cell, x : x + cell]
            if cell > found.cell:
                assert small[row, column] == covered.max()
            else:  # the nearest: the value at its middle
                middle = [min(cell // 2, length - 1) for length in covered.shape]
                assert small[row, column] == covered[middle[0], middle[1]]


@given(maps())
def test_a_map_on_its_own_lattice_stays_as_it_is(found: ScoreMap) -> None:
    aligned = ScoreMap(found.values, found.cell, found.width - found.left, found.height - found.top)
    np.testing.assert_array_equal(aligned.resample(found.cell), found.values)


def test_a_lattice_that_ends_before_the_border_is_continued() -> None:
    found = ScoreMap(np.array([[0.25, 0.75]], np.float32), 8, 20, 11)
    np.testing.assert_array_equal(found.enlarge()[:, 8:], np.full((11, 12), 0.75))


def test_cells_outside_of_the_picture_do_not_count() -> None:
    values = np.zeros((3, 4), np.float32)
    values[:, -1] = values[-1] = 1.0  # as in a JPEG whose blocks reach past its border
    assert ScoreMap(values, 8, 24, 16).resample(16).max() == 0.0
    turned = ScoreMap(values[::-1, ::-1], 8, 24, 16, -8, -8)
    assert turned.resample(16).max() == turned.enlarge().max() == 0.0


@given(maps())
def test_the_marked_share_is_that_of_pixels(found: ScoreMap) -> None:
    assert found.marked_share == pytest.approx(float((pixel_by_pixel(found) >= 0.5).mean()))


def test_peak_and_share_of_little() -> None:
    found = ScoreMap(np.array([[0.1, 0.5], [0.9, 0.4]], np.float32), 8, 16, 16)
    assert found.peak == pytest.approx(0.9) and found.marked_share == 0.5
    empty = ScoreMap(np.zeros((0, 0), np.float32), 8, 0, 0)
    assert (empty.peak, empty.marked_share) == (0.0, 0.0)


def test_maps_and_series_are_equal_where_their_values_are() -> None:
    values, times = np.ones((2, 3), np.float32), np.arange(3.0)
    one, two = ScoreMap(values, 8, 24, 16), ScoreMap(values.copy(), 8, 24, 16)
    assert one == two and hash(one) == hash(two)
    assert one != ScoreMap(values / 2, 8, 24, 16) and one != ScoreMap(values, 8, 23, 16)
    series = Series(times, values[0])
    assert series == Series(times.copy(), values[0].copy())
    assert series != Series(times, values[0], "noise") and series != Series(times, values[0] / 2)


# ---- pictures that are stored turned ----


def stored(orientation: int) -> Image:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Pillow.new("RGB", (WIDTH, HEIGHT)).save(buffer, "PNG", exif=exif)
    return Image(buffer.getvalue())


PICTURES = {orientation: stored(orientation) for orientation in range(1, 9)}


def painted(values: NDArray[np.float32], cell: int, left: int, top: int) -> NDArray[np.float32]:
    """The values on the stored picture, zero outside of the lattice."""
    canvas = np.zeros((HEIGHT, WIDTH), np.float32)
    for row, column in np.ndindex(values.shape):
        y, x = top + row * cell, left + column * cell
        canvas[max(y, 0) : max(y + cell, 0), max(x, 0) : max(x + cell, 0)] = values[row, column]
    return canvas


@pytest.mark.parametrize("orientation", PICTURES)
@given(
    cell=st.integers(1, 12),
    left=st.integers(-11, 30),
    top=st.integers(-11, 30),
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_enlarging_and_turning_may_be_exchanged(
    orientation: int, cell: int, left: int, top: int, rows: int, columns: int, seed: int
) -> None:
    image = PICTURES[orientation]
    values = np.random.default_rng(seed).random((rows, columns), np.float32)
    found = upright_map(image, values, cell, left, top)
    assert (found.width, found.height) == (image.width, image.height)
    assert found.left <= 0 and found.top <= 0 and found.values.dtype == np.float32
    expected = image.orient(painted(values, cell, left, top))
    np.testing.assert_array_equal(found.enlarge(), expected)


@pytest.mark.parametrize("orientation", PICTURES)
def test_regions_of_a_turned_picture_lie_where_its_marks_are(orientation: int) -> None:
    image = PICTURES[orientation]
    values = np.zeros((4, 6), np.float32)
    values[2:, 4:] = 0.9  # reaches past the border
    values[0, 1] = 0.6
    found = upright_map(image, values, 8)
    marked = image.orient(painted(values, 8, 0, 0)) >= 0.5
    regions = marked_regions(found, 3.0)
    assert [region.score for region in regions] == [3.0, 3.0]
    drawn = np.zeros_like(marked)
    for region in regions:
        drawn[region.y : region.y + region.height, region.x : region.x + region.width] = True
    np.testing.assert_array_equal(drawn, marked)


def test_regions_are_largest_first_and_at_most_twenty() -> None:
    values = np.zeros((100, 100), np.float32)
    values[::4, 1:40:4] = 0.6
    values[50:70, 50:80] = 0.9
    regions = marked_regions(ScoreMap(values, 8, 797, 800), 3.0)
    assert len(regions) == 20
    first = regions[0]
    assert (first.x, first.y, first.width, first.height) == (400, 400, 240, 160)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20))
def test_a_sampled_map_has_the_middle_of_each_cell(width: int, height: int, cell: int) -> None:
    full = np.arange(width * height, dtype=np.float32).reshape(height, width)
    found = sampled_map(full, cell)
    assert found.values.shape == (-(-height // cell), -(-width // cell))
    row, column = found.values.shape[0] - 1, found.values.shape[1] - 1
    y, x = (
        min(index * cell + cell // 2, length - 1)
        for index, length in ((row, height), (column, width))
    )
    assert found.values[row, column] == full[y, x]
    assert (found.width, found.height, found.left, found.top) == (width, height, 0, 0)
