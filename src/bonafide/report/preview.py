"""Small pictures for the page: the media itself, and maps as transparent colour over it.

A preview is for looking at, never for measuring: detectors have read the original by then. Maps
stay on their lattice and are enlarged, or reduced, straight to the size of the preview.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from bonafide.types import Box, ScoreMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 1600
MARKED = 0.5  # a detector marks a pixel from here on
_LEVELS = 63  # steps kept of a map; more cannot be told apart and cost bytes


@dataclass(frozen=True)
class Preview:
    """An encoded picture.

    Attributes:
        data: the encoded bytes.
        mime: "image/jpeg" or "image/png".
        width, height: size in pixels.
    """

    data: bytes
    mime: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a data: URI."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data).decode('ascii')}"


def picture(pixels: NDArray[np.uint8], longest: int = LONGEST) -> Preview:
    """Shrink a picture to at most `longest` pixels on its longer side and encode it.

    Args:
        pixels: uint8 H×W×3 RGB in [0, 255].
        longest: bound on both sides of the result, at least 1.

    Returns:
        PNG where the picture is so small that single pixels will be looked at, JPEG otherwise.
    """
    height, width = pixels.shape[:2]
    size = fit(width, height, longest)
    image = Pillow.fromarray(pixels)
    if size != (width, height):
        image = image.resize(size, Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    if max(width, height) <= 320 and longest >= max(width, height):
        image.save(buffer, "PNG", optimize=True)
        return Preview(buffer.getvalue(), "image/png", *size)
    image.save(buffer, "JPEG", quality=88, optimize=True, progressive=True)
    return Preview(buffer.getvalue(), "image/jpeg", *size)


def overlay(values: NDArray[np.float32]) -> Preview:
    """Turn a map into a transparent colour PNG of its own size.

    Args:
        values: float32 H×W in [0, 1], see `sample`; values outside are clipped, NaN counts as 0.

    Returns:
        A palette PNG: fully transparent at 0, more opaque and lighter as values grow, with a
        visible step at 0.5, where a detector begins to mark.
    """
    values = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)
    # Rounding down keeps what is just under the mark under it.
    levels = np.floor(np.clip(values, 0.0, 1.0) * _LEVELS + 1e-4).astype(np.uint8)
    levels[(values >= MARKED) & (levels <= _LEVELS // 2)] = _LEVELS // 2 + 1
    image = Pillow.fromarray(levels, mode=None)
    image.putpalette(colours(_LEVELS + 1).tobytes())
    steps = np.arange(_LEVELS + 1) / _LEVELS
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6, transparency=_alpha(steps).tobytes())
    return Preview(buffer.getvalue(), "image/png", values.shape[1], values.shape[0])


def sample(score_map: ScoreMap, longest: int, box: Box | None = None) -> NDArray[np.float32]:
    """A map, or a window of it, on the pixels of a preview.

    A pixel of the preview that covers several cells takes the largest value, so that a mark of
    one cell survives.

    Args:
        score_map: of the whole picture.
        longest: bound on both sides of the preview; a window is never enlarged.
        box: the window, in pixels of the picture; None for all of it.

    Returns:
        float32 of the size that `picture` gives to the same window; no copy of the size of the
        picture is made.
    """
    window = box or Box(0, 0, score_map.width, score_map.height)
    width, height = fit(window.width, window.height, longest)
    rows = _cells(score_map, score_map.top, window.y, window.height, height, 0)
    columns = _cells(score_map, score_map.left, window.x, window.width, width, 1)
    # `reduceat` ends with its last row to the end of the array; the window may end before.
    values = score_map.values[: rows[-1] + 1, : columns[-1] + 1]
    values = np.maximum.reduceat(values, rows[:-1], axis=0)
    return np.asarray(np.maximum.reduceat(values, columns[:-1], axis=1), np.float32)


def _cells(
    score_map: ScoreMap, first: int, begin: int, length: int, count: int, axis: int
) -> NDArray[np.intp]:
    """Index of the cell in which each of `count` preview pixels begins, and of the last cell."""
    starts = begin + np.arange(count) * length // count
    edges = np.append(starts, begin + length - 1)
    most = score_map.values.shape[axis] - 1
    return np.asarray(np.clip((edges - first) // score_map.cell, 0, most), np.intp)


def fit(width: int, height: int, longest: int) -> tuple[int, int]:
    """(width, height) scaled down to at most `longest` on both sides; never scaled up."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrink(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Shrink a map of single pixels by taking the largest value of each cell.

    Args:
        values: float32 H×W.
        height: of the result, in [1, H].
        width: of the result, in [1, W].

    Returns:
        float32 height×width.
    """
    if values.shape == (height, width):
        return values
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    # Whole rows at a time: several times faster than reduceat along the first axis.
    pooled = np.stack(
        [values[a:b].max(axis=0) for a, b in pairwise([*rows.tolist(), values.shape[0]])]
    )
    return np.asarray(np.maximum.reduceat(pooled, columns, axis=1))


@cache
def colours(count: int) -> NDArray[np.uint8]:
    """A ramp from dark violet over red to light yellow whose lightness rises evenly.

    Built in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020), so that
    order is seen in print, in grey and by colour-blind readers too.

    Args:
        count: number of colours, at least 2.

    Returns:
        uint8 count×3 sRGB, read-only.
    """
    position = np.linspace(0.0, 1.0, count)
    lightness = 0.36 + 0.58 * position
    chroma = 0.13 + 0.14 * np.sin(np.pi * position) ** 0.8
    hue = np.deg2rad(300.0 + 165.0 * position)
    to_cone = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.full((count, 3), 2.0)
    # Clipping single channels would bend lightness; colours that a screen lacks turn paler.
    while linear.min() < 0.0 or linear.max() > 1.0:
        lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
        linear = (lab @ to_cone.T) ** 3 @ to_linear.T
        chroma = np.where((linear.min(axis=1) < 0) | (linear.max(axis=1) > 1), 0.97, 1.0) * chroma
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    ramp = np.asarray(np.round(255.0 * encoded), np.uint8)
    ramp.flags.writeable = False
    return ramp


def _alpha(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    faint = 0.8 * np.maximum(values - 0.03, 0.0)
    marked = 0.62 + 0.33 * (values - MARKED) / (1.0 - MARKED)
    alpha = np.round(255.0 * np.where(values >= MARKED, marked, faint))
    return np.asarray(alpha, np.uint8)
