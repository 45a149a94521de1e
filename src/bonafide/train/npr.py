"""NPR: what neighbouring pixels have in common after a generator's last up-sampling.

What it is
    A small residual network over the difference between every pixel and the top left pixel of its
    2×2 block. Generators end in an up-sampling by two, which ties the pixels of a block together
    in a way that a camera does not.

What the paper does
    Residual × 2/3 of the picture normalised with ImageNet's mean and deviation, a ResNet-50 with
    a 3×3 stem that ends after its second stage (1,437,761 parameters, "1.44 M"), the
    mean over positions, one logit, cross-entropy. ProGAN's and LSUN's cars, cats, chairs and
    horses; crops of 224 out of 256, flips; batches of 32, Adam at 2e-4, ×0.9 every ten of fifty
    epochs. No other augmentation.

What differs here
    Crops are taken at native resolution and small pictures are tiled, never resized; pictures are
    turned as well as mirrored. Epochs are counted in steps of the paper's training set (about
    144,000 pictures, 4,500 steps an epoch). The mean cancels in the residual, so only the
    deviation is applied. A last odd row or column is kept, where the released code fails.
    The published recipe never saw a compressed picture and is near chance on pictures that were
    saved alike, as validation here saves them; `robust=true` trains for that.

Reference
    C. Tan, Y. Zhao, S. Wei, G. Gu, P. Liu, Y. Wei, "Rethinking the Up-Sampling Operations in
    CNN-based Generative Network for Generalizable Deepfake Detection", CVPR 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.augment import Chain, Step, crop, standard, turn
from bonafide.train.loop import rate_of
from bonafide.train.recipe import Augment, Batch, Output, Recipe

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def neighbour_residual(pixels: Tensor) -> Tensor:
    """Difference of every pixel to the top left pixel of its 2×2 block.

    Args:
        pixels: float (N, C, H, W).

    Returns:
        The same shape; zero at every even row and column.
    """
    height, width = pixels.shape[-2:]
    corners = pixels[..., ::2, ::2]
    blocks = functional.interpolate(corners, scale_factor=2.0, mode="nearest")
    return pixels - blocks[..., :height, :width]


class Bottleneck(nn.Module):
    """1×1 to `width` channels, k×k, 1×1 to 4·`width`, and a shortcut (He et al., CVPR 2016).

    Without padding the shortcut is cropped to the top left positions of the result.

    Args:
        inputs: channels that come in.
        width: channels between; 4 times as many come out.
        stride: of the k×k convolution and of the shortcut.
        kernel: side of the middle convolution.
        padding: of the middle convolution.
    """

    def __init__(
        self, inputs: int, width: int, stride: int = 1, kernel: int = 3, padding: int = 1
    ) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """(N, inputs, h, w) → (N, 4·width, h', w')."""
        body = self.body(features)
        shortcut = self.shortcut(features)[..., : body.shape[-2], : body.shape[-1]]
        return functional.relu(body + shortcut)


class ResNet(nn.Module):
    """The trunk of a bottleneck ResNet: (N, 3, H, W) → (N, channels, h, w).

    `ResNet((3, 4, 6, 3), stem=7)` is ResNet-50 without its classifier; NPR stops after two stages
    and has a 3×3 stem.

    Args:
        blocks: how many bottlenecks each stage has; the width doubles from stage to stage and
            every stage but the first halves the resolution, after the stem quartered it.
        stem: side of the first convolution.
        width: channels of the stem.
    """

    def __init__(self, blocks: Sequence[int], stem: int, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, stem, 2, stem // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        channels = width
        for stage, count in enumerate(blocks):
            narrow = width << stage
            for block in range(count):
                stride = 2 if stage and not block else 1
                layers.append(Bottleneck(channels, narrow, stride))
                channels = 4 * narrow
        self.layers = nn.Sequential(*layers)
        self.channels = channels
        initialise(self)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, channels, h, w)."""
        features: Tensor = self.layers(pixels)
        return features


def initialise(network: nn.Module) -> None:
    """Draw convolutions as ResNet does: variance 2 / (outputs · kernel area)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class Network(nn.Module):
    """RGB in [0, 1] → logit, through the neighbour residual."""

    deviation: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.trunk = ResNet((3, 4), stem=3, width=width)
        self.head = nn.Linear(self.trunk.channels, 1)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        features = self.trunk(neighbour_residual(pixels / self.deviation) * (2 / 3))
        return Output(self.head(features.mean((2, 3))).squeeze(1))


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        decay: what the learning rate is multiplied by every `decay_every` steps.
        decay_every: steps; the paper's ten epochs.
        width: channels of the stem; less for a smaller network.
        robust: train with every augmentation of `augment.standard`, not with the paper's alone.
    """

    steps: int = 225_000
    learning_rate: float = 2e-4
    decay: float = 0.9
    decay_every: int = 45_000
    width: int = 64
    robust: bool = False


class Method(Recipe):
    """Cross-entropy on labelled crops."""

    id = "npr"
    title = "Neighbouring pixel relationships in a short ResNet"
    paper = (
        "C. Tan et al., Rethinking the Up-Sampling Operations in CNN-based Generative Network for "
        "Generalizable Deepfake Detection, CVPR 2024"
    )
    Settings = Settings

    def network(self) -> nn.Module:
        """The paper's network, or a narrower one."""
        return Network(self.settings.width)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy."""
        loss = functional.binary_cross_entropy_with_logits(network(batch.pixels).logit, batch.label)
        return loss, {"bce": float(loss.detach())}

    def augment(self) -> Augment:
        """Turns and crops, as published, or everything."""
        side = self.settings.crop
        if self.settings.robust:
            return standard(side)
        return Chain((Step("turn", 1.0, turn), Step("crop", 1.0, partial(crop, side=side))))

    def rate(self, step: int) -> float:
        """The shared schedule, times the decay."""
        settings = self.settings
        return rate_of(settings, step) * float(settings.decay ** (step // settings.decay_every))
