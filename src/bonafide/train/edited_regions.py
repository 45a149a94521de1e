"""Our own localiser: two streams, and a summary of the whole picture to compare places with.

What it is
    One stream reads colours with the first stages of EfficientNet-Lite0, begun from ImageNet
    weights; the other reads noise: SRM filters, constrained convolutions and what a small network
    learns on top of them at full resolution. Streams are weighed against each other channel by
    channel and fused at three depths. An edit is seldom odd by itself: it is odd where it is. So
    every fused feature is given twice, as it is and as its distance from the mean of the whole
    picture in standard deviations, and one layer of attention lets places look for their like.
    A decoder turns this into a map of log-odds, a reliability beside it, and one answer for the
    picture.

How large pictures are read
    In tiles. Each tile gives its sums of features ("summary"); their mean over the picture is fed
    back ("context") when tiles are judged. A network that is given no context takes that of the
    pixels it sees, which is how it is trained.

What it is worth so far
    It ships as a method, not as a network. Trained for 1,400 steps on edits made in small bona
    fide pictures (best.pt of seed 4), it told edited from untouched held-out pictures of the same
    making with an AUC of 0.74 (pixel AUC 0.84), but 75 real edits from 46 real photographs with
    one of 0.47: chance. Inside real edits its map is better than that (pixel AUC 0.72, pictures
    reduced to 512 pixels), which is not evidence enough to accuse anybody.

Reference
    Our own arrangement of published parts: noise fused with colour, K. Triaridis, V. Mezaris,
    "Exploring Multi-Modal Fusion for Image Manipulation Detection and Localization" (MMFusion),
    MMM 2024; losses along edges, X. Ma et al., "IML-ViT", arXiv:2307.14863, 2023; global context
    for parts of a picture, W. Huang et al., "RelayFormer", arXiv:2508.09459, 2025; reliability,
    F. Guillaro et al., "TruFor", CVPR 2023; filters as `bonafide.train.forensic_filters` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.efficientnet import STAGES, Convolution, EfficientNetLite0
from bonafide.train.forensic_filters import BayarConv, SrmFilters
from bonafide.train.mask_losses import at_size, dice_loss, edge_entropy, mask_of, weighted_entropy
from bonafide.train.recipe import Batch, Output, Recipe

READ = (1, 2, 4)  # stages of the backbone that are fused: strides 4, 8 and 16
NOISE = (32, 64, 96, 128)  # channels of the noise stream at strides 2, 4, 8 and 16
RESIDUALS = 9  # channels of the constrained convolution
WIDTH = 64  # channels of what is fused
LOUDEST = 16 / 255  # residuals are cut off here; edges of things are louder than noise
FARTHEST = 6.0  # standard deviations


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """Defaults, with which the figures above were measured.

    Attributes:
        pretrained: begin from ImageNet weights.
        frozen: stages of those that are not trained, besides the stem.
        backbone_rate: learning rate of the others, as a multiple of that of the rest.
        edited: weight of an edited pixel in the cross-entropy, where an authentic one has 1.
        dice: weight of the overlap.
        edge: weight of the cross-entropy along the borders of masks.
        edge_width: of these borders, pixels.
        image: weight of the answer for the picture.
        reliability: weight of the guess where the map is right.
    """

    steps: int = 2400
    batch: int = 10
    crop: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 100
    schedule: str = "cosine"
    clip: float = 1.0
    ema: float = 0.995
    held_out: float = 0.15
    validate_every: int = 200
    pretrained: bool = True
    frozen: int = 2
    backbone_rate: float = 0.3
    edited: float = 3.0
    dice: float = 0.5
    edge: float = 15.0
    edge_width: int = 7
    image: float = 0.3
    reliability: float = 0.2


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        Convolution(inputs, outputs, kernel, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Residual(nn.Module):
    """Two convolutions that are added to what goes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(channels, channels),
            Convolution(channels, channels, 3, 1, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, value: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        result: Tensor = functional.relu(value + self.layers(value))
        return result


class NoiseStream(nn.Module):
    """What is left of a picture when everything that its neighbours foretell is taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.srm = SrmFilters(3, LOUDEST, colours=True)
        self.bayar = BayarConv(3, RESIDUALS)
        half, *coarser = NOISE
        first = self.srm.channels + RESIDUALS
        self.first = nn.Sequential(_layer(first, 24), _layer(24, half, stride=2), Residual(half))
        self.deeper = nn.ModuleList(
            nn.Sequential(_layer(before, after, stride=2), *(Residual(after) for _ in range(2)))
            for before, after in zip(NOISE, coarser, strict=False)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """float32 RGB (N, 3, H, W) in [0, 1] → features at strides 4, 8 and 16."""
        # Sixteen bits would round away what is looked for.
        with torch.autocast(pixels.device.type, enabled=False):
            constrained = self.bayar(pixels).clamp(-LOUDEST, LOUDEST)
            residuals = torch.cat([self.srm(pixels), constrained], 1) / LOUDEST
        value = self.first(4 * residuals)
        found = []
        for deeper in self.deeper:
            value = deeper(value)
            found.append(value)
        return found


class Fusion(nn.Module):
    """Weighs the channels of both streams by what the picture is like, and mixes them."""

    def __init__(self, colour: int, noise: int) -> None:
        super().__init__()
        both = colour + noise
        self.gate = nn.Sequential(nn.Linear(both, WIDTH), nn.ReLU(), nn.Linear(WIDTH, both))
        self.mix = nn.Sequential(Convolution(both, WIDTH, 1, 1, 1), nn.BatchNorm2d(WIDTH))

    def forward(self, colour: Tensor, noise: Tensor) -> Tensor:
        """(N, C, h, w) and (N, C', h, w) → (N, WIDTH, h, w)."""
        both = torch.cat([colour, noise], 1)
        weights = self.gate(both.mean((2, 3))).sigmoid()
        mixed: Tensor = self.mix(both * weights[..., None, None])
        return mixed


class Comparison(nn.Module):
    """Puts features beside their distance from those of the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = _layer(2 * WIDTH, WIDTH, 1)

    def forward(self, value: Tensor, context: Tensor) -> Tensor:
        """(N, WIDTH, h, w) and (N, 2 · WIDTH), means and mean squares → (N, WIDTH, h, w)."""
        mean, square = context[..., None, None].chunk(2, 1)
        spread = (square - mean * mean).clamp(min=1e-4).sqrt()
        apart = ((value - mean) / spread).clamp(-FARTHEST, FARTHEST)
        mixed: Tensor = self.mix(torch.cat([value, apart], 1))
        return mixed


class Attention(nn.Module):
    """One transformer layer over all places, without positions: who is alike, not who is near."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.think = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, value: Tensor) -> Tensor:
        """(N, WIDTH, h, w) → the same shape."""
        tokens = value.flatten(2).transpose(1, 2)
        parts = self.project(self.before(tokens)).unflatten(2, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = functional.scaled_dot_product_attention(queries, keys, values)
        tokens = tokens + self.out(seen.transpose(1, 2).flatten(2))
        tokens = tokens + self.think(self.between(tokens))
        result: Tensor = tokens.transpose(1, 2).reshape(value.shape)
        return result


class Network(nn.Module):
    """See the head of this file.

    Attributes:
        context: length of the summary of a picture.
    """

    context: ClassVar[int] = 2 * WIDTH * len(READ)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        frozen = settings.frozen if settings.pretrained else 0
        self.colour = EfficientNetLite0(settings.pretrained, frozen=frozen, depth=max(READ) + 1)
        self.noise = NoiseStream()
        pairs = zip((STAGES[stage][1] for stage in READ), NOISE[1:], strict=True)
        self.fusions = nn.ModuleList(Fusion(colour, noise) for colour, noise in pairs)
        self.comparisons = nn.ModuleList(Comparison() for _ in READ)
        self.attention = Attention()
        self.smooth = nn.ModuleList(_layer(WIDTH, WIDTH) for _ in READ)
        self.local = nn.Sequential(_layer(WIDTH, WIDTH), nn.Conv2d(WIDTH, 1, 1))
        self.trust = nn.Sequential(_layer(WIDTH + 1, 16), nn.Conv2d(16, 1, 1))
        self.whole = nn.Sequential(nn.Linear(2 * WIDTH + 2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def forward(self, pixels: Tensor, context: Tensor | None = None) -> Output:
        """Judge pictures, or tiles of larger ones.

        Args:
            pixels: float32 RGB (N, 3, H, W) in [0, 1].
            context: float32 (N, `context`), the mean `summary` of the tiles of a picture; None,
                or zeros, for the picture's own.

        Returns:
            logit (N,), map and reliability (N, ⌊H / 4⌋, ⌊W / 4⌋), summary (N, `context`).
        """
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        stages = self.colour(pixels)
        fused = [
            fusion(stages[stage], noise)
            for fusion, stage, noise in zip(self.fusions, READ, self.noise(pixels), strict=True)
        ]
        fused = [value.float() for value in fused]
        summary = torch.cat(
            [part.mean((2, 3)) for value in fused for part in (value, value * value)], 1
        )
        if context is None:
            context = summary
        else:
            context = torch.where((context != 0).any(1, keepdim=True), context, summary)
        compared = [
            comparison(value, part)
            for comparison, value, part in zip(
                self.comparisons, fused, context.chunk(len(READ), 1), strict=True
            )
        ]
        compared[-1] = self.attention(compared[-1])
        value = self._decode(compared)
        local = self.local(value).float()
        known = torch.cat([value.float(), local], 1).detach()
        trust = self.trust(known).float()
        return Output(self._whole(value.float(), local), local[:, 0], None, trust[:, 0], summary)

    def _decode(self, compared: list[Tensor]) -> Tensor:
        """From the coarsest to the finest, each smoothed after what is coarser was added."""
        *finer, coarsest = compared
        value: Tensor = self.smooth[-1](coarsest)
        for smooth, beside in zip(list(self.smooth)[-2::-1], finer[::-1], strict=True):
            coarse = functional.interpolate(value.float(), beside.shape[2:], mode="bilinear")
            value = smooth(beside + coarse)
        return value

    def _whole(self, value: Tensor, local: Tensor) -> Tensor:
        """Log-odds of the picture, from its most suspicious places and from all of them."""
        odds, features = local.flatten(2), value.flatten(2)
        weights = odds.softmax(2)
        pooled = [
            (features * weights).sum(2), features.mean(2), (odds * weights).sum(2), odds.mean(2)
        ]  # fmt: skip
        logit: Tensor = self.whole(torch.cat(pooled, 1)).float()
        return logit[:, 0]


class Method(Recipe):
    """Cross-entropy and overlap of the map, its borders, the picture, and where the map errs."""

    id = "edited_regions"
    title = "regions that were edited, with a reliability (our own arrangement)"
    paper = "this project, 2026; parts as referenced in the module"
    needs_masks = True
    Settings = Settings

    def network(self) -> nn.Module:
        """Stored channels last, as CPUs convolve fastest."""
        return Network(self.settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The sum of the parts, each with its weight from the settings."""
        settings, mask = self.settings, mask_of(batch)
        output: Output = network(batch.pixels)
        assert output.map is not None and output.reliability is not None
        odds = at_size(output.map[:, None], *mask.shape[1:])
        trust = at_size(output.reliability[:, None], *mask.shape[1:])
        right = torch.where(mask > 0, odds, -odds).detach().sigmoid()
        entropy = functional.binary_cross_entropy_with_logits
        parts = {
            "pixels": (1.0, weighted_entropy(odds, mask, 1.0, settings.edited)),
            "overlap": (settings.dice, dice_loss(odds, mask)),
            "edges": (settings.edge, edge_entropy(odds, mask, settings.edge_width)),
            "picture": (settings.image, entropy(output.logit, batch.label)),
            "reliability": (settings.reliability, entropy(trust, right)),
        }
        loss = torch.stack([weight * part for weight, part in parts.values()]).sum()
        return loss, {name: float(part.detach()) for name, (_, part) in parts.items()}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW; what is only adapted learns more slowly than what starts from nothing."""
        settings = self.settings
        adapted: list[nn.Parameter] = []
        fresh: list[nn.Parameter] = []
        for name, weight in network.named_parameters():
            if weight.requires_grad:
                (adapted if name.startswith("colour.") else fresh).append(weight)
        groups = [
            {"params": adapted, "lr": settings.learning_rate * settings.backbone_rate},
            {"params": fresh, "lr": settings.learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
