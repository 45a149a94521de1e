"""LaDeDa: a score for every 9×9 patch, and a student of 1,297 parameters.

What it is
    A network that never sees more than 9×9 pixels at once. It scores every patch, the picture's
    score is their mean, and the patch scores are the evidence map.

What the paper does
    A ResNet-50 whose 3×3 convolutions became 1×1, except in the second stem layer and in the
    first block of the first two stages; nothing is padded; strides 2, 2, 2, 1, so patches lie 8
    pixels apart. Input: the neighbour residual × 2/3 (see `npr`). Cross-entropy on the mean of
    the patch logits, Adam at 2e-4, ×0.9 whenever validation stands still, batches of 32, crops
    of 224 out of 256.
    Tiny-LaDeDa has four convolutions of 8 channels and learns the teacher's logits of 9×9
    patches by mean squared error; at test time its own denser patches (5×5, two pixels apart)
    are averaged over the picture.

What differs here
    Crops are taken at native resolution. The student is trained on whole crops instead of
    patches cut out beforehand: the mean of its 3×3 neighbouring scores at stride 4 is what it
    says of the very patch that the teacher saw, and batch statistics come from the same pixels.
    The learning rate falls every `decay_every` steps. The stem's batch statistics follow at the
    usual pace; the released momentum of 0.001 leaves them untrained in short runs.

Reference
    B. Cavia, E. Horwitz, T. Reiss, Y. Hoshen, "Real-Time Deepfake Detection in the Real-World",
    arXiv:2406.09398, 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.networks.onnx_runtime import library
from bonafide.train import npr
from bonafide.train.npr import IMAGENET_DEVIATION, Bottleneck, initialise, neighbour_residual
from bonafide.train.recipe import Batch, Output

BLOCKS = (3, 4, 6, 3)
STRIDES = (2, 2, 2, 1)
WIDE_KERNELS = 2  # stages whose first block has a 3×3 convolution: receptive field 3 → 5 → 9


class PatchNetwork(nn.Module):
    """A trunk without padding, then one linear score per position; the picture's is their mean."""

    deviation: Tensor

    def __init__(self, trunk: nn.Module, channels: int, gain: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Conv2d(channels, 1, 1)
        self.gain = gain
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(3, 1, 1))
        initialise(trunk)
        nn.init.normal_(self.head.weight, 0.0, 0.02)

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` with the patch logits as map."""
        residual = neighbour_residual(pixels / self.deviation) * self.gain
        scores = self.head(self.trunk(residual)).squeeze(1)
        return Output(scores.mean((1, 2)), scores)


def stem(width: int) -> list[nn.Module]:
    """1×1, then 3×3 without padding: (N, 3, H, W) → (N, width, H − 2, W − 2)."""
    return [
        nn.Conv2d(3, width, 1, bias=False),
        nn.Conv2d(width, width, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]


def teacher_network(width: int = 64) -> PatchNetwork:
    """LaDeDa: patches of 9×9, 8 pixels apart; 13.6 million parameters at width 64."""
    layers = stem(width)
    channels = width
    for stage, (count, stride) in enumerate(zip(BLOCKS, STRIDES, strict=True)):
        narrow = width << stage
        for block in range(count):
            kernel = 3 if stage < WIDE_KERNELS and not block else 1
            layers.append(Bottleneck(channels, narrow, 1 if block else stride, kernel, padding=0))
            channels = 4 * narrow
    return PatchNetwork(nn.Sequential(*layers), channels, gain=2 / 3)


def student_network(width: int = 8) -> PatchNetwork:
    """Tiny-LaDeDa: patches of 5×5, 2 pixels apart; 1,297 parameters at width 8."""
    layers = [
        *stem(width),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    return PatchNetwork(nn.Sequential(*layers), width, gain=1.0)


def scores_of_teacher_patches(scores: Tensor) -> Tensor:
    """What the student says of each 9×9 patch of its teacher.

    A patch of 9×9 holds 3×3 of the student's 5×5 patches, and the next one, 8 pixels on, begins 4
    of the student's positions later.

    Args:
        scores: the student's map, (N, h, w).

    Returns:
        (N, ⌊(h + 1) / 4⌋, ⌊(w + 1) / 4⌋), the teacher's map size on the same picture.
    """
    return functional.avg_pool2d(scores, kernel_size=3, stride=4)


@dataclass(frozen=True)
class Settings(npr.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    Attributes:
        teacher: an exported LaDeDa (.onnx). When given, the student is trained on its scores.
        width: channels of the stem; 0 for the paper's: 64, or 8 for the student.
    """

    teacher: str = ""
    width: int = 0


class Method(npr.Method):
    """Cross-entropy on labelled crops; with a teacher, distillation."""

    id = "ladeda"
    title = "Scores of 9×9 patches, distilled into 1,297 parameters"
    paper = (
        "B. Cavia, E. Horwitz, T. Reiss, Y. Hoshen, Real-Time Deepfake Detection in the "
        "Real-World, arXiv:2406.09398, 2024"
    )
    Settings = Settings

    def network(self) -> nn.Module:
        """LaDeDa, or its student where a teacher is set."""
        if self.settings.teacher:
            return student_network(self.settings.width or 8)
        return teacher_network(self.settings.width or 64)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy, or the squared distance to the teacher's patch logits."""
        if not self.settings.teacher:
            return super().loss(network, batch)
        target = self.teacher(batch.pixels)
        loss = functional.mse_loss(scores_of_teacher_patches(network(batch.pixels).map), target)
        return loss, {"distance": float(loss.detach())}

    @cached_property
    def teacher(self) -> Callable[[Tensor], Tensor]:
        """float32 (N, 3, H, W) → the teacher's map (N, h, w), without gradient.

        Raises:
            InvalidInput: the file is missing, or is not a network with a map.
        """
        path = Path(self.settings.teacher)
        if not path.is_file():
            raise InvalidInput(f"teacher={path}: there is no such file; train ladeda first")
        try:
            session = library().InferenceSession(str(path))
        except Exception as error:  # the runtime's errors have no public common type
            raise InvalidInput(f"teacher={path}: this is no exported network") from error
        if "map" not in {output.name for output in session.get_outputs()}:
            raise InvalidInput(f"teacher={path}: this network gives no map of patch scores")

        def scores(pixels: Tensor) -> Tensor:
            array = np.ascontiguousarray(pixels.detach().float().cpu().numpy())
            (map_,) = session.run(["map"], {"pixels": array})
            return torch.from_numpy(np.asarray(map_)).to(pixels.device)

        return scores
