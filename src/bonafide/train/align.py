"""Dual data alignment: what is done to an original and its twin so that only the trace differs.

A reconstruction shows what its original shows, at the same size, and yet a network can tell the
two without looking at any trace: the original was saved as JPEG, the twin was not and has richer
high frequencies; and the two differ by more than a decoder's trace where the decoder is a poor
one. So the twin is saved like its original and mixed with it in pixels and in frequencies; that
both are resized alike is the business of the recipe's augmentations.

Facts about the paper's code that one should know. Its frequency mix blends all coefficients of a
cosine transform of the whole picture with one weight; since the transform is linear, this *is* a
pixel mix with the roles exchanged. `dct_mix` can therefore leave the lowest frequencies to the
twin, so that it takes only high frequencies from the original: that is where the paper sees the
misalignment. And it saves only half of the twins like their originals; `Alignment.resave` = 1
takes the JPEG history away as a cue altogether.

Pictures are uint8 H×W×3 RGB; an original and its twin have one shape. What is random comes from
the generator that is passed, and as many numbers are drawn whatever the pictures hold.

Reference: Chen et al., "Dual Data Alignment Makes AI-Generated Image Detector Easier
Generalizable", NeurIPS 2025, section 3 and appendix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from bonafide.train.augment import Pixels, Random, resaved
from bonafide.train.data import History


@dataclass(frozen=True)
class Alignment:
    """How twins are aligned; the defaults are the paper's.

    Attributes:
        resave: probability that a twin is saved like its original.
        pixel: probability of the pixel mix.
        dct: probability of the frequency mix.
        most: largest weight in either mix; weights are uniform from 0.
        lowest: share of the frequencies, from the lowest, that the frequency mix leaves alone.
        shrink: smallest factor by which recipes rescale both alike.
        enlarge: the largest.
    """

    resave: float = 0.5
    pixel: float = 0.2
    dct: float = 0.2
    most: float = 0.8
    lowest: float = 0.0
    shrink: float = 0.2
    enlarge: float = 3.5


def align(
    original: Pixels,
    twin: Pixels,
    random: Random,
    alignment: Alignment,
    history: History | None = None,
    corner: tuple[int, int] = (0, 0),
) -> Pixels:
    """The twin, saved like its original and mixed with it.

    Args:
        original: crop of a bona fide picture.
        twin: its reconstruction.
        random: decides what happens and how much.
        alignment: with which probabilities.
        history: how the picture that `original` was cut from was saved; None for lossless.
        corner: left and top of the crop in that picture, pixels.
    """
    chances, weights = random.random(3), random.uniform(0, alignment.most, 2)
    pixels_first = random.random() < 0.5
    if chances[0] < alignment.resave:
        twin = saved_like(twin, history, corner)
    for mix in ("pixel", "dct") if pixels_first else ("dct", "pixel"):
        if mix == "pixel" and chances[1] < alignment.pixel:
            twin = pixel_mix(original, twin, float(weights[0]))
        elif mix == "dct" and chances[2] < alignment.dct:
            twin = dct_mix(original, twin, float(weights[1]), alignment.lowest)
    return twin


def saved_like(pixels: Pixels, history: History | None, corner: tuple[int, int]) -> Pixels:
    """Pixels saved once at the quality, the subsampling and the block grid of a history."""
    return resaved(pixels, history.quality, history.subsampling, *corner) if history else pixels


def pixel_mix(original: Pixels, twin: Pixels, share: float) -> Pixels:
    """`share`·twin + (1 − `share`)·original, rounded: 0 gives the original, 1 the twin."""
    return _levels(share * twin.astype(np.float32) + (1 - share) * original.astype(np.float32))


def dct_mix(original: Pixels, twin: Pixels, share: float, lowest: float = 0.0) -> Pixels:
    """The twin with `share` of its frequencies' coefficients taken from the original.

    Args:
        original: crop of a bona fide picture.
        twin: its reconstruction.
        share: weight of the original, in [0, 1]: 0 gives the twin; 1, with `lowest` 0, the
            original.
        lowest: frequencies below this part of the highest one stay the twin's, in [0, 1].
    """
    gap = fft.dctn(original.astype(np.float32) - twin, axes=(0, 1), norm="ortho")
    rows, columns = (np.arange(side, dtype=np.float32) / side for side in gap.shape[:2])
    taken = np.maximum(rows[:, None], columns) >= lowest
    taken_gap = share * gap * taken[..., None]
    return _levels(twin + fft.idctn(taken_gap, axes=(0, 1), norm="ortho"))


def _levels(values: np.ndarray) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded
