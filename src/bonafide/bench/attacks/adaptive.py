"""Random squares against the answer as it stands after the check on changed copies.

What is to move is the score together with the probability on the picture and its copies, so that
an answer that holds on copies, or is withdrawn because it does not, is what the attacker wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

from bonafide.bench.attacks.square import Square
from bonafide.bench.attacks.target import Answered, Goal

_COPIES = 4.0  # log-odds that a probability of 1 on all copies is worth


@dataclass(frozen=True)
class Adaptive(Square):
    """Square, on all that the verdict looks at."""

    def reward(self, answered: Answered, goal: Goal) -> float:
        """Score and probabilities in the attacker's direction."""
        held = answered.probability if answered.held is None else answered.held
        return goal.value * (answered.score + _COPIES * (answered.probability + held))


ATTACK = Adaptive(
    "Random squares against the answer on the picture and on changed copies",
    "F. Tramèr et al., On Adaptive Attacks to Adversarial Example Defenses, NeurIPS 2020",
    "scores",
    costly=True,
    stability=True,
    share=0.25,
)
