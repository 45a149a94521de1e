"""Decisions alone: from a picture that is answered as wanted back towards the own one.

HopSkipJump as the Adversarial Robustness Toolbox has it (`pip install adversarial-robustness-
toolbox`, in the extra `attack`). It always ends on the wrong side of the boundary; what counts is
how far from the picture, so a result further than `FAR` is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.target import Spent, Target
from bonafide.errors import MissingExtra

FAR = 16.0  # levels, root mean square


@dataclass(frozen=True)
class Boundary(Attack):
    """HopSkipJump."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """Pictures on the other side that lie near enough; see `Attack`."""
        try:
            from art.attacks.evasion import HopSkipJump
            from art.estimators.classification import BlackBoxClassifierNeuralNetwork
        except ImportError:
            raise MissingExtra("attack", "the attack boundary") from None

        if not aim.pool.wanted:
            return
        height, width = aim.pixels.shape[:2]
        start = cv2.resize(
            aim.pool.wanted[int(random.integers(len(aim.pool.wanted)))],
            (width, height),
            interpolation=cv2.INTER_AREA,
        )
        near: list[tuple[float, Pixels]] = []

        def predict(batch: np.ndarray) -> np.ndarray:
            fooled = []
            for one in batch:
                shown = np.clip(np.rint(one), 0, 255).astype(np.uint8)
                fooled.append(target.ask(shown).decision is not aim.goal.right)
                if fooled[-1]:
                    near.append((distance(shown, aim.pixels), shown))
            return np.stack([np.logical_not(fooled), fooled], 1).astype(np.float32)

        box = BlackBoxClassifierNeuralNetwork(
            predict, aim.pixels.shape, 2, channels_first=False, clip_values=(0, 255)
        )
        attack = HopSkipJump(
            box, batch_size=1, max_iter=50, init_eval=10, max_eval=200, verbose=False
        )
        state = np.random.get_state()
        np.random.seed(int(random.integers(2**31)))
        try:
            attack.generate(
                aim.pixels[None].astype(np.float32),
                np.array([[1.0, 0.0]], np.float32),
                x_adv_init=start[None].astype(np.float32),
            )
        except Spent:
            pass
        finally:
            np.random.set_state(state)
        if near:
            far, shown = min(near, key=lambda one: one[0])
            if far <= FAR:
                yield shown


def distance(first: Pixels, second: Pixels) -> float:
    """Root of the mean squared difference, levels."""
    return float(np.sqrt(np.mean((first.astype(np.float64) - second) ** 2)))


ATTACK = Boundary(
    "HopSkipJump on decisions",
    "J. Chen, M. Jordan, M. Wainwright, HopSkipJumpAttack, IEEE S&P 2020",
    "decisions",
    costly=True,
    package="art",
)
