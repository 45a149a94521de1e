"""The default localiser, with the weights that ship."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.bench.pixel_metrics import count_pixels, pixel_auc
from bonafide.detectors.edited.jpeg_history import (
    BLOCK,
    CARD,
    SIDE,
    Detector,
    Local,
    Operating,
    decide,
    localise,
)
from bonafide.media.image import Image
from bonafide.networks import runtime
from bonafide.testing import measure
from bonafide.types import Status

LARGEST_FILE = 12_000_000  # bytes


def encoded(pixels: np.ndarray, kind: str = "JPEG", **options: object) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, kind, **options)
    return Image(buffer.getvalue(), f"picture.{kind.lower()}")


def spliced(**options: object) -> tuple[Image, np.ndarray]:
    """A photograph that was saved coarsely, a part of another that was not, and a finer save."""
    pixels = encoded(photographs.coffee(), quality=70).pixels.copy()
    mask = np.zeros(pixels.shape[:2], bool)
    mask[120:264, 200:360] = True
    pixels[mask] = photographs.astronaut()[30:174, 120:280].reshape(-1, 3)
    return encoded(pixels, quality=93, **options), mask


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def local(logit: float = 2.0) -> Local:
    """A map with a large mark, and one of two blocks."""
    odds = np.full((50, 60), -3.0, np.float32)
    odds[10:20, 30:50] = 2.0
    odds[40, 5:7] = 4.0
    return Local(odds, logit)


def test_weights_are_small_and_carry_card_and_operating_point() -> None:
    weights = runtime.session(CARD.id).weights
    assert (weights.origin, weights.version) == ("shipped", CARD.version)
    assert weights.path.stat().st_size <= LARGEST_FILE
    assert weights.metadata["recipe"] == CARD.id
    assert all(len(table["sha256"]) == 64 for table in weights.metadata["training_data"])
    assert Operating.of(weights.metadata) != Operating()


def test_specks_are_not_marked() -> None:
    np.testing.assert_array_equal(decide(local(), Operating()) >= 0.5, local().odds == 2.0)
    assert (decide(local(), Operating(bias=3.0)) < 0.5).all()


def test_little_evidence_in_the_whole_marks_nothing_and_keeps_the_order() -> None:
    blocks = decide(local(-1.0), Operating())
    assert 0.49 < blocks.max() < 0.5
    assert blocks[40, 5] > blocks[15, 40] > blocks[0, 0]


def test_a_part_that_was_never_saved_is_marked(detector: Detector) -> None:
    media, mask = spliced()
    finding = measure(detector, media, CARD)
    assert finding.map is not None
    assert pixel_auc(mask, finding.map.enlarge()) > 0.95
    assert count_pixels(mask, finding.map.enlarge()).f1 > 0.7
    assert len(finding.regions) == finding.facts["regions"] >= 1


def test_the_map_follows_the_orientation(detector: Detector) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    upright, turned = (
        measure(detector, spliced()[0], CARD),
        measure(detector, spliced(exif=exif)[0], CARD),
    )
    assert upright.map is not None and turned.map is not None
    assert turned.score == upright.score
    np.testing.assert_array_equal(turned.map.enlarge(), np.rot90(upright.map.enlarge(), -1))


def test_large_pictures_are_read_in_squares(detector: Detector) -> None:
    once, _ = spliced()
    wide = np.tile(once.pixels, (1, -(-BLOCK * SIDE // once.width) + 1, 1))
    found = localise(runtime.session(CARD.id), encoded(wide, quality=95))
    assert found is not None and found.odds.shape[1] > SIDE
    assert np.isfinite(found.odds).all() and np.isfinite(found.logit)
    finding = measure(detector, encoded(wide, quality=95), CARD)
    assert finding.map is not None and finding.map.enlarge().shape == wide.shape[:2]


@pytest.mark.parametrize("shape", [(64, 64), (65, 301), (70, 513)])
def test_any_size_has_a_map_of_its_size(detector: Detector, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    finding = measure(detector, encoded(pixels, quality=80, subsampling=2), CARD)
    assert finding.map is not None
    assert finding.map.enlarge().shape == shape and finding.map.values.dtype == np.float32
    assert 0 <= finding.map.values.min() <= finding.map.peak <= 1
    assert (finding.map.peak >= 0.5) == bool(finding.regions)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("quality", [60, 95])
def test_silent_on_untouched_photographs(detector: Detector, name: str, quality: int) -> None:
    finding = measure(detector, encoded(getattr(photographs, name)(), quality=quality), CARD)
    assert finding.status is Status.OK and finding.regions == ()


def test_what_is_no_jpeg_has_no_history(detector: Detector) -> None:
    finding = measure(detector, encoded(photographs.coffee(), "PNG"), CARD)
    assert finding.status is Status.NOT_APPLICABLE and "no JPEG" in finding.why


def test_a_grey_jpeg_is_read(detector: Detector) -> None:
    assert measure(detector, encoded(photographs.camera(), quality=85), CARD).status is Status.OK
