"""Map files and the pictures on the page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from bonafide.report import maps, preview
from bonafide.report.maps import write_map, write_maps
from bonafide.types import Box, Finding, Measurement, Question, Report, ScoreMap, Status


def finding(score_map: ScoreMap | None) -> Finding:
    measured = Measurement(maps=() if score_map is None else (score_map,))
    return Finding("ela", "1", Question.EDITED, Status.OK, parts=((measured, None),))


def pixels(values: np.ndarray) -> ScoreMap:
    """A map of single pixels."""
    return ScoreMap(values, 1, values.shape[1], values.shape[0])


def decode(shown: preview.Preview) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(shown.data)).convert("RGBA"))


def test_a_map_file_holds_the_rounded_values(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((700, 31), np.float32)
    path = write_map(finding(pixels(values)), "a cat", tmp_path)
    assert path == tmp_path / "a cat.ela.png"
    with Pillow.open(path) as drawn:
        assert drawn.mode == "L"
        assert np.array_equal(np.asarray(drawn), np.rint(values * 255))


def test_a_map_survives_values_that_are_not_numbers(tmp_path: Path) -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 7.0]], np.float32)
    with Pillow.open(write_map(finding(pixels(values)), "x", tmp_path)) as drawn:
        assert np.asarray(drawn).tolist() == [[0, 255, 0, 255]]


@pytest.mark.parametrize("stem", ["", "../up", "a/b", "a\\b", "a\0b", "/root"])
def test_a_map_stays_in_its_folder(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ValueError, match="bare file name"):
        write_map(finding(pixels(np.zeros((2, 2), np.float32))), stem, tmp_path)


def test_no_file_without_a_map(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no map"):
        write_map(finding(None), "x", tmp_path)


def test_the_fused_map_gives_the_regions_at_half(tmp_path: Path, marked: Report) -> None:
    written = write_maps(marked, "a cat", tmp_path)
    assert written["edited"] == tmp_path / "a cat.edited.png"
    assert set(written) == {"jpeg_ghost", "copy_move", "ela", "edited"}
    grey = np.asarray(Pillow.open(written["edited"]))
    assert marked.edits is not None
    assert grey.shape == (marked.media.height, marked.media.width)
    assert np.array_equal(grey >= 128, marked.edits.map.enlarge() >= 0.5)  # type: ignore[union-attr]


def test_without_a_fused_map_there_is_no_file_of_it(tmp_path: Path, report: Report) -> None:
    assert "edited" not in write_maps(report, "a cat", tmp_path)


def test_a_file_of_a_large_picture_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MOST_PIXELS", 10_000)
    values = np.zeros((38, 50), np.float32)
    values[37, 49] = 0.9
    for cell in (1, 2, 8, 32):
        width, height = 50 * cell - cell // 2, 38 * cell - cell // 2
        path = write_map(finding(ScoreMap(values, cell, width, height)), "x", tmp_path)
        with Pillow.open(path) as drawn:
            grey = np.asarray(drawn)
        step = max(1, -(-width // grey.shape[1]))
        assert grey.size <= 10_000 * (1 + 2 / min(grey.shape))
        assert grey.shape == (-(-height // step), -(-width // step))
        assert grey[-1, -1] == 230
        assert (grey[: grey.shape[0] // 2] == 0).all()


def test_one_marked_cell_survives_reduction() -> None:
    values = np.zeros((3000, 2000), np.float32)
    values[1234, 777] = 0.9
    shown = preview.overlay(preview.sample(pixels(values), 160))
    assert (shown.width, shown.height) == (107, 160)
    assert (decode(shown)[..., 3] > 128).sum() == 1


def test_a_lattice_is_enlarged_to_the_preview_alone() -> None:
    """The map of 48 megapixels is drawn on the pixels of the preview."""
    values = np.zeros((750, 1000), np.float32)
    values[300:310, 500:520] = 1.0
    drawn = preview.sample(ScoreMap(values, 8, 8000, 6000), 1600)
    assert drawn.shape == (1200, 1600)
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max()) == (480, 495)
    assert (columns.min(), columns.max()) == (800, 831)


@settings(max_examples=40, deadline=None)
@given(
    cell=st.integers(1, 9),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    first=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    window=st.tuples(
        st.integers(0, 59), st.integers(0, 59), st.integers(1, 60), st.integers(1, 60)
    ),
    seed=st.integers(0, 99),
)
def test_a_window_at_native_zoom_is_that_of_the_enlarged_map(
    cell: int,
    size: tuple[int, int],
    first: tuple[int, int],
    window: tuple[int, int, int, int],
    seed: int,
) -> None:
    width, height = size
    left, top = -(first[0] % cell), -(first[1] % cell)
    shape = (-(-(height - top) // cell), -(-(width - left) // cell))
    values = np.random.default_rng(seed).random(shape, np.float32)
    score_map = ScoreMap(values, cell, width, height, left, top)
    x, y = window[0] % width, window[1] % height
    box = Box(x, y, min(window[2], width - x), min(window[3], height - y))
    drawn = preview.sample(score_map, 100, box)
    expected = score_map.enlarge()[y : y + box.height, x : x + box.width]
    assert np.array_equal(drawn, expected)
    assert np.array_equal(preview.sample(score_map, 100), score_map.enlarge())


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    longest=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_shrinking_keeps_the_largest_value_and_the_shape(
    height: int, width: int, longest: int, seed: int
) -> None:
    values = np.random.default_rng(seed).random((height, width), np.float32)
    size = preview.fit(width, height, longest)
    assert max(size) <= max(longest, 1)
    pooled = preview.shrink(values, size[1], size[0])
    assert pooled.shape == size[::-1]
    assert pooled.max() == values.max()
    picture = preview.picture(np.zeros((height, width, 3), np.uint8), longest)
    assert (picture.width, picture.height) == size


def test_opacity_grows_and_steps_where_a_detector_marks() -> None:
    values = np.linspace(0, 1, 501, dtype=np.float32)[None]
    alpha = decode(preview.overlay(values))[0, :, 3].astype(int)
    assert alpha[0] == 0
    assert (np.diff(alpha) >= 0).all()
    below, marked = alpha[values[0] < 0.5].max(), alpha[values[0] >= 0.5].min()
    assert marked - below > 40


def test_colours_get_lighter_all_along() -> None:
    ramp = preview.colours(64).astype(float) / 255
    linear = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()


def test_a_small_picture_is_kept_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    shown = preview.picture(pixels)
    assert shown.mime == "image/png"
    assert np.array_equal(decode(shown)[..., :3], pixels)
    assert shown.uri.startswith("data:image/png;base64,")
