"""A patch from another picture, made smaller by differential evolution on decisions.

A candidate is a rectangle of whole corners; what it shows is cut from a picture that is answered
as the attacker wants. It starts as the whole picture. A patch that covers more than `LARGEST` is
given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.target import Target

LARGEST = 0.25  # share of the picture
_POPULATION = 6
_SCALES = (0.9, 0.75, 0.5, 0.35)  # of the sides of the first rectangles

Corners = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True)
class Patch(Attack):
    """DevoPatch."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """Pictures with smaller and smaller patches; see `Attack`."""
        if not aim.pool.wanted:
            return
        height, width = aim.pixels.shape[:2]
        source = cv2.resize(
            aim.pool.wanted[int(random.integers(len(aim.pool.wanted)))],
            (width, height),
            interpolation=cv2.INTER_AREA,
        )

        def fooled(corners: Corners) -> bool:
            shown = pasted(aim.pixels, source, corners)
            return target.ask(shown).decision is not aim.goal.right

        whole = (0, 0, height, width)
        if not fooled(whole):
            return
        population = [whole] * _POPULATION
        for number in range(1, _POPULATION):  # a few of different size and place
            scale = _SCALES[(number - 1) % len(_SCALES)]
            tall, wide = int(scale * height), int(scale * width)
            top, left = (
                int(random.integers(height - tall + 1)),
                int(random.integers(width - wide + 1)),
            )
            if fooled(one := (top, left, top + tall, left + wide)):
                population[number] = one
        smallest = LARGEST * height * width
        while True:
            population.sort(key=area)
            if area(population[0]) <= smallest:
                smallest = area(population[0]) - 1
                yield pasted(aim.pixels, source, population[0])
            first, second = random.choice(np.arange(1, _POPULATION), 2, replace=False)
            moved = (
                np.array(population[0])
                + np.array(population[first])
                - np.array(population[second])
                + random.integers(-1, 2, 4) * max(1, min(height, width) // 32)
            )
            tried = within(moved, height, width)
            if area(tried) < area(population[-1]) and fooled(tried):
                population[-1] = tried


def pasted(pixels: Pixels, source: Pixels, corners: Corners) -> Pixels:
    """The picture with a rectangle of another one of its size."""
    top, left, bottom, right = corners
    shown = pixels.copy()
    shown[top:bottom, left:right] = source[top:bottom, left:right]
    return shown


def area(corners: Corners) -> int:
    """Pixels of a rectangle."""
    top, left, bottom, right = corners
    return (bottom - top) * (right - left)


def within(moved: np.ndarray, height: int, width: int) -> Corners:
    """The nearest rectangle of at least one pixel inside of a picture."""
    top, bottom = sorted(int(value) for value in np.clip(moved[[0, 2]], 0, height))
    left, right = sorted(int(value) for value in np.clip(moved[[1, 3]], 0, width))
    top, left = min(top, height - 1), min(left, width - 1)
    return top, left, max(bottom, top + 1), max(right, left + 1)


ATTACK = Patch(
    "A small patch, by differential evolution",
    "Z. Chen et al., Query-Efficient Decision-Based Black-Box Patch Attack, IEEE TIFS 2023",
    "decisions",
    costly=True,
)
