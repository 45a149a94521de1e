"""Effort: tune only the weakest singular component of a large backbone's attention layers.

What it is
    A pretrained vision transformer whose attention weights (query, key, value, output) are split
    by singular value decomposition. The strong components, which hold what the model knows of
    the world, stay frozen; the weakest learns what forgeries look like.

What the paper does
    CLIP ViT-L/14 at 224: 1,023 of 1,024 components frozen, 196,704 parameters trained ("0.19 M")
    and a linear head on the class token. Adam at 2e-4 with L2 decay 5e-4, batches of 32, ten
    epochs of eight frames a video. Mirroring, turns by up to 10°, blur, a tenth more or less of
    brightness and contrast, JPEG at 40 to 100, each half of the time. Two penalties hold the
    trained vectors orthogonal to the frozen ones and the weight's norm where it was. The released
    training leaves both out and is plain cross-entropy; so is the default here.

What differs here
    Crops are taken at native resolution, small pictures tiled; nothing is resized or rotated,
    since both rewrite the traces that are looked for. One logit instead of two. Any vision
    transformer of transformers serves. Both penalties are means over the layers.

Reference
    Z. Yan et al., "Orthogonal Subspace Decomposition for Generalizable AI-Generated Image
    Detection", ICML 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.augment import Chain, Step, blur, crop, jpeg, light, mirror, standard
from bonafide.train.backbones import Backbone, add_svd_residual, load_backbone, svd_residuals
from bonafide.train.recipe import Augment, Batch, Output, Recipe


class Network(nn.Module):
    """A backbone whose attention is tuned in its weakest components, and a linear head."""

    def __init__(self, backbone: Backbone, rank: int) -> None:
        super().__init__()
        self.backbone = backbone
        add_svd_residual(backbone.model, rank)
        self.head = nn.Linear(backbone.width, 1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.head(self.backbone(pixels).pooled).squeeze(1))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision transformer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        rank: components trained in each attention layer.
        orthogonality: weight of the penalty on trained vectors that lean on frozen ones; the
            learning rate should fall to zero with it, since it is not smooth where it vanishes.
        energy: weight of the penalty on a change of the weights' norm.
        robust: train with every augmentation of `augment.standard`, not with the paper's alone.
    """

    steps: int = 9_000
    learning_rate: float = 2e-4
    weight_decay: float = 5e-4
    backbone: str = "openai/clip-vit-large-patch14"
    download: bool = False
    rank: int = 1
    orthogonality: float = 0.0
    energy: float = 0.0
    robust: bool = False


class Method(Recipe):
    """Cross-entropy on labelled crops, with the paper's penalties where they are weighted."""

    id = "effort"
    title = "SVD residual tuning of a pretrained backbone's attention"
    paper = (
        "Z. Yan et al., Orthogonal Subspace Decomposition for Generalizable AI-Generated Image "
        "Detection, ICML 2025"
    )
    Settings = Settings

    def network(self) -> Network:
        """The backbone with its residual layers and a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine, or not a vision transformer.
        """
        backbone = load_backbone(self.settings.backbone, self.settings.download)
        return Network(backbone, self.settings.rank)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy plus the weighted penalties."""
        parts = {
            "bce": functional.binary_cross_entropy_with_logits(
                network(batch.pixels).logit, batch.label
            )
        }
        layers = list(svd_residuals(network))
        if self.settings.orthogonality:
            losses = torch.stack([layer.orthogonality_loss() for layer in layers])
            parts["orthogonality"] = self.settings.orthogonality * losses.mean()
        if self.settings.energy:
            losses = torch.stack([layer.energy_loss() for layer in layers])
            parts["energy"] = self.settings.energy * losses.mean()
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
        trainable = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.Adam(
            trainable, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )

    def augment(self) -> Augment:
        """The paper's, each half of the time, without its rotation; or everything."""
        side = self.settings.crop
        if self.settings.robust:
            return standard(side)
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=side)),
                Step("blur", 0.5, partial(blur, low=0.8, high=1.4)),
                Step("light", 0.5, partial(light, strength=0.1)),
                Step("jpeg", 0.5, partial(jpeg, low=40, high=100)),
            )
        )
