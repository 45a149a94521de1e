"""Erases a region of a picture, and measures what a score owes to it.

The fill is made from the surroundings alone: known pixels are averaged from coarse to fine, and
the grain of the surroundings is added, so that a hole does not stand out by being smooth. It is not
a forger's fill: detectors may mark it, and figures are given for the same areas elsewhere as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.types import Box

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Score = Callable[[Pixels], float | None]
TRIES = 64  # to place a box of the same size elsewhere


class Filler(Protocol):
    """Fills a hole of a picture."""

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """The picture, uint8 H×W×3, with what `mask`, bool H×W, marks filled."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """Averages of what is known, from coarse to fine, with the grain of a ring around the hole.

    Args:
        grain: whether noise of the ring's strength is added.
        seed: of the noise.
    """

    grain: bool = True
    seed: int = 0

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """See `Filler`; a picture without a known pixel comes back as it is."""
        if not mask.any() or mask.all():
            return pixels
        smooth = averaged(pixels.astype(np.float32), ~mask)
        if self.grain:
            ring = cv2.dilate(mask.astype(np.uint8), np.ones((17, 17), np.uint8)).astype(bool)
            ring &= ~mask
            seen = np.where(mask[..., None], smooth, pixels.astype(np.float32))
            rest = seen - cv2.GaussianBlur(seen, (0, 0), 1.5)
            spread = rest[ring].std(axis=0) if ring.any() else np.zeros(3, np.float32)
            noise = np.random.default_rng(self.seed).standard_normal(pixels.shape[:2])
            smooth += noise[..., None].astype(np.float32) * spread
        levels = np.clip(np.rint(smooth), 0, 255).astype(np.uint8)
        return np.where(mask[..., None], levels, pixels)


@dataclass(frozen=True)
class Blur:
    """Averages without grain: a fill that is plainly smooth."""

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """See `Filler`."""
        return Surroundings(grain=False).fill(pixels, mask)


def averaged(pixels: NDArray[np.float32], known: Mask) -> NDArray[np.float32]:
    """Unknown pixels as averages of known ones, halving until one is known everywhere.

    Args:
        pixels: float32 H×W×3; unknown ones are not looked at.
        known: bool H×W, at least one.

    Returns:
        float32 H×W×3; known pixels as they were.

    Source: the pull-push of Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4.
    """
    weight = known.astype(np.float32)
    if known.all() or min(known.shape) < 2:
        total = max(float(weight.sum()), 1.0)
        mean = (pixels * weight[..., None]).sum((0, 1)) / total
        return np.where(known[..., None], pixels, mean).astype(np.float32)
    rows, columns = known.shape
    half = ((columns + 1) // 2, (rows + 1) // 2)
    padding = ((0, rows % 2), (0, columns % 2))
    sums = _pooled(np.pad(pixels * weight[..., None], (*padding, (0, 0))))
    counts = _pooled(np.pad(weight, padding)[..., None])
    coarse = sums / np.maximum(counts, 1.0)
    filled = averaged(coarse.astype(np.float32), counts[..., 0] > 0)
    large = cv2.resize(filled, (half[0] * 2, half[1] * 2), interpolation=cv2.INTER_LINEAR)
    return np.where(known[..., None], pixels, large[:rows, :columns]).astype(np.float32)


def _pooled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns, depth = values.shape
    pooled: NDArray[np.float32] = values.reshape(rows // 2, 2, columns // 2, 2, depth).sum((1, 3))
    return pooled


def mask_of(boxes: Sequence[Box], shape: tuple[int, int]) -> Mask:
    """bool H×W, true in the boxes, which may reach over the edge."""
    mask = np.zeros(shape, np.bool_)
    for box in boxes:
        top, left = max(0, box.y), max(0, box.x)
        mask[top : max(0, box.y + box.height), left : max(0, box.x + box.width)] = True
    return mask


def elsewhere(mask: Mask, seed: int) -> Mask | None:
    """The same shape moved to a place that it does not touch; None if `TRIES` find none."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return None
    height, width = mask.shape
    for _ in range(TRIES):
        down = int(rng.integers(-rows.min(), height - rows.max()))
        right = int(rng.integers(-columns.min(), width - columns.max()))
        moved = np.zeros_like(mask)
        moved[rows + down, columns + right] = True
        if not (moved & mask).any():
            return moved
    return None


@dataclass(frozen=True)
class Owed:
    """What a score owes to a region; each is the score of the whole less that of a changed copy.

    Attributes:
        deletion: region filled. Large if the score rests on the region (comprehensiveness).
        sufficiency: all but the region filled. Near zero if the region alone carries the score.
        elsewhere: the same area filled somewhere else, None where there is no room.
    """

    deletion: float
    sufficiency: float
    elsewhere: float | None


def owed(pixels: Pixels, mask: Mask, score: Score, filler: Filler, seed: int = 0) -> Owed | None:
    """Measure what a score owes to a region.

    Args:
        pixels: uint8 H×W×3.
        mask: bool H×W, the cited region.
        score: of pixels; None where it cannot be measured.
        filler: of holes.
        seed: of the place elsewhere.

    Returns:
        None without a region, or where a score of the whole or of a copy cannot be measured.
    """
    if not mask.any() or mask.all():
        return None
    other = elsewhere(mask, seed)
    whole = score(pixels)
    without = score(filler.fill(pixels, mask))
    alone = score(filler.fill(pixels, ~mask))
    if whole is None or without is None or alone is None:
        return None
    moved = None if other is None else score(filler.fill(pixels, other))
    return Owed(whole - without, whole - alone, None if moved is None else whole - moved)
