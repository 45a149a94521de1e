"""QAD: one detector for all qualities of a video, by making its features of them agree.

What it is
    A convolutional network that sees the same frame raw, compressed and strongly compressed. The
    dependence between the features of two qualities is raised, so that what compression destroys
    is not what the network relies on; the weights are trained against the worst small change of
    themselves, so that errors of compression in the features do little harm.

What the paper does
    ResNet-50 at 224, batches of 64 with raw, c23 and c40 of the same frames. Dependence is the
    Hilbert-Schmidt independence criterion, tr(KHLH) / (n − 1)², with Gaussian kernels of σ 6,
    *maximised* between qualities after three stages (weights 0.1, 0.25, 0.5, together 0.004).
    Weights are perturbed adversarially (γ 0.002) after three epochs. Adam at 2e-4 with L2 decay
    1e-4, one cycle, 32 epochs.

What differs here
    Each crop is compressed as one frame of H.264 at CRF 23 and 40 when its batch is made; the
    paper has whole clips. One logit instead of two. σ is 6 as in the paper, on features pooled
    over space. The perturbation is one step of ascent, scaled to γ of each weight's norm, as
    adversarial weight perturbation does it. The cycle is a cosine.

Reference
    B. M. Le, S. S. Woo, "Quality-Agnostic Deepfake Detection with Intra-model Collaborative
    Learning", ICCV 2023; D. Wu et al., "Adversarial Weight Perturbation Helps Robust
    Generalization", NeurIPS 2020; A. Gretton et al., "Measuring Statistical Dependence with
    Hilbert-Schmidt Norms", ALT 2005.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, ClassVar, cast

import av
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, crop, turn
from bonafide.train.backbones import Backbone, load_backbone
from bonafide.train.recipe import Batch, Output, Recipe

QUALITIES = (23, 40)  # constant rate factors besides the raw crop
STAGES = 3


def compressed(pixels: Tensor, crf: int) -> Tensor:
    """Pictures as frames that were each encoded alone with H.264.

    Args:
        pixels: float32 (N, 3, H, W) in [0, 1].
        crf: constant rate factor, 0 to 51; larger is worse.

    Returns:
        The same shape, on the same device, without a gradient.
    """
    frames = (pixels.detach() * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    height, width = frames.shape[1:3]
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    out = io.BytesIO()
    options = {"crf": str(crf), "g": "1", "preset": "ultrafast"}
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    out.seek(0)
    with av.open(out, "r") as written:
        read = [frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)]
    found = torch.from_numpy(np.stack(read)[:, :height, :width]).permute(0, 3, 1, 2)
    return found.contiguous().float().div(255).to(pixels.device)


def independence(first: Tensor, second: Tensor, sigma: float) -> Tensor:
    """Hilbert-Schmidt independence criterion of two sets of features of the same samples.

    Args:
        first, second: float (N, C), N at least 2.
        sigma: of both Gaussian kernels.

    Returns:
        tr(KHLH) / (N − 1)², at least 0; larger the more they depend on each other.
    """
    with torch.autocast(first.device.type, enabled=False):
        kernel, other = _kernel(first.float(), sigma), _kernel(second.float(), sigma)
        centred = kernel - kernel.mean(0, keepdim=True)
        centred = centred - centred.mean(1, keepdim=True)
        # tr(KHLH) = Σ (HKH)∘L, since both kernels are symmetric.
        return (centred * other).sum() / (len(first) - 1) ** 2


def _kernel(rows: Tensor, sigma: float) -> Tensor:
    squared = rows.square().sum(1)
    apart = (squared[:, None] + squared[None] - 2 * rows @ rows.mT).clamp_min(0)
    return torch.exp(-apart / (2 * sigma**2))


class Network(nn.Module):
    """A ResNet, its features after the last three stages, and a linear head.

    Raises:
        InvalidInput: the backbone is no ResNet.
    """

    steps: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        if getattr(backbone.model.config, "model_type", "") != "resnet":
            raise InvalidInput("qad needs a ResNet as its backbone, such as microsoft/resnet-50")
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, 1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def seen(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """float32 (N, 3, H, W) in [0, 1] → logits (N,), and features (N, C) of three stages."""
        normalised = (pixels - self.backbone.mean) / self.backbone.deviation
        model: Any = self.backbone.model
        stages = model(normalised, output_hidden_states=True).hidden_states[-STAGES:]
        pooled = tuple(stage.mean((2, 3)) for stage in stages)
        return self.head(pooled[-1]).squeeze(1), pooled

    def forward(self, pixels: Tensor) -> Output:
        """float32 (N, 3, H, W) in [0, 1] → `Output` without a map."""
        return Output(self.seen(pixels)[0])


class _Seen(nn.Module):
    """What a network sees, as a call, so that its weights can be replaced for it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self.network.seen(pixels)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """The paper's; see `bonafide.train.recipe.Settings` for the shared ones.

    A batch is seen in three qualities, so `batch` is a third of what the network reads.

    Attributes:
        backbone: a folder with a ResNet, or its name on the hub.
        download: whether the backbone may be fetched from the hub.
        sigma: of the kernels.
        dependence: weight of the dependence between qualities.
        perturbation: γ, how far weights are moved against the loss, as a share of their norm.
        calm: passes before weights are perturbed.
    """

    batch: int = 64
    steps: int = 40_000
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    backbone: str = "microsoft/resnet-50"
    download: bool = False
    sigma: float = 6.0
    dependence: float = 0.004
    perturbation: float = 0.002
    calm: int = 3_750


class Method(Recipe):
    """Cross-entropy over all qualities, less the dependence between them."""

    id = "qad"
    title = "One detector for all qualities: dependence between them is raised"
    paper = "B. M. Le, S. S. Woo, Quality-Agnostic Deepfake Detection, ICCV 2023"
    Settings = Settings
    shares: ClassVar[tuple[float, ...]] = (0.1, 0.25, 0.5)  # of the stages in the dependence

    def network(self) -> Network:
        """The backbone with a fresh head.

        Raises:
            InvalidInput: the backbone is not on this machine, or is no ResNet.
        """
        return Network(load_backbone(self.settings.backbone, self.settings.download))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The loss at the weights as they are, later at weights moved against it."""
        seen = _Seen(cast(Network, network))
        views = [batch.pixels, *(compressed(batch.pixels, crf) for crf in QUALITIES)]
        given = torch.cat(views), batch.label
        if seen.network.training:
            seen.network.steps += 1
        if self.settings.perturbation and int(seen.network.steps) > self.settings.calm:
            moved = self.perturbed(seen, *given)
            return self._terms(functional_call(seen, moved, (given[0],)), batch.label)
        return self._terms(seen(given[0]), batch.label)

    def perturbed(self, seen: nn.Module, pixels: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Weights moved against the loss by γ of their norm; gradients reach the originals."""
        weights = {name: w for name, w in seen.named_parameters() if w.requires_grad and w.ndim > 1}
        loss, _ = self._terms(seen(pixels), label)
        slopes = torch.autograd.grad(loss, list(weights.values()))
        moved = {}
        for (name, weight), slope in zip(weights.items(), slopes, strict=True):
            length = self.settings.perturbation * weight.detach().norm()
            moved[name] = weight + slope * (length / slope.norm().clamp_min(1e-12))
        return moved

    def _terms(
        self, seen: tuple[Tensor, tuple[Tensor, ...]], label: Tensor
    ) -> tuple[Tensor, Mapping[str, float]]:
        logits, stages = seen
        count = len(QUALITIES) + 1
        bce = functional.binary_cross_entropy_with_logits(logits, label.repeat(count))
        shared = logits.new_zeros(())
        for share, features in zip(self.shares, stages, strict=True):
            for first, second in combinations(features.chunk(count), 2):
                shared = shared + share * independence(first, second, self.settings.sigma)
        parts = {"bce": float(bce.detach()), "dependence": float(shared.detach())}
        return bce - self.settings.dependence * shared, parts

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient, as the paper trains."""
        return torch.optim.Adam(
            network.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )

    def augment(self) -> Chain[Pixels]:
        """Turns and crops; quality is changed in `loss`."""
        side = self.settings.crop
        return Chain((Step("turn", 1.0, turn), Step("crop", 1.0, partial(crop, side=side))))
