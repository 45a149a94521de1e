"""Pictures for the self-check of a network, where the user has none at hand.

They are no generator's work: the photographs are those of scikit-image, and the stand-ins for
generated pictures are the same photographs, reduced and brought back by transposed convolutions
whose uneven overlap leaves the grid that many decoders leave. A network that tells them apart in
the right order is plausible; one that does not may still be sound.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image as Pillow

from bonafide.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PHOTOGRAPHS = ("chelsea", "coffee", "astronaut")
_DOUBLINGS = 2
_EVEN = np.outer((0.5, 1.0, 0.5), (0.5, 1.0, 0.5)).astype(np.float32)  # interpolates
_UNEVEN = np.ones((3, 3), np.float32) * 4 / 9  # mean gain 1, but 4/9, 8/9 and 16/9 by turns
_SHARE = 0.1


def write_stand_ins(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write them as PNG; return the stand-ins for generated pictures and the photographs.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise MissingExtra("demo", "a self-check without pictures of your own") from None
    generated: list[Path] = []
    photographs: list[Path] = []
    for name in _PHOTOGRAPHS:
        photograph = np.asarray(getattr(data, name)())
        for paths, kind, pixels in (
            (photographs, "photograph", photograph),
            (generated, "generated", _decoded(photograph)),
        ):
            paths.append(folder / f"{name}.{kind}.png")
            Pillow.fromarray(pixels).save(paths[-1])
    return generated, photographs


def _decoded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = (edge >> _DOUBLINGS for edge in pixels.shape[:2])
    values = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    kernel = (1 - _SHARE) * _EVEN + _SHARE * _UNEVEN
    for _ in range(_DOUBLINGS):
        spaced = np.zeros((2 * values.shape[0], 2 * values.shape[1], 3), np.float32)
        spaced[::2, ::2] = values
        values = cv2.filter2D(spaced, -1, kernel)
    rounded: NDArray[np.uint8] = np.clip(values + 0.5, 0, 255).astype(np.uint8)
    return rounded
