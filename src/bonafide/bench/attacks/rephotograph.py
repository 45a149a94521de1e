"""Laundering as if a screen had been photographed: pixels of a screen, a lens, a tilt, a sensor."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as Pillow

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.target import Target

_QUALITY = 88  # of the JPEG that the camera saves


@dataclass(frozen=True)
class Rephotograph(Attack):
    """A chain that is made, not measured; a strength of 1 is a careful photograph."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """The photograph of the screen."""
        yield photographed(aim.pixels, strength, random)


def photographed(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A picture on a screen, photographed and cut out again, as large as before.

    Args:
        pixels: uint8 H×W×3.
        strength: of tilt, blur, pattern and noise together.
        random: for the tilt and the noise.
    """
    height, width = pixels.shape[:2]
    screen = pixels.astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width]
    for channel in range(3):  # stripes of the sub-pixels beat with the sensor
        phase = 2 * np.pi * (columns + channel * 1.5) / 4.6 + 2 * np.pi * rows / 97.0
        screen[..., channel] *= 1 + 0.03 * strength * np.cos(phase)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    shift = random.uniform(-0.02, 0.02, (4, 2)) * strength * (width, height)
    tilt = cv2.getPerspectiveTransform(corners, (corners + shift).astype(np.float32))
    seen = cv2.warpPerspective(
        screen, tilt, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    seen = cv2.GaussianBlur(seen, (0, 0), 0.6 * strength)
    light = 255 * (np.clip(seen, 0, 255) / 255) ** (1 + 0.08 * strength)
    light = light * (1 - 0.06 * strength) + 10 * strength
    noisy = light + random.normal(0, 1.5 * strength, light.shape)
    stream = io.BytesIO()
    shown = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    Pillow.fromarray(shown).save(stream, "JPEG", quality=_QUALITY)
    return np.asarray(Pillow.open(stream).convert("RGB"))


ATTACK = Rephotograph(
    "Laundering as a photograph of a screen",
    "This project; a made chain, no camera took part",
    "nothing",
    strengths=(1.0, 2.0),
)
