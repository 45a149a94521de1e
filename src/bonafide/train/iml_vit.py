"""IML-ViT: a plain vision transformer that looks at full resolution and minds the borders.

What it is
    A picture is placed in the top left corner of a black canvas instead of being resized. A ViT
    whose attention is confined to windows, but for four global blocks, turns it into one map of
    features; a simple pyramid makes five of that map, and a light head draws the mask. The loss
    counts the borders of the mask many times over.

What the paper does
    ViT-B/16 from a masked autoencoder, which matters: from chance it learns next to nothing. A
    canvas of 1024. Windows of 14 patches; blocks 2, 5, 8 and 11 (from 0) are global; relative
    positions. Pyramid of scales 4, 2, 1, ½ and ¼ of the patch grid, 256 channels. Cross-entropy
    plus 20 times that along borders (bands of width 7). AdamW at 1e-4, decay 0.05, cosine with
    4 epochs of warm-up in 200, 16 pictures a step, stochastic depth 0.1.

What differs here
    What pictures go through is decided by the maker of tampering. The black around a picture is
    left out of the loss. Larger pictures are refused instead of cut off: they are for tiles. The
    paper has no image-level score; here it is the largest logit of the map. Steps stand for 200
    epochs of the 5,123 edited pictures of CASIA v2.

Export
    For pictures of the training crop's size.

Reference
    X. Ma et al., "IML-ViT: Benchmarking Image Manipulation Localization by Vision Transformer",
    arXiv:2307.14863, 2023. Windows and pyramid: Y. Li et al., "Exploring Plain Vision Transformer
    Backbones for Object Detection", ECCV 2022. Head: E. Xie et al., "SegFormer", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.mask_losses import at_size, edge_entropy, mask_of
from bonafide.train.plain_vit import PlainVit, StochasticDepth, adamw, by_head, without_heads
from bonafide.train.recipe import Batch, Output, Recipe

LARGEST_DROP = 0.1  # stochastic depth of the last block


class RelativeAttention(nn.Module):
    """A pretrained attention with learned relative positions, decomposed by axis.

    Positions start at zero, so that nothing changes until they are trained.

    Args:
        pretrained: of a ViT block.
        heads: of it.
        side: of the square of patches that attend to each other.
    """

    index: Tensor

    def __init__(self, pretrained: Any, heads: int, side: int) -> None:
        super().__init__()
        self.project = nn.ModuleList((pretrained.q_proj, pretrained.k_proj, pretrained.v_proj))
        self.leave: Any = pretrained.o_proj
        self.heads = heads
        channels = pretrained.q_proj.out_features // heads
        self.down = nn.Parameter(torch.zeros(2 * side - 1, channels))
        self.across = nn.Parameter(torch.zeros(2 * side - 1, channels))
        places = torch.arange(side)
        index = places[:, None] - places[None, :] + side - 1
        self.register_buffer("index", index, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, side, side, C) → the same shape."""
        count, side, _, channels = tokens.shape
        flat = tokens.reshape(count, side * side, channels)
        queries, keys, values = (by_head(project(flat), self.heads) for project in self.project)
        asked = queries.reshape(count, self.heads, side, side, -1)
        rows = torch.einsum("nahwd,hkd->nahwk", asked, self.down[self.index])
        columns = torch.einsum("nahwd,wkd->nahwk", asked, self.across[self.index])
        bias = (rows[..., :, None] + columns[..., None, :]).reshape(
            count, self.heads, side * side, side * side
        )
        attended = functional.scaled_dot_product_attention(queries, keys, values, bias)
        left: Tensor = self.leave(without_heads(attended)).reshape(tokens.shape)
        return left


class Block(nn.Module):
    """A pretrained block, its attention within windows or over everything.

    Args:
        pretrained: block of a ViT.
        heads: of its attention.
        side: of the patch grid.
        window: patches; 0 for global attention.
        drop: share of stochastic depth.
    """

    def __init__(self, pretrained: Any, heads: int, side: int, window: int, drop: float) -> None:
        super().__init__()
        self.before: Any = pretrained.layernorm_before
        self.after: Any = pretrained.layernorm_after
        self.mlp: Any = pretrained.mlp
        self.window = window or side
        self.attention = RelativeAttention(pretrained.attention, heads, self.window)
        self.drop = StochasticDepth(drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, side, side, C) → the same shape."""
        tokens = tokens + self.drop(self._attend(self.before(tokens)))
        changed: Tensor = tokens + self.drop(self.mlp(self.after(tokens)))
        return changed

    def _attend(self, tokens: Tensor) -> Tensor:
        """Within windows; the last ones are filled up with zeros."""
        count, side, _, channels = tokens.shape
        window = self.window
        missing = -side % window
        padded = functional.pad(tokens, (0, 0, 0, missing, 0, missing))
        along = (side + missing) // window
        split = padded.reshape(count, along, window, along, window, channels).transpose(2, 3)
        attended = self.attention(split.reshape(-1, window, window, channels))
        joined = attended.reshape(count, along, along, window, window, channels).transpose(2, 3)
        whole: Tensor = joined.reshape(padded.shape)
        return whole[:, :side, :side]


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every place of (N, C, h, w)."""

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) → the same shape."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Pyramid(nn.Module):
    """One map → five, of 4, 2, 1, ½ and ¼ of its size.

    Args:
        channels: of the map; multiple of 4.
        width: channels of the five.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        resized: list[tuple[nn.Module, int]] = [
            (
                nn.Sequential(
                    nn.ConvTranspose2d(channels, half, 2, 2),
                    ChannelNorm(half),
                    nn.GELU(),
                    nn.ConvTranspose2d(half, quarter, 2, 2),
                ),
                quarter,
            ),
            (nn.ConvTranspose2d(channels, half, 2, 2), half),
            (nn.Identity(), channels),
            (nn.MaxPool2d(2), channels),
        ]
        self.levels = nn.ModuleList(
            nn.Sequential(
                resize,
                nn.Conv2d(count, width, 1, bias=False),
                ChannelNorm(width),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                ChannelNorm(width),
            )
            for resize, count in resized
        )

    def forward(self, features: Tensor) -> list[Tensor]:
        """(N, channels, h, w) → five of (N, width, …), largest first."""
        maps = [level(features) for level in self.levels]
        return [*maps, maps[-1][..., ::2, ::2]]


class Head(nn.Module):
    """Maps of several sizes → one logit at the size of the first."""

    def __init__(self, levels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(levels * width, width, 1),
            nn.BatchNorm2d(width),
            nn.Dropout(),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Largest first → (N, 1, h of the first, w of the first)."""
        size = maps[0].shape[-2:]
        alike = [
            functional.interpolate(one, size, mode="bilinear", align_corners=False) for one in maps
        ]
        logits: Tensor = self.layers(torch.cat(alike, 1))
        return logits


class Network(nn.Module):
    """Canvas, windowed ViT, pyramid, head.

    Args:
        vit: pretrained.
        canvas: its side, pixels; a multiple of the patch.
        window: patches.
        whole: blocks with global attention, counted from 0.
        width: channels of pyramid and head.
    """

    def __init__(
        self, vit: PlainVit, canvas: int, window: int, whole: Sequence[int], width: int
    ) -> None:
        super().__init__()
        self.canvas = canvas
        pretrained, vit.blocks = list(vit.blocks), nn.ModuleList()
        vit.norm = nn.Identity()  # the pyramid has norms of its own
        self.vit = vit
        drops = torch.linspace(0, LARGEST_DROP, len(pretrained)).tolist()
        self.blocks = nn.Sequential(
            *(
                Block(block, vit.heads, canvas // vit.patch, 0 if place in whole else window, drop)
                for place, (block, drop) in enumerate(zip(pretrained, drops, strict=True))
            )
        )
        self.pyramid = Pyramid(vit.width, width)
        self.head = Head(5, width)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1], no larger than the canvas → score, map (N, H, W).

        Raises:
            InvalidInput: it is larger.
        """
        height, width = pixels.shape[-2:]
        if max(height, width) > self.canvas:
            raise InvalidInput(
                f"{width}×{height} pixels are more than the canvas of {self.canvas}: use tiles"
            )
        placed = functional.pad(pixels, (0, self.canvas - width, 0, self.canvas - height))
        features = self.blocks(self.vit(placed)).permute(0, 3, 1, 2)
        drawn = at_size(self.head(self.pyramid(features)), self.canvas, self.canvas)
        logits = drawn[:, :height, :width]
        return Output(logits.amax((1, 2)), logits)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a ViT or a masked autoencoder, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        canvas: side of the square that pictures are placed in, pixels.
        window: side of the attention windows, patches.
        whole: blocks with global attention, counted from 0.
        width: channels of the pyramid.
        edges: weight of the loss along borders.
        edge_width: of the bands, pixels, odd.
    """

    steps: int = 64_000
    batch: int = 16
    crop: int = 1024
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warmup: int = 1_280
    schedule: str = "cosine"
    validate_every: int = 1_280
    backbone: str = "facebook/vit-mae-base"
    download: bool = False
    canvas: int = 1024
    window: int = 14
    whole: tuple[int, ...] = (2, 5, 8, 11)
    width: int = 256
    edges: float = 20.0
    edge_width: int = 7


class Method(Recipe):
    """Cross-entropy everywhere, and again along borders."""

    id = "iml_vit"
    title = "Windowed vision transformer at full resolution with edge supervision"
    paper = (
        "X. Ma et al., IML-ViT: Benchmarking Image Manipulation Localization by Vision "
        "Transformer, arXiv:2307.14863, 2023"
    )
    needs_masks = True
    any_size = False
    Settings = Settings

    def network(self) -> nn.Module:
        """The backbone with windows, pyramid and head.

        Raises:
            InvalidInput: the backbone does not fit, or the canvas does not.
        """
        settings = self.settings
        vit = PlainVit(settings.backbone, settings.download)
        if settings.canvas % (2 * vit.patch) or settings.crop > settings.canvas:
            raise InvalidInput(
                f"canvas={settings.canvas} must be a multiple of {2 * vit.patch} (two patches) "
                f"and no less than crop={settings.crop}"
            )
        return Network(vit, settings.canvas, settings.window, settings.whole, settings.width)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy plus its weighted repetition along borders."""
        return edge_supervised(network(batch.pixels), batch, self.settings)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW without decay of biases and norms."""
        return adamw(network, self.settings)


def edge_supervised(
    output: Output, batch: Batch, settings: Any
) -> tuple[Tensor, Mapping[str, float]]:
    """Cross-entropy of the map plus `edges` times that along borders, and both parts."""
    assert output.map is not None
    mask = mask_of(batch)
    everywhere = functional.binary_cross_entropy_with_logits(output.map, mask)
    edges = settings.edges * edge_entropy(output.map, mask, settings.edge_width)
    return everywhere + edges, {
        "everywhere": float(everywhere.detach()),
        "edges": float(edges.detach()),
    }
