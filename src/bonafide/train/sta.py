"""StA: a frozen network of pictures learns to see video through adapters in two streams.

What it is
    A pretrained vision transformer reads every frame of a clip. Behind each of its blocks' layers
    a small adapter looks at the patches of all frames at once, in one stream within frames and in
    one across them; each stream looks at the other. Adapters and a linear head alone are trained,
    on genuine clips, forged ones, and clips whose features were made to drift
    (`bonafide.train.video_blending`).

What the paper does
    CLIP ViT-L/14, clips of 8 frames, batches of 8, Adam at 2e-4 with decay 5e-4, 30 epochs. After
    each MLP patches are brought from 1024 to 512 channels; GELU; depthwise convolutions of 3, 5 and
    7 in space, and of 3, 5 and 7 in time; their mean is added to what went in; attention with two
    heads between the streams, averaged; back to 1024 channels and added. The class token passes by.

What differs here
    The last layer projects to zero at first, so that training starts from the network as it was.
    The last block has no adapter, since its class token, which is judged, could not see it. Both
    directions share their attention, and the tokens of all frames look at each other. Class tokens
    are averaged over frames. How many of the forged clips are blended is our own choice.

Reference
    Z. Yan, Y. Zhao, S. Chen et al., "Generalizing Deepfake Video Detection with Plug-and-Play:
    Video-Level Blending and Spatiotemporal Adapter Tuning", CVPR 2025.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.subjects.faces import CROP_MARGIN
from bonafide.train import clips
from bonafide.train.augment import Pixels
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.clips import ClipRecipe, frames_of
from bonafide.train.recipe import Batch, Output
from bonafide.train.video_blending import video_blended

KERNELS = (3, 5, 7)


class Adapter(nn.Module):
    """Sees the patches of all frames of a clip, in space and in time.

    Args:
        width: channels of a token.
        inner: channels inside.
        frames: of a clip.
        heads: of the attention between both streams.
    """

    def __init__(self, width: int, inner: int, frames: int, heads: int) -> None:
        super().__init__()
        self.frames = frames
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)
        self.spatial = nn.ModuleList(_depthwise(inner, (1, size, size)) for size in KERNELS)
        self.temporal = nn.ModuleList(_depthwise(inner, (size, 1, 1)) for size in KERNELS)
        self.attention = nn.MultiheadAttention(inner, heads, batch_first=True)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def streams(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(N·T, h·w, width) of square frames → both streams, each (N, inner, T, h, w)."""
        hidden = functional.gelu(self.down(patches))
        side = math.isqrt(patches.shape[1])
        volume = hidden.reshape(-1, self.frames, side, side, hidden.shape[2])
        volume = volume.permute(0, 4, 1, 2, 3)
        spatial = torch.stack([layer(volume) for layer in self.spatial]).mean(0)
        temporal = torch.stack([layer(volume) for layer in self.temporal]).mean(0)
        return volume + spatial, volume + temporal

    def forward(self, patches: Tensor) -> Tensor:
        """(N·T, h·w, width) of square frames → what is added to them."""
        spatial, temporal = (stream.flatten(2).mT for stream in self.streams(patches))
        first, _ = self.attention(spatial, temporal, temporal, need_weights=False)
        second, _ = self.attention(temporal, spatial, spatial, need_weights=False)
        joined = (first + second) / 2
        added: Tensor = self.up(joined.reshape(patches.shape[0], patches.shape[1], -1))
        return added


def _depthwise(channels: int, size: tuple[int, int, int]) -> nn.Module:
    padding = (size[0] // 2, size[1] // 2, size[2] // 2)
    return nn.Conv3d(channels, channels, size, padding=padding, groups=channels)


class Adapted(nn.Module):
    """The layer of a block, with an adapter behind it; tokens before the patches pass by."""

    def __init__(self, layer: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, tokens: Tensor) -> Tensor:
        """(N·T, 1 + h·w, width) → the same shape."""
        seen: Tensor = self.layer(tokens)
        first = seen.shape[1] - math.isqrt(seen.shape[1] - 1) ** 2
        patches = seen[:, first:]
        return torch.cat([seen[:, :first], patches + self.adapter(patches)], 1)


class Network(nn.Module):
    """A frozen vision transformer with adapters, and a linear head on the mean class token.

    Raises:
        InvalidInput: the backbone has fewer than two blocks with an MLP, or no class token.
    """

    def __init__(self, backbone: Backbone, frames: int, inner: int, heads: int) -> None:
        super().__init__()
        self.frames = frames
        self.backbone = backbone
        backbone.model.requires_grad_(False)
        blocks = [part for part in backbone.model.modules()
                  if isinstance(getattr(part, "mlp", None), nn.Module)]  # fmt: skip
        if backbone.patch == 1 or len(blocks) < 2:
            raise InvalidInput(f"{type(backbone.model).__name__} has no blocks to adapt")
        for block in blocks[:-1]:
            adapter = Adapter(backbone.width, inner, frames, heads)
            block.mlp = Adapted(cast(nn.Module, block.mlp), adapter)
        self.head = nn.Linear(backbone.width, 1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3T, H, H) in [0, 1] → `Output` without a map."""
        pooled = self.backbone(frames_of(pixels, self.frames)).pooled
        mean = pooled.reshape(-1, self.frames, pooled.shape[1]).mean(1)
        return Output(self.head(mean).squeeze(1))


def adapters(network: nn.Module) -> Iterator[Adapter]:
    """Those in a network, in the order of its blocks."""
    return (part for part in network.modules() if isinstance(part, Adapter))


@dataclass(frozen=True)
class Settings(clips.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision transformer, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        inner: channels inside an adapter.
        heads: of the attention between both streams.
        blended: share of the forged clips that are made of genuine ones.
    """

    batch: int = 8
    learning_rate: float = 2e-4
    weight_decay: float = 5e-4
    backbone: str = "openai/clip-vit-large-patch14"
    download: bool = False
    inner: int = 512
    heads: int = 2
    blended: float = 0.5


class Method(ClipRecipe):
    """Cross-entropy on clips, some of which were blended."""

    id = "sta"
    title = "Spatiotemporal adapters in a frozen backbone, video-level blending"
    paper = "Z. Yan et al., Generalizing Deepfake Video Detection with Plug-and-Play, CVPR 2025"
    Settings = Settings

    @property
    def blended(self) -> float:
        """See `clips.OwnForgeries`."""
        return float(self.settings.blended)

    def network(self) -> Network:
        """The backbone with fresh adapters and a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine, or no vision transformer; or `inner`
                is no multiple of `heads`.
        """
        wanted = self.settings
        if wanted.inner % wanted.heads:
            raise InvalidInput(f"inner={wanted.inner} must be a multiple of heads={wanted.heads}")
        backbone = load_backbone(wanted.backbone, wanted.download)
        return Network(backbone, wanted.frames, wanted.inner, wanted.heads)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy."""
        logit = cast(Network, network)(batch.pixels).logit
        bce = functional.binary_cross_entropy_with_logits(logit, batch.label)
        return bce, {"bce": float(bce.detach())}

    def forge(
        self, clip: Pixels, random: np.random.Generator
    ) -> tuple[Pixels, NDArray[np.float32]]:
        """A clip of aligned faces whose features drift, in all of its frames."""
        made, _ = video_blended(clip, CROP_MARGIN, random)
        return made, np.ones(self.settings.frames, np.float32)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
        trainable = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.Adam(
            trainable, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
