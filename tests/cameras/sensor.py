"""A made-up sensor: photographs multiplied by a fixed pattern, with noise, saved as JPEG."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 560, 720
_SCENES = ("astronaut", "chelsea", "coffee", "rocket", "immunohistochemistry", "retina")


class Sensor:
    """A camera of `HEIGHT`×`WIDTH` pixels; the seed is its serial number."""

    def __init__(self, seed: int, strength: float = 0.02) -> None:
        pattern = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH, 1))
        self._gain = (1 + strength * pattern).astype(np.float32)

    def shoot(self, scene: Pixels, seed: int) -> Pixels:
        """A picture of a scene, uint8 `HEIGHT`×`WIDTH`×3."""
        light = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
        noise = np.random.default_rng(seed).normal(0, 1.5, light.shape)
        return np.clip(light * self._gain + noise + 0.5, 0, 255).astype(np.uint8)


@cache
def scene(number: int) -> Pixels:
    """One of many scenes: parts of photographs, and soft gradients between them."""
    if number % 2:
        draw = np.random.default_rng(number)
        corners = draw.uniform(70, 220, (3, 4, 3)).astype(np.float32)
        soft = cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        return np.clip(soft, 0, 255).astype(np.uint8)
    photo = getattr(data, _SCENES[number // 2 % len(_SCENES)])()[..., :3]
    flip = number // 2 // len(_SCENES) % 2
    return np.ascontiguousarray(photo[:, :: -1 if flip else 1])


def photographs(sensor: Sensor, count: int, first: int = 0) -> Iterator[bytes]:
    """JPEG files of a sensor, each of another scene."""
    for number in range(first, first + count):
        yield jpeg(sensor.shoot(scene(number), 1000 + number))


def jpeg(pixels: Pixels, quality: int = 95) -> bytes:
    """A picture saved as JPEG."""
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
