"""RelayFormer: sub-images at native size that exchange relay tokens.

What it is
    A picture is cut into overlapping sub-images, each read by a vision transformer on its own. A
    few relay tokens are added to each; after every block the relay tokens of all sub-images attend
    to each other, so that each receives what the others saw, at little cost. Queries turn the
    features into a mask.

What the paper does
    ViT-B/16 from a masked autoencoder. Sub-images of 528 pixels, 496 apart: four of them make
    1024, overlapping by two patches, whose features are averaged after each block. Three relay
    tokens. Relay tokens go through the next block's own weights with low-rank updates of their
    own (rank 8, scale 16; the sub-images have others), placed by rotary embeddings over time,
    token, row and column. Eight queries, three decoder layers of width 256, gates. Cross-entropy
    plus 20 times that along borders (bands of width 7). AdamW at 1e-4, decay 0.05, cosine, 2 of
    200 epochs of warm-up, stochastic depth 0.1, sides padded and clips of four frames.

What differs here
    As many sub-images as a picture needs, without a largest size. What pictures go through is
    decided by the maker of tampering. Pictures alone: the paper reads videos as well, which needs
    clips with masks to train on. The backbone's own weights are trained
    beside the low-rank updates, as in the released code; `frozen` trains the updates alone. The
    black around a picture is left out of the loss. The image-level score, which the paper lacks,
    is the largest logit of the map. Steps stand for 200 epochs of CASIA v2's 5,123, 64 a step.

Export
    For pictures of the training crop's size: sub-images are counted when the file is written.

Reference
    W. Huang et al., "RelayFormer: A Unified Local-Global Attention Framework for Scalable Image
    and Video Manipulation Localization", arXiv:2508.09459, 2025. Low-rank updates: E. Hu et al.,
    "LoRA", ICLR 2022. Rotary embeddings: J. Su et al., "RoFormer", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.iml_vit import LARGEST_DROP, edge_supervised
from bonafide.train.mask_losses import at_size
from bonafide.train.plain_vit import PlainVit, StochasticDepth, adamw, by_head, without_heads
from bonafide.train.recipe import Batch, Output, Recipe

RANK, SCALE = 8, 16.0
ROTATED = 8  # channels of a head that one axis rotates, where heads are wide enough
AXES = 3  # token, row, column
QUERIES, LAYERS, DECODER_WIDTH, DECODER_HEADS = 8, 3, 256, 8
_BASE = 10_000.0


class Updated(nn.Module):
    """A pretrained linear layer with two low-rank updates: for sub-images, and for relays.

    Both start at zero.

    Args:
        linear: the layer.
        frozen: whether its own weights stay as they are.
    """

    def __init__(self, linear: nn.Linear, frozen: bool) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(not frozen)
        inputs, outputs = linear.in_features, linear.out_features
        self.down = nn.Parameter(torch.randn(2, inputs, RANK) * 0.01)
        self.up = nn.Parameter(torch.zeros(2, RANK, outputs))

    def forward(self, tokens: Tensor, relays: bool) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        which = int(relays)
        update = tokens @ self.down[which] @ self.up[which]
        updated: Tensor = self.linear(tokens) + update * (SCALE / RANK)
        return updated


class Block(nn.Module):
    """A pretrained block that treats relay tokens on their own terms.

    Args:
        pretrained: block of a ViT.
        heads: of its attention.
        frozen: whether its own weights stay as they are.
        drop: share of stochastic depth.
    """

    def __init__(self, pretrained: Any, heads: int, frozen: bool, drop: float) -> None:
        super().__init__()
        attention, mlp = pretrained.attention, pretrained.mlp
        self.heads = heads
        self.before: Any = pretrained.layernorm_before.requires_grad_(not frozen)
        self.after: Any = pretrained.layernorm_after.requires_grad_(not frozen)
        self.project = nn.ModuleList(
            Updated(part, frozen) for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        self.leave = Updated(attention.o_proj, frozen)
        self.widen = Updated(mlp.fc1, frozen)
        self.activate: Any = mlp.activation_fn
        self.narrow = Updated(mlp.fc2, frozen)
        self.drop = StochasticDepth(drop)

    def forward(self, tokens: Tensor, places: Tensor | None = None) -> Tensor:
        """Tokens of sub-images, or relay tokens with their places.

        Args:
            tokens: (N, L, C).
            places: int64 (3, L) for relay tokens, see `rotated`.

        Returns:
            (N, L, C).
        """
        relays = places is not None
        normed = self.before(tokens)
        queries, keys, values = (
            by_head(project(normed, relays), self.heads) for project in self.project
        )
        if places is not None:
            queries, keys = rotated(queries, places), rotated(keys, places)
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        tokens = tokens + self.drop(self.leave(without_heads(attended), relays))
        widened = self.activate(self.widen(self.after(tokens), relays))
        changed: Tensor = tokens + self.drop(self.narrow(widened, relays))
        return changed


def rotated(values: Tensor, places: Tensor) -> Tensor:
    """Rotary embedding over several axes, each with channels of its own.

    Args:
        values: (N, heads, L, d), queries or keys.
        places: int64 (axes, L).

    Returns:
        The same shape; channels that no axis needs stay as they are.
    """
    axes, width = len(places), values.shape[-1]
    each = min(ROTATED, width // axes // 2 * 2)
    half = each // 2
    powers = torch.arange(half, device=values.device, dtype=values.dtype) / half
    angles = places.to(values.dtype)[..., None] / _BASE**powers  # (axes, L, half)
    turn = angles.transpose(0, 1).flatten(1)  # (L, axes · half)
    cosine, sine = turn.cos(), turn.sin()
    turned, kept = values[..., : axes * each], values[..., axes * each :]
    first, second = turned[..., 0::2], turned[..., 1::2]
    pair = torch.stack([first * cosine - second * sine, first * sine + second * cosine], -1)
    return torch.cat([pair.flatten(-2), kept], -1)


@dataclass(frozen=True)
class Layout:
    """How sub-images of a picture lie.

    Attributes:
        rows, columns: how many.
        height, width: of the whole, patches.
        index: int64 (rows · columns, side²): place of every patch of every sub-image in the whole.
    """

    rows: int
    columns: int
    height: int
    width: int
    index: Tensor


def layout(height: int, width: int, side: int, stride: int, device: torch.device) -> Layout:
    """As few sub-images as cover a picture.

    Args:
        height, width: of the picture, patches.
        side, stride: of sub-images, patches.
        device: of the result.
    """
    rows, columns = (1 + max(0, -(-(length - side) // stride)) for length in (height, width))
    whole_height, whole_width = (side + (count - 1) * stride for count in (rows, columns))
    inside = torch.arange(side, device=device)
    tops = torch.arange(rows, device=device) * stride
    lefts = torch.arange(columns, device=device) * stride
    down = (tops[:, None] + inside)[:, None, :, None]
    across = (lefts[:, None] + inside)[None, :, None, :]
    index = (down * whole_width + across).reshape(rows * columns, side * side)
    return Layout(rows, columns, whole_height, whole_width, index)


def joined(tokens: Tensor, plan: Layout) -> Tensor:
    """Lay sub-images over each other, their overlaps averaged.

    Args:
        tokens: (N, sub-images, side², C).
        plan: where they lie.

    Returns:
        (N, height · width, C).
    """
    count, _, _, channels = tokens.shape
    places = plan.index.flatten()
    area = plan.height * plan.width
    sums = tokens.new_zeros(count, area, channels).index_add(1, places, tokens.flatten(1, 2))
    times = tokens.new_zeros(area).index_add(0, places, tokens.new_ones(len(places)))
    return sums / times[:, None]


class QueryDecoder(nn.Module):
    """Queries that look at all features; each draws a mask, gates say how much of it counts."""

    def __init__(self, channels: int, width: int = DECODER_WIDTH) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.queries = nn.Parameter(torch.randn(QUERIES, width))
        self.looks, self.talks = (
            nn.ModuleList(
                nn.MultiheadAttention(width, DECODER_HEADS, dropout=0.1, batch_first=True)
                for _ in range(LAYERS)
            )
            for _ in range(2)
        )
        self.thinks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(LAYERS)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 * LAYERS))
        self.gate = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) → logits (N, 1, h, w)."""
        entered = self.enter(features)
        seen = entered.flatten(2).transpose(1, 2)
        queries = self.queries.expand(features.shape[0], -1, -1)
        norms = iter(self.norms)
        for look, talk, think in zip(self.looks, self.talks, self.thinks, strict=True):
            queries = next(norms)(queries + look(queries, seen, seen, need_weights=False)[0])
            queries = next(norms)(queries + talk(queries, queries, queries, need_weights=False)[0])
            queries = next(norms)(queries + think(queries))
        drawn = torch.einsum("nqc,nchw->nqhw", queries, entered)
        gates = self.gate(queries).sigmoid()[..., None]
        logits: Tensor = (drawn * gates).sum(1, keepdim=True)
        return logits


class Network(nn.Module):
    """Sub-images, relays, decoder.

    Args:
        vit: pretrained.
        side, stride: of sub-images, patches.
        relays: relay tokens of a sub-image; the class token is the first.
        frozen: whether the backbone's own weights stay as they are.
    """

    def __init__(self, vit: PlainVit, side: int, stride: int, relays: int, frozen: bool) -> None:
        super().__init__()
        self.side, self.stride = side, stride
        pretrained, vit.blocks = list(vit.blocks), nn.ModuleList()
        vit.requires_grad_(not frozen)
        self.vit = vit
        more = 0.02 * torch.randn(relays - 1, vit.width)
        self.relays = nn.Parameter(torch.cat([vit.class_token.detach(), more]))
        del vit.class_token
        drops = torch.linspace(0, LARGEST_DROP, len(pretrained)).tolist()
        self.blocks = nn.ModuleList(
            Block(block, vit.heads, frozen, drop)
            for block, drop in zip(pretrained, drops, strict=True)
        )
        self.decoder = QueryDecoder(vit.width)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → score and map (N, H, W)."""
        height, width = pixels.shape[-2:]
        patch = self.vit.patch
        plan = layout(
            -(-height // patch), -(-width // patch), self.side, self.stride, pixels.device
        )
        features = self._features(pixels, plan)
        drawn = at_size(self.decoder(features), plan.height * patch, plan.width * patch)
        logits = drawn[:, :height, :width]
        return Output(logits.amax((1, 2)), logits)

    def _features(self, pixels: Tensor, plan: Layout) -> Tensor:
        """(N, 3, H, W) → (N, C, plan.height, plan.width)."""
        count, parts = pixels.shape[0], plan.rows * plan.columns
        tokens = self.vit(self._cut(pixels, plan)).flatten(1, 2)
        relays = self.relays.expand(tokens.shape[0], -1, -1)
        places = self._places(plan)
        for number, block in enumerate(self.blocks):
            both = block(torch.cat([relays, tokens], 1))
            relays, tokens = both[:, : len(self.relays)], both[:, len(self.relays) :]
            tokens = self._agreed(tokens.reshape(count, parts, -1, self.vit.width), plan)
            if number + 1 < len(self.blocks):
                gathered = relays.reshape(count, -1, self.vit.width)
                relays = self.blocks[number + 1](gathered, places).reshape(relays.shape)
        whole = joined(self.vit.norm(tokens).reshape(count, parts, -1, self.vit.width), plan)
        return whole.transpose(1, 2).reshape(count, -1, plan.height, plan.width)

    def _cut(self, pixels: Tensor, plan: Layout) -> Tensor:
        """Sub-images, all of the first picture first; black continues it: (N · parts, 3, …)."""
        patch, side, stride = (length * self.vit.patch for length in (1, self.side, self.stride))
        right = plan.width * patch - pixels.shape[-1]
        padded = functional.pad(pixels, (0, right, 0, plan.height * patch - pixels.shape[-2]))
        parts = [
            padded[..., top : top + side, left : left + side]
            for top in range(0, plan.rows * stride, stride)
            for left in range(0, plan.columns * stride, stride)
        ]
        return torch.stack(parts, 1).flatten(0, 1)

    def _agreed(self, tokens: Tensor, plan: Layout) -> Tensor:
        """Overlaps go on with their mean: (N, parts, L, C) → (N · parts, L, C)."""
        shared = joined(tokens, plan)[:, plan.index.flatten()]
        return shared.reshape(tokens.shape).flatten(0, 1)

    def _places(self, plan: Layout) -> Tensor:
        """Token, row and column of every relay token of a picture: int64 (3, L)."""
        axes = (
            torch.arange(length, device=self.relays.device)
            for length in (plan.rows, plan.columns, len(self.relays))
        )
        row, column, token = torch.meshgrid(*axes, indexing="ij")
        return torch.stack([token, row, column]).flatten(1)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a ViT or a masked autoencoder, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        part, stride: side and distance of sub-images, pixels; multiples of the patch.
        relays: relay tokens of a sub-image, at least 1.
        frozen: train the low-rank updates and the decoder, not the backbone's own weights.
        edges: weight of the loss along borders.
        edge_width: of the bands, pixels, odd.
    """

    steps: int = 16_000
    batch: int = 64
    crop: int = 1024
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warmup: int = 160
    schedule: str = "cosine"
    backbone: str = "facebook/vit-mae-base"
    download: bool = False
    part: int = 528
    stride: int = 496
    relays: int = 3
    frozen: bool = False
    edges: float = 20.0
    edge_width: int = 7


class Method(Recipe):
    """Cross-entropy everywhere, and again along borders."""

    id = "relayformer"
    title = "Sub-images that exchange relay tokens"
    paper = (
        "W. Huang et al., RelayFormer: A Unified Local-Global Attention Framework for Scalable "
        "Image and Video Manipulation Localization, arXiv:2508.09459, 2025"
    )
    needs_masks = True
    any_size = False
    Settings = Settings

    def network(self) -> nn.Module:
        """The backbone with relays and updates, and a fresh decoder.

        Raises:
            InvalidInput: the backbone does not fit, or sub-images do not.
        """
        settings = self.settings
        vit = PlainVit(settings.backbone, settings.download)
        part, stride, patch = settings.part, settings.stride, vit.patch
        if part % patch or stride % patch or not 0 < stride <= part or settings.relays < 1:
            raise InvalidInput(
                f"part={part} and stride={stride} must be multiples of {patch}, the stride no "
                f"larger than the part, and relays={settings.relays} at least 1"
            )
        return Network(vit, part // patch, stride // patch, settings.relays, settings.frozen)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy plus its weighted repetition along borders."""
        return edge_supervised(network(batch.pixels), batch, self.settings)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW without decay of biases and norms."""
        return adamw(network, self.settings)
