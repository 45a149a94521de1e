"""DDA: pictures and their aligned twins, told apart by a lightly tuned DINOv2.

What it is
    A detector that never saw a generator: it learns what a decoder leaves in a picture, from
    pairs that share content, size, JPEG history and frequency statistics (see
    `bonafide.train.align`) and differ by nothing else.

What the paper does
    MSCOCO and its reconstructions by Stable Diffusion 2.1's autoencoder; half of the twins saved
    at the original's JPEG quality, a fifth mixed with it in pixels, a fifth in frequencies. Each
    pair comes three times: as it is, smaller (×0.2–1) and larger (×1–3.5). JPEG 55–100 (15 %),
    flips, noise (10 %), blur (20 %), sharpening (10 %), colour jitter (20 %), grey (10 %), crops
    of 336. DINOv2 ViT-L/14 with LoRA of rank 8 on qkv, proj, fc1 and fc2; half cross-entropy on
    the class token, half contrast: features of unit length of one class are drawn together, those
    of the two classes pushed a distance of 1 apart. 16 pairs, that is 96 pictures, a pass and
    four passes a step; AdamW at 1e-4 with a cosine, one epoch.

What differs here
    A pair comes as one of its three copies, drawn at random, so that a step needs no third of its
    pictures to share content. What follows the resizing is done to the crop, not to the whole
    copy. Brightness, contrast and saturation are jittered, hue is not; quarter turns join the
    flips. transformers keeps query, key and value apart, which gives each
    an adapter of its own: 3,539,969 trained parameters instead of 3,146,753. Pictures are
    normalised as the backbone was trained, where the released code takes CLIP's numbers.

Reference
    R. Chen et al., "Dual Data Alignment Makes AI-Generated Image Detector Easier Generalizable",
    NeurIPS 2025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.align import Alignment, align
from bonafide.train.augment import (
    Chain,
    Pixels,
    Random,
    Step,
    blur,
    crop,
    grey,
    jpeg,
    light,
    noise,
    resize,
    sharpen,
    turn,
)
from bonafide.train.backbones import Backbone, add_lora, load_backbone
from bonafide.train.batches import Example, Twins
from bonafide.train.recipe import Batch, Output, Recipe

MARGIN = 1.0  # distance of unit vectors beyond which two classes are far enough apart


class Network(nn.Module):
    """A frozen backbone with LoRA adapters, and a linear head on its class token."""

    def __init__(self, backbone: Backbone, rank: int, alpha: int) -> None:
        super().__init__()
        self.backbone = backbone
        add_lora(backbone.model, rank, alpha)
        self.head = nn.Linear(backbone.width, 1)
        nn.init.normal_(self.head.weight, 0.0, 0.02)

    def describe(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → features (N, width)."""
        features: Tensor = self.backbone(pixels).pooled
        return features

    def judge(self, features: Tensor) -> Tensor:
        """Features (N, width) → logits (N,)."""
        logits: Tensor = self.head(features)
        return logits.squeeze(1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.judge(self.describe(pixels)))


def contrast(features: Tensor, label: Tensor) -> Tensor:
    """How far a class is spread, plus how much closer than `MARGIN` the two classes are.

    Every pair of pictures in the batch counts, an original and its twin among them; each part is
    the mean over the pairs that add to it.

    Args:
        features: float (N, width), not zero; only their direction matters.
        label: float (N,), 0 or 1.

    Returns:
        A scalar of at least 0.
    """
    unit = functional.normalize(features.float(), dim=1)
    first, second = torch.triu_indices(len(unit), len(unit), 1, device=unit.device)
    distance = (unit[first] - unit[second]).norm(dim=1)
    same = label[first] == label[second]
    return _mean_of_positive(distance[same]) + _mean_of_positive(
        functional.relu(MARGIN - distance[~same])
    )


def _mean_of_positive(values: Tensor) -> Tensor:
    return values.sum() / values.count_nonzero().clamp(min=1)


def rescaled(pixels: Pixels, random: Random, shrink: float, enlarge: float) -> Pixels:
    """As it is, smaller (`shrink` to 1) or larger (1 to `enlarge`), one time in three each."""
    smaller, larger = random.uniform(shrink, 1), random.uniform(1, enlarge)
    factor = (None, smaller, larger)[int(random.integers(3))]
    return pixels if factor is None else resize(pixels, random, factor, factor)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision transformer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        rank: of the LoRA adapters.
        alpha: their output is scaled by alpha / rank.
        contrast: weight of the contrast; cross-entropy has the rest.
        resave: probability that a twin is saved like its original.
        pixel_mix: probability that it is mixed with its original in pixels.
        dct_mix: probability that it is mixed with its original in frequencies.
        most: largest weight in either mix.
        lowest: share of the frequencies, from the lowest, that stay the twin's.
        shrink: smallest factor of the smaller copy.
        enlarge: largest factor of the larger copy.
    """

    steps: int = 1_850
    batch: int = 384
    accumulate: int = 4
    crop: int = 336
    schedule: str = "cosine"
    backbone: str = "facebook/dinov2-large"
    download: bool = False
    rank: int = 8
    alpha: int = 1
    contrast: float = 0.5
    resave: float = 0.5
    pixel_mix: float = 0.2
    dct_mix: float = 0.2
    most: float = 0.8
    lowest: float = 0.0
    shrink: float = 0.2
    enlarge: float = 3.5


class Method(Recipe):
    """Cross-entropy and contrast on aligned pairs."""

    id = "dda"
    title = "Dual data alignment: pictures against their reconstructions"
    paper = (
        "R. Chen et al., Dual Data Alignment Makes AI-Generated Image Detector Easier "
        "Generalizable, NeurIPS 2025"
    )
    needs_pairs = True
    Settings = Settings

    def network(self) -> Network:
        """The backbone with fresh adapters and a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine, or not a vision transformer.
        """
        wanted = self.settings
        return Network(load_backbone(wanted.backbone, wanted.download), wanted.rank, wanted.alpha)

    def examples(self, twins: Twins, random: np.random.Generator) -> Sequence[Example]:
        """The original, and its twin after alignment, through the same augmentation."""
        wanted = self.settings
        alignment = Alignment(
            wanted.resave, wanted.pixel_mix, wanted.dct_mix, wanted.most, wanted.lowest
        )
        corner = (twins.left, twins.top)
        twin = align(twins.original, twins.twin, random, alignment, twins.history, corner)
        augment, state = self.augment(), int(random.integers(2**63))
        return [
            Example(augment(side, np.random.default_rng(state)), label)
            for side, label in ((twins.original, 0.0), (twin, 1.0))
        ]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy and contrast, weighted."""
        tuned = cast(Network, network)
        features = tuned.describe(batch.pixels)
        apart = contrast(features, batch.label)
        bce = functional.binary_cross_entropy_with_logits(tuned.judge(features), batch.label)
        share = self.settings.contrast
        parts = {"bce": float(bce.detach()), "contrast": float(apart.detach())}
        return (1 - share) * bce + share * apart, parts

    def augment(self) -> Chain[Pixels]:
        """The paper's, the crop first of all that follows the resizing."""
        wanted = self.settings
        scale = partial(rescaled, shrink=wanted.shrink, enlarge=wanted.enlarge)
        return Chain(
            (
                Step("rescale", 1.0, scale),
                Step("crop", 1.0, partial(crop, side=wanted.crop)),
                Step("jpeg", 0.15, partial(jpeg, low=55, high=100)),
                Step("turn", 1.0, turn),
                Step("noise", 0.1, partial(noise, low=0.5, high=6.0)),
                Step("blur", 0.2, partial(blur, low=0.3, high=2.0)),
                Step("sharpen", 0.1, partial(sharpen, low=0.2, high=1.5)),
                Step("light", 0.2, partial(light, strength=0.4)),
                Step("grey", 0.1, grey),
            )
        )
