"""Pretrained vision networks as trunks of a detector, and two ways of tuning them sparingly.

Any vision model of transformers serves: a vision transformer (CLIP, SigLIP, DINOv2, DINOv3, ViT;
of a model for pictures and text, the vision part) or a convolutional network (ResNet, ConvNeXt).
Weights come from a folder or from the hub's cache; nothing is downloaded unless it is asked for.

Pictures are never resized. A side that is no multiple of the patch is continued by repeating its
last row or column; position embeddings of another size than the native one are interpolated,
which costs accuracy the further a picture is from it.

References
    LoRA: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
    SVD residual: Z. Yan et al., "Orthogonal Subspace Decomposition for Generalizable
    AI-Generated Image Detection", ICML 2025.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel
from transformers.image_processing_base import ImageProcessingMixin
from transformers.utils import logging as loading

from bonafide.errors import InvalidInput

Statistics = tuple[tuple[float, ...], tuple[float, ...]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: Statistics = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# For weights that come without a preprocessor file.
STATISTICS = {"clip_vision_model": CLIP, "siglip_vision_model": HALF, "vit": HALF}

MARKS = {"attention": ("attn", "attention"), "mlp": ("mlp",)}  # in the names of modules


class Features(NamedTuple):
    """What a backbone says of a batch.

    Attributes:
        pooled: float32 (N, width): the class token, or what the model puts in its place.
        map: float32 (N, width, h, w): patch tokens or the last feature map.
    """

    pooled: Tensor
    map: Tensor


class Backbone(nn.Module):
    """RGB in [0, 1] → `Features`.

    Args:
        model: a vision model of transformers.
        statistics: mean and deviation per channel that its pictures are normalised with; None
            for what its family was trained with.

    Attributes:
        width: channels of the features.
        patch: side of its patches, pixels; 1 for a convolutional network.

    Raises:
        InvalidInput: its features cannot be laid out as one map.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: nn.Module, statistics: Statistics | None = None) -> None:
        super().__init__()
        config: Any = model.config
        convolutional = hasattr(config, "hidden_sizes")
        if not convolutional and (hasattr(config, "depths") or not hasattr(config, "patch_size")):
            raise InvalidInput(
                f"{config.model_type}: neither a plain vision transformer nor a convolutional "
                "network; use one such as CLIP, SigLIP, DINOv2, DINOv3, ViT, ResNet, ConvNeXt"
            )
        self.model = model
        self.width = int(config.hidden_sizes[-1] if convolutional else config.hidden_size)
        self.patch = 1 if convolutional else int(config.patch_size)
        accepted = inspect.signature(model.forward).parameters
        self.options = {name: True for name in ("interpolate_pos_encoding",) if name in accepted}
        mean, deviation = statistics or STATISTICS.get(config.model_type, IMAGENET)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Features:
        """float32 (N, 3, H, W) in [0, 1], any size → `Features`."""
        height, width = pixels.shape[-2:]
        normalised = (pixels - self.mean) / self.deviation
        padding = (0, -width % self.patch, 0, -height % self.patch)
        padded = functional.pad(normalised, padding, mode="replicate")
        output = self.model(padded, **self.options)
        features = output.last_hidden_state
        pooled = output.pooler_output
        if features.ndim == 3:
            rows, columns = padded.shape[-2] // self.patch, padded.shape[-1] // self.patch
            pooled = features[:, 0] if pooled is None else pooled
            patches = features[:, -rows * columns :]  # class and register tokens come first
            features = patches.transpose(1, 2).unflatten(2, (rows, columns))
        return Features(pooled.flatten(1), features)


def load_backbone(name: str, download: bool = False) -> Backbone:
    """A pretrained backbone.

    Args:
        name: a folder with a model of transformers, or its name on the hub.
        download: whether what is absent from the hub's cache may be fetched.

    Raises:
        InvalidInput: there is no such model here, or it is not a vision model that fits.
    """
    return Backbone(*load_model(name, download))


def load_model(
    name: str, download: bool = False, unused: tuple[str, ...] = ()
) -> tuple[nn.Module, Statistics]:
    """A pretrained vision model, and the statistics that its pictures are normalised with.

    Args:
        name: a folder with a model of transformers, or its name on the hub.
        download: whether what is absent from the hub's cache may be fetched.
        unused: beginnings of the names of weights that the file may lack.

    Raises:
        InvalidInput: there is no such model here, or its file lacks weights.
    """
    local = not download
    verbosity = loading.get_verbosity()
    loading.set_verbosity(logging.ERROR)  # it calls every weight of a text tower unexpected
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
        config = getattr(config, "vision_config", config)
        model, report = AutoModel.from_pretrained(
            name,
            config=config,
            local_files_only=local,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        advice = "" if download else " (--set download=true allows fetching it from the hub)"
        raise InvalidInput(f"backbone {name!r} cannot be loaded{advice}: {why}") from error
    finally:
        loading.set_verbosity(verbosity)
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(unused))
    if missing:
        absent = ", ".join(missing[:3])
        raise InvalidInput(f"backbone {name!r}: the file lacks weights of the model: {absent}…")
    usual = STATISTICS.get(config.model_type, IMAGENET)
    return model, _statistics(name, local) or usual


class Normalise(nn.Module):
    """RGB in [0, 1] → what a pretrained model was trained on."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: Statistics = IMAGENET) -> None:
        super().__init__()
        mean, deviation = statistics
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (N, 3, H, W) → the same shape."""
        return (pixels - self.mean) / self.deviation


def _statistics(name: str, local: bool) -> Statistics | None:
    try:
        found, _ = ImageProcessingMixin.get_image_processor_dict(name, local_files_only=local)
    except OSError:
        return None
    if "image_mean" not in found or "image_std" not in found:
        return None
    return tuple(found["image_mean"]), tuple(found["image_std"])


def linear_layers(model: nn.Module, parts: tuple[str, ...] = ("attention",)) -> list[str]:
    """Names of the linear layers in the blocks of a vision transformer, in order.

    Args:
        model: the transformer.
        parts: "attention" for query, key, value and output; "mlp" for the two that follow.

    Raises:
        InvalidInput: it has none.
    """
    marks = [mark for part in parts for mark in MARKS[part]]
    names = [
        name
        for name, module in model.named_modules()
        # Exactly Linear: the output layer of torch's own attention is a subclass that is not
        # called but read, so that replacing it would change nothing.
        if type(module) is nn.Linear
        and any(mark in name for mark in marks)
        and any(part.isdigit() for part in name.split("."))  # blocks are numbered, heads are not
    ]
    if not names:
        raise InvalidInput(f"{type(model).__name__} has no linear layers in {' or '.join(parts)}")
    return names


def add_lora(
    model: nn.Module, rank: int, alpha: int, parts: tuple[str, ...] = ("attention", "mlp")
) -> None:
    """Freeze `model` and put LoRA adapters on its linear layers, in place.

    The forward pass does not change until the adapters are trained.

    Args:
        model: a vision transformer.
        rank: of each adapter.
        alpha: the adapter's output is scaled by alpha / rank.
        parts: see `linear_layers`.

    Raises:
        InvalidInput: it has no such layers.
    """
    model.requires_grad_(False)
    targets = linear_layers(model, parts)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets), model)


class SvdResidual(nn.Module):
    """A linear layer of which only the weakest singular components are trained.

    W = U Σ Vᵀ is split into its strongest components, frozen as one matrix, and the `rank`
    weakest, whose singular vectors and values are parameters.

    The constraints are computed without the frozen vectors U_f: what a residual vector has of
    them is what it lacks of their orthogonal complement, which is small. Where the layer is
    square and rank is 1, that complement is a line, so that full orthogonality leaves only the
    singular value to train.

    Args:
        linear: the layer; it is not changed.
        rank: how many components are trained, at least 1.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        # Not buffers, which distributed training sends around at every step.
        constant = partial(nn.Parameter, requires_grad=False)
        weight = linear.weight.detach()
        left, values, right = torch.linalg.svd(weight, full_matrices=True)
        kept, end = len(values) - rank, len(values)
        self.frozen = constant(left[:, :kept] * values[:kept] @ right[:kept])
        self.bias = None if linear.bias is None else constant(linear.bias.detach().clone())
        self.left_complement = constant(left[:, kept:].clone())
        self.right_complement = constant(right[kept:].mT.clone())
        self.energy = constant(weight.square().sum())
        self.left = nn.Parameter(left[:, kept:end].clone())
        self.values = nn.Parameter(values[kept:].clone())
        self.right = nn.Parameter(right[kept:end].mT.clone())

    def forward(self, features: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        residual = (features @ self.right * self.values) @ self.left.mT
        output: Tensor = functional.linear(features, self.frozen, self.bias) + residual
        return output

    def weight(self) -> Tensor:
        """The weight that the layer now amounts to, (outputs, inputs)."""
        weight: Tensor = self.frozen + self.left * self.values @ self.right.mT
        return weight

    def orthogonality_loss(self) -> Tensor:
        """½ ‖QᵀQ − I‖ for all left and all right singular vectors Q, frozen and trained."""
        with torch.autocast(self.left.device.type, enabled=False):
            left = _departure(self.left, self.left_complement)
            return (left + _departure(self.right, self.right_complement)) / 2

    def energy_loss(self) -> Tensor:
        """|‖W‖² − ‖W₀‖²|: how far the sum of squared singular values has moved."""
        with torch.autocast(self.left.device.type, enabled=False):
            return (self.weight().square().sum() - self.energy).abs()


def _departure(trained: Tensor, complement: Tensor) -> Tensor:
    """Frobenius norm of QᵀQ − I, where Q = [frozen, trained] and `frozen` is orthonormal.

    Its blocks are 0, frozenᵀ·trained (twice) and trainedᵀ·trained − I. The norm of the second is
    that of what `trained` has outside the complement of `frozen`.
    """
    shared = trained - complement @ (complement.mT @ trained)
    gram = trained.mT @ trained - torch.eye(trained.shape[1], device=trained.device)
    norm: Tensor = torch.linalg.vector_norm(torch.cat([shared.flatten() * 2**0.5, gram.flatten()]))
    return norm


def add_svd_residual(model: nn.Module, rank: int) -> None:
    """Freeze `model` and replace its attention layers by `SvdResidual`, in place.

    Raises:
        InvalidInput: it has no attention layers.
    """
    model.requires_grad_(False)
    for name in linear_layers(model):
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        model.set_submodule(name, SvdResidual(linear, rank))


def svd_residuals(model: nn.Module) -> Iterator[SvdResidual]:
    """The layers that `add_svd_residual` put in."""
    return (module for module in model.modules() if isinstance(module, SvdResidual))
