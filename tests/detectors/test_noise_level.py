"""Noise level: a part without the picture's noise is found, an even one is quiet."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.noise_level import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Status


def media(pixels: NDArray[np.uint8], format: str = "PNG", **options: int) -> Image:  # noqa: A002
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format, **options)
    return Image(buffer.getvalue())


def noisy(picture: NDArray[np.uint8], sigma: float = 3.0) -> NDArray[np.uint8]:
    """Shrink by half, which leaves little noise of its own, then add a camera's."""
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, sigma, large.shape)
    # Away from black and white, where clipping would change the noise.
    return np.clip(20 + 0.85 * large + noise, 0, 255).round().astype(np.uint8)


def smoothed(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    mask = np.zeros(picture.shape[:2], bool)
    mask[60:180, 100:240] = True
    edited = picture.copy()
    edited[mask] = cv2.GaussianBlur(picture, (0, 0), 1.2)[mask]
    return edited, mask


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_a_smoothed_part_is_found(name: str) -> None:
    edited, mask = smoothed(noisy(getattr(data, name)()))
    finding = measure(Detector(), media(edited), CARD)
    assert finding.status is Status.OK and finding.score is not None and finding.score > 2
    assert finding.map is not None
    marked = finding.map.enlarge() >= 0.5
    assert marked[mask].mean() > 0.4
    assert marked[~mask].mean() < 0.05  # cells at its border overlap it
    assert float(finding.facts["noise_ratio"]) < 0.7  # type: ignore[arg-type]
    assert set(finding.facts) <= set(CARD.facts)
    json.dumps(finding.facts)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
@pytest.mark.parametrize("quality", [None, 90])
def test_even_noise_is_quiet(name: str, quality: int | None) -> None:
    picture = noisy(getattr(data, name)())
    finding = measure(
        Detector(), media(picture, "JPEG", quality=quality) if quality else media(picture), CARD
    )
    if finding.status is Status.OK:
        assert finding.score == 0.0 and not finding.regions
        assert finding.map is not None and finding.map.peak < 0.5


def test_noise_that_depends_on_brightness_is_quiet() -> None:
    slope = np.repeat(np.linspace(30, 220, 512)[None, :], 400, axis=0)
    noise = np.random.default_rng(0).normal(0, 1, slope.shape) * np.sqrt(slope / 12)
    grey = np.clip(slope + noise, 0, 255).round().astype(np.uint8)
    finding = measure(Detector(), media(np.repeat(grey[..., None], 3, axis=2)), CARD)
    assert finding.status is Status.OK and finding.score == 0.0


def test_a_picture_without_noise_is_not_judged() -> None:
    slope = np.repeat(np.linspace(30, 220, 512)[None, :], 400, axis=0).astype(np.uint8)
    finding = measure(Detector(), media(np.repeat(slope[..., None], 3, axis=2)), CARD)
    assert finding.status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (128, 128), (7, 900)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_and_small_pictures_are_survived(shape: tuple[int, int], level: int) -> None:
    flat = media(np.full((*shape, 3), level, np.uint8))
    assert measure(Detector(), flat, CARD).status is Status.NOT_APPLICABLE


def test_it_says_the_same_twice() -> None:
    edited, _ = smoothed(noisy(data.astronaut()))
    first, second = (
        measure(Detector(), media(edited), CARD),
        measure(Detector(), media(edited), CARD),
    )
    assert first == second and first.map is not None
