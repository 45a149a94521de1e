"""Classical enlargement: hard cases, since a camera, a browser or a phone does it to photographs.

A picture is reduced and enlarged again, so that it keeps size and content and carries the trace
of the enlargement, as a reconstruction carries that of its decoder. The kernels are Pillow's, plus
one that follows edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Pixels = NDArray[np.uint8]
_Pair = tuple[NDArray[np.float32], NDArray[np.float32]]

_FILTERS = {
    "nearest": Pillow.Resampling.NEAREST,
    "bilinear": Pillow.Resampling.BILINEAR,
    "bicubic": Pillow.Resampling.BICUBIC,
    "lanczos": Pillow.Resampling.LANCZOS,
}
KERNELS = (*_FILTERS, "edges")


def reduced(pixels: Pixels, factor: int) -> Pixels:
    """uint8 H×W×3 → uint8 (H/factor)×(W/factor)×3 by Lanczos with anti-aliasing."""
    height, width = pixels.shape[:2]
    size = (width // factor, height // factor)
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.LANCZOS))


def enlarged(pixels: Pixels, factor: int, kernel: str) -> Pixels:
    """uint8 H×W×3 → uint8 (factor·H)×(factor·W)×3.

    Args:
        pixels: the picture.
        factor: at least 1; a power of two for the kernel "edges".
        kernel: one of `KERNELS`.
    """
    if kernel == "edges":
        while factor > 1:
            pixels, factor = _doubled_along_edges(pixels), factor // 2
        return pixels
    height, width = pixels.shape[:2]
    picture = Pillow.fromarray(pixels)
    return np.asarray(picture.resize((factor * width, factor * height), _FILTERS[kernel]))


def _doubled_along_edges(pixels: Pixels) -> Pixels:
    """Twice the size; every new pixel is the mean of the two neighbours that differ least.

    First the pixels between four known ones choose a diagonal, then the others choose between the
    horizontal and the vertical pair. Su and Willis, "Image Interpolation by Pixel-Level
    Data-Dependent Triangulation", Computer Graphics Forum 23(2), 2004, in its simplest form.
    """
    height, width = pixels.shape[:2]
    known = np.pad(pixels.astype(np.float32), ((0, 1), (0, 1), (0, 0)), mode="edge")
    here, right = known[:-1, :-1], known[:-1, 1:]
    below, across = known[1:, :-1], known[1:, 1:]
    centre = _mean_of_closer((here, across), (right, below))
    above_centre = np.concatenate((centre[:1], centre[:-1]))
    left_centre = np.concatenate((centre[:, :1], centre[:, :-1]), axis=1)
    fine = np.empty((2 * height, 2 * width, 3), np.float32)
    fine[::2, ::2] = here
    fine[1::2, 1::2] = centre
    fine[::2, 1::2] = _mean_of_closer((here, right), (above_centre, centre))
    fine[1::2, ::2] = _mean_of_closer((here, below), (left_centre, centre))
    return np.clip(np.rint(fine), 0, 255).astype(np.uint8)


def _mean_of_closer(first: _Pair, second: _Pair) -> NDArray[np.float32]:
    """Per pixel the mean of the pair whose members lie closer together in colour."""
    gaps = [np.abs(a - b).sum(axis=2, keepdims=True) for a, b in (first, second)]
    means = [(a + b) / 2 for a, b in (first, second)]
    return np.where(gaps[0] <= gaps[1], means[0], means[1])
