"""The vision tower of CLIP ViT-B/16, first eight blocks: features that several detectors share.

The network sees the central square of a picture, resized to 224 pixels: what the picture shows and
how it is drawn, not its pixel traces. It is computed once per picture.

Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
ICML 2021 (weights: OpenAI, MIT licence). `bonafide.train.clip_tower` makes the file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.media.context import Context, Signal
from bonafide.networks import runtime

NETWORK = "clip_b16"
SIDE = 224  # pixels
BLOCKS = tuple(f"layer{number}" for number in range(1, 9))  # what the network gives
MEAN = ".mean"  # of the patch tokens of a block, after its name
# What is read of whole pictures; the last one is what distances are measured on.
LAYERS = tuple(f"{name}{MEAN}" for name in BLOCKS[5:]) + BLOCKS[4:]


def central_square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central square of a picture at the size that the network reads.

    Args:
        pixels: uint8 H×W×3, RGB.

    Returns:
        uint8 224×224×3: resized bicubically, with a filter as wide as the shrinking needs.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    if side != SIDE:
        picture = Pillow.fromarray(square)
        square = np.asarray(picture.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC))
    return square


def square_view(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The central square of a picture as the network reads it: float32 3×224×224 in [0, 1]."""
    square = central_square(pixels)
    return np.ascontiguousarray(square.transpose(2, 0, 1), np.float32) / np.float32(255)


def tokens_of(views: NDArray[np.float32], layers: tuple[str, ...] = LAYERS) -> NDArray[np.float32]:
    """Tokens of views, one for each name in `layers`.

    Args:
        views: float32 N×3×224×224, RGB in [0, 1].
        layers: names of `BLOCKS` for class tokens; with `MEAN`, the mean of the 196 patch tokens.

    Returns:
        float32 N×L×768.

    Raises:
        WeightsError: the network cannot be opened.
    """
    blocks = tuple(name for name in BLOCKS if name in layers or f"{name}{MEAN}" in layers)
    said = runtime.session(NETWORK).run(views, only=blocks)
    found: NDArray[np.float32] = np.stack(
        [
            said[name.removesuffix(MEAN)][:, 1:].mean(1)
            if name.endswith(MEAN)
            else said[name][:, 0]
            for name in layers
        ],
        axis=1,
    )
    return found


def chosen(tokens: NDArray[np.float32], layers: tuple[str, ...]) -> NDArray[np.float32]:
    """Some of the tokens N×L×768 of `LAYERS`, by name."""
    return np.ascontiguousarray(tokens[:, [LAYERS.index(name) for name in layers]])


def _of_whole(ctx: Context) -> NDArray[np.float32]:
    return tokens_of(square_view(ctx.image.pixels)[None])


CLIP_SQUARE: Signal[NDArray[np.float32]] = Signal("clip.square", "2", _of_whole)
"""float32 1×7×768, tokens `LAYERS` of the central square of a picture; raises `WeightsError`."""
