"""Demosaicing inconsistency: a shifted paste is found, an untouched record is quiet."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.cfa_pattern import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Status


def media(pixels: NDArray[np.uint8], format: str = "PNG", **options: int) -> Image:  # noqa: A002
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format, **options)
    return Image(buffer.getvalue())


def camera(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = np.clip(small + np.random.default_rng(0).normal(0, 2, small.shape), 0, 255)
    height, width = small.shape[0] // 2 * 2, small.shape[1] // 2 * 2
    y, x = np.indices((height, width))
    mosaic = np.take_along_axis(small[:height, :width], (y % 2 + x % 2)[..., None], axis=2)[..., 0]
    return cv2.cvtColor(np.round(mosaic).astype(np.uint8), cv2.COLOR_BayerRGGB2RGB_EA)


def paste(down: int, right: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    picture, other = camera(data.coffee()), camera(data.astronaut())
    picture[40 + down : 140 + down, 60 + right : 160 + right] = other[60:160, 60:160]
    mask = np.zeros(picture.shape[:2], bool)
    mask[40 + down : 140 + down, 60 + right : 160 + right] = True
    return picture, mask


def f1(heatmap: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    marked = heatmap >= 0.5
    return float(2 * (marked & mask).sum() / max(marked.sum() + mask.sum(), 1))


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("quality", [None, 97])
def test_a_paste_out_of_step_is_found(down: int, right: int, quality: int | None) -> None:
    picture, mask = paste(down, right)
    examined = media(picture, "JPEG", quality=quality, subsampling=0) if quality else media(picture)
    finding = measure(Detector(), examined, CARD)
    assert finding.status is Status.OK and finding.score is not None and finding.score > 3
    assert finding.map is not None and f1(finding.map.enlarge(), mask) > 0.75
    box = finding.regions[0]
    assert abs(box.x - 60) <= 16 and abs(box.y - 40) <= 16
    assert finding.facts["pattern_visible"] is True
    assert set(finding.facts) <= set(CARD.facts)
    json.dumps(finding.facts)


def test_a_paste_in_step_is_not_seen() -> None:
    picture, _ = paste(0, 0)
    finding = measure(Detector(), media(picture), CARD)
    assert finding.score == 0.0


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea", "rocket"])
def test_an_untouched_record_is_quiet(name: str) -> None:
    finding = measure(Detector(), media(camera(getattr(data, name)())), CARD)
    assert finding.facts["pattern_visible"] is True
    assert finding.score == 0.0 and not finding.regions
    assert finding.map is not None and finding.map.peak < 0.5


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea", "rocket"])
def test_a_resized_photograph_shows_no_pattern(name: str) -> None:
    finding = measure(Detector(), media(getattr(data, name)()), CARD)
    assert finding.facts["pattern_visible"] is False
    assert finding.score == 0.0 and finding.map is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (64, 64), (65, 71), (8, 8)])
def test_flat_and_small_pictures_are_survived(shape: tuple[int, int]) -> None:
    flat = media(np.full((*shape, 3), 128, np.uint8))
    assert measure(Detector(), flat, CARD).status is Status.NOT_APPLICABLE


def test_grey_pictures_are_survived() -> None:
    finding = measure(Detector(), media(data.camera()), CARD)
    assert finding.score == 0.0


def test_it_says_the_same_twice() -> None:
    picture, _ = paste(1, 0)
    first, second = (
        measure(Detector(), media(picture), CARD),
        measure(Detector(), media(picture), CARD),
    )
    assert first == second and first.map is not None
