"""Parts that networks along time share: places, and who sees whom."""

from __future__ import annotations

import torch
from torch import Tensor


def places(frames: int, width: int) -> Tensor:
    """When each frame is, as sines and cosines of falling rates: (frames, width)."""
    rates = 10_000.0 ** -(torch.arange(0, width, 2) / width)
    angles = torch.arange(frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]


def far_apart(frames: int, most: int) -> Tensor:
    """Pairs of frames that are more than `most` apart, bool (frames, frames)."""
    moments = torch.arange(frames)
    return (moments[:, None] - moments[None]).abs() > most
