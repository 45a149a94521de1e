"""Grids of screens and prints, and bands of light, are told; untouched photographs are not."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.liveness.screen_cues import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Profile, Status

NOTHING = "Neither a grid nor bands stand out"
BLOCK = 6  # samples of a pixel of the screen, a side


def examine(pixels: NDArray[Any], container: str = "PNG", **options: Any) -> Finding:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return measure(Detector(), Image(buffer.getvalue()), CARD)


def on_a_screen(picture: NDArray[np.uint8], pitch: float, depth: float) -> NDArray[np.uint8]:
    """A photograph of a tilted screen, `pitch` pixels of the sensor per pixel of the screen."""
    side = round(300 / pitch)
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    stripes = np.zeros((BLOCK, BLOCK, 3), np.float32)
    for channel in range(3):
        stripes[: BLOCK - 1, 2 * channel : 2 * channel + 2, channel] = 1
    light = 1 - depth + depth * stripes / stripes.mean((0, 1))
    shown = small.repeat(BLOCK, 0).repeat(BLOCK, 1) * np.tile(light, (side, side, 1))
    shown = cv2.GaussianBlur(shown, (0, 0), 0.45 * BLOCK / pitch)
    turn = cv2.getRotationMatrix2D((side * BLOCK / 2,) * 2, 2.0, pitch / BLOCK)
    turn[:, 2] += 140 - side * BLOCK / 2
    seen = cv2.warpAffine(shown, turn, (280, 280), flags=cv2.INTER_LINEAR)
    return with_noise(seen)


def printed(picture: NDArray[np.uint8], pitch: float, angle: float) -> NDArray[np.uint8]:
    """Dots of ink on paper, larger where the picture is dark."""
    grey = picture[:300, :300].mean(2)
    down, across = np.mgrid[: grey.shape[0], : grey.shape[1]] * 2 * np.pi / pitch
    turn = np.deg2rad(angle)
    first, second = (
        np.cos(across * np.cos(turn) + down * np.sin(turn)),
        np.cos(down * np.cos(turn) - across * np.sin(turn)),
    )
    ink = np.where(grey > 127.5 + 63 * (first + second), 235, 30).astype(np.float32)
    return with_noise(cv2.GaussianBlur(ink, (0, 0), 0.9))


def with_noise(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    noisy = pixels + np.random.default_rng(0).normal(0, 1.5, pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def banded(picture: NDArray[np.uint8], period: float, depth: float) -> NDArray[np.uint8]:
    """Rows whose light swings by ± `depth`."""
    gain = 1 + depth * np.sin(2 * np.pi * np.arange(len(picture)) / period)
    return np.clip(np.rint(picture * gain[:, None, None]), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "name", ["astronaut", "coffee", "chelsea", "camera", "coins", "brick", "grass", "moon"]
)
def test_nothing_is_told_of_untouched_photographs(name: str) -> None:
    """Bricks and rows of coins repeat themselves, and are neither a grid nor bands."""
    found = examine(getattr(data, name)(), "JPEG", quality=90)
    assert found.summary.startswith(NOTHING) and found.score == 0 and found.map is None


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize(("pitch", "depth"), [(3.3, 0.5), (2.7, 0.2)])
def test_a_photographed_screen_shows_its_grid(name: str, pitch: float, depth: float) -> None:
    found = examine(on_a_screen(getattr(data, name)(), pitch, depth), "JPEG", quality=90)
    assert "shows a grid that repeats every" in found.summary
    assert found.score is not None and found.score > 0.8
    assert found.map is not None and float((found.map.values >= 0.5).mean()) > 0.8


@pytest.mark.parametrize(("pitch", "angle"), [(5.0, 45.0), (4.3, 30.0)])
def test_a_print_shows_its_dots(pitch: float, angle: float) -> None:
    found = examine(printed(data.astronaut(), pitch, angle), "JPEG", quality=90)
    assert "shows a grid" in found.summary
    assert float(str(found.facts["grid_period"])) == pytest.approx(pitch, abs=0.6)


def test_bands_of_light_are_told_with_their_period() -> None:
    found = examine(banded(data.rocket(), 37.0, 0.02))
    assert "of the rows rises and falls" in found.summary and found.score == 0
    assert float(str(found.facts["band_period"])) == pytest.approx(37, abs=3)
    assert float(str(found.facts["band_depth"])) == pytest.approx(4, abs=2)


def test_the_map_marks_the_screen_in_a_room() -> None:
    room = np.array(data.coffee()[:384, :600])
    room[:280, :280] = on_a_screen(data.astronaut(), 3.3, 0.5)
    found = examine(room)
    assert float(str(found.facts["grid_share"])) < 0.6  # a part of the picture is no attack
    assert found.map is None or float(found.map.values[:16, 20:].max()) < 0.5


def test_glare_and_focus_are_numbers() -> None:
    picture = np.array(data.coffee())
    plain = examine(picture).facts
    soft = cv2.GaussianBlur(picture, (0, 0), 3.0)
    soft[:, :300] = picture[:, :300]
    cv2.circle(soft, (450, 200), 60, (255, 255, 255), -1)
    changed = examine(soft).facts
    assert float(str(changed["glare"])) == pytest.approx(100 * np.pi * 60**2 / 240_000, rel=0.05)
    assert float(str(plain["glare"])) < 0.1
    assert float(str(changed["focus_spread"])) > 1.2 * float(str(plain["focus_spread"]))


def test_it_is_thorough_and_takes_pictures_of_some_size() -> None:
    assert CARD.profile is Profile.THOROUGH
    small = examine(np.zeros((200, 300, 3), np.uint8))
    assert small.status is Status.NOT_APPLICABLE and "256 pixels" in small.why
    assert examine(np.zeros((256, 256, 3), np.uint8)).summary.startswith(NOTHING)
