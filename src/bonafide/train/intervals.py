"""Forged intervals as tensors: from shares of frames, and how well two of them agree.

Intervals are (…, 2) of middle and width, as shares of the clip, unless a function says otherwise.

Source: generalised IoU, H. Rezatofighi et al., CVPR 2019; distance IoU, Z. Zheng et al., "Distance-
IoU Loss: Faster and Better Learning for Bounding Box Regression", AAAI 2020; both in one dimension.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_LEAST = 1e-6


class _Common(NamedTuple):
    shared: Tensor
    joined: Tensor
    hull: Tensor


def bounds(intervals: Tensor) -> Tensor:
    """(…, 2) of middle and width → (…, 2) of begin and end."""
    middle, width = intervals.unbind(-1)
    return torch.stack([middle - width / 2, middle + width / 2], -1)


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Generalised IoU of intervals: in (−1, 1]."""
    shared, joined, hull = _common(one, other)
    return shared / joined - (hull - joined) / hull


def distance_overlap(one: Tensor, other: Tensor) -> Tensor:
    """Distance IoU of intervals: IoU less the squared share of the hull between both middles."""
    shared, joined, hull = _common(one, other)
    return shared / joined - ((one[..., 0] - other[..., 0]) / hull) ** 2


def stretches(shares: Tensor) -> list[Tensor]:
    """Forged intervals of clips, (M, 2) of middle and width as shares of the clip, for each.

    Args:
        shares: (N, T) of each frame that is forged; above one half counts.
    """
    found = []
    for row in (shares > 0.5).int():
        edge = torch.diff(row, prepend=row.new_zeros(1), append=row.new_zeros(1))
        begin, end = (edge == 1).nonzero()[:, 0], (edge == -1).nonzero()[:, 0]
        ends = torch.stack([(begin + end) / 2, end - begin], 1).float()
        found.append(ends / shares.shape[1])
    return found


def _common(one: Tensor, other: Tensor) -> _Common:
    first, second = bounds(one), bounds(other)
    shared = torch.minimum(first[..., 1], second[..., 1]) - torch.maximum(
        first[..., 0], second[..., 0]
    )
    hull = torch.maximum(first[..., 1], second[..., 1]) - torch.minimum(
        first[..., 0], second[..., 0]
    )
    shared = shared.clamp_min(0)
    joined = one[..., 1] + other[..., 1] - shared
    return _Common(shared, joined.clamp_min(_LEAST), hull.clamp_min(_LEAST))
