"""GenD: tune only the layer norms of a large backbone, on a hypersphere.

What it is
    A pretrained vision transformer of which the gains and offsets of the layer norms alone are
    trained. Its class token is brought to unit length and judged by one linear layer. Two terms
    shape the sphere: pictures of one class should lie near each other, and all of them should
    spread over the whole of it.

What the paper does
    CLIP ViT-L/14, PE-L or DINOv3-L at 224. Cross-entropy + 0.1 alignment + 0.5 uniformity.
    Alignment is the mean distance of two pictures of one class, uniformity the logarithm of the
    mean of exp(−2 d²) over all pairs. AdamW at 3e-4 without decay, batches of 512, cosine
    restarts every ten epochs, at most 30. Faces cropped 1.3 times as wide as the detector's box;
    mirroring, affine changes by up to 10°, blur, brightness and contrast, JPEG at 40 to 100. A
    genuine and a forged picture of the same source video are drawn together, which matters most.

What differs here
    One logit instead of two. Mirroring, blur, light and JPEG stand for the augmentation: crops stay
    at native resolution, so nothing is turned or scaled. Draw pairs with `--pairs` to have both
    classes of one source in a batch. One cosine without restarts.

Reference
    A. Yermakov, J. Cech, J. Matas, M. Fritz, "Deepfake Detection that Generalizes Across
    Benchmarks", WACV 2026 (arXiv:2508.06248).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, blur, crop, jpeg, light, mirror
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe

LEAST_MEAN = 1e-6  # of exp(−2 d²), under its logarithm


class Network(nn.Module):
    """A backbone whose layer norms are trained, and a linear head on the unit sphere.

    Raises:
        InvalidInput: the backbone has no layer norms.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        backbone.model.requires_grad_(False)
        norms = [part for part in backbone.model.modules() if isinstance(part, nn.LayerNorm)]
        if not norms:
            raise InvalidInput(f"{type(backbone.model).__name__} has no layer norms to train")
        for norm in norms:
            norm.requires_grad_(True)
        self.head = nn.Linear(backbone.width, 1)

    def embed(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → (N, width) of unit length."""
        return functional.normalize(self.backbone(pixels).pooled, dim=1)

    def judge(self, unit: Tensor) -> Output:
        """(N, width) of unit length → `Output` without a map."""
        return Output(self.head(unit).squeeze(1))

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return self.judge(self.embed(pixels))


def uniformity(unit: Tensor) -> Tensor:
    """log of the mean over pairs of exp(−2 ‖x − y‖²); the lower, the more evenly spread.

    Args:
        unit: float (N, width) of unit length, N at least 2.
    """
    return _squared(unit)[0].mul(-2).exp().mean().clamp_min(LEAST_MEAN).log()


def alignment(unit: Tensor, label: Tensor) -> Tensor:
    """Mean ‖x − y‖ over pairs of one class; 0 where there is no such pair.

    Args:
        unit: float (N, width) of unit length.
        label: (N,).
    """
    squared, first, second = _squared(unit)
    same = label[first] == label[second]
    if not same.any():
        return unit.sum() * 0
    # The square root has no slope at 0, where equal pictures lie.
    return squared[same].clamp_min(1e-12).sqrt().mean()


def _squared(unit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared distances of all pairs, and which rows they are of."""
    first, second = torch.triu_indices(len(unit), len(unit), 1, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):  # 16 bits lose small distances
        rows = unit.float()
        return (2 - 2 * (rows @ rows.mT))[first, second].clamp_min(0), first, second


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision transformer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        alignment: weight of the distance within a class.
        uniformity: weight of the spread over the sphere.
    """

    batch: int = 512
    learning_rate: float = 3e-4
    schedule: str = "cosine"
    backbone: str = "openai/clip-vit-large-patch14"
    download: bool = False
    alignment: float = 0.1
    uniformity: float = 0.5


class Method(Recipe):
    """Cross-entropy, alignment and uniformity on the sphere."""

    id = "gend"
    title = "Layer norms of a pretrained backbone, tuned on a hypersphere"
    paper = "A. Yermakov et al., Deepfake Detection that Generalizes Across Benchmarks, WACV 2026"
    Settings = Settings

    def network(self) -> Network:
        """The backbone with its layer norms trainable and a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine, or has no layer norms.
        """
        return Network(load_backbone(self.settings.backbone, self.settings.download))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy and the weighted terms of the sphere."""
        tuned, wanted = cast(Network, network), self.settings
        unit = tuned.embed(batch.pixels)
        parts = {
            "bce": functional.binary_cross_entropy_with_logits(tuned.judge(unit).logit, batch.label)
        }
        if wanted.alignment:
            parts["alignment"] = wanted.alignment * alignment(unit, batch.label)
        if wanted.uniformity and len(unit) > 1:
            parts["uniformity"] = wanted.uniformity * uniformity(unit)
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def augment(self) -> Chain[Pixels]:
        """Mirroring, crops, blur, light and JPEG."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("blur", 0.1, partial(blur, low=0.3, high=1.5)),
                Step("light", 0.5, partial(light, strength=0.1)),
                Step("jpeg", 0.5, partial(jpeg, low=40, high=100)),
            )
        )
