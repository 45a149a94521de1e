"""LaRE²: where a latent diffusion model errs about the noise guides the eye of a classifier.

What it is
    Noise is added to a picture's latent once, and a text-to-image model is asked which. It knows
    the latents of generated pictures better, so it errs less there. The map of its error tells a
    pretrained classifier where to look and which of its features to trust.

What the paper does
    Stable Diffusion 1.5 at 256×256: latents of 4×32×32, time step 200, the mean squared error
    over 4 draws of noise; one pass each where DIRE takes 40. Feature map of CLIP's RN50 (1024
    channels, 14×14) refined by the error map twice: an attention pool of 8 heads whose logits the
    map biases, and a gate over channels computed from the map's means. Both and CLIP's own
    feature go into one linear layer. Cross-entropy.

What differs here
    Squares of 256 are cut at native resolution, never resized, for the diffusion model and the
    classifier alike. The prompt is empty, where the released extraction names the class of the
    picture. The reported best accuracy takes a threshold from the test set; here it comes from
    held-out generators. transformers has no CLIP RN50, so the default is CLIP's ViT-B/16 with its
    last patch tokens as feature map; any backbone with a feature map serves. One logit instead
    of two. The four draws are fixed and part of the file, so that a picture always gets the same
    answer, and so is the diffusion model: an exported file takes pictures and stands alone.

Reference
    Y. Luo, J. Du, K. Yan, S. Ding, "LaRE²: Latent Reconstruction Error Based Method for
    Diffusion-Generated Image Detection", CVPR 2024.
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
from bonafide.train.diffusion import LatentDiffusion, load_latent_diffusion
from bonafide.train.recipe import Augment, Batch, Output, Recipe

GRID = 14  # rows and columns of position embeddings, interpolated to other sizes
NARROW = 128  # width between the two layers of the channel gate


class LatentError(nn.Module):
    """Pictures of one size → map of a diffusion model's squared error about added noise.

    Args:
        diffusion: the model.
        side: of the pictures, pixels.
        step: time step at which the noise is added.
        draws: how many draws of noise the error is averaged over.
        seed: of the draws.
    """

    draws: Tensor

    def __init__(
        self, diffusion: LatentDiffusion, side: int, step: int, draws: int, seed: int
    ) -> None:
        super().__init__()
        self.diffusion = diffusion
        self.step = step
        with torch.no_grad():
            latent = diffusion.encode(torch.zeros(1, 3, side, side))
        random = torch.Generator().manual_seed(seed)
        self.channels = latent.shape[1]
        shape = (draws, *latent.shape[1:])
        self.register_buffer("draws", torch.randn(shape, generator=random))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, side, side) in [0, 1] → (N, C, side / 8, side / 8), at least 0."""
        latent = self.diffusion.encode(pixels)
        predictor = self.diffusion.predictor
        kept = predictor.kept[self.step]
        error = torch.zeros_like(latent)
        for draw in self.draws:
            noise = draw.expand_as(latent)
            noisy = kept.sqrt() * latent + (1 - kept).sqrt() * noise
            error = error + (predictor(noisy, self.step) - noise).square()
        return error / len(self.draws)


class SpatialRefinement(nn.Module):
    """Attention pool whose attention is biased by the error map.

    The mean of all positions asks, every position and the mean itself answer; to the logits of
    each head a linear function of the error at that position is added.

    Args:
        width: channels of the feature map.
        channels: of the error map.
        heads: of the attention.
        head_width: channels of each.
    """

    def __init__(self, width: int, channels: int, heads: int = 8, head_width: int = 64) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.position = nn.Parameter(torch.randn(1, width, GRID, GRID) / width**0.5)
        self.position_of_mean = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.bias = nn.Conv2d(channels, heads, 1)
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner)
        self.value = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, error: Tensor) -> Tensor:
        """Features (N, width, h, w) and error (N, channels, any, any) → (N, width)."""
        size = (features.shape[2], features.shape[3])
        position = functional.interpolate(self.position, size, mode="bilinear")
        mean = features.mean((2, 3)).unsqueeze(1) + self.position_of_mean
        tokens = torch.cat([mean, (features + position).flatten(2).transpose(1, 2)], 1)

        bias = self.bias(functional.adaptive_avg_pool2d(error, size)).flatten(2)
        bias = torch.cat([bias.mean(2, keepdim=True), bias], 2).unsqueeze(2)

        query, key, value = (
            layer(part).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, part in ((self.query, mean), (self.key, tokens), (self.value, tokens))
        )
        pooled = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        refined = self.out(pooled.transpose(1, 2).flatten(2)) + mean
        normalised: Tensor = self.norm(refined.squeeze(1))
        return normalised


class ChannelRefinement(nn.Module):
    """Pooled features, each channel times a gate in (0, 1) that the error map's means decide."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, NARROW, bias=False),
            nn.ReLU(),
            nn.Linear(NARROW, width, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, error: Tensor) -> Tensor:
        """Features (N, width, h, w) and error (N, channels, any, any) → (N, width)."""
        gate: Tensor = self.gate(error.mean((2, 3)))
        return features.mean((2, 3)) * gate


class Network(nn.Module):
    """Backbone, refined by the error of a diffusion model, and a linear head."""

    def __init__(self, error: LatentError, backbone: Backbone) -> None:
        super().__init__()
        self.error = error
        self.backbone = backbone
        self.spatial = SpatialRefinement(backbone.width, error.channels)
        self.channel = ChannelRefinement(backbone.width, error.channels)
        self.head = nn.Linear(3 * backbone.width, 1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, side, side) in [0, 1] → `Output` without a map."""
        error = self.error(pixels)
        pooled, features = self.backbone(pixels)
        parts = [pooled, self.spatial(features, error), self.channel(features, error)]
        return Output(self.head(torch.cat(parts, 1)).squeeze(1))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Diffusion model, crop, time step and draws are the paper's; the rest is our own choice.

    See `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        diffusion: a folder with a Stable Diffusion pipeline, or its name on the hub.
        backbone: a folder with a vision model, or its name on the hub.
        download: whether they may be fetched from the hub.
        time_step: how much noise is added, as a time step of the diffusion model.
        draws: how many draws of noise the error is averaged over.
        robust: train with every augmentation of `augment.standard`, not with the paper's alone.
    """

    crop: int = 256
    diffusion: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    backbone: str = "openai/clip-vit-base-patch16"
    download: bool = False
    time_step: int = 200
    draws: int = 4
    robust: bool = False


class Method(Recipe):
    """Cross-entropy on labelled crops."""

    id = "lare"
    title = "Latent reconstruction error guides a pretrained backbone"
    paper = (
        "Y. Luo et al., LaRE²: Latent Reconstruction Error Based Method for Diffusion-Generated "
        "Image Detection, CVPR 2024"
    )
    Settings = Settings

    def network(self) -> Network:
        """The frozen diffusion model, the backbone and fresh refinement.

        Raises:
            InvalidInput: one of the two is not on this machine.
        """
        wanted = self.settings
        diffusion = load_latent_diffusion(wanted.diffusion, wanted.download)
        error = LatentError(diffusion, wanted.crop, wanted.time_step, wanted.draws, wanted.seed)
        return Network(error, load_backbone(wanted.backbone, wanted.download))

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
