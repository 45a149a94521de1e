"""MMFusion: a picture and three forensic residuals of it, fused stage by stage.

What it is
    Three filters that suppress content (Noiseprint++, a Bayar convolution, SRM) are mixed by
    small convolutions into three channels. Picture and mixture go through one MiT branch each;
    after every stage the branches correct each other and are fused (see `cmx`); a light decoder
    draws the map. A second phase adds a confidence map and an image-level score.

What the paper does
    MiT-B2 in both branches from ImageNet weights, Noiseprint++ frozen. Crops of 512, JPEG 30–100
    half of the time. First phase: 0.3 cross-entropy with weights 0.5 (authentic) and 2.5 (edited)
    plus 0.7 Dice. Second phase, everything else frozen: squared error of the confidence against
    the probability given to the truth, plus 0.5 cross-entropy of the score, which is read from
    four statistics of the confidence and four of the map weighted by it. SGD at 0.005 with
    momentum 0.9 and decay 5e-4, 24 crops a step, 100 epochs, polynomial decay of power 0.9.

What differs here
    Noiseprint++ is used where `noiseprint` names a file with its weights. Without one a network
    of the same shape starts from chance and is trained with the rest: it may or may not come to
    see what Noiseprint++ sees, and figures of the paper do not apply to it. What pictures go
    through is decided by the maker of tampering, not here. Training is counted in steps. The map
    is one logit a pixel in place of two classes, which is the same function. The confidence is
    compared as a probability, where the released code compares the raw output. Until the second
    phase the picture's score is the largest logit of its map.

Reference
    K. Triaridis, V. Mezaris, "Exploring Multi-Modal Fusion for Image Manipulation Detection and
    Localization", MMM 2024. Second phase: F. Guillaro et al., "TruFor: Leveraging All-Round Clues
    for Trustworthy Image Forgery Detection and Localization", CVPR 2023. Decoder: E. Xie et al.,
    "SegFormer", NeurIPS 2021.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.backbones import Normalise, Statistics, load_model
from bonafide.train.cmx import Fusion, Rectification
from bonafide.train.forensic_filters import BayarConv, SrmFilters
from bonafide.train.mask_losses import at_size, dice_loss, mask_of, weighted_entropy
from bonafide.train.recipe import Batch, Output, Recipe

SRM_LIMIT = 2.0  # of the released code; pixels in [0, 1] never reach it
MIXED = (24, 48, 96)  # channels of the convolutions that mix residuals
AUTHENTIC, EDITED = 0.5, 2.5
ENTROPY, DICE = 0.3, 0.7
DETECTION = 0.5  # weight of the score against the confidence


class Noiseprint(nn.Sequential):
    """The shape of Noiseprint++: 3×3 convolutions, batch norms between, one residual channel.

    Args:
        weights: a file with a state dict of this network, frozen then; "" to train it.
        depth: convolutions.
        width: channels between.

    Raises:
        InvalidInput: the file does not fit.
    """

    def __init__(self, weights: str = "", depth: int = 17, width: int = 64) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(width, 1, 3, padding=1))
        self.frozen = bool(weights)
        if weights:
            read_weights(self, "noiseprint", weights)
            self.requires_grad_(False)

    def train(self, mode: bool = True) -> Noiseprint:
        """Frozen weights keep the statistics that they came with."""
        return super().train(mode and not self.frozen)


def read_weights(network: nn.Module, setting: str, file: str) -> None:
    """Load a state dict, or the newest weights of a training's checkpoint, in place.

    Raises:
        InvalidInput: the file is missing, or is not of such a network.
    """
    if not Path(file).is_file():
        raise InvalidInput(f"{setting}={file}: there is no such file")
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
        state = found.get("average", found.get("network", found))
        network.load_state_dict(state)
    except (RuntimeError, AttributeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        why = str(error).splitlines()[-1].strip() if str(error) else "it is no file of weights"
        raise InvalidInput(f"{setting}={file} does not fit this network: {why}") from error


class Mixture(nn.Sequential):
    """3×3 convolutions of 24, 48, 96 channels, then 1×1 to three."""

    def __init__(self, inputs: int) -> None:
        layers: list[nn.Module] = []
        for before, after in zip((inputs, *MIXED), MIXED, strict=False):
            convolution = nn.Conv2d(before, after, 3, padding=1)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(MIXED[-1], 3, 1))


class Residuals(nn.Module):
    """RGB in [0, 1] → three channels of what three forensic filters see."""

    def __init__(self, noiseprint: Noiseprint) -> None:
        super().__init__()
        self.noiseprint = noiseprint
        self.bayar = BayarConv()
        self.srm = SrmFilters(limit=SRM_LIMIT)
        self.each = nn.ModuleList(Mixture(3) for _ in range(3))
        self.dropout = nn.Dropout(0.33)
        self.all = Mixture(9)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) → the same shape."""
        seen = (self.noiseprint(pixels).expand_as(pixels), self.bayar(pixels), self.srm(pixels))
        mixed = [mixture(one) for mixture, one in zip(self.each, seen, strict=True)]
        residuals: Tensor = self.all(self.dropout(torch.cat(mixed, 1)))
        return residuals


class Decoder(nn.Module):
    """The all-MLP decoder of SegFormer: four maps → one logit at the size of the first."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.fuse = nn.Sequential(
            nn.Conv2d(len(channels) * width, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Four of (N, C, h, w) → (N, 1, h of the first, w of the first)."""
        size = stages[0].shape[-2:]
        maps = [
            functional.interpolate(project(stage), size, mode="bilinear", align_corners=False)
            for project, stage in zip(self.project, stages, strict=True)
        ]
        logits: Tensor = self.fuse(torch.cat(maps, 1))
        return logits


class Encoder(nn.Module):
    """Residuals, two MiT branches, rectification and fusion after each stage.

    Args:
        model: a SegFormer encoder of transformers.
        statistics: mean and deviation that its pictures are normalised with.
        noiseprint: see `Noiseprint`.

    Raises:
        InvalidInput: the model has no stages.
    """

    def __init__(self, model: nn.Module, statistics: Statistics, noiseprint: Noiseprint) -> None:
        super().__init__()
        config: Any = model.config
        if config.model_type != "segformer" or not hasattr(model, "stages"):
            raise InvalidInput(
                f"mmfusion needs a SegFormer encoder (MiT) as transformers 5 lays it out, "
                f"not {config.model_type}"
            )
        self.channels: list[int] = list(config.hidden_sizes)
        self.normalise = Normalise(statistics)
        self.residuals = Residuals(noiseprint)
        self.colours: Any = model.stages
        self.traces: Any = deepcopy(model.stages)
        self.rectify = nn.ModuleList(Rectification(count) for count in self.channels)
        self.fuse = nn.ModuleList(
            Fusion(count, heads)
            for count, heads in zip(self.channels, config.num_attention_heads, strict=True)
        )

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """float32 (N, 3, H, W) in [0, 1] → a fused map of every stage, from 1/4 of the size."""
        colour, trace = self.normalise(pixels), self.residuals(pixels)
        fused = []
        parts = zip(self.colours, self.traces, self.rectify, self.fuse, strict=True)
        for of_colour, of_trace, rectify, fuse in parts:
            colour, trace = rectify(of_colour(colour), of_trace(trace))
            fused.append(fuse(colour, trace))
        return fused


class Judge(nn.Module):
    """A score from the confidence, and from the map where the confidence is high."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(8, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 1)
        )

    def forward(self, logits: Tensor, confidence: Tensor) -> Tensor:
        """Two of (N, H, W) → (N,)."""
        flat = confidence.flatten(1)
        alike = torch.zeros_like(flat)
        weights = functional.logsigmoid(flat)
        seen = torch.cat([statistics(flat, alike), statistics(logits.flatten(1), weights)], 1)
        score: Tensor = self.layers(seen).squeeze(1)
        return score


def statistics(values: Tensor, weights: Tensor) -> Tensor:
    """Soft minimum, soft maximum, mean and mean square (TruFor, weighted statistics pooling).

    Args:
        values: (N, L).
        weights: (N, L), logarithms of weights up to a constant.

    Returns:
        (N, 4).
    """
    logs = weights.log_softmax(1)
    shares = logs.exp()
    return torch.stack(
        [
            -(logs - values).logsumexp(1),
            (logs + values).logsumexp(1),
            (shares * values).sum(1),
            (shares * values.square()).sum(1),
        ],
        1,
    )


class Network(nn.Module):
    """Encoder and decoder; in the second phase, frozen, with confidence and score.

    Args:
        encoder: as above.
        width: channels of the decoders.
        second: whether this is the second phase.
    """

    def __init__(self, encoder: Encoder, width: int, second: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = Decoder(encoder.channels, width)
        self.confidence = Decoder(encoder.channels, width)
        self.judge = Judge()
        self.second = second
        frozen = (self.encoder, self.decoder) if second else (self.confidence, self.judge)
        for part in frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Network:
        """What is frozen keeps its statistics and drops nothing."""
        super().train(mode)
        if self.second:
            self.encoder.train(False)
            self.decoder.train(False)
        return self

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → score, map (N, H, W), in phase two its reliability."""
        height, width = pixels.shape[-2:]
        stages = self.encoder(pixels)
        logits = at_size(self.decoder(stages), height, width)
        if not self.second:
            return Output(logits.amax((1, 2)), logits)
        confidence = at_size(self.confidence(stages), height, width)
        return Output(self.judge(logits, confidence), logits, reliability=confidence)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's, but for the number of steps, which it gives in epochs.

    Attributes:
        backbone: a folder with a SegFormer encoder, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        noiseprint: a file with weights of Noiseprint++; "" trains a stand-in from chance.
        noiseprint_depth, noiseprint_width: convolutions and channels of the stand-in.
        localiser: best.pt or checkpoint.pt of a finished first phase. When given, the second
            phase is trained on it.
        width: channels of the decoders.
        momentum: of SGD.
    """

    steps: int = 50_000
    batch: int = 24
    crop: int = 512
    learning_rate: float = 5e-3
    weight_decay: float = 5e-4
    warmup: int = 1_000
    validate_every: int = 1_000
    backbone: str = "nvidia/mit-b2"
    download: bool = False
    noiseprint: str = ""
    noiseprint_depth: int = 17
    noiseprint_width: int = 64
    localiser: str = ""
    width: int = 512
    momentum: float = 0.9


class Method(Recipe):
    """First the map, then how far to trust it."""

    id = "mmfusion"
    title = "Picture and three forensic residuals, fused in two branches"
    paper = (
        "K. Triaridis, V. Mezaris, Exploring Multi-Modal Fusion for Image Manipulation Detection "
        "and Localization, MMM 2024"
    )
    needs_masks = True
    Settings = Settings

    def network(self) -> nn.Module:
        """Both branches from the backbone's weights.

        Raises:
            InvalidInput: a file of weights is missing or does not fit.
        """
        settings = self.settings
        model, normalised_with = load_model(settings.backbone, settings.download)
        noiseprint = Noiseprint(
            settings.noiseprint, settings.noiseprint_depth, settings.noiseprint_width
        )
        encoder = Encoder(model, normalised_with, noiseprint)
        network = Network(encoder, settings.width, bool(settings.localiser))
        if settings.localiser:
            read_weights(network, "localiser", settings.localiser)
        return network

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """0.3 weighted cross-entropy + 0.7 Dice; in the second phase, confidence and score."""
        output: Output = network(batch.pixels)
        mask = mask_of(batch)
        assert output.map is not None
        if output.reliability is None:
            entropy = weighted_entropy(output.map, mask, AUTHENTIC, EDITED)
            dice = dice_loss(output.map, mask)
            parts = {"entropy": ENTROPY * entropy, "dice": DICE * dice}
        else:
            edited = output.map.detach().sigmoid()
            right = mask * edited + (1 - mask) * (1 - edited)
            apart = functional.mse_loss(output.reliability.sigmoid(), right)
            score = functional.binary_cross_entropy_with_logits(output.logit, batch.label)
            parts = {"confidence": apart, "score": DETECTION * score}
        total = torch.stack(list(parts.values())).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """SGD with momentum; biases and norms do not decay."""
        settings = self.settings
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [weight for weight in trained if weight.ndim > 1]},
            {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.SGD(
            groups, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
        )

    def rate(self, step: int) -> float:
        """Linear warm-up, then polynomial decay of power 0.9."""
        settings = self.settings
        if step < settings.warmup:
            return float((step + 1) / (settings.warmup + 1))
        return float((1 - step / settings.steps) ** 0.9)
