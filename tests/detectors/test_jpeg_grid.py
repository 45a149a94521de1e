"""The grid detector on planted foreign grids and on untouched pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.jpeg_grid import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Status


def encoded(pixels: np.ndarray, container: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return buffer.getvalue()


def once_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return np.array(Pillow.open(io.BytesIO(encoded(pixels, "JPEG", quality=quality))))


def examine(pixels: np.ndarray, container: str = "PNG", **options: object) -> Finding:
    return measure(Detector(), Image(encoded(pixels, container, **options)), CARD)


def moved(pixels: np.ndarray, quality: int) -> tuple[np.ndarray, np.ndarray]:
    """A copy within the picture, off the grid, and its mask."""
    forged = once_jpeg(pixels, quality)
    forged[100:228, 120:248] = forged[203:331, 245:373]
    mask = np.zeros(forged.shape[:2], bool)
    mask[100:228, 120:248] = True
    return forged, mask


def overlap(finding: Finding, mask: np.ndarray) -> float:
    assert finding.map is not None
    marked = finding.map.enlarge() >= 0.5
    return float((marked & mask).sum() / (marked | mask).sum())


@pytest.mark.parametrize("quality", [60, 75, 90])
def test_part_copied_off_the_grid_is_found_and_outlined(quality: int) -> None:
    forged, mask = moved(data.astronaut(), quality)
    finding = examine(forged)
    assert finding.score is not None
    assert finding.score > 10
    assert overlap(finding, mask) > 0.8
    # Grid lines lie at source rows and columns 8i, moved by 103 rows and 125 columns.
    assert finding.facts["foreign_regions"][0]["origin"] == [(-125) % 8, (-103) % 8]
    region = finding.regions[0]
    assert abs(region.x - 120) <= 16
    assert abs(region.y - 100) <= 16


def test_part_from_a_jpeg_in_a_picture_that_never_was_one() -> None:
    rng = np.random.default_rng(3)
    clean = rng.normal(128, 20, (400, 400, 3)).clip(0, 255).astype(np.uint8)
    clean[100:228, 120:248] = once_jpeg(data.coffee()[:400, :400], 75)[51:179, 70:198]
    finding = examine(clean)
    assert finding.score is not None
    assert finding.score > 10
    assert finding.facts["main_origin"] is None
    assert "parts" in finding.summary


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
@pytest.mark.parametrize("quality", [60, 80, 95])
def test_untouched_pictures_are_quiet(name: str, quality: int) -> None:
    pixels = getattr(data, name)()
    for finding in (
        examine(pixels, "JPEG", quality=quality),
        examine(once_jpeg(pixels, quality)),
    ):
        assert finding.score == 0
        assert finding.map is not None
        assert finding.map.peak < 0.5
        assert finding.regions == ()


def test_crop_after_jpeg_is_a_fact_and_no_evidence() -> None:
    finding = examine(once_jpeg(data.astronaut(), 80)[3:, 6:])
    assert finding.facts["main_origin"] == [2, 5]
    assert finding.facts["cropped_after_jpeg"] is True
    assert finding.score == 0
    assert "cropped" in finding.summary


def test_map_and_regions_follow_the_exif_orientation() -> None:
    forged, mask = moved(data.astronaut()[:, :500], 75)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    media = Image(encoded(forged, "PNG", exif=exif))
    assert media.orientation == 6
    finding = measure(Detector(), media, CARD)
    upright = media.orient(mask)
    assert finding.map is not None
    assert (finding.map.width, finding.map.height) == (media.width, media.height)
    assert overlap(finding, upright) > 0.8
    region = finding.regions[0]
    inside = upright[region.y : region.y + region.height, region.x : region.x + region.width]
    assert inside.mean() > 0.7


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (20, 20), (300, 9)])
def test_small_and_flat_pictures_have_no_grid(shape: tuple[int, int]) -> None:
    finding = examine(np.full((*shape, 3), 90, np.uint8))
    assert finding.status is Status.NOT_APPLICABLE
    assert finding.why


def test_same_input_gives_the_same_finding() -> None:
    forged, _ = moved(data.astronaut(), 75)
    first, second = examine(forged), examine(forged)
    assert first == second
    assert set(first.facts) == set(CARD.facts)
