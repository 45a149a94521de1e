"""Squares of random place and sign at the edge of the allowed change, kept where a score moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.low_frequency import added
from bonafide.bench.attacks.target import Answered, Goal, Target

_FIRST = 0.4  # share of the area that the first squares cover
_HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000: the area halves


@dataclass(frozen=True)
class Square(Attack):
    """Random search on L∞."""

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
        epsilon = budget.epsilon
        moved = np.broadcast_to(
            epsilon * random.choice((-1.0, 1.0), (1, width, 3)), aim.pixels.shape
        ).copy()  # stripes
        best = -np.inf
        tried = moved
        step = 0
        while True:
            shown = added(aim.pixels, tried)
            score = self.reward(target.ask(shown), aim.goal)
            if score > best:
                best, moved = score, tried
                yield shown
            step += 1
            progress = 10_000 * step / max(1, budget.queries)
            area = _FIRST / 2 ** sum(progress > bound for bound in _HALVED)
            side = max(1, min(round((area * height * width) ** 0.5), height, width))
            top, left = (int(random.integers(room - side + 1)) for room in (height, width))
            tried = moved.copy()
            tried[top : top + side, left : left + side] = epsilon * random.choice((-1.0, 1.0), 3)

    def reward(self, answered: Answered, goal: Goal) -> float:
        """What is to grow: the score in the attacker's direction."""
        return goal.value * answered.score


ATTACK = Square(
    "Random squares",
    "M. Andriushchenko et al., Square Attack, ECCV 2020",
    "scores",
    costly=True,
)
