"""SRI-Net: whether the gloss of a face agrees with its light and its skin.

What it is
    A face is split into light that falls on it, texture of its skin and specular reflection.
    Generators imitate gloss badly, since it depends on light, shape and skin at once. Features of
    the gloss look at those of texture and light, and what they find looks at features of the whole
    picture; both looks are cross-attention.

What the paper does
    Only its abstract could be read. In the Phong model a pixel is ambient light, direct light
    times texture, and specular reflection. A fast estimate of texture after Retinex separates the
    specular part. A first cross-attention relates it to texture and direct light, a second one
    joins the result with features of the image. Sizes, encoders and weights are not given there.

What differs here
    All numbers and the formulas of the split are our own. In linear light, direct light is a
    Gaussian mean of the logarithm of grey, as in Retinex with a surround. The picture divided by
    it is texture and gloss. Gloss has the colour of the light, so it adds equally to all channels:
    it is what the smallest of the three exceeds its own surround by. Ambient light is as smooth
    as direct light and is not told apart from it. Light, times texture, plus gloss is the picture,
    exactly. White hair and teeth count as gloss too. Places of tokens are told by sines.

Reference
    H. Fei, Z. Jia, C. Huang, J. Zhang, J. Zhou, "Exploring Specular Reflection Inconsistency for
    Generalizable Face Forgery Detection", 2026 (arXiv:2602.06452); Retinex: D. Jobson, Z. Rahman,
    G. Woodell, "Properties and Performance of a Center/Surround Retinex", IEEE TIP 6, 1997.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, jpeg, mirror
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe

GAMMA = 2.2  # between stored levels and light
DARKEST = 1e-3  # added to light, so that its logarithm and its quotient stay finite
STEPS = 4  # halvings of the encoders of parts


class Split(NamedTuple):
    """A picture taken apart; direct · texture + specular is its linear light.

    Attributes:
        direct: float (N, 1, H, W), above 0.
        texture: float (N, 3, H, W), about 1 where a pixel is as bright as its surround.
        specular: float (N, 1, H, W), at least 0.
    """

    direct: Tensor
    texture: Tensor
    specular: Tensor


def split(pixels: Tensor, surround: float) -> Split:
    """Take a picture apart after Retinex and the Phong model.

    Args:
        pixels: float (N, 3, H, W) in [0, 1].
        surround: sigma of the Gaussian mean that is taken for light, pixels.
    """
    light = linear(pixels)
    direct = smoothed(light.mean(1, keepdim=True).log(), surround).exp()
    ratio = light / direct
    least = ratio.amin(1, keepdim=True)
    gloss = functional.relu(least - smoothed(least, surround / 2))
    return Split(direct, ratio - gloss, direct * gloss)


def linear(pixels: Tensor) -> Tensor:
    """Levels in [0, 1] as linear light, at least `DARKEST`."""
    return pixels.clamp(0, 1) ** GAMMA + DARKEST


def smoothed(values: Tensor, sigma: float) -> Tensor:
    """Gaussian mean of (N, 1, H, W); the border is continued."""
    reach = math.ceil(2.5 * sigma)
    places = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    weights = torch.exp(-((places / sigma) ** 2) / 2)
    weights = weights / weights.sum()
    padded = functional.pad(values, (reach, reach, reach, reach), mode="replicate")
    down = functional.conv2d(padded, weights.view(1, 1, -1, 1))
    return functional.conv2d(down, weights.view(1, 1, 1, -1))


class Encoder(nn.Module):
    """One part of a picture → tokens, one for each 16×16 pixels."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        widths = [inputs, *(max(8, width >> step) for step in reversed(range(STEPS)))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.GELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, part: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, h·w, width)."""
        return tokens(self.layers(part))


class Look(nn.Module):
    """Cross-attention with a residual and a layer behind it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.asking, self.asked = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.after = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """(N, L, width) looks at (N, M, width) → (N, L, width)."""
        seen = self.asked(context)
        found, _ = self.attention(self.asking(queries), seen, seen, need_weights=False)
        joined = queries + found
        result: Tensor = joined + self.after(joined)
        return result


def tokens(features: Tensor) -> Tensor:
    """(N, C, h, w) → (N, h·w, C) with the place of each told by sines; C divisible by 4."""
    _, channels, height, width = features.shape
    rates = torch.arange(channels // 4, device=features.device) + 1
    down = torch.arange(height, device=features.device) / height
    across = torch.arange(width, device=features.device) / width
    down, across = down[:, None] * rates * torch.pi, across[:, None] * rates * torch.pi
    rows = torch.cat([down.sin(), down.cos()], 1)[:, None].expand(-1, width, -1)
    columns = torch.cat([across.sin(), across.cos()], 1)[None].expand(height, -1, -1)
    places = torch.cat([rows, columns], 2).to(features.dtype)
    return (features.permute(0, 2, 3, 1) + places).flatten(1, 2)


class Network(nn.Module):
    """Three encoders of parts, a backbone of the picture, two looks and a head.

    Raises:
        InvalidInput: `width` is no multiple of 4 and of `heads`.
    """

    def __init__(self, backbone: Backbone, width: int, heads: int, surround: float) -> None:
        super().__init__()
        if width % 4 or width % heads:
            raise InvalidInput(f"width {width} must be a multiple of 4 and of heads={heads}")
        self.surround = surround
        self.backbone = backbone
        self.project = nn.Conv2d(backbone.width, width, 1)
        self.specular, self.direct = Encoder(1, width), Encoder(1, width)
        self.texture = Encoder(3, width)
        self.first, self.second = Look(width, heads), Look(width, heads)
        self.head = nn.Linear(2 * width, 1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        with torch.autocast(pixels.device.type, enabled=False):  # 16 bits lose gloss
            parts = split(pixels.float(), self.surround)
        gloss = self.specular(parts.specular)
        cause = torch.cat([self.texture(parts.texture), self.direct(parts.direct)], 1)
        image = tokens(self.project(self.backbone(pixels).map))
        related = self.second(self.first(gloss, cause), image)
        joined = torch.cat([related.mean(1), image.mean(1)], 1)
        return Output(self.head(joined).squeeze(1))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Our own choice; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        width: channels of a token.
        heads: of each attention.
        surround: sigma of the mean that is taken for light, as a share of `crop`.
    """

    crop: int = 256
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    width: int = 256
    heads: int = 4
    surround: float = 0.08


class Method(Recipe):
    """Cross-entropy on what gloss, light, texture and picture say together."""

    id = "sri"
    title = "Specular reflection against light and texture of a face"
    paper = "H. Fei et al., Exploring Specular Reflection Inconsistency, arXiv:2602.06452, 2026"
    Settings = Settings

    def network(self) -> Network:
        """The backbone with fresh encoders, looks and head.

        Raises:
            InvalidInput: the backbone is not on this machine, or the width does not fit.
        """
        wanted = self.settings
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(backbone, wanted.width, wanted.heads, wanted.surround * wanted.crop)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy."""
        logit = cast(Network, network)(batch.pixels).logit
        bce = functional.binary_cross_entropy_with_logits(logit, batch.label)
        return bce, {"bce": float(bce.detach())}

    def augment(self) -> Chain[Pixels]:
        """Mirroring, crops and JPEG; light is left alone, since it is looked at."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("jpeg", 0.5, partial(jpeg, low=60, high=100)),
            )
        )
