"""Map files and the pictures on the page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from bonafide.report import preview
from bonafide.report.maps import write_map, write_maps
from bonafide.types import Finding, Question, Report, Status


def finding(heatmap: np.ndarray | None) -> Finding:
    return Finding("ela", "1", Question.EDITED, Status.OK, heatmap=heatmap)


def decode(shown: preview.Preview) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(shown.data)).convert("RGBA"))


def test_a_map_file_holds_the_rounded_values(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((700, 31), np.float32)
    path = write_map(finding(values), "a cat", tmp_path)
    assert path == tmp_path / "a cat.ela.png"
    with Pillow.open(path) as drawn:
        assert drawn.mode == "L"
        assert np.array_equal(np.asarray(drawn), np.rint(values * 255))


def test_a_map_survives_values_that_are_not_numbers(tmp_path: Path) -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 7.0]], np.float32)
    with Pillow.open(write_map(finding(values), "x", tmp_path)) as drawn:
        assert np.asarray(drawn).tolist() == [[0, 255, 0, 255]]


@pytest.mark.parametrize("stem", ["", "../up", "a/b", "a\\b", "a\0b", "/root"])
def test_a_map_stays_in_its_folder(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ValueError, match="bare file name"):
        write_map(finding(np.zeros((2, 2), np.float32)), stem, tmp_path)


def test_no_map_without_heatmap(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no heatmap"):
        write_map(finding(None), "x", tmp_path)


def test_the_fused_map_gives_the_regions_at_half(tmp_path: Path, marked: Report) -> None:
    written = write_maps(marked, "a cat", tmp_path)
    assert written["edited"] == tmp_path / "a cat.edited.png"
    assert set(written) == {"jpeg_ghost", "copy_move", "ela", "edited"}
    grey = np.asarray(Pillow.open(written["edited"]))
    assert marked.edits is not None
    assert grey.shape == (marked.media.height, marked.media.width)
    assert np.count_nonzero(grey >= 128) == sum(region.area for region in marked.edits.regions)


def test_without_a_fused_map_there_is_no_file_of_it(tmp_path: Path, report: Report) -> None:
    assert "edited" not in write_maps(report, "a cat", tmp_path)


def test_one_marked_pixel_survives_shrinking() -> None:
    values = np.zeros((3000, 2000), np.float32)
    values[1234, 777] = 0.9
    shown = preview.overlay(values, 160)
    assert (shown.width, shown.height) == (107, 160)
    assert (decode(shown)[..., 3] > 128).sum() == 1


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
