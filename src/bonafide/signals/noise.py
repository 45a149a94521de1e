"""Noise of small blocks, and regions of a grid where a rare event happens too often.

Sources: M. Gardella, P. Musé, J.-M. Morel, M. Colom, "Noisesniffer: a Fully Automatic Image
Forgery Detector Based on Noise Analysis", IWBF 2021, and its refinement in IPOL 14, 2024
(region growing); A. Desolneux, L. Moisan, J.-M. Morel, "From Gestalt Theory to Image Analysis",
2008 (number of false alarms).
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonafide.signals.acontrario import log10_false_alarms


@dataclass(frozen=True)
class CellRegion:
    """A 4-connected set of cells in which an event is more frequent than chance allows.

    Attributes:
        cells: bool, the grid's shape; holes are filled.
        log10_false_alarms: log10 of the expected number of equally surprising regions.
        share: successes over trials in the region, in [0, 1].
    """

    cells: NDArray[np.bool_]
    log10_false_alarms: float
    share: float


def grow_regions(
    successes: NDArray[np.floating],
    trials: NDArray[np.floating],
    probability: float,
    log10_threshold: float = 0.0,
    families: int = 1,
) -> list[CellRegion]:
    """Find regions of a grid where successes concentrate beyond chance.

    From every promising cell a region grows by its most surprising neighbour as long as that
    lowers the number of false alarms. Regions of n cells are counted as polyominoes, of which a
    grid of N cells holds about N·0.317·4.0626ⁿ/n (I. Jensen, A. Guttmann, 2000).

    Args:
        successes: per cell, in [0, trials].
        trials: independent trials per cell, ≥ 0; need not be whole.
        probability: chance of a success under the background model, in (0, 1).
        log10_threshold: keep regions whose log10 number of false alarms is below this.
        families: how many times the whole search is made on one picture.

    Returns:
        Disjoint regions, most surprising first.
    """
    height, width = trials.shape
    spread = np.sqrt(np.maximum(trials, 1e-9) * probability * (1 - probability))
    surprise = np.where(trials > 0, (successes - trials * probability) / spread, -np.inf)
    tests = math.log10(max(height * width, 1) * families)

    def false_alarms(size: int, happened: float, tried: float) -> float:
        shapes = tests + math.log10(0.317 / size) + size * math.log10(4.0626)
        return log10_false_alarms(shapes, min(happened, tried), tried, probability)

    used = np.zeros((height, width), bool)
    regions: list[CellRegion] = []
    for seed in np.argsort(-surprise, axis=None, kind="stable"):
        y, x = divmod(int(seed), width)
        if surprise[y, x] < 1.0:
            break
        if used[y, x]:
            continue
        members = [(y, x)]
        seen = {(y, x)}
        happened, tried = float(successes[y, x]), float(trials[y, x])
        best = false_alarms(1, happened, tried)
        frontier: list[tuple[float, int, int]] = []
        while True:
            y, x = members[-1]
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < height and 0 <= near[1] < width
                if inside and near not in seen and not used[near] and surprise[near] > 0:
                    seen.add(near)
                    heapq.heappush(frontier, (-float(surprise[near]), *near))
            grown = False
            while frontier and not grown:
                _, y, x = heapq.heappop(frontier)
                more, tries = happened + float(successes[y, x]), tried + float(trials[y, x])
                value = false_alarms(len(members) + 1, more, tries)
                if value < best:
                    best, happened, tried, grown = value, more, tries, True
                    members.append((y, x))
            if not grown:
                break
        cells = np.zeros((height, width), bool)
        cells[tuple(np.transpose(members))] = True
        used |= cells
        if best < log10_threshold:
            cells = ndimage.binary_fill_holes(cells)
            regions.append(CellRegion(cells, best, happened / tried))
    return sorted(regions, key=lambda region: region.log10_false_alarms)


def cell_side(height: int, width: int, smallest: int, multiple: int, most: int = 4000) -> int:
    """Side in pixels of square cells, at most about `most` of them on the picture."""
    wanted = max(smallest, math.sqrt(height * width / most))
    return max(1, math.ceil(wanted / multiple)) * multiple


def pool(values: NDArray[np.generic], side: int) -> NDArray[np.float64]:
    """Sum `values` H×W over cells of side×side; the last row and column may be partial."""
    height, width = values.shape
    if not height or not width:
        return np.zeros((math.ceil(height / side), math.ceil(width / side)))
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    down = np.add.reduceat(values.astype(np.float64), rows, axis=0)
    pooled: NDArray[np.float64] = np.add.reduceat(down, columns, axis=1)
    return pooled


def spread_cells(
    values: NDArray[np.float32], side: int, height: int, width: int
) -> NDArray[np.float32]:
    """Paint a grid of cells on a picture of height×width; the last cells stretch to the border."""
    rows = np.minimum(np.arange(height) // side, values.shape[0] - 1)
    columns = np.minimum(np.arange(width) // side, values.shape[1] - 1)
    painted: NDArray[np.float32] = values[:, columns][rows]
    return painted
