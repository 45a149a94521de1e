"""A small network that fills holes, so that removals in training are not all of one hand.

Known pixels are first averaged into the hole from coarse to fine; gated convolutions at full, half
and quarter size then add what averages lack, and nothing outside the hole. Trained on random holes
of real pictures in minutes, it leaves what such networks leave: traces of its enlargements, and
texture that is too smooth. As ONNX it is what `bonafide tamper --inpainter` takes:

    python tools/train_inpainter.py photos.csv --out inpainter.onnx

References: Yu et al., "Free-Form Image Inpainting with Gated Convolution", ICCV 2019, section 3.1;
Liu et al., "Image Inpainting for Irregular Holes Using Partial Convolutions", ECCV 2018, for
averages over what is known alone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonafide.files import atomic_write
from bonafide.train import tampering_regions
from bonafide.train.augment import Pixels, Random
from bonafide.train.autoencoders import Discriminator
from bonafide.train.tampering_fill import MULTIPLE

_DILATIONS = (2, 4, 8, 1)
_HALVINGS = 4  # until one cell spans MULTIPLE pixels
_SPREAD = 9  # cells over which the coarsest average reaches


@dataclass(frozen=True)
class Schedule:
    """How the network is trained.

    Attributes:
        seed: of weights, crops and holes.
        steps: optimiser steps.
        batch: crops per step.
        crop: their side, pixels; a multiple of 16.
        learning_rate: its peak; it falls to zero along a cosine.
        width: channels at full size.
        difference: weight of the L1 loss on differences of neighbouring pixels.
        adversarial: weight of a patch discriminator's hinge loss; 0 for none.
        adversarial_from: share of the steps after which it takes part.
        smallest, largest: area of the holes, as a part of the crop.
    """

    seed: int = 0
    steps: int = 800
    batch: int = 8
    crop: int = 96
    learning_rate: float = 2e-3
    width: int = 16
    difference: float = 1.0
    adversarial: float = 0.01
    adversarial_from: float = 0.5
    smallest: float = 0.01
    largest: float = 0.2


class Inpainter(nn.Module):
    """float32 (N, 4, H, W), RGB in [0, 1] with the hole at zero and the hole as ones → RGB.

    H and W must be multiples of 16. The result is (N, 3, H, W), about [0, 1], and equals the
    input outside the hole.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.at_full = _Gated(4, width)
        self.at_half = _Gated(width, 2 * width, stride=2)
        self.at_quarter = _Gated(2 * width, 4 * width, stride=2)
        self.middle = nn.ModuleList(_Gated(4 * width, 4 * width, dilation=d) for d in _DILATIONS)
        self.up_half = _Gated(6 * width, 2 * width)
        self.up_full = _Gated(3 * width, width)
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, shown: Tensor) -> Tensor:
        """Fill the hole."""
        hole = shown[:, 3:]
        coarse = averaged(shown[:, :3], 1 - hole)
        full = self.at_full(torch.cat((coarse * 2 - 1, hole), 1))
        half = self.at_half(full)
        features = self.at_quarter(half)
        for layer in self.middle:
            features = features + layer(features)
        features = self.up_half(torch.cat((_doubled(features), half), 1))
        features = self.up_full(torch.cat((_doubled(features), full), 1))
        return coarse + hole * cast(Tensor, self.last(features))


def averaged(pixels: Tensor, known: Tensor) -> Tensor:
    """Pixels where known, elsewhere averages of what is known around, the nearer the finer.

    Args:
        pixels: (N, 3, H, W), zero where not known.
        known: (N, 1, H, W), 1 or 0.
    """
    levels = [torch.cat((pixels * known, known), 1)]
    for _ in range(_HALVINGS):
        levels.append(functional.avg_pool2d(levels[-1], 2))
    spread = functional.avg_pool2d(
        levels[-1], _SPREAD, stride=1, padding=_SPREAD // 2, count_include_pad=False
    )
    whole = spread.mean(dim=(2, 3), keepdim=True)
    result = _ratio(spread, whole[:, :3] / (whole[:, 3:] + 1e-6))
    for level in reversed(levels[:-1]):
        result = _ratio(level, functional.interpolate(result, scale_factor=2.0, mode="bilinear"))
    return known * pixels + (1 - known) * result


def train(
    crops: Sequence[Pixels], schedule: Schedule, tick: Callable[[float], None] = lambda loss: None
) -> Inpainter:
    """Train a network on holes of real pictures; it ends in evaluation mode, on the CPU.

    Args:
        crops: uint8 H×W×3 RGB, sides of at least `schedule.crop`.
        schedule: how.
        tick: called with the loss after every step.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(schedule.seed)
    network = Inpainter(schedule.width).to(device)
    critic = Discriminator().to(device)
    builder = torch.optim.AdamW(network.parameters(), schedule.learning_rate)
    judge = torch.optim.AdamW(critic.parameters(), schedule.learning_rate / 4, (0.5, 0.9))
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(builder, schedule.steps)
    for step in range(schedule.steps):
        random = np.random.default_rng((schedule.seed, step))
        pixels, holes = (part.to(device) for part in _drawn(crops, schedule, random))
        filled = network(torch.cat((pixels * (1 - holes), holes), 1))
        loss = _error(filled, pixels, holes, schedule)
        judged = schedule.adversarial > 0 and step >= schedule.adversarial_from * schedule.steps
        if judged:
            loss = loss - schedule.adversarial * critic(filled).mean()
        _descend(builder, loss, network)
        falling.step()
        if judged:
            real, made = critic(pixels), critic(filled.detach())
            _descend(judge, (functional.relu(1 - real) + functional.relu(1 + made)).mean(), critic)
        tick(loss.item())
    return network.cpu().eval()


def write(network: Inpainter, path: Path) -> None:
    """Write a network as ONNX with open sides, whole or not at all."""
    example = torch.rand(1, 4, 4 * MULTIPLE, 6 * MULTIPLE)
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)  # it remarks on packages that nobody needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (example,),
            input_names=["shown"],
            output_names=["filled"],
            dynamic_shapes={"shown": sides},
            external_data=False,
            verbose=False,
        )
    logger.setLevel(before)
    assert program is not None
    with atomic_write(path) as partial:
        partial.write_bytes(program.model_proto.SerializeToString())


@torch.no_grad()
def measured(
    network: Inpainter, crops: Sequence[Pixels], schedule: Schedule
) -> tuple[float, float]:
    """Peak signal-to-noise ratio in holes, decibels: of the network, and of OpenCV's Telea fill.

    Args:
        network: in evaluation mode, on the CPU.
        crops: of sources that it was not trained on, sides of at least `schedule.crop`.
        schedule: sizes of crops and holes.
    """
    errors = []
    for number in range(len(crops)):
        random = np.random.default_rng((schedule.seed, number, 1))
        pixels, holes = _drawn([crops[number]], schedule, random, 1)
        filled = network(torch.cat((pixels * (1 - holes), holes), 1)).clamp(0, 1)
        levels, mask = _levels(pixels), _levels(holes)[..., 0] > 0
        telea = cv2.inpaint(levels, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        errors.append(
            [
                float(np.mean((one[mask].astype(np.float64) - levels[mask]) ** 2))
                for one in (_levels(filled), telea)
            ]
        )
    ratios = 10 * np.log10(255**2 / np.maximum(np.array(errors), 1e-3))
    return float(ratios[:, 0].mean()), float(ratios[:, 1].mean())


class _Gated(nn.Module):
    """A convolution whose result is let through or not by another: equation 3 of Yu et al."""

    def __init__(self, before: int, after: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.both = nn.Conv2d(before, 2 * after, 3, stride, dilation, dilation)

    def forward(self, features: Tensor) -> Tensor:
        values, gates = self.both(features).chunk(2, dim=1)
        return functional.elu(values) * torch.sigmoid(gates)


def _ratio(sums: Tensor, fallback: Tensor) -> Tensor:
    """Colours over shares; the fallback where little is known."""
    weight = 1e-2
    return (sums[:, :3] + weight * fallback) / (sums[:, 3:] + weight)


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


def _error(filled: Tensor, pixels: Tensor, holes: Tensor, schedule: Schedule) -> Tensor:
    """Mean absolute error in the holes, of levels and of differences between neighbours."""
    off = filled - pixels
    area = holes.sum().clamp(min=1) * pixels.shape[1]
    steps = off.diff(dim=2).abs().sum() + off.diff(dim=3).abs().sum()
    return (off.abs().sum() + schedule.difference / 2 * steps) / area


def _drawn(
    crops: Sequence[Pixels], schedule: Schedule, random: Random, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """Random crops with random holes, as (N, 3, H, W) in [0, 1] and (N, 1, H, W)."""
    pictures, holes = [], []
    side, areas = schedule.crop, np.log([schedule.smallest, schedule.largest])
    for _ in range(count or schedule.batch):
        whole = crops[int(random.integers(len(crops)))]
        top, left = (int(random.integers(length - side + 1)) for length in whole.shape[:2])
        crop = whole[top : top + side, left : left + side]
        pictures.append(crop[:, ::-1] if random.random() < 0.5 else crop)
        share = float(np.exp(random.uniform(*areas)))
        holes.append(tampering_regions.draw(pictures[-1], share, random)[0])
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return pixels, torch.from_numpy(np.stack(holes))[:, None].float()


def _levels(values: Tensor) -> NDArray[np.uint8]:
    """The first of (N, C, H, W) in [0, 1] as uint8 H×W×C."""
    levels = values[0].mul(255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(levels.numpy())


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> None:
    optimiser.zero_grad()
    torch.autograd.backward(loss, inputs=list(network.parameters()))
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
