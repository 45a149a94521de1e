"""Transfer from a plane of the attacker's own on CLIP's features, by projected gradients.

The tower is public; the plane is not asked for. It is fitted to the attacker's pictures of both
kinds, a few dozen, and the gradient goes through the tower and the resizing to the pixels. The
attacked detector is not asked before the result is handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels, Pool
from bonafide.bench.attacks.target import Target
from bonafide.networks import runtime
from bonafide.networks.clip import BLOCKS, NETWORK, SIDE, square_view, tokens_of
from bonafide.train.torch_graph import Run, differentiable

_STEPS = 4
_READ = BLOCKS[-2:]
_RIDGE = 1.0  # of the squared length of a feature, beside the covariance


@dataclass(frozen=True)
class Surrogate(Attack):
    """A strength is the largest change of a channel, levels."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """One picture; see `Attack`."""
        if len(aim.pool.wanted) < 2 or len(aim.pool.alike) < 2:
            return
        plane = torch.from_numpy(fitted(aim.pool))
        tower = _tower()
        start = torch.from_numpy(aim.pixels.copy()).permute(2, 0, 1)[None].float()
        change = torch.zeros_like(start)
        height, width = aim.pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        for _ in range(_STEPS):
            change.requires_grad_(True)
            square = (start + change)[..., top : top + side, left : left + side] / 255
            view = functional.interpolate(square, (SIDE, SIDE), mode="bicubic", antialias=True)
            found = tower(view)
            features = torch.cat([found[name][:, 0] for name in _READ], 1)
            (slope,) = torch.autograd.grad((features @ plane).sum(), change)
            with torch.no_grad():
                moved = change + slope.sign() * strength / (_STEPS / 2)
                change = moved.clamp(-strength, strength)
                change = (start + change).clamp(0, 255) - start
        shown = (start + change).round().byte()[0].permute(1, 2, 0)
        yield np.ascontiguousarray(shown.numpy())


@lru_cache(maxsize=2)
def fitted(pool: Pool) -> NDArray[np.float32]:
    """The direction from what is alike to what is wanted: Fisher's, with a ridge."""
    wanted, alike = (_features(part) for part in (pool.wanted, pool.alike))
    inside = np.concatenate([wanted - wanted.mean(0), alike - alike.mean(0)])
    covariance = inside.T @ inside / len(inside)
    ridge = _RIDGE * np.trace(covariance) / len(covariance)
    apart = wanted.mean(0) - alike.mean(0)
    plane = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), apart)
    unit: NDArray[np.float32] = (plane / np.linalg.norm(plane)).astype(np.float32)
    return unit


def _features(pictures: tuple[Pixels, ...]) -> NDArray[np.float64]:
    tokens = np.concatenate([tokens_of(square_view(one)[None], _READ) for one in pictures])
    return tokens.reshape(len(pictures), -1).astype(np.float64)


@lru_cache(maxsize=1)
def _tower() -> Run:
    return differentiable(runtime.session(NETWORK).weights.path, _READ)


ATTACK = Surrogate(
    "Transfer from a plane of the attacker's own on CLIP, by gradient",
    "A. Madry et al., ICLR 2018 (PGD); N. Papernot et al., 2016 (transfer)",
    "nothing",
    costly=True,
    strengths=(4.0, 16.0),
)
