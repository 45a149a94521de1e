"""ED⁴: against what a detector of faces learns in place of forgery: identity, place, background.

What it is
    Two additions to any detector. ClockMix cuts aligned faces into sectors around their middle
    and puts sectors of several pictures together, so that neither one identity nor one background
    goes with a label. Then pieces of a picture are moved to other places, chosen so that the
    features change most, and the features are asked to stay: traces of forgery are wanted, not
    where they lie.

What the paper does
    Only its abstract could be read: ClockMix, and an adversarial module of spatial consistency,
    as a plug-in to existing detectors. Sectors, weights and labels are not given there.

What differs here
    All numbers are our own. A mixed picture takes its sectors from `mixed` pictures of the batch,
    each at random of both classes, at random angles; its label is the share of the area that is
    forged. Of `tries` random arrangements of a grid the one with the largest distance between the
    features is taken. The detector is a backbone with a linear head, tuned as a whole. Pictures
    are expected to be aligned faces, such as `bonafide probe crops` writes.

Reference
    J. Cheng, Z. Yan, Y. Zhang et al., "ED⁴: Explicit Data-level Debiasing for Deepfake
    Detection", IEEE Transactions on Image Processing, 2025 (arXiv:2408.06779).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, jpeg, light, mirror
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe


class Network(nn.Module):
    """A backbone and a linear head."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, 1)

    def embed(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → (N, width)."""
        features: Tensor = self.backbone(pixels).pooled
        return features

    def judge(self, features: Tensor) -> Output:
        """(N, width) → `Output` without a map."""
        return Output(self.head(features).squeeze(1))

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return self.judge(self.embed(pixels))


def clock_mix(pixels: Tensor, label: Tensor, mixed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures put together from sectors around their middle.

    Args:
        pixels: float (N, C, H, W) of aligned faces.
        label: float (N,) in [0, 1].
        mixed: sectors of each result, each of another picture of the batch where there is one.

    Returns:
        Pictures (N, C, H, W); labels (N,), weighted by area; int64 (N, H, W), the row of the batch
        that each pixel is of.
    """
    count, _, height, width = pixels.shape
    device = pixels.device
    down = torch.arange(height, device=device)[:, None] - (height - 1) / 2
    across = torch.arange(width, device=device)[None] - (width - 1) / 2
    angle = torch.atan2(down, across)  # −π to π
    edges = torch.rand(count, mixed, device=device).mul(2 * math.pi).sub(math.pi).sort(1).values
    # Before the first edge lies the sector that begins with the last one.
    sector = (angle[None, :, :, None] >= edges[:, None, None]).sum(-1) % mixed
    first = torch.arange(count, device=device)[:, None]
    others = torch.stack([torch.randperm(count, device=device) for _ in range(mixed - 1)], 1)
    rows = torch.cat([first, others], 1)
    source = rows.gather(1, sector.flatten(1)).view_as(sector)
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    found = pixels.permute(0, 2, 3, 1)[source, y, x].permute(0, 3, 1, 2)
    return found, label[source].mean((1, 2)), source


def rearranged(pixels: Tensor, order: Tensor) -> Tensor:
    """The pieces of a square grid in another order.

    Args:
        pixels: float (N, C, H, W); both sides divisible by the grid's.
        order: int64 (g·g,) permutation: which piece comes to each place.
    """
    side = math.isqrt(len(order))
    count, channels, height, width = pixels.shape
    high, wide = height // side, width // side
    pieces = pixels.reshape(count, channels, side, high, side, wide).permute(0, 2, 4, 1, 3, 5)
    moved = pieces.reshape(count, side * side, channels, high, wide)[:, order]
    moved = moved.reshape(count, side, side, channels, high, wide).permute(0, 3, 1, 4, 2, 5)
    return moved.reshape(count, channels, height, width)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Our own choice; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        mixed: pictures that one mixed picture takes sectors from.
        share: of the batch that is mixed.
        grid: pieces a side that are moved; divides `crop`.
        tries: arrangements of which the worst is taken; 0 for none.
        consistency: weight of the distance between features before and after.
    """

    crop: int = 256
    learning_rate: float = 1e-4
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    mixed: int = 3
    share: float = 0.5
    grid: int = 4
    tries: int = 4
    consistency: float = 0.1


class Method(Recipe):
    """Cross-entropy with soft labels on mixed faces, and features that stay."""

    id = "ed4"
    title = "ClockMix and adversarial spatial consistency on aligned faces"
    paper = "J. Cheng et al., ED⁴: Explicit Data-level Debiasing for Deepfake Detection, TIP 2025"
    Settings = Settings

    def network(self) -> Network:
        """The backbone with a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine; `grid` does not divide `crop`; or
                fewer than two pictures are mixed.
        """
        wanted = self.settings
        if wanted.crop % wanted.grid:
            raise InvalidInput(f"a grid of {wanted.grid} does not divide crops of {wanted.crop}")
        if wanted.mixed < 2:
            raise InvalidInput(f"mixed must be at least 2, not {wanted.mixed}")
        return Network(load_backbone(wanted.backbone, wanted.download))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy on pictures of which a share is mixed, and the distance of features."""
        tuned, wanted = cast(Network, network), self.settings
        pixels, label = batch.pixels, batch.label
        changed = torch.rand(len(label), device=label.device) < wanted.share
        if len(label) > 1 and changed.any():
            mixed, soft, _ = clock_mix(pixels, label, wanted.mixed)
            pixels = torch.where(changed.view(-1, 1, 1, 1), mixed, pixels)
            label = torch.where(changed, soft, label)
        features = tuned.embed(pixels)
        logits = tuned.judge(features).logit
        bce = functional.binary_cross_entropy_with_logits(logits, label)
        parts = {"bce": float(bce.detach())}
        if not wanted.tries or not wanted.consistency:
            return bce, parts
        moved = tuned.embed(rearranged(pixels, self.worst(tuned, pixels, features)))
        apart = _distance(features, moved).mean()
        parts["consistency"] = float(apart.detach())
        return bce + wanted.consistency * apart, parts

    @torch.no_grad()
    def worst(self, network: Network, pixels: Tensor, features: Tensor) -> Tensor:
        """The arrangement, of several drawn ones, that moves the features farthest: (g·g,)."""
        pieces = self.settings.grid**2
        orders = [torch.randperm(pieces, device=pixels.device) for _ in range(self.settings.tries)]
        training = network.training
        network.eval()  # the search must not move running means
        far = [_distance(features, network.embed(rearranged(pixels, one))).mean() for one in orders]
        network.train(training)
        return orders[int(torch.stack(far).argmax())]

    def augment(self) -> Chain[Pixels]:
        """Mirroring, crops, light and JPEG: faces stay upright."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("light", 0.5, partial(light, strength=0.1)),
                Step("jpeg", 0.5, partial(jpeg, low=40, high=100)),
            )
        )


def _distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance of features of unit length: (N, C) twice → (N,) in [0, 4]."""
    one, other = (functional.normalize(rows.float(), dim=1) for rows in (first, second))
    return (one - other).square().sum(1)
