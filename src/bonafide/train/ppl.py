"""PPL: a detector that has to look at every patch.

What it is
    A detector that is told "synthetic" about whole pictures learns the few patches that give them
    away most easily. Here pictures are half real and half synthetic, patch by patch, and the
    features of patches are sorted by their origin, whichever picture they lie in.

What the paper does
    Half of the patches are exchanged at random: in the version at ICLR 2026, patches of a real
    picture give way to their reconstruction (inpainting by Stable Diffusion at strength 0.25);
    in the first version on arXiv, patches of a synthetic picture give way to real ones. Contrast
    of patch features at distance d: d² for two of one origin, max(0, 1 − d²) for two of different
    origin. Loss: 0.3 contrast + 0.7 cross-entropy. CLIP or DINOv2 with LoRA, crops of 224.

What differs here
    Patches come from aligned twins in both versions, so that they differ by the decoder's trace
    and not by content; a twin is first saved like its original. Patches are exchanged after the
    crop, on the network's own grid. Features are brought to unit length before they are
    compared, and `patches` of a batch are drawn for it. The picture's logit is the mean over its
    patches, which makes the patch logits a map that says what the verdict rests on. Rank and scale
    of the adapters, which our source does not give, are those of `dda`, by the same group.

Reference
    Z. Yang, R. Chen, Z. Yan et al., "All Patches Matter, More Patches Better: Enhance
    AI-Generated Image Detection via Panoptic Patch Learning", ICLR 2026 (arXiv:2504.01396).
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

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.align import saved_like
from bonafide.train.augment import Chain, Pixels, Step, crop, standard, turn
from bonafide.train.backbones import Backbone, add_lora, load_backbone
from bonafide.train.batches import Example, Twins
from bonafide.train.recipe import Batch, Output, Recipe
from bonafide.train.replacement import with_real_patches, with_reconstructed_patches

REPLACEMENTS = {"reconstructed": with_reconstructed_patches, "real": with_real_patches}
MARGIN = 1.0  # squared distance beyond which patches of different origin are far enough apart


class Network(nn.Module):
    """A frozen backbone with LoRA adapters, and one linear score for every patch."""

    def __init__(self, backbone: Backbone, rank: int, alpha: int) -> None:
        super().__init__()
        self.backbone = backbone
        add_lora(backbone.model, rank, alpha)
        self.head = nn.Conv2d(backbone.width, 1, 1)

    def describe(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → features of patches (N, width, h, w)."""
        features: Tensor = self.backbone(pixels).map
        return features

    def judge(self, features: Tensor) -> Output:
        """Features (N, width, h, w) → `Output` with the patch logits as map."""
        scores = self.head(features).squeeze(1)
        return Output(scores.mean((1, 2)), scores)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` with a map of (N, h, w)."""
        return self.judge(self.describe(pixels))


def patch_contrast(features: Tensor, synthetic: Tensor) -> Tensor:
    """Mean over all pairs of patches of Y·d² + (1 − Y)·max(0, `MARGIN` − d²).

    Args:
        features: float (P, width), not zero; brought to unit length.
        synthetic: bool (P,): origin of each patch; Y is 1 for a pair of one origin.

    Returns:
        A scalar of at least 0.
    """
    unit = functional.normalize(features.float(), dim=1)
    first, second = torch.triu_indices(len(unit), len(unit), 1, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):  # 16 bits lose small distances
        squared = 2 - 2 * (unit @ unit.mT)[first, second]
    same = synthetic[first] == synthetic[second]
    return torch.where(same, squared, functional.relu(MARGIN - squared)).mean()


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Contrast, share and crop are the paper's, and the backbone is one of its two.

    Rank and scale of the adapters are those of `dda`; the rest is our own choice. See
    `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision transformer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        patch: side of the patches that are exchanged, pixels; that of the backbone.
        rank: of the LoRA adapters.
        alpha: their output is scaled by alpha / rank.
        contrast: weight of the patch contrast; cross-entropy has the rest.
        patches: how many patches of a batch are compared with each other.
        replacement: "reconstructed" puts patches of the twin into the original (ICLR 2026),
            "real" patches of the original into the twin (arXiv version 1).
        share: of the patches that are exchanged.
        robust: train with every augmentation of `augment.standard`, not with crops and turns
            alone.
    """

    schedule: str = "cosine"
    backbone: str = "facebook/dinov2-large"
    download: bool = False
    patch: int = 14
    rank: int = 8
    alpha: int = 1
    contrast: float = 0.3
    patches: int = 1024
    replacement: str = "reconstructed"
    share: float = 0.5
    robust: bool = False


class Method(Recipe):
    """Cross-entropy on pictures of two origins and contrast between their patches."""

    id = "ppl"
    title = "Panoptic patch learning: every patch counts"
    paper = "Z. Yang et al., All Patches Matter, More Patches Better, ICLR 2026"
    needs_pairs = True
    Settings = Settings

    def network(self) -> Network:
        """The backbone with fresh adapters and a fresh head.

        Raises:
            InvalidInput: `replacement` is none of the two; or the backbone is not on this
                machine, not a vision transformer, or has patches of another size.
        """
        wanted = self.settings
        if wanted.replacement not in REPLACEMENTS:
            raise InvalidInput(f"replacement must be one of {', '.join(REPLACEMENTS)}")
        backbone = load_backbone(wanted.backbone, wanted.download)
        if backbone.patch != wanted.patch:
            raise InvalidInput(
                f"patches of {wanted.patch} pixels are exchanged, but {wanted.backbone} sees "
                f"patches of {backbone.patch}: --set patch={backbone.patch}"
            )
        return Network(backbone, wanted.rank, wanted.alpha)

    def examples(self, twins: Twins, random: np.random.Generator) -> Sequence[Example]:
        """The original, and a picture of which a share of the patches is its twin's.

        Raises:
            InvalidInput: `patch` does not divide `crop`.
        """
        wanted = self.settings
        twin = saved_like(twins.twin, twins.history, (twins.left, twins.top))
        augment, state = self.augment(), int(random.integers(2**63))
        original, twin = (
            augment(side, np.random.default_rng(state)) for side in (twins.original, twin)
        )
        mixed = REPLACEMENTS[wanted.replacement](original, twin, wanted.patch, wanted.share, random)
        return [Example(original, 0.0), Example(mixed.pixels, 1.0, mixed.synthetic)]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy and patch contrast, weighted."""
        tuned = cast(Network, network)
        features = tuned.describe(batch.pixels)
        logits = tuned.judge(features).logit
        bce = functional.binary_cross_entropy_with_logits(logits, batch.label)
        assert batch.replaced is not None  # a method that needs pairs has some in every batch
        synthetic = batch.replaced.flatten() > 0.5
        drawn = torch.randperm(len(synthetic), device=synthetic.device)[: self.settings.patches]
        tokens = features.permute(0, 2, 3, 1).flatten(0, 2)
        apart = patch_contrast(tokens[drawn], synthetic[drawn])
        share = self.settings.contrast
        parts = {"bce": float(bce.detach()), "contrast": float(apart.detach())}
        return (1 - share) * bce + share * apart, parts

    def augment(self) -> Chain[Pixels]:
        """Turns and crops, or everything."""
        side = self.settings.crop
        if self.settings.robust:
            return standard(side)
        return Chain((Step("turn", 1.0, turn), Step("crop", 1.0, partial(crop, side=side))))
