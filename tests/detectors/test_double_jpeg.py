"""Double compression on planted parts with one save among two, and on untouched pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.double_jpeg import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Status

NAMES = ["astronaut", "coffee", "chelsea", "rocket"]


def encoded(pixels: np.ndarray, quality: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def once_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return np.array(Pillow.open(io.BytesIO(encoded(pixels, quality))))


def patched(pixels: np.ndarray, quality: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture saved once, with a part put back that never was; and its mask."""
    forged = once_jpeg(pixels, quality)
    height, width = pixels.shape[:2]
    side = min(height, width) // 3
    top, left = height // 4, width // 4
    source = pixels[height - side - 5 : height - 5, width - side - 7 : width - 7]
    forged[top : top + side, left : left + side] = source
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return forged, mask


def assert_quiet(finding: Finding) -> None:
    assert finding.status is Status.OK
    assert finding.score == 0
    assert finding.map is not None
    assert finding.map.peak < 0.5
    assert finding.regions == ()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("first", "second"), [(75, 90), (60, 80), (90, 95)])
def test_part_that_missed_the_first_save_is_found(name: str, first: int, second: int) -> None:
    forged, mask = patched(getattr(data, name)(), first)
    finding = measure(Detector(), Image(encoded(forged, second)), CARD)
    assert finding.score is not None
    assert finding.score > 1
    assert finding.facts["kind"] == "lacks"
    assert finding.map is not None
    marked = finding.map.enlarge() >= 0.5
    assert marked[mask].mean() > 0.4
    assert (marked & mask).sum() > 0.65 * marked.sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("first", "second"), [(75, 90), (60, 80), (85, 95), (50, 95)])
def test_saving_twice_as_a_whole_is_a_fact_and_no_evidence(
    name: str, first: int, second: int
) -> None:
    finding = measure(
        Detector(), Image(encoded(once_jpeg(getattr(data, name)(), first), second)), CARD
    )
    assert_quiet(finding)
    assert finding.facts["double_compressed"] is True
    assert finding.facts["double_share"] >= 0.8
    quality = finding.facts["first_quality"]
    assert quality is None or abs(quality - first) <= 3
    assert "before its last save" in finding.summary


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("quality", [60, 75, 90, 97])
def test_a_single_save_is_no_double_one(name: str, quality: int) -> None:
    finding = measure(Detector(), Image(encoded(getattr(data, name)(), quality)), CARD)
    assert_quiet(finding)
    assert finding.facts["double_compressed"] is False
    assert finding.facts["first_quality"] is None
    assert finding.facts["file_quality"] == quality
    assert finding.facts["file_table_standard"] is True


@pytest.mark.parametrize(("first", "second", "step"), [(70, 95, 10), (75, 90, 8), (50, 90, 16)])
def test_crop_between_two_saves_is_a_fact_and_no_evidence(
    first: int, second: int, step: int
) -> None:
    cropped = once_jpeg(data.astronaut(), first)[3:, 5:]
    finding = measure(Detector(), Image(encoded(cropped, second)), CARD)
    assert finding.facts["shifted_origin"] == [3, 5]
    assert finding.facts["shifted_step"] == step
    assert_quiet(finding)


def test_orientation_turns_the_map() -> None:
    forged, mask = patched(data.coffee(), 75)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    media = Image(encoded(forged, 92, exif=exif))
    finding = measure(Detector(), media, CARD)
    assert finding.map is not None
    assert (finding.map.width, finding.map.height) == (media.width, media.height)
    marked = finding.map.enlarge() >= 0.5
    assert (marked & media.orient(mask)).sum() > 0.65 * marked.sum() > 0


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (127, 127), (256, 256)])
def test_small_and_flat_pictures_are_not_applicable(size: tuple[int, int]) -> None:
    finding = measure(Detector(), Image(encoded(np.full((*size, 3), 200, np.uint8), 80)), CARD)
    assert finding.status is Status.NOT_APPLICABLE
    assert finding.why


def test_other_containers_are_not_applicable() -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(data.astronaut()).save(buffer, "PNG")
    assert measure(Detector(), Image(buffer.getvalue()), CARD).status is Status.NOT_APPLICABLE


def test_grey_files_are_read_and_facts_are_declared() -> None:
    grey = np.array(Pillow.fromarray(data.astronaut()).convert("L"))
    finding = measure(Detector(), Image(encoded(once_jpeg(grey, 70), 90)), CARD)
    assert finding.facts["double_compressed"] is True
    assert set(finding.facts) == set(CARD.facts)
