"""The default localiser, with the weights that ship."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide import runtime
from bonafide.detectors.edited_regions import (
    CARD,
    CELL,
    Detector,
    Local,
    Operating,
    decide,
    localise,
)
from bonafide.media.image import Image
from bonafide.types import Status

LARGEST_FILE = 12_000_000  # bytes


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: int) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, kind, **options)
    return Image(buffer.getvalue(), f"picture.{kind.lower()}")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def local(logit: float = 2.0) -> Local:
    """A map with a large mark, and a speck below a thousandth of the picture."""
    odds = np.full((50, 60), -3.0, np.float32)
    odds[10:20, 30:50] = 2.0
    odds[40, 5:7] = 4.0
    return Local(odds, np.full_like(odds, 0.8), logit, 1)


def test_weights_are_small_and_carry_card_and_operating_point() -> None:
    weights = runtime.session(CARD.id).weights
    assert (weights.origin, weights.version) == ("shipped", CARD.version)
    assert weights.path.stat().st_size <= LARGEST_FILE
    assert weights.metadata["recipe"] == CARD.id
    assert all(len(table["sha256"]) == 64 for table in weights.metadata["training_data"])
    assert Operating.of(weights.metadata) != Operating()


def test_specks_are_not_marked_and_boxes_stay_inside() -> None:
    cells, regions, reliability = decide(local(), Operating(), 199, 239)
    np.testing.assert_array_equal(cells >= 0.5, local().odds == 2.0)
    assert [(r.x, r.y, r.width, r.height, r.score) for r in regions] == [(120, 40, 80, 40, 2.0)]
    assert reliability == pytest.approx(0.8)
    assert decide(local(), Operating(bias=3.0), 199, 239)[1] == []


def test_little_evidence_in_the_whole_marks_nothing_and_keeps_the_order() -> None:
    cells, regions, reliability = decide(local(-1.0), Operating(), 200, 240)
    assert (regions, reliability) == ([], None)
    assert 0.49 < cells.max() < 0.5
    assert cells[40, 5] > cells[15, 40] > cells[0, 0]


@pytest.mark.parametrize("shape", [(64, 64), (65, 301), (512, 512), (530, 700)])
def test_any_size_has_a_map_of_its_size(detector: Detector, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    finding = detector(encoded(pixels))
    assert finding.heatmap is not None
    assert finding.heatmap.shape == shape and finding.heatmap.dtype == np.float32
    assert 0 <= finding.heatmap.min() <= finding.heatmap.max() <= 1
    marked = bool((finding.heatmap >= 0.5).any())
    assert marked == bool(finding.regions) == (finding.facts["reliability"] is not None)
    for region in finding.regions:
        assert region.x + region.width <= shape[1] and region.y + region.height <= shape[0]


def test_tiles_with_a_summary_say_what_the_whole_says(detector: Detector) -> None:
    """A picture of 512 pixels goes through at once; twice beside itself, in tiles."""
    once = photographs.astronaut()
    whole = localise(detector._session, once)
    tiled = localise(detector._session, np.tile(once, (1, 2, 1)))
    assert (whole.tiles, tiled.tiles) == (1, 3)
    inside = np.s_[8 : 512 // CELL - 8, 8 : 448 // CELL]
    assert np.corrcoef(whole.odds[inside].ravel(), tiled.odds[inside].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_silent_on_untouched_photographs(detector: Detector, name: str) -> None:
    finding = detector(encoded(getattr(photographs, name)()))
    assert finding.status is Status.OK and finding.regions == ()
