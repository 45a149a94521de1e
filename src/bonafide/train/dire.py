"""DIRE: how far a diffusion model's own copy of a picture is from the picture.

What it is
    A classifier of the error |x − x̂|, where x̂ is what an unconditional diffusion model makes of
    the noise that it traces the picture x back to. Such a model copies what a diffusion model made
    more closely than what a camera took.

What the paper does
    An ADM of 256×256 pixels (LSUN bedrooms or ImageNet), 20 deterministic DDIM steps towards the
    noise and 20 back; a ResNet-50 with ImageNet's weights on the error, stored as 8-bit pictures;
    crops of 224, flips, Adam at 1e-4, cross-entropy. Pictures are resized to a shorter side of
    256 first, and its sets of pictures differ in format between the classes, which explains part
    of the published figures.

What differs here
    Squares of 256 are cut at native resolution, never resized, and the classifier sees the whole
    square. The error is computed inside the network and not rounded, so that augmentation comes
    before it and an exported file takes pictures and stands alone. Both have a price: every
    picture costs 40 passes of the diffusion model in every step, and the export repeats it 40
    times over one copy of its weights. Any DDPM or DDIM pipeline of diffusers serves.

Reference
    Z. Wang, J. Bao, W. Zhou, W. Wang, H. Hu, H. Chen, H. Li, "DIRE for Diffusion-Generated Image
    Detection", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.augment import Chain, Step, crop, standard, turn
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.diffusion import NoisePredictor, invert, load_pixel_diffusion, reconstruct
from bonafide.train.recipe import Augment, Batch, Output, Recipe


class Network(nn.Module):
    """Picture → reconstruction error → convolutional backbone → logit."""

    def __init__(self, diffusion: NoisePredictor, steps: int, backbone: Backbone) -> None:
        super().__init__()
        self.diffusion = diffusion
        self.steps = steps
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, 1)

    def error(self, pixels: Tensor) -> Tensor:
        """|x − x̂|: float32 (N, 3, H, W) in [0, 1] → the same shape and range.

        H and W must be sizes that the diffusion model takes, best the one it was trained on.
        """
        noise = invert(self.diffusion, pixels, self.steps)
        return (pixels - reconstruct(self.diffusion, noise, self.steps)).abs()

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.head(self.backbone(self.error(pixels)).pooled).squeeze(1))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Steps of DDIM, classifier and learning rate are the paper's.

    Crop, diffusion model and the rest are our own choice; see
    `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        diffusion: a folder with a DDPM or DDIM pipeline, or its name on the hub.
        backbone: a folder with a convolutional network, or its name on the hub.
        download: whether they may be fetched from the hub.
        ddim_steps: steps towards the noise, and as many back.
        robust: train with every augmentation of `augment.standard`, not with the paper's alone.
    """

    crop: int = 256
    learning_rate: float = 1e-4
    diffusion: str = "google/ddpm-bedroom-256"
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    ddim_steps: int = 20
    robust: bool = False


class Method(Recipe):
    """Cross-entropy on the reconstruction error of labelled crops."""

    id = "dire"
    title = "Reconstruction error of a pixel diffusion model"
    paper = "Z. Wang et al., DIRE for Diffusion-Generated Image Detection, ICCV 2023"
    Settings = Settings

    def network(self) -> Network:
        """The frozen diffusion model and a classifier of its error.

        Raises:
            InvalidInput: one of the two is not on this machine.
        """
        wanted = self.settings
        diffusion = load_pixel_diffusion(wanted.diffusion, wanted.download)
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(diffusion, wanted.ddim_steps, backbone)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy."""
        loss = functional.binary_cross_entropy_with_logits(network(batch.pixels).logit, batch.label)
        return loss, {"bce": float(loss.detach())}

    def augment(self) -> Augment:
        """Turns and crops, as published, or everything."""
        side = self.settings.crop
        if self.settings.robust:
            return standard(side)
        return Chain((Step("turn", 1.0, turn), Step("crop", 1.0, partial(crop, side=side))))

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam, as the paper trains."""
        trainable = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.Adam(
            trainable, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
