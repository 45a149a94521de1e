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
LAYERS = ("layer5", "layer6", "layer7", "layer8")  # blocks whose class tokens are read


def square_view(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The central square of a picture as the network reads it.

    Args:
        pixels: uint8 H×W×3, RGB.

    Returns:
        float32 3×224×224 in [0, 1]: resized bicubically, with a filter as wide as the shrinking
        needs.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    if side != SIDE:
        picture = Pillow.fromarray(square)
        square = np.asarray(picture.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC))
    return np.ascontiguousarray(square.transpose(2, 0, 1), np.float32) / np.float32(255)


def class_tokens(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class tokens of views.

    Args:
        views: float32 N×3×224×224, RGB in [0, 1].

    Returns:
        float32 N×4×768: the class token after each of the blocks `LAYERS`.

    Raises:
        WeightsError: the network cannot be opened.
    """
    tokens = runtime.session(NETWORK).run(views, only=LAYERS)
    found: NDArray[np.float32] = np.stack([tokens[layer][:, 0] for layer in LAYERS], axis=1)
    return found


def _of_whole(ctx: Context) -> NDArray[np.float32]:
    return class_tokens(square_view(ctx.image.pixels)[None])


CLIP_SQUARE: Signal[NDArray[np.float32]] = Signal("clip.square", "1", _of_whole)
"""float32 1×4×768 class tokens of the central square of a picture; raises `WeightsError`."""
