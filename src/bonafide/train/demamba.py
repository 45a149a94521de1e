"""DeMamba: small zones of a video, followed through time by a selective scan.

What it is
    A pretrained network reads every frame. Its feature maps are cut into small zones. The features
    of one zone in all frames make one sequence, which a selective state space model (Mamba) reads
    forwards and backwards: what a generator does not keep steady from frame to frame shows there.
    What comes out joins the plain mean of all features.

What the paper does
    A module behind any encoder (X-CLIP, CLIP and others): spatial consolidation into zones, a
    continuous scan through space and time in each, a bidirectional Mamba, mean features of what
    went in and of what came out, an MLP. AdamW with decay 1e-8, a tenth of the rate after 20 and
    after 25 of 30 passes; classes one to one; mirroring (½), JPEG at 50 to 100 (½), noise and blur
    (0.3 each). The whole encoder is tuned: frozen it loses ten points of accuracy.

What differs here
    Written from the description, not from the released code. The encoder reads frames alone
    (CLIP ViT-B/16). In a continuous scan each token is next to the one before, in space or in time:
    rows are walked to and fro, and every second frame backwards. The scan is plain PyTorch: log₂ L
    steps over all tokens at once. Forward and backward scan share what goes in and what comes out.
    Learning rate and sizes inside are our own choice. To ablate: `zone=0` (the whole frame),
    `scan=sweep`, `both_ways=false`, `features=global` (frames without a scan) or `local`,
    `frozen=true`. Frame rate, length and size of training clips must not tell classes apart.

Reference
    H. Chen, Y. Hong, Z. Huang et al., "DeMamba: AI-Generated Video Detection on Million-Scale
    GenVideo Benchmark", 2024 (arXiv:2405.19707); A. Gu, T. Dao, "Mamba: Linear-Time Sequence
    Modeling with Selective State Spaces", 2023 (arXiv:2312.00752), equations 2 and 4; the scan:
    W. Hillis, G. Steele, "Data Parallel Algorithms", CACM 29, 1986.
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
from bonafide.train import clips
from bonafide.train.augment import (
    Chain,
    Pixels,
    Step,
    blur,
    crop,
    framewise,
    jpeg,
    mirror,
    noise,
)
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.clips import ClipRecipe, frames_of
from bonafide.train.recipe import Batch, Output

STATES = 16  # of each channel of a scan
CONVOLVED = 4  # tokens before the scan
WIDER = 2  # inside a block than outside
CHOICES = {"scan": ("continuous", "sweep"), "features": ("both", "global", "local")}


def selective_scan(
    inputs: Tensor, step: Tensor, decay: Tensor, into: Tensor, out: Tensor
) -> Tensor:
    """y_t = C_t·h_t, where h_t = exp(Δ_t A) h_{t−1} + Δ_t B_t x_t and h_0 = 0.

    Args:
        inputs: x, float (N, L, E).
        step: Δ, float (N, L, E), above 0.
        decay: A, float (E, S), below 0.
        into: B, float (N, L, S).
        out: C, float (N, L, S).

    Returns:
        y, float (N, L, E).
    """
    kept = torch.exp(step[..., None] * decay)  # (N, L, E, S)
    state = (step * inputs)[..., None] * into[:, :, None]
    reach = 1
    while reach < inputs.shape[1]:
        # Each place holds what the last `reach` tokens do; join it with those before them.
        place = (0, 0, 0, 0, reach, 0)
        state = state + kept * functional.pad(state[:, :-reach], place)
        kept = kept * functional.pad(kept[:, :-reach], place, value=1.0)
        reach *= 2
    return (state * out[:, :, None]).sum(-1)


class Scan(nn.Module):
    """One direction: a short convolution, then a scan whose parameters follow from its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rank = max(1, width // (16 * WIDER))
        self.convolve = nn.Conv1d(width, width, CONVOLVED, padding=CONVOLVED - 1, groups=width)
        self.parameters_of = nn.Linear(width, self.rank + 2 * STATES, bias=False)
        self.step = nn.Linear(self.rank, width)
        self.decay = nn.Parameter(torch.arange(1.0, STATES + 1).log().repeat(width, 1))
        self.skip = nn.Parameter(torch.ones(width))
        # Steps of 0.001 to 0.1 at first, as Mamba begins.
        first = torch.exp(torch.empty(width).uniform_(math.log(1e-3), math.log(1e-1)))
        with torch.no_grad():
            self.step.bias.copy_(first + torch.log(-torch.expm1(-first)))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, width) → the same shape; a token sees none that follows it."""
        length = tokens.shape[1]
        seen = functional.silu(self.convolve(tokens.mT)[..., :length]).mT
        rank, into, out = self.parameters_of(seen).split((self.rank, STATES, STATES), -1)
        step = functional.softplus(self.step(rank))
        found = selective_scan(seen, step, -self.decay.exp(), into, out)
        return found + self.skip * seen


class Block(nn.Module):
    """A gated scan in one or both directions, added to what went in."""

    def __init__(self, width: int, both_ways: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, 2 * WIDER * width, bias=False)
        self.scans = nn.ModuleList(Scan(WIDER * width) for _ in range(1 + both_ways))
        self.last = nn.Linear(WIDER * width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, width) → the same shape."""
        inner, gate = self.first(self.norm(tokens)).chunk(2, -1)
        found = self.scans[0](inner)
        if len(self.scans) > 1:
            found = found + self.scans[1](inner.flip(1)).flip(1)
        result: Tensor = tokens + self.last(found * functional.silu(gate))
        return result


def zones_of(maps: Tensor, zone: int) -> Tensor:
    """(N, T, C, h, w) → (N, zones, T·zone², C), frame after frame, each row by row.

    Args:
        maps: feature maps; both sides divisible by `zone`.
        zone: side of a zone.
    """
    count, frames, channels, height, width = maps.shape
    rows, columns = height // zone, width // zone
    cut = maps.reshape(count, frames, channels, rows, zone, columns, zone)
    ordered = cut.permute(0, 3, 5, 1, 4, 6, 2)  # (N, rows, columns, T, zone, zone, C)
    return ordered.reshape(count, rows * columns, frames * zone * zone, channels)


def walk(frames: int, zone: int, continuous: bool) -> Tensor:
    """In which order the tokens of a zone are scanned: int64 (frames·zone²,).

    Args:
        frames: of a clip.
        zone: side of a zone.
        continuous: whether each token is next to the one before, in space or in time; else rows
            are read one way, and frames from their first row.
    """
    place = torch.arange(zone * zone).view(zone, zone)
    if not continuous:
        return torch.arange(frames * zone * zone)
    place[1::2] = place[1::2].flip(1)
    there = place.flatten()
    return torch.cat([
        number * zone * zone + (there.flip(0) if number % 2 else there) for number in range(frames)
    ])  # fmt: skip


class Network(nn.Module):
    """An encoder of frames, scans through zones, and an MLP.

    Args:
        backbone: see `bonafide.train.backbones`.
        settings: of the method.
    """

    order: Tensor

    def __init__(self, backbone: Backbone, settings: Settings) -> None:
        super().__init__()
        self.frames, self.zone, self.features = settings.frames, settings.zone, settings.features
        self.backbone = backbone.requires_grad_(not settings.frozen)
        side = settings.zone or settings.crop // backbone.patch
        depth = 0 if settings.features == "global" else settings.depth
        self.blocks = nn.Sequential(
            *(Block(backbone.width, settings.both_ways) for _ in range(depth))
        )
        order = walk(settings.frames, side, settings.scan == "continuous")
        self.register_buffer("order", order, persistent=False)
        joined = backbone.width * (2 if settings.features == "both" else 1)
        self.head = nn.Sequential(
            nn.LayerNorm(joined), nn.Linear(joined, backbone.width), nn.GELU(),
            nn.Linear(backbone.width, 1),
        )  # fmt: skip

    def maps(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3T, H, H) in [0, 1] → (N, T, C, h, h)."""
        found: Tensor = self.backbone(frames_of(pixels, self.frames)).map
        return found.reshape(-1, self.frames, *found.shape[1:])

    def followed(self, maps: Tensor) -> Tensor:
        """(N, T, C, h, h) → what the scans make of each zone, (N, zones, C)."""
        tokens = zones_of(maps, self.zone or maps.shape[-1])
        scanned: Tensor = self.blocks(tokens.flatten(0, 1)[:, self.order])
        return scanned.mean(1).reshape(tokens.shape[0], tokens.shape[1], -1)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3T, H, H) in [0, 1] → `Output` without a map."""
        maps = self.maps(pixels)
        parts = []
        if self.features != "local":
            parts.append(maps.mean((1, 3, 4)))
        if self.features != "global":
            parts.append(self.followed(maps).mean(1))
        return Output(self.head(torch.cat(parts, 1)).squeeze(1))


@dataclass(frozen=True)
class Settings(clips.Settings):
    """The paper's where it says; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a vision model, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        zone: side of a zone, cells of the feature map; 0 for the whole map.
        scan: "continuous" or "sweep", see `walk`.
        both_ways: whether zones are scanned backwards too.
        features: "both", "global" (the encoder's alone) or "local" (the scans' alone).
        depth: blocks with scans.
        frozen: whether the encoder stays as it was.

    Raises:
        InvalidInput: `scan` or `features` is neither of these.
    """

    learning_rate: float = 1e-5
    weight_decay: float = 1e-8
    backbone: str = "openai/clip-vit-base-patch16"
    download: bool = False
    zone: int = 2
    scan: str = "continuous"
    both_ways: bool = True
    features: str = "both"
    depth: int = 1
    frozen: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InvalidInput(f"{name} must be {' or '.join(known)}")


class Method(ClipRecipe):
    """Cross-entropy on clips."""

    id = "demamba"
    title = "Zones of a video scanned through time by a state space model"
    paper = "H. Chen et al., DeMamba: AI-Generated Video Detection, arXiv:2405.19707, 2024"
    Settings = Settings

    def network(self) -> Network:
        """The backbone with fresh scans and a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine, or zones do not divide its maps.
        """
        wanted = self.settings
        backbone = load_backbone(wanted.backbone, wanted.download)
        cells = wanted.crop // backbone.patch
        if backbone.patch == 1 or wanted.crop % backbone.patch:
            raise InvalidInput("demamba needs a vision transformer whose patch divides crop")
        if wanted.zone and cells % wanted.zone:
            raise InvalidInput(f"zone={wanted.zone} does not divide maps of {cells} cells a side")
        return Network(backbone, wanted)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy."""
        logit = cast(Network, network)(batch.pixels).logit
        bce = functional.binary_cross_entropy_with_logits(logit, batch.label)
        return bce, {"bce": float(bce.detach())}

    def rate(self, step: int) -> float:
        """1, a tenth from two thirds of the steps on, a hundredth from five sixths on."""
        done = step / self.settings.steps
        return 1.0 if done < 2 / 3 else 0.1 if done < 5 / 6 else 0.01

    def augment(self) -> Chain[Pixels]:
        """The paper's, alike for all frames of a clip."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("jpeg", 0.5, framewise(partial(jpeg, low=50, high=100))),
                Step("noise", 0.3, framewise(partial(noise, low=0.5, high=6.0))),
                Step("blur", 0.3, framewise(partial(blur, low=0.3, high=1.5))),
            )
        )
