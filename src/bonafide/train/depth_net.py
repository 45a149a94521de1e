"""The convolutional network of face anti-spoofing with depth, and the depth that it is asked for.

A live face has relief, a print and a screen are flat. The network is asked for the relief of the
face beside its class: zero everywhere for an attack. Three blocks give features at three scales,
which are pooled to the smallest and joined.

Papers take the relief of a live face from a network for dense landmarks. Here it is that of half
an ellipsoid in the middle of the crop: `LEVEL` of it is what a face fills of a crop with a margin
of .7.

Reference: Y. Liu, A. Jourabloo, X. Liu, "Learning Deep Models for Face Anti-Spoofing: Binary or
Auxiliary Supervision", CVPR 2018.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train.backbones import Normalise

WIDTH = 128  # channels of each scale at full size
SHRINK = 8  # pixels of the picture per cell of the features
LEVEL = (0.42, 0.34)  # half axes of a live face, as shares of the height and width of a crop


class Trunk(nn.Module):
    """Three blocks of three convolutions; each halves the size.

    Args:
        width: channels of each scale; 128 in the papers.
        normalise: the kind of normalisation after each convolution.

    Attributes:
        width: channels of what it returns, three times the argument.
    """

    def __init__(self, width: int = WIDTH, normalise: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.width = 3 * width
        self.normalise = Normalise()
        wide = width * 49 // 32  # 196 of 128
        self.first = nn.Sequential(*_convolved(3, width // 2, normalise))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    layer
                    for pair in pairwise((inputs, width, wide, width))
                    for layer in _convolved(*pair, normalise)
                ),
                nn.MaxPool2d(3, 2, 1),
            )
            for inputs in (width // 2, width, width)
        )

    def scales(self, pixels: Tensor) -> list[Tensor]:
        """float32 (N, 3, H, W) in [0, 1] → features (N, width / 3, …) at 1/2, 1/4 and 1/8."""
        features = self.first(self.normalise(pixels))
        found = []
        for block in self.blocks:
            features = block(features)
            found.append(features)
        return found

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) in [0, 1] → (N, width, H/8, W/8)."""
        fine, middle, coarse = self.scales(pixels)
        return torch.cat([halved(halved(fine)), halved(middle), coarse], 1)


def halved(features: Tensor) -> Tensor:
    """Means over 2×2 cells, sizes rounded up as the trunk's pooling rounds them."""
    return functional.avg_pool2d(features, 2, ceil_mode=True)


class Heads(nn.Module):
    """A class from the mean of the features, and a map of depth.

    Args:
        inputs: channels of the features.
        width: of the first of the three convolutions that lead to depth.
    """

    def __init__(self, inputs: int, width: int = WIDTH) -> None:
        super().__init__()
        self.verdict = nn.Linear(inputs, 1)
        self.depth = nn.Sequential(
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, 1, 3, padding=1),
        )

    def logit(self, features: Tensor) -> Tensor:
        """(N, inputs, h, w) → (N,), larger for an attack."""
        score: Tensor = self.verdict(features.mean((2, 3))).squeeze(1)
        return score

    def relief(self, features: Tensor) -> Tensor:
        """(N, inputs, h, w) → depth (N, h, w)."""
        depth: Tensor = self.depth(features).squeeze(1)
        return depth


def wanted_depth(label: Tensor, height: int, width: int) -> Tensor:
    """What the depth of a crop should be: (N, height, width) in [0, 1], 0 for an attack.

    Args:
        label: float (N,), 1 for an attack.
        height, width: of the map.
    """
    down = torch.linspace(-0.5, 0.5, height, device=label.device)[:, None] / LEVEL[0]
    across = torch.linspace(-0.5, 0.5, width, device=label.device)[None] / LEVEL[1]
    relief = (1 - down.square() - across.square()).clamp_min(0).sqrt()
    return (1 - label).view(-1, 1, 1) * relief


def depth_loss(found: Tensor, label: Tensor) -> Tensor:
    """Mean squared error of the depth (N, h, w) of a batch."""
    wanted = wanted_depth(label, found.shape[1], found.shape[2])
    return functional.mse_loss(found, wanted.to(found.dtype))


def _convolved(inputs: int, outputs: int, normalise: type[nn.Module]) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), normalise(outputs), nn.ReLU()]
