"""Low frequencies of the DCT, one at a time, kept where the score moves.

The whole picture's cosines below a sixteenth of each side's frequencies are added or subtracted in
a random order. What survives resizing lies there, and so does what a network on a small view sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.target import Target

_LOWEST = 16  # frequencies of each direction


@dataclass(frozen=True)
class LowFrequency(Attack):
    """SimBA on cosines."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """Better and better pictures; see `Attack`."""
        height, width = aim.pixels.shape[:2]
        bases = [_cosines(side) for side in (height, width)]
        places = random.permutation(_LOWEST * _LOWEST * 3)
        moved = np.zeros(aim.pixels.shape, np.float32)
        best = aim.goal.value * target.ask(aim.pixels).score
        for place in places:
            down, across, channel = np.unravel_index(place, (_LOWEST, _LOWEST, 3))
            wave = np.zeros_like(moved)
            wave[..., channel] = np.outer(bases[0][down], bases[1][across])
            for sign in (1, -1):
                tried = np.clip(
                    moved + sign * 0.5 * budget.epsilon * wave, -budget.epsilon, budget.epsilon
                )
                shown = added(aim.pixels, tried)
                score = aim.goal.value * target.ask(shown).score
                if score > best:
                    best, moved = score, tried
                    yield shown
                    break


def added(pixels: Pixels, change: np.ndarray) -> Pixels:
    """Pixels plus a change in levels, as uint8."""
    shown: Pixels = np.clip(np.rint(pixels + change), 0, 255).astype(np.uint8)
    return shown


def _cosines(side: int) -> np.ndarray:
    """The lowest cosines of a side, each between -1 and 1."""
    places = (np.arange(side) + 0.5) / side
    return np.cos(np.pi * np.outer(np.arange(_LOWEST), places)).astype(np.float32)


ATTACK = LowFrequency(
    "Low frequencies of the DCT",
    "C. Guo et al., Simple Black-box Adversarial Attacks, ICML 2019",
    "scores",
    costly=True,
)
