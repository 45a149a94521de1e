"""Local resampling is found and outlined; whole-picture resampling and originals stay unmarked."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.resampling import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Status


def examine(pixels: NDArray[Any], container: str = "PNG", **options: Any) -> Finding:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return measure(Detector(), Image(buffer.getvalue()), CARD)


def textured(side: int = 640, seed: int = 0) -> NDArray[np.uint8]:
    """Gravel with camera-like noise: texture everywhere and no history of interpolation."""
    noise = np.random.default_rng(seed).normal(0, 3, (512, 512, 3))
    gravel = data.gravel()[..., None] + noise
    tiled = np.tile(gravel, (2, 2, 1))[:side, :side]
    return np.clip(tiled, 0, 255).astype(np.uint8)


def planted(matrix: NDArray[Any], side: int = 260) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    picture = textured()
    source = textured(seed=1)
    moved = cv2.warpAffine(source, matrix, (640, 640), flags=cv2.INTER_CUBIC)
    mask = np.zeros((640, 640), bool)
    mask[120 : 120 + side, 160 : 160 + side] = True
    picture[mask] = moved[mask]
    return picture, mask


def scaling(factor: float) -> NDArray[Any]:
    return np.array([[factor, 0, -40.3], [0, factor, -20.6]])


@pytest.mark.parametrize(
    "matrix",
    [scaling(1.2), scaling(1.45), cv2.getRotationMatrix2D((320, 320), 20, 1.25)],
    ids=["enlarged 1.2", "enlarged 1.45", "enlarged and turned 20°"],
)
def test_a_planted_region_is_found_and_outlined(matrix: NDArray[Any]) -> None:
    picture, mask = planted(matrix)
    finding = examine(picture)
    assert finding.score is not None and finding.score > 5
    assert finding.map is not None
    marked = finding.map.enlarge() >= 0.5
    assert 2 * (marked & mask).sum() / (marked.sum() + mask.sum()) > 0.5
    region = finding.regions[0]
    assert mask[region.y + region.height // 2, region.x + region.width // 2]
    assert str(finding.facts["period"]) in finding.summary


def quiet(finding: Finding) -> bool:
    return finding.map is None or finding.map.peak < 0.5


def test_the_same_region_without_interpolation_is_not_marked() -> None:
    picture, _ = planted(np.array([[1.0, 0, -40], [0, 1.0, -20]]))
    finding = examine(picture)
    assert quiet(finding) and finding.regions == ()
    assert finding.score is not None and finding.score < 2


@pytest.mark.parametrize("factor", [1.2, 1.45])
def test_a_picture_resized_as_a_whole_is_noted_and_not_marked(factor: float) -> None:
    picture = cv2.resize(textured(512), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    finding = examine(picture)
    assert quiet(finding)
    assert finding.score is not None and finding.score <= 0
    assert float(str(finding.facts["global_period"])) > 0


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "brick", "grass"])
def test_untouched_photographs_are_not_marked(name: str) -> None:
    assert quiet(examine(getattr(data, name)()))
    assert quiet(examine(getattr(data, name)(), "JPEG", quality=85))


def test_pictures_without_texture_or_size_are_not_applicable() -> None:
    assert examine(np.full((400, 400, 3), 90, np.uint8)).status is Status.NOT_APPLICABLE
    assert examine(np.zeros((1, 1, 3), np.uint8)).status is Status.NOT_APPLICABLE
    assert examine(np.zeros((300, 40, 3), np.uint8)).status is Status.NOT_APPLICABLE


def test_facts_are_declared_and_the_answer_is_repeatable() -> None:
    picture, _ = planted(scaling(1.2))
    first, second = examine(picture), examine(picture)
    assert first == second
    assert set(first.facts) <= set(CARD.facts)
    assert first.map is not None and first.map.enlarge().shape == (640, 640)
