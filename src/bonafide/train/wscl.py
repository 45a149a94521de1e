"""WSCL: maps of what was edited, learned from labels of whole pictures alone.

What it is
    Three networks look at a picture: at its colours, at SRM residuals and at a Bayar convolution.
    Each draws a coarse map; the picture's score is the mean of those pixels that Otsu's threshold
    sets apart. Where the three maps agree becomes a mask that all of them, and the likeness of
    patches to each other, are then taught.

What the paper does
    A ResNet-50 from ImageNet in each stream, its last two stages read together at 1/16 of the
    size. Cross-entropy of every stream's score. Multi-source consistency: squared error to a
    pseudo-mask, the maps weighted 1 : 2 : 2 (colours, SRM, Bayar) and cut at one half, with at
    least the highest pixel in edited pictures and none in authentic ones. Inter-patch
    consistency: every pair of patches at 1/8 of the size is alike or not, as that mask has it.
    Both consistencies weigh 0.1 · exp(−5 (1 − t/T)²). AdamW at 1e-4, decay 5e-4, cosine with 5
    epochs of warm-up in 60, 36 crops of 224 a step. At most half of the pixels make the score.

What differs here
    The released training corrects the label of a crop by the mask where the crop misses the edit,
    which is more than labels of whole pictures; here a crop keeps its picture's label, so crops
    should be large against what they are cut from. The pair of classes is found by Otsu's
    criterion exactly, where the released code walks to the nearest local optimum. Training is
    counted in steps: 60 epochs of CASIA v2. Train it with `--protocol edited`.

Reference
    Y. Zhai, T. Luan, D. Doermann, J. Yuan, "Towards Generic Image Manipulation Detection with
    Weakly-Supervised Self-Consistency Learning", ICCV 2023. N. Otsu, "A Threshold Selection
    Method from Gray-Level Histograms", 1979.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Step, crop, jpeg, standard, turn
from bonafide.train.backbones import Normalise, load_model
from bonafide.train.forensic_filters import BayarConv, SrmFilters
from bonafide.train.recipe import Augment, Batch, Output, Recipe

WEIGHTS = {"colours": 0.2, "srm": 0.4, "bayar": 0.4}
STEEPNESS = 5.0
ALIKE_STAGE = 1  # whose patches are compared: 1/8 of the size


class Seen(NamedTuple):
    """What one stream says of a batch.

    Attributes:
        map: float32 (N, h, w), probabilities that pixels were edited.
        score: float32 (N,), the same for pictures.
        alike: float32 (N, L, L), logits that two patches are of one kind; L patches of a grid.
        grid: rows and columns of those patches.
    """

    map: Tensor
    score: Tensor
    alike: Tensor
    grid: tuple[int, int]


class Stream(nn.Module):
    """One view of a picture and the network that reads it.

    Args:
        view: (N, 3, H, W) → the same shape.
        model: a ResNet of transformers with four stages.
    """

    def __init__(self, view: nn.Module, model: nn.Module) -> None:
        super().__init__()
        config: Any = model.config
        self.view = view
        self.stem: Any = deepcopy(model.embedder)
        self.stages: Any = deepcopy(model.encoder).stages  # type: ignore[union-attr]
        widths = list(config.hidden_sizes)
        middle = max(1, widths[-1] // 4)
        self.draw = nn.Sequential(
            nn.Conv2d(widths[-2] + widths[-1], middle, 3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, 1, 1),
        )
        inner = widths[ALIKE_STAGE]
        self.compare = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inner, inner, 1), nn.LeakyReLU(), nn.Conv2d(inner, inner // 2, 1)
            )
            for _ in range(2)
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """float32 (N, 3, H, W) in [0, 1] → map (N, h, w), features of patches (N, C, h', w')."""
        features = self.stem(self.view(pixels))
        read = []
        for stage in self.stages:
            features = stage(features)
            read.append(features)
        third, fourth = read[-2:]
        size = third.shape[-2:]
        fourth = functional.interpolate(fourth, size, mode="bilinear", align_corners=False)
        drawn: Tensor = self.draw(torch.cat([third, fourth], 1)).squeeze(1).float()
        return drawn.sigmoid(), read[ALIKE_STAGE]

    def seen(self, pixels: Tensor) -> Seen:
        """Everything that training asks for."""
        drawn, patches = self(pixels)
        one, other = (compare(patches).flatten(2) for compare in self.compare)
        alike = (one.transpose(1, 2) @ other).float() / math.sqrt(one.shape[1])
        rows, columns = patches.shape[-2:]
        return Seen(drawn, selected_mean(drawn), alike, (rows, columns))


def selected_mean(map_: Tensor) -> Tensor:
    """Mean of the pixels above Otsu's threshold, which are at most half of them.

    Args:
        map_: (N, h, w).

    Returns:
        (N,).
    """
    ordered = map_.flatten(1).sort(1).values
    count = ordered.shape[1]
    below = torch.arange(count, device=map_.device)
    above = count - below
    sums = ordered.cumsum(1) - ordered
    low = sums / below.clamp(min=1)
    high = (ordered.sum(1, keepdim=True) - sums) / above
    first = (below * above * (high - low).square()).argmax(1, keepdim=True)
    half = below.clamp(max=count // 2 + 1)[-1]
    chosen = (below >= torch.maximum(first, half)).to(ordered.dtype)
    return (ordered * chosen).sum(1) / chosen.sum(1)


def log_odds(probabilities: Tensor) -> Tensor:
    """Logits of probabilities, finite where these are 0 or 1."""
    return torch.logit(probabilities.float(), eps=1e-6)


def pseudo_mask(maps: Mapping[str, Tensor], label: Tensor) -> Tensor:
    """Where the weighted maps say that a picture was edited.

    Args:
        maps: name of a stream → probabilities (N, h, w).
        label: (N,), 1 for edited.

    Returns:
        float32 (N, h, w) of 0 and 1, without gradient; empty for authentic pictures, and at
        least the highest pixel for edited ones.
    """
    mean = torch.stack([WEIGHTS[name] * map_.detach() for name, map_ in maps.items()]).sum(0)
    highest = mean.amax((1, 2), keepdim=True)
    chosen = (mean > 0.5) | (mean == highest)
    return chosen.float() * label[:, None, None]


def apart_from_mask(seen: Seen, mask: Tensor) -> Tensor:
    """Cross-entropy of the likeness of patches against a mask, over all pairs."""
    resized = functional.interpolate(mask[:, None], seen.grid, mode="bilinear", align_corners=False)
    edited = (resized.flatten(1) > 0.5).float()
    same = edited[:, :, None] == edited[:, None, :]
    return functional.binary_cross_entropy_with_logits(seen.alike, same.float())


class Network(nn.Module):
    """Three streams and their weighted mean.

    Args:
        model: a ResNet of transformers.
        normalise: for the stream that sees colours.
    """

    steps: Tensor

    def __init__(self, model: nn.Module, normalise: Normalise) -> None:
        super().__init__()
        views = {"colours": normalise, "srm": SrmFilters(), "bayar": BayarConv()}
        self.streams = nn.ModuleDict({name: Stream(view, model) for name, view in views.items()})
        # Kept with the weights, so that a training that goes on knows how far it was.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → score, map (N, ⌈H / 16⌉, ⌈W / 16⌉)."""
        maps = {name: stream(pixels)[0] for name, stream in self.streams.items()}
        mean = torch.stack([WEIGHTS[name] * map_ for name, map_ in maps.items()]).sum(0)
        scores = torch.stack([WEIGHTS[name] * selected_mean(map_) for name, map_ in maps.items()])
        return Output(log_odds(scores.sum(0)), log_odds(mean))

    def seen(self, pixels: Tensor) -> dict[str, Seen]:
        """What each stream says, for training."""
        return {name: stream.seen(pixels) for name, stream in self.streams.items()}  # type: ignore[operator]


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        backbone: a folder with a ResNet, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        consistency: what both consistencies weigh in the end.
        robust: train with every augmentation of `augment.standard`, not with turns and JPEG alone.
    """

    steps: int = 21_000
    batch: int = 36
    crop: int = 224
    learning_rate: float = 1e-4
    weight_decay: float = 5e-4
    warmup: int = 1_750
    schedule: str = "cosine"
    validate_every: int = 1_050
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    consistency: float = 0.1
    robust: bool = False


class Method(Recipe):
    """Scores of three streams, and their consistency with each other and within."""

    id = "wscl"
    title = "Edited regions learned from image labels, by consistency of three streams"
    paper = (
        "Y. Zhai et al., Towards Generic Image Manipulation Detection with Weakly-Supervised "
        "Self-Consistency Learning, ICCV 2023"
    )
    Settings = Settings

    def network(self) -> nn.Module:
        """Three streams from the backbone's weights.

        Raises:
            InvalidInput: the backbone cannot be loaded, or is no ResNet of four stages.
        """
        model, statistics = load_model(self.settings.backbone, self.settings.download)
        config: Any = model.config
        if config.model_type != "resnet" or len(config.hidden_sizes) != 4:
            raise InvalidInput(
                f"wscl needs a ResNet of four stages, not {config.model_type}: "
                f"backbone={self.settings.backbone}"
            )
        return Network(model, Normalise(statistics))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy of scores plus both consistencies, which count more and more."""
        assert isinstance(network, Network)
        seen = network.seen(batch.pixels)
        mask = pseudo_mask({name: one.map for name, one in seen.items()}, batch.label)
        share = self.settings.consistency * ramp(int(network.steps), self.settings.steps)
        if network.training:
            network.steps += 1
        parts = {
            "scores": _total(
                functional.binary_cross_entropy_with_logits(log_odds(one.score), batch.label)
                for one in seen.values()
            ),
            "sources": share * _total(functional.mse_loss(one.map, mask) for one in seen.values()),
            "patches": share * _total(apart_from_mask(one, mask) for one in seen.values()),
        }
        return _total(parts.values()), {name: float(part.detach()) for name, part in parts.items()}

    def augment(self) -> Augment:
        """Turns, crops and JPEG, or everything."""
        side = self.settings.crop
        if self.settings.robust:
            return standard(side)
        return Chain(
            (
                Step("turn", 1.0, turn),
                Step("crop", 1.0, partial(crop, side=side)),
                Step("jpeg", 0.5, partial(jpeg, low=70, high=100)),
            )
        )


def ramp(step: int, steps: int) -> float:
    """exp(−5 (1 − t/T)²): from next to nothing to 1 at the end of the training."""
    return math.exp(-STEEPNESS * (1 - step / steps) ** 2)


def _total(parts: Any) -> Tensor:
    return torch.stack(list(parts)).sum()
