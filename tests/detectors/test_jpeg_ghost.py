"""Ghosts of planted qualities, in JPEG and other containers, and quiet untouched pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.jpeg_ghost import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Status

NAMES = ["astronaut", "coffee", "chelsea", "rocket"]


def encoded(pixels: np.ndarray, container: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return buffer.getvalue()


def once_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return np.array(Pillow.open(io.BytesIO(encoded(pixels, "JPEG", quality=quality))))


def middle(pixels: np.ndarray) -> tuple[slice, slice]:
    """A third of the picture, on the block grid."""
    height, width = pixels.shape[:2]
    side = min(height, width) // 24 * 8
    top, left = height // 32 * 8, width // 32 * 8
    return slice(top, top + side), slice(left, left + side)


def assert_marks(finding: Finding, part: tuple[slice, slice], kind: str) -> None:
    assert finding.score is not None
    assert finding.score > 3
    assert finding.facts["kind"] == kind
    assert finding.map is not None
    marked = finding.map.enlarge() >= 0.5
    # Smooth and clipped blocks are left out, so that not all of the part need be marked.
    assert marked[part].mean() > 0.25
    assert marked[part].sum() > 0.65 * marked.sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("last", [90, None])
def test_part_from_a_coarser_file_has_a_ghost(name: str, last: int | None) -> None:
    pixels = getattr(data, name)()
    forged, part = pixels.copy(), middle(pixels)
    forged[part] = once_jpeg(pixels, 60)[part]
    options = {"quality": last} if last else {}
    finding = measure(
        Detector(), Image(encoded(forged, "JPEG" if last else "PNG", **options)), CARD
    )
    assert_marks(finding, part, "has")
    assert abs(finding.facts["ghost_quality"] - 60) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_part_that_was_never_saved_lacks_the_ghost(name: str) -> None:
    pixels = getattr(data, name)()
    part = middle(pixels)
    forged = once_jpeg(pixels, 75)
    forged[part] = pixels[::-1, ::-1][part]
    finding = measure(Detector(), Image(encoded(forged, "PNG")), CARD)
    assert_marks(finding, part, "lacks")
    assert abs(finding.facts["ghost_quality"] - 75) <= 2
    assert abs(finding.facts["earlier_quality"] - 75) <= 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [None, 60, 80])
@pytest.mark.parametrize("last", [None, 85, 95])
def test_untouched_pictures_are_quiet(name: str, first: int | None, last: int | None) -> None:
    pixels = getattr(data, name)()
    if first:
        pixels = once_jpeg(pixels, first)
    options = {"quality": last} if last else {}
    finding = measure(
        Detector(), Image(encoded(pixels, "JPEG" if last else "PNG", **options)), CARD
    )
    assert finding.score == 0
    assert finding.map is not None
    assert finding.map.peak < 0.5
    assert finding.regions == ()
    assert finding.facts["ghost_quality"] is None


def test_ghost_is_read_on_the_grid_of_a_cropped_picture() -> None:
    pixels = data.astronaut()
    part = middle(pixels)
    forged = once_jpeg(pixels, 75)
    forged[part] = pixels[::-1, ::-1][part]
    finding = measure(Detector(), Image(encoded(np.ascontiguousarray(forged[3:, 5:]), "PNG")), CARD)
    assert finding.facts["grid_origin"] == [3, 5]
    moved = tuple(
        slice(side.start - by, side.stop - by) for side, by in zip(part, (3, 5), strict=True)
    )
    assert_marks(finding, (moved[0], moved[1]), "lacks")


@pytest.mark.parametrize("size", [(1, 1), (9, 300), (256, 256)])
def test_small_and_flat_pictures_are_not_applicable(size: tuple[int, int]) -> None:
    finding = measure(Detector(), Image(encoded(np.full((*size, 3), 90, np.uint8), "PNG")), CARD)
    assert finding.status is Status.NOT_APPLICABLE
    assert finding.why


def test_facts_are_declared_and_findings_repeat() -> None:
    content = encoded(once_jpeg(data.coffee(), 70), "JPEG", quality=92)
    first, second = (
        measure(Detector(), Image(content), CARD),
        measure(Detector(), Image(content), CARD),
    )
    assert first == second
    assert set(first.facts) == set(CARD.facts)
