"""How often chance alone would make two places of one picture equal pixel by pixel.

An exact clone in a picture that was not compressed since is equal to its original in every pixel.
Two different places of a scene are not, however alike, since each has noise of its own.

The bound is a-contrario (A. Desolneux, L. Moisan, J.-M. Morel, "Meaningful Alignments", IJCV,
2000): the expected number of coincidences as good as the measured one in a picture of pure chance,

    NFA = N · P(at least m of k cells are equal),

where the places are squares, divided into cells of 4×4 pixels of which only one counts as
independent, a cell is equal where all its pixels are, and

- N = (H · W · min(H, W)) · (H · W) is the number of squares times that of shifts by whole pixels.
  It counts all that could be tried, so however the shift and the square were chosen, the bound
  holds.
- P ≤ exp(−k · KL(m/k ‖ p)) (Chernoff) with independent cells, each equal with probability p.
- p is the larger of `LEAST`, and the share of pixels of the two squares that equal a direct
  neighbour. Two values with independent Gaussian noise of standard deviation s are equal after
  rounding with a probability of at most 1 / (2 s √π), so `LEAST` = 0.6 stands for s = 0.47 levels.

What the bound does not cover: pictures that repeat themselves by other means than chance, as
drawings, screens and tiles of a game do; and pictures without noise, as after strong compression.
So it is given for pictures that are not JPEG alone, and is no probability of innocence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 4  # side of the cells, in pixels
LEAST = 0.6  # least chance that a cell is equal
EQUAL = 5e-4  # levels of luma; different colours differ by more, and rounding of one by less
NO_CLAIM = 0.0  # log10 of the bound where nothing can be said

Square = tuple[int, int, int]  # top, left, side


def log10_coincidences(
    luma: NDArray[np.float32], mask: NDArray[np.bool_], shift: tuple[int, int]
) -> float:
    """log10 of the expected number of chance coincidences as good as this one.

    Args:
        luma: float32 H×W in [0, 255], not resized.
        mask: bool H×W, the part found to be repeated.
        shift: pixels down and right from the part to its lookalike.

    Returns:
        At most 0, and 0 where nothing can be said; −20 means 1e-20 such pairs per picture.
    """
    square = inscribed(mask)
    here, there = (_cut(luma, square, by) for by in ((0, 0), shift))
    if here is None or there is None:
        return NO_CLAIM
    cells = _cells(np.abs(here - there) < EQUAL)
    count, equal = cells.size, int(cells.sum())
    chance = max(LEAST, *(_equal_neighbours(place) for place in (here, there)))
    height, width = luma.shape
    tests = 2 * math.log10(height * width) + math.log10(min(height, width))
    return min(NO_CLAIM, tests + _log10_tail(count, equal, chance))


def inscribed(mask: NDArray[np.bool_]) -> Square:
    """The largest square inside `mask` (bool H×W)."""
    padded = np.pad(mask, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_C, 3)
    _, most, _, (x, y) = cv2.minMaxLoc(depth)
    reach = max(0, int(most) - 1)
    return y - 1 - reach, x - 1 - reach, 2 * reach + 1


def _cut(
    luma: NDArray[np.float32], square: Square, shift: tuple[int, int]
) -> NDArray[np.float32] | None:
    """The shifted square of `luma`; None if it is smaller than a cell or juts out."""
    top, left, side = square[0] + shift[0], square[1] + shift[1], square[2]
    height, width = luma.shape
    if side < CELL or min(top, left) < 0 or top + side > height or left + side > width:
        return None
    return luma[top : top + side, left : left + side]


def _cells(equal: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all pixels of each whole cell are set."""
    side = len(equal) // CELL * CELL
    return np.asarray(
        equal[:side, :side].reshape(side // CELL, CELL, -1, CELL).all(axis=(1, 3)), bool
    )


def _equal_neighbours(place: NDArray[np.float32]) -> float:
    """The share of pixels that equal the next one to the right or below, whichever is more."""
    steps = (np.diff(place, axis=axis) for axis in (0, 1))
    return max(float((np.abs(step) < EQUAL).mean()) for step in steps)


def _log10_tail(count: int, equal: int, chance: float) -> float:
    """Chernoff's bound on log10 P(at least `equal` of `count`), each with `chance`."""
    share = equal / count
    if share <= chance:
        return 0.0
    divergence = share * math.log(share / chance)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - chance))
    return -count * divergence / math.log(10)
