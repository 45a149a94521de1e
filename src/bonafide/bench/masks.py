"""Reading masks, which do not all mark in white."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput

MARKS = ("white", "black", "green")


def marked(pixels: NDArray[np.uint8], marks: str = "white") -> NDArray[np.bool_]:
    """Which pixels a mask marks.

    Args:
        pixels: uint8 H×W×3 RGB of the mask picture.
        marks: "white" and "black" compare brightness with half of full; "green" is where green
            outweighs red, for Columbia's masks, in which red marks what stayed.

    Raises:
        InvalidInput: `marks` is none of `MARKS`.
    """
    if marks == "green":
        red, green = pixels[..., 0].astype(np.int16), pixels[..., 1].astype(np.int16)
        return np.asarray(green > red + 64)
    if marks not in MARKS:
        raise InvalidInput(f"mask_marks must be one of {', '.join(MARKS)}, not {marks!r}")
    bright = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)) >= 128
    return bright if marks == "white" else ~bright
