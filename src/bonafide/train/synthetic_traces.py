"""The default detector of generated pictures: local traces, read at native resolution.

What it is
    EfficientNet-Lite0 begun from ImageNet weights, its first layer at full resolution, trained on
    small crops, which show more of traces than of things. Linear heads read three depths at every
    position; their sum is a map of local log-odds whose mean is the answer, so the picture that a
    person is shown is the evidence that was counted. A second set of heads tells, among synthetic
    pictures, those made from nothing from photographs that went through a decoder, an up-scaler or
    an enhancer ("laundered").

What keeps it honest
    Sources are drawn alike, so that no collection speaks for its class. Pictures without a JPEG
    history are given one drawn from those of the photographs, every sample ends on a codec drawn
    from one distribution, and aligned pairs (a photograph and its reconstruction) differ by a
    decoder's trace alone.

Reference
    Our own arrangement of published parts: early layers at native resolution, D. Gragnaniello et
    al., "Are GAN Generated Images Easy to Detect?", ICME 2021; patches that vote, L. Chai et al.,
    "What Makes Fake Images Detectable?", ECCV 2020, and B. Cavia et al., "Real-Time Deepfake
    Detection in the Real-World", 2024; aligned pairs, R. Chen et al., "Dual Data Alignment Makes
    AI-Generated Image Detector Easier Generalizable", 2025; laundering, S. Mandelli, P. Bestagini,
    S. Tubaro, "When Synthetic Traces Hide Real Content", 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonafide.train import recipe
from bonafide.train.augment import standard
from bonafide.train.efficientnet import STAGES, EfficientNetLite0
from bonafide.train.recipe import Augment, Batch, Output, Recipe

READ = (3, 4, 6)  # stages whose positions are judged: strides 8, 8 and 16
SYNTHETIC, LAUNDERED = 0, 1


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The published weights were trained with these.

    Attributes:
        pretrained: begin from ImageNet weights.
        frozen: stages of those that are not trained, besides the stem.
        dropout: share of the channels that heads miss in a training step.
        smoothing: labels are drawn this far towards one half.
        head_rate: learning rate of the heads, as a multiple of that of the backbone.
        laundered: weight of the question that is asked of synthetic pictures alone.
    """

    steps: int = 240
    batch: int = 64
    crop: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup: int = 40
    schedule: str = "cosine"
    clip: float = 1.0
    ema: float = 0.98
    held_out: float = 0.0
    validate_every: int = 40
    pretrained: bool = True
    frozen: int = 2
    dropout: float = 0.3
    smoothing: float = 0.1
    head_rate: float = 5.0
    laundered: float = 0.3


class Network(nn.Module):
    """Local log-odds at three depths, summed and averaged."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0(
            settings.pretrained, stride=1, frozen=settings.frozen if settings.pretrained else 0
        )
        widths = [STAGES[stage][1] for stage in READ]
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.heads = nn.ModuleList(nn.Conv2d(width, 2, 1) for width in widths)
        self.dropout = nn.Dropout2d(settings.dropout)
        for head in self.heads:
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> Output:
        """float32 RGB (N, 3, H, W) in [0, 1] → logit, map of (N, ⌊H / 8⌋, ⌊W / 8⌋), laundered."""
        stages = self.backbone(pixels.contiguous(memory_format=torch.channels_last))
        odds = [
            head(self.dropout(norm(stages[stage].float())))
            for stage, norm, head in zip(READ, self.norms, self.heads, strict=True)
        ]
        size = odds[0].shape[-2:]
        local = sum(functional.interpolate(value, size, mode="nearest") for value in odds)
        assert isinstance(local, Tensor)
        whole = local.mean((2, 3))
        return Output(whole[:, SYNTHETIC], local[:, SYNTHETIC], whole[:, LAUNDERED])


class Method(Recipe):
    """Cross-entropy on both questions."""

    id = "synthetic_traces"
    title = "local traces of generators at native resolution (the default detector)"
    paper = "this project, 2026; parts as referenced in the module"
    Settings = Settings

    def network(self) -> nn.Module:
        """Stored channels last, as CPUs convolve fastest."""
        return Network(self.settings).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Both parts, the second over the synthetic pictures of the batch."""
        output: Output = network(batch.pixels)
        assert output.laundered is not None
        synthetic = _entropy(output.logit, batch.label, self.settings.smoothing)
        made = batch.label > 0.5
        decoded = (batch.pair[made] >= 0).float()
        laundered = _entropy(output.laundered[made], decoded, self.settings.smoothing)
        loss = synthetic + self.settings.laundered * laundered
        return loss, {
            "synthetic": float(synthetic.detach()),
            "laundered": float(laundered.detach()),
        }

    def augment(self) -> Augment:
        """The doses that every robust method here shares."""
        return standard(self.settings.crop)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW; heads start from nothing and learn faster than what is only adapted."""
        settings = self.settings
        adapted: list[nn.Parameter] = []
        fresh: list[nn.Parameter] = []
        for name, weight in network.named_parameters():
            if weight.requires_grad:
                (adapted if name.startswith("backbone.") else fresh).append(weight)
        groups = [
            {"params": adapted, "lr": settings.learning_rate},
            {"params": fresh, "lr": settings.learning_rate * settings.head_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def _entropy(logit: Tensor, target: Tensor, smoothing: float) -> Tensor:
    if not len(logit):
        return logit.sum()
    smooth = target * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logit.float(), smooth)
