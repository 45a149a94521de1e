"""The trace of an earlier JPEG save in pixels that are no JPEG any more.

A picture that was decoded from a JPEG and stored without loss still has coefficients near
multiples of the steps that the JPEG was quantised with, off by what rounding the pixels adds.
The steps are read off the histograms of the coefficients; each block then says how much likelier
its coefficients are after that save than without it.

Sources: Z. Fan, R. L. de Queiroz, "Identification of Bitmap Compression History: JPEG Detection
and Quantizer Estimation", IEEE TIP 12(2), 2003, for multiples of a step in decoded pixels;
W. Li, Y. Yuan, N. Yu, "Passive detection of doctored JPEG image via block artifact grid
extraction", Signal Processing 89, 2009, for parts in which the trace of the rest is missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals import jpeg
from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = np.arange(2, 65)  # that are tried
BIN = 0.25  # of the histograms, levels
TOP = 4096  # bins
REACHED = 0.6  # of a step: smaller coefficients say nothing of their multiples
CLEAR = 8.0  # standard deviations by which a period must stand out of chance
PERIODIC = 0.25  # least mean of cos(2π c / step), 1 for exact multiples, 0 by chance
FEWEST = 20  # coefficients that tell a step
FEWEST_FREQUENCIES = 6  # with a known step, below which there is no trace of a save
SAMPLE = 16_384  # blocks that the steps are read off
ROUNDING = 0.4  # standard deviation that rounding the pixels gives a coefficient, at first
ROUNDINGS = (0.3, 0.8)  # least and most that is believed
OUTLIERS = 0.03  # share of coefficients that anything may have happened to
SPOKEN = 4.0  # standard deviations above which a coefficient differs from zero
TOLD = 6.0  # standard deviations that a step must have to tell multiples
STRIP = 64  # rows of blocks that are transformed together
INFORMED = 12.0  # log-likelihood ratio of 3×3 blocks from which they have, or lack, the trace


@dataclass(frozen=True)
class DecodedHistory:
    """What blocks say of an earlier save; arrays are (rows, columns) of blocks.

    Attributes:
        origin: column and row where the grid starts, pixels, 0–7.
        steps: int32 8×8, 0 where the step is not known.
        rounding: standard deviation of what the pixels' rounding did to coefficients, levels.
        ratios: float32, natural-log likelihood ratio of the save against none; 0 for blocks with
            clipped pixels, in which other rules hold.
    """

    origin: tuple[int, int]
    steps: NDArray[np.int32]
    rounding: float
    ratios: NDArray[np.float32]

    def around(self) -> NDArray[np.float32]:
        """The sum of `ratios` over 3×3 blocks, float32."""
        summed: NDArray[np.float32] = cv2.boxFilter(
            self.ratios, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        return summed


def decoded_history(
    luma: NDArray[np.float32], pixels: NDArray[np.uint8], origin: tuple[int, int] = (0, 0)
) -> DecodedHistory | None:
    """Find the trace of an earlier save on one grid.

    Args:
        luma: float32 H×W in [0, 255], stored orientation.
        pixels: uint8 H×W×3, looked at for clipping only.
        origin: column and row where the grid starts, 0–7.

    Returns:
        None where the picture as a whole shows none.
    """
    usable = ~jpeg.clipped_blocks(pixels, origin)
    if not usable.any():
        return None
    sample = _sampled(luma, origin, usable)
    steps = read_steps(sample, PERIODIC)
    if np.count_nonzero(steps) < FEWEST_FREQUENCIES:
        return None
    first = DecodedHistory(origin, steps, ROUNDING, _ratios(luma, origin, usable, steps, ROUNDING))
    has = usable & (first.around() > INFORMED)
    if np.count_nonzero(has) < FEWEST:
        return None
    # Blocks that were saved tell the steps better than all blocks together.
    sample = _sampled(luma, origin, has)
    refined = read_steps(sample, 2 * PERIODIC)
    if np.count_nonzero(refined) < FEWEST_FREQUENCIES:
        return None
    rounding = _rounding(sample, refined)
    ratios = _ratios(luma, origin, usable, refined, rounding)
    return DecodedHistory(origin, refined, rounding, ratios)


def read_steps(blocks: NDArray[np.float32], periodic: float) -> NDArray[np.int32]:
    """The quantisation step of each frequency, as far as it shows.

    Args:
        blocks: float32 N×8×8 coefficients, levels.
        periodic: least mean of cos(2π c / step) over the coefficients of a frequency.

    Returns:
        int32 8×8, 0 where none stands out; the mean brightness is never read.
    """
    steps = np.zeros((8, 8), np.int32)
    bins = np.minimum((np.abs(blocks) / BIN + 0.5).astype(np.int32), TOP - 1)
    waves = np.cos(2 * np.pi * BIN * np.arange(TOP)[:, None] / STEPS)
    starts = (REACHED * STEPS / BIN + 0.5).astype(int)
    waves[np.arange(TOP)[:, None] < starts] = 0
    for row in range(8):
        for column in range(8):
            if row == column == 0:
                continue
            counts = np.bincount(bins[:, row, column], minlength=TOP).astype(np.float64)
            counts[-1] = 0  # all that lies beyond
            above = counts[::-1].cumsum()[::-1][starts]
            known = above >= FEWEST
            mean = (counts @ waves) / np.maximum(above, 1)
            # The mean of n cosines of uniform phase has a variance of 1 / (2 n).
            clear = known & (mean * np.sqrt(2 * above) > CLEAR) & (mean > periodic)
            if clear.any():
                steps[row, column] = STEPS[int(np.where(clear, mean, -1).argmax())]
    return steps


def _sampled(
    luma: NDArray[np.float32], origin: tuple[int, int], chosen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Coefficients of at most about `SAMPLE` of the chosen blocks, float32 N×8×8."""
    every = max(1, math.ceil(np.count_nonzero(chosen) / SAMPLE))
    found = []
    for row in range(0, len(chosen), every):
        top = origin[1] + 8 * row
        found.append(jpeg.block_dct(luma[top : top + 8], (origin[0], 0))[0][chosen[row]])
    return np.concatenate(found)


def _rounding(blocks: NDArray[np.float32], steps: NDArray[np.int32]) -> float:
    """Standard deviation of coefficients around the multiples of their steps, levels."""
    apart = []
    for row, column in np.argwhere(steps >= TOLD * ROUNDING):
        step = np.float32(steps[row, column])
        values = blocks[:, row, column]
        values = values[np.abs(values) > REACHED * step]
        apart.append(np.abs(values - step * np.rint(values / step)))
    away = np.concatenate(apart) if apart else np.zeros(0, np.float32)
    spread = 1.4826 * float(np.median(away)) if away.size else ROUNDING
    return min(max(spread, ROUNDINGS[0]), ROUNDINGS[1])


def _ratios(
    luma: NDArray[np.float32],
    origin: tuple[int, int],
    usable: NDArray[np.bool_],
    steps: NDArray[np.int32],
    rounding: float,
) -> NDArray[np.float32]:
    """Log-likelihood ratio of each block, see `DecodedHistory.ratios`.

    With the save a coefficient lies around a multiple of its step, zero included, normally
    distributed, but for `OUTLIERS`; without it, anywhere between two multiples. Coefficients that
    rounding alone could have made of zero are left out: smooth parts have them in any case. So are
    frequencies of rows or columns alone: where all rows of a smooth block are alike, their rounding
    errors add up, and are neither small nor normal.
    """
    found = np.zeros(usable.shape, np.float32)
    told = [
        (row, column) for row, column in np.argwhere(steps >= TOLD * rounding) if row and column
    ]
    scale = np.float32(1 / (rounding * math.sqrt(2)))
    for first in range(0, len(usable), STRIP):
        part = usable[first : first + STRIP]
        top = origin[1] + 8 * first
        blocks = jpeg.block_dct(luma[top : top + 8 * len(part)], (origin[0], 0))
        sums = found[first : first + STRIP]
        for row, column in told:
            values = np.abs(blocks[..., row, column])
            step = np.float32(steps[row, column])
            apart = values - step * np.rint(values / step)
            peak = np.float32((1 - OUTLIERS) * step / (rounding * math.sqrt(2 * math.pi)))
            likely = np.log(peak * np.exp(-np.square(apart * scale)) + np.float32(OUTLIERS))
            sums += np.where(values > SPOKEN * rounding, likely, np.float32(0))
        sums[~part] = 0
    return found
