"""An answer that no patch below a size can change, from one probe on separate parts of a picture.

The picture is cut into a grid of parts, each is asked alone, and the parts vote. A patch reaches at
most so many parts; where the lead of the majority is more than twice that, no content of the patch
can turn it. This is a property of the vote, proved for every patch, not found by an attack.

Reference: A. Levine and S. Feizi, "(De)Randomized Smoothing for Certifiable Defense against Patch
Attacks", NeurIPS 2020; C. Xiang et al., "PatchGuard", USENIX Security 2021, for small receptive
fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import probe
from bonafide.networks.clip import square_view, tokens_of

GRID = 4  # parts along each side


@dataclass(frozen=True)
class Certificate:
    """How parts voted.

    Attributes:
        votes: parts whose log-odds are positive.
        parts: all of them.
        reached: parts that a patch of the size in question reaches at most.
    """

    votes: int
    parts: int
    reached: int

    @property
    def accused(self) -> bool:
        """What the majority says; a tie does not accuse."""
        return 2 * self.votes > self.parts

    @property
    def certain(self) -> bool:
        """Whether no patch can turn the majority."""
        if self.accused:
            return 2 * (self.votes - self.reached) > self.parts
        return 2 * (self.votes + self.reached) <= self.parts


def certify(pixels: NDArray[np.uint8], weights: str, share: float) -> Certificate:
    """Let a probe vote on the parts of a picture.

    Args:
        pixels: uint8 H×W×3.
        weights: id of the probe.
        share: of the picture's area that a square patch may have.

    Raises:
        WeightsError: the probe or the tower cannot be opened.
    """
    views = np.stack([square_view(part) for part in parts(pixels)])
    read = probe.blocks(weights)
    tokens = np.concatenate([tokens_of(one[None], read) for one in views])
    logits, _ = probe.read(weights, tokens)
    return Certificate(int((logits > 0).sum()), len(views), reached(pixels.shape[:2], share))


def parts(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The parts of the grid, row by row; none overlaps another."""
    rows = np.array_split(np.arange(pixels.shape[0]), GRID)
    columns = np.array_split(np.arange(pixels.shape[1]), GRID)
    return [pixels[r[0] : r[-1] + 1, c[0] : c[-1] + 1] for r in rows for c in columns]


def reached(shape: tuple[int, ...], share: float) -> int:
    """Parts that a square patch of a share of the area reaches at most, wherever it lies."""
    side = math.ceil(math.sqrt(share * shape[0] * shape[1]))
    along = [min(GRID, 1 + math.ceil((side - 1) / (length // GRID))) for length in shape[:2]]
    return along[0] * along[1]
