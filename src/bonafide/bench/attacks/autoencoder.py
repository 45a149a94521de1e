"""Laundering by a small autoencoder: each patch through fewer numbers, and back.

The autoencoder is linear and fitted to the picture itself: patches of 8×8 pixels are described by
their first principal components and put together again, overlapping ones averaged. It takes no
weights, removes traces of pixels as decoders do, and leaves its own. A network in an ONNX file can
take its place (`bonafide bench attack --autoencoder FILE.onnx`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bonafide.bench.attacks.attack import Aim, Attack, Budget, Pixels
from bonafide.bench.attacks.target import Target
from bonafide.networks.picture_network import picture_network

SIDE, STRIDE = 8, 2  # pixels


@dataclass(frozen=True)
class Autoencoder(Attack):
    """Principal components of patches; a strength is how many of 192 numbers are left out."""

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """The reconstruction."""
        yield reconstructed(aim.pixels, SIDE * SIDE * 3 - int(strength))


@dataclass(frozen=True)
class Through(Attack):
    """A network of the user's own: float32 (1, 3, H, W) in [0, 1] → the same.

    Attributes:
        path: of the ONNX file.
    """

    path: Path = Path()

    @classmethod
    def of(cls, path: Path) -> Through:
        """The attack that sends pictures through a file."""
        return cls(f"Laundering through {path.name}", "the user's", "nothing", strengths=(1.0,),
                   path=path)  # fmt: skip

    def run(
        self,
        target: Target,
        aim: Aim,
        budget: Budget,
        strength: float,
        random: np.random.Generator,
    ) -> Iterator[Pixels]:
        """What the network makes of the picture; sides are padded to multiples of 32."""
        height, width = aim.pixels.shape[:2]
        padded = np.pad(aim.pixels, ((0, -height % 32), (0, -width % 32), (0, 0)), "reflect")
        made = picture_network(self.path)(padded)
        yield np.ascontiguousarray(made[:height, :width])


def reconstructed(pixels: Pixels, kept: int) -> Pixels:
    """A picture from the first `kept` principal components of its patches.

    Args:
        pixels: uint8 H×W×3, each side at least 8 pixels.
        kept: of 192.
    """
    height, width = pixels.shape[:2]
    tops = _starts(height)
    lefts = _starts(width)
    views = sliding_window_view(pixels, (SIDE, SIDE), (0, 1))[tops][:, lefts]
    patches = views.reshape(len(tops) * len(lefts), -1).astype(np.float32)
    mean = patches.mean(0)
    centred = patches - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, -kept:]
    decoded = (centred @ basis @ basis.T + mean).reshape(len(tops), len(lefts), 3, SIDE, SIDE)
    total = np.zeros(pixels.shape, np.float32)
    count = np.zeros((height, width, 1), np.float32)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            place = slice(top, top + SIDE), slice(left, left + SIDE)
            total[place] += decoded[row, column].transpose(1, 2, 0)
            count[place] += 1
    shown: Pixels = np.clip(np.rint(total / count), 0, 255).astype(np.uint8)
    return shown


def _starts(side: int) -> np.ndarray:
    """Where patches start, the last at the border."""
    return np.unique([*range(0, side - SIDE + 1, STRIDE), side - SIDE])


ATTACK = Autoencoder(
    "Laundering by an autoencoder of patches",
    "This project; after G. Hinton and R. Salakhutdinov, Science 313, 2006, linear case",
    "nothing",
    strengths=(176, 186),
)
