"""What an attack is, and which there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.bench.attacks.target import Goal, Target
from bonafide.errors import InvalidInput

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Budget:
    """What an attack may spend and change.

    Attributes:
        queries: answers that it may ask for.
        epsilon: largest change of a channel, 8-bit levels, where the attack has such a bound.
    """

    queries: int = 40
    epsilon: int = 8


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures that an attacker has of their own, from other sources than those attacked.

    Attributes:
        wanted: pictures that are what the attacked one is to be taken for.
        alike: pictures that are what the attacked one is.
    """

    wanted: tuple[Pixels, ...]
    alike: tuple[Pixels, ...]


@dataclass(frozen=True)
class Aim:
    """One picture to attack.

    Attributes:
        pixels: uint8 H×W×3 RGB.
        goal: to hide what it is, or to have it accused.
        pool: further pictures.
        mask: bool H×W, True where it was edited; None where nothing says so.
    """

    pixels: Pixels
    goal: Goal
    pool: Pool
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Attack(ABC):
    """One file of this folder defines `ATTACK`, an instance of such a class.

    Attributes:
        title: a few words.
        paper: where it is from.
        knows: "nothing", "decisions" or "scores" of the detector that is attacked.
        costly: whether it asks or computes much, so that it is run on few pictures.
        quality: of the JPEG in which its pictures are handed in; None for PNG.
        strengths: what is tried one after the other, weakest first; () for one run, whose budget
            of queries is reported in steps.
        needs_mask: whether it is for edited pictures whose mask is known.
        stability: whether the target looks at changed copies as well.
        share: of the budget's queries that it gets, since answers cost unlike much.
        package: that it needs beside those of the bench, "" for none.
    """

    title: str
    paper: str
    knows: str
    costly: bool = False
    quality: int | None = None
    strengths: tuple[float, ...] = ()
    needs_mask: bool = False
    stability: bool = False
    share: float = 1.0
    package: str = ""

    @abstractmethod
    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """Pictures uint8 H×W×3, each better for the attacker than the one before.

        Ends when it has no more ideas, or is ended by `Spent` when its queries are.
        """


@lru_cache(maxsize=1)
def attacks() -> Mapping[str, Attack]:
    """All attacks by the name of their file, in alphabetical order."""
    found: dict[str, Attack] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        module = import_module(f"{__package__}.{path.stem}")
        if (one := getattr(module, "ATTACK", None)) is not None:
            found[path.stem] = one
    return found


def chosen(names: Sequence[str], more: Mapping[str, Attack]) -> dict[str, Attack]:
    """Attacks by name; all without any.

    Args:
        names: of those that are wanted.
        more: further ones than those of this folder.

    Raises:
        InvalidInput: there is none of a name.
    """
    known = {**attacks(), **more}
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(f"no attack is called {unknown[0]!r}; there are: {', '.join(known)}")
    return {name: known[name] for name in names or known}
