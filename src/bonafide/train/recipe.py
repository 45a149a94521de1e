"""What a training method is: settings, a network, a loss. Everything else is shared.

A method is one file of this folder that defines a frozen dataclass derived from `Settings`, which
says what of its defaults is the paper's, and a class `Method` derived from `Recipe`. Nothing else
is touched to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonafide.errors import InvalidInput
from bonafide.train.augment import Pixels, standard

Augment = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]


@dataclass(frozen=True)
class Settings:
    """What every method can be told with `--set name=value`.

    Attributes:
        seed: of weights, order, crops and augmentations.
        steps: optimiser steps; a step is one batch.
        batch: pictures per step, of all processes together.
        accumulate: parts in which a batch is passed, for memory; their gradients are added. More
            are made where there are more processes. A loss that compares the pictures of a batch,
            and batch norm, see one part at a time.
        crop: side of the square training crops, pixels.
        learning_rate: its peak, for `batch`; never scaled by the number of processes or parts.
        weight_decay: decoupled, as AdamW applies it.
        warmup: steps of linear warm-up.
        schedule: "constant" or "cosine" (to zero at `steps`).
        clip: largest gradient norm; 0 for no limit.
        ema: decay of the averaged weights that are validated and exported; 0 for none.
        held_out: share of the groups kept for validation and early stopping, in [0, 1).
        validate_every: steps between validations and checkpoints.
        patience: validations without a better AUC before training stops; 0 for never.

    Raises:
        InvalidInput: a value is out of its range.
    """

    seed: int = 0
    steps: int = 10_000
    batch: int = 32
    accumulate: int = 1
    crop: int = 224
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: int = 0
    schedule: str = "constant"
    clip: float = 0.0
    ema: float = 0.0
    held_out: float = 0.2
    validate_every: int = 500
    patience: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "crop"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("held_out", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be in [0, 1), not {getattr(self, name)}")


class Output(NamedTuple):
    """What every network returns.

    Attributes:
        logit: float32 (N,), larger for what is looked for: synthetic, or edited.
        map: float32 (N, h, w) logits of patches, or None for a network without a map.
        reliability: float32 (N, h, w) logits, larger where the map is to be trusted; None for a
            network that does not say.
        summary: float32 (N, C) of a network that takes the summary of a whole picture as its
            second input, `context`: what this input adds to it; None elsewhere.
        segments: float32 (N, Q, 3) of a network that finds forged intervals: begin and end as
            shares of the clip, and the logit of each; None elsewhere.
    """

    logit: Tensor
    map: Tensor | None = None
    reliability: Tensor | None = None
    summary: Tensor | None = None
    segments: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """One step's pictures.

    Attributes:
        pixels: float32 (N, 3, H, W), RGB in [0, 1]; what `bonafide.train.sounds` says for a method
            that reads sound.
        label: float32 (N,): 1 for synthetic or edited, 0 for bona fide.
        pair: int64 (N,): equal for a picture and its aligned twin, -1 for one without a twin.
        replaced: float32 (N, h, w) in [0, 1]: share of each patch that is synthetic, where the
            method replaces patches; None elsewhere.
        extra: further tensors of a method (precomputed maps, say), first dimension N.
        mask: float32 (N, H, W) of 0 and 1: which pixels were edited, for a method that
            `needs_masks`; None elsewhere.
    """

    pixels: Tensor
    label: Tensor
    pair: Tensor
    replaced: Tensor | None
    extra: Mapping[str, Tensor]
    mask: Tensor | None = None

    def on(self, device: torch.device) -> Batch:
        """The same on a device; copied while it computes if the batch is pinned."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory; `torch.utils.data.DataLoader` calls it."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            change(self.pixels),
            change(self.label),
            change(self.pair),
            None if self.replaced is None else change(self.replaced),
            {name: change(value) for name, value in self.extra.items()},
            None if self.mask is None else change(self.mask),
        )


class Recipe(ABC):
    """A training method.

    Attributes:
        id: the file's name.
        title: a few plain words.
        paper: full reference with year.
        needs_pairs: whether it trains on aligned pairs rather than on a labelled manifest.
        needs_masks: whether it learns which pixels were edited: from pictures with masks, and from
            bona fide ones that are edited on the way (see `bonafide.train.tampering`).
        needs_clips: whether it reads clips, frames of one person or scene (see
            `bonafide.train.clips`).
        needs_sound: whether it reads speech, alone or with the mouth that speaks (see
            `bonafide.train.sounds`).
        channels: planes that the network sees; 3 are red, green and blue, as many for every frame
            of a clip.
        cell: pixels a side that one value of those planes stands for.
        input: name of what the exported network takes.
        layout: what that is, for its card.
        material: settings of what it learns from that differ from their defaults, as text.
        any_size: False where a network is laid out for one size when it is exported, so that its
            file takes pictures of the training crop's size alone.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    needs_pairs: ClassVar[bool] = False
    needs_masks: ClassVar[bool] = False
    needs_clips: ClassVar[bool] = False
    needs_sound: ClassVar[bool] = False
    channels: int = 3
    cell: ClassVar[int] = 1
    input: ClassVar[str] = "pixels"
    layout: ClassVar[str] = "float32 (N, 3, H, W), RGB in [0, 1], native resolution, never resized"
    material: ClassVar[Mapping[str, str]] = {}
    any_size: ClassVar[bool] = True
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the network is given, without the batch: here of a training crop."""
        side = self.settings.crop // self.cell
        return (self.channels, side, side)

    @abstractmethod
    def network(self) -> nn.Module:
        """A fresh network: float32 RGB (N, 3, H, W) in [0, 1] → `Output`.

        Normalisation and residuals are part of it, so that an exported file stands alone.
        """

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """The scalar to minimise, and its named parts for the log."""

    def augment(self) -> Augment:
        """What happens to a training picture: uint8 H×W×3 → uint8 crop×crop×3.

        The same for both classes. For aligned pairs it is called with equal random states. Not
        asked of a method that `needs_masks`, whose pictures come as they are to be seen.
        """
        return standard(self.settings.crop)

    def read(
        self, pixels: Pixels, mask: NDArray[np.bool_], random: np.random.Generator
    ) -> tuple[Pixels, NDArray[np.bool_]]:
        """What the network sees of a sample, for a method that `needs_masks`; here the pixels.

        Args:
            pixels: uint8 crop×crop×3 RGB.
            mask: bool crop×crop.
            random: for what a method does to them.

        Returns:
            uint8 h×w×channels and bool h×w, of crop / cell values a side.
        """
        return pixels, mask

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """AdamW over everything that requires a gradient, unless a method says otherwise."""
        trainable = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.AdamW(
            trainable, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
