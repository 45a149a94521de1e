"""What a training keeps on disk to go on from: weights, optimiser, and how far it is."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.train.data import TrainingData
from bonafide.train.recipe import Recipe

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
_MAY_CHANGE = ("steps", "patience", "validate_every", "accumulate")  # by a training that goes on


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: steps done.
        seconds: wall time spent on them.
        loss: of the last step, NaN before the first.
        auc: of the last validation, NaN before the first.
        best_auc, best_step: of the best validation.
        stale: validations since then.
    """

    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    auc: float = math.nan
    best_auc: float = -math.inf
    best_step: int = 0
    stale: int = 0


def identity(recipe: Recipe, data: TrainingData, sampling: Any) -> dict[str, Any]:
    """What must be the same when a training goes on; `sampling` is a dataclass."""
    settings = {
        name: value for name, value in asdict(recipe.settings).items() if name not in _MAY_CHANGE
    }
    return {
        "method": recipe.id,
        "settings": settings,
        "sampling": asdict(sampling),
        "tables": [table.sha256 for table in data.tables],
        "held_out": list(data.held_out),
    }


def contents(kept: Mapping[str, Any], progress: Progress, about: Mapping[str, Any]) -> Any:
    """A checkpoint of the parts in `kept`, by name; what is None, or there twice, is left out."""
    states = {name: part.state_dict() for name, part in kept.items() if part is not None}
    if kept["average"] is kept["network"]:
        del states["average"]
    return {**states, "progress": asdict(progress), "about": dict(about)}


def restore(path: Path, kept: Mapping[str, Any], about: Mapping[str, Any]) -> Progress:
    """Put a checkpoint into the parts in `kept`.

    Raises:
        InvalidInput: it is of another training.
    """
    found = load(path)
    if found["about"] != about:
        differing = [name for name in about if found["about"].get(name) != about[name]]
        raise InvalidInput(
            f"{path} is of another training ({', '.join(differing)} differ); of the settings only "
            f"{', '.join(_MAY_CHANGE)} may change"
        )
    for name, part in kept.items():
        if name in found and part is not None:
            part.load_state_dict(found[name])
    return Progress(**found["progress"])


def save(path: Path, parts: Mapping[str, Any]) -> None:
    """Write a file that appears whole or not at all."""
    with atomic_write(path, durable=True) as partial:
        torch.save(parts, partial)


def load(path: Path) -> Any:
    """What `save` wrote, on the CPU."""
    return torch.load(path, map_location="cpu", weights_only=True)


def part_of(folder: Path, prefix: str, part: nn.Module, method: str) -> dict[str, Any]:
    """Weights of one part of the network that a training in `folder` left.

    Args:
        folder: of the training.
        prefix: of the names of its weights, with a dot at the end.
        part: what the weights are for; their names and shapes must fit.
        method: that trained it, for messages.

    Raises:
        InvalidInput: there is no checkpoint, or it is of another method or network.
    """
    try:
        found = load(folder / CHECKPOINT)
        states = found.get("average", found["network"])
    except (OSError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise InvalidInput(f"old={folder}: there is no training of {method}") from error
    own = {k.removeprefix(prefix): v for k, v in states.items() if k.startswith(prefix)}
    shapes = {name: value.shape for name, value in part.state_dict().items()}
    if {name: value.shape for name, value in own.items()} != shapes:
        raise InvalidInput(f"old={folder}: it was trained by another method or backbone")
    return own
