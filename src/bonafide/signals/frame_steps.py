"""How much each frame differs from the one before: repeated, missing and interpolated frames.

A frame that is shown twice, amid motion, differs from its predecessor by next to nothing. Where a
frame was left out, the step is larger than its neighbours. Frames that were interpolated have less
detail and noise than their neighbours, since they are means of them. A converted frame rate does
each of these at a fixed distance.

Sources: W. Wang, H. Farid, "Exposing Digital Forgeries in Video by Detecting Duplication", ACM
MM&Sec 2007; P. Bestagini, S. Battaglia, S. Milani et al., "Detection of Temporal Interpolation in
Video Sequences", ICASSP 2013 (the traces; the tests are our own).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.heavy import cv2
from bonafide.signals.periods import Period, period_of

SMALL = 160  # pixels of the longer side at which steps are compared
WINDOW = (512, 768)  # rows and columns of the middle that are read at native size
CELL = 8  # pixels of a cell over which fine steps are averaged
MOVES = 0.5  # 8-bit levels; a median step below is no motion
_SAME = 0.15  # of the median step around: the frame is the one before
_MISSING = 1.3  # of the mean step beside it
_LESS = 0.95  # of the mean detail beside it
_FAR_LESS = 0.88  # likewise; more than a codec's own frames in between lose
_LONGEST = 12  # frames between two that a conversion repeats or leaves out, at most
_AROUND = 8  # frames
SURE = -4.0  # log10 of the false alarms from which a period is told


@dataclass(frozen=True, eq=False)
class Steps:
    """What was kept of the frames.

    Attributes:
        seconds: float64 (n,), when each is shown.
        coarse: float64 (n,), mean difference from the frame before, of the shrunken luma [8-bit
            levels]; the first is that of the second.
        fine: float64 (n, 2), lower quartile and median, over cells, of the difference at native
            size; the first is that of the second.
        light: float64 (n,), mean luma.
        detail: float64 (n,), mean of what a blur removes, absolute.
    """

    seconds: NDArray[np.float64]
    coarse: NDArray[np.float64]
    fine: NDArray[np.float64]
    light: NDArray[np.float64]
    detail: NDArray[np.float64]


class Reader:
    """Takes frames one by one and keeps numbers of each, no pixels but the last."""

    def __init__(self) -> None:
        self._small: NDArray[np.float32] | None = None
        self._middle: NDArray[np.float32] | None = None
        self._rows: list[tuple[float, float, float, float, float, float]] = []

    def add(self, seconds: float, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Take a frame, uint8 H×W×3; give the middle of its luma, float32 h×w, at native size."""
        luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        height, width = luma.shape
        scale = min(1.0, SMALL / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        middle = _middle(luma)
        detail = float(np.abs(middle - cv2.GaussianBlur(middle, (0, 0), 1.0)).mean())
        coarse, fine = 0.0, (0.0, 0.0)
        if self._small is not None and self._small.shape == small.shape:
            coarse = float(np.abs(small - self._small).mean())
            assert self._middle is not None
            cells = _cells(np.abs(middle - self._middle))
            low, half = np.percentile(cells, (25, 50))
            fine = (float(low), float(half))
        self._small, self._middle = small, middle
        self._rows.append((seconds, coarse, *fine, float(small.mean()), detail))
        return middle

    def steps(self) -> Steps:
        """What was kept so far."""
        rows = np.array(self._rows, np.float64).reshape(-1, 6)
        if len(rows) > 1:
            rows[0, 1:4] = rows[1, 1:4]
        return Steps(rows[:, 0], rows[:, 1], rows[:, 2:4], rows[:, 4], rows[:, 5])


def _middle(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = luma.shape
    rows, columns = min(height, WINDOW[0]), min(width, WINDOW[1])
    top, left = (height - rows) // 2, (width - columns) // 2
    return luma[top : top + rows, left : left + columns].astype(np.float32)


def _cells(values: NDArray[np.float32]) -> NDArray[np.float32]:
    size = (max(1, values.shape[1] // CELL), max(1, values.shape[0] // CELL))
    found: NDArray[np.float32] = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return found


def running_median(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Median over `reach` values to each side, fewer at the ends: float64 (n,) → (n,)."""
    count = len(values)
    return np.array(
        [np.median(values[max(0, at - reach) : at + reach + 1]) for at in range(count)], np.float64
    )


def moving(steps: Steps) -> NDArray[np.bool_]:
    """Frames around which there is motion, bool (n,)."""
    found: NDArray[np.bool_] = running_median(steps.coarse, _AROUND) > MOVES
    return found


def repeated(steps: Steps) -> NDArray[np.bool_]:
    """Frames that show the one before again, amid motion, bool (n,).

    Where nothing moves, no frame counts: a still scene is not told from a frozen one.
    """
    around = running_median(steps.coarse, _AROUND)
    found: NDArray[np.bool_] = (steps.coarse < _SAME * around) & (around > MOVES)
    found[:1] = False
    return found


def freezes(steps: Steps, least: float = 0.2) -> list[tuple[float, float]]:
    """Stretches over which one picture is shown, with motion on both sides, as (start, end).

    Args:
        steps: of the frames.
        least: seconds, and five frames, that a stretch lasts.
    """
    lively = steps.coarse > MOVES
    if not lively.any():
        return []
    usual = float(np.median(steps.coarse[lively]))
    same = steps.coarse < 0.02 * usual
    same[:1] = False
    found = []
    edges = np.flatnonzero(np.diff(np.r_[0, same.astype(np.int8), 0]))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        # The picture is first shown by the frame before the first repetition.
        start, end = steps.seconds[first - 1], steps.seconds[last - 1]
        beside = [steps.coarse[max(0, first - 3) : first], steps.coarse[last : last + 3]]
        amid = all(len(one) and float(np.median(one)) > 0.3 * usual for one in beside)
        if amid and last - first >= 5 and end - start >= least:
            found.append((float(start), float(end)))
    return found


def repeats_every(steps: Steps) -> Period | None:
    """The distance at which frames are repeated; None where that is not regular."""
    return _sure(period_of(repeated(steps), moving(steps), 2, _LONGEST))


def missing_every(steps: Steps) -> Period | None:
    """The distance at which the step from frame to frame is larger: a frame was left out."""
    if len(steps.coarse) < 3:
        return None
    larger = steps.coarse > _MISSING * _beside(steps.coarse)
    return _sure(period_of(larger, moving(steps), 2, _LONGEST))


def interpolated_every(steps: Steps, kinds: NDArray[np.int64] | None = None) -> Period | None:
    """The distance at which frames have less detail: they were put in between.

    Args:
        steps: of the frames.
        kinds: int64 (n,), how each frame is coded; a small loss that goes with that is the codec's
            doing.
    """
    if len(steps.detail) < 3:
        return None
    beside, alive = _beside(steps.detail), moving(steps)
    far = _sure(period_of(steps.detail < _FAR_LESS * beside, alive, 2, 4))
    if far is not None:
        return far
    less = steps.detail < _LESS * beside
    chance = None
    if kinds is not None:
        chance = np.zeros(len(less))
        for kind in np.unique(kinds):
            chance[kinds == kind] = less[kinds == kind].mean()
    return _sure(period_of(less, alive, 2, 4, chance=chance))


def _beside(values: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = (values[:-2] + values[2:]) / 2
    return np.concatenate([values[:1], inner, values[-1:]])


def _sure(period: Period | None) -> Period | None:
    return period if period is not None and period.log10_alarms <= SURE else None


def swing(values: NDArray[np.float64]) -> float:
    """How far a frame's value lies from the mean of its neighbours, median [percent]."""
    if len(values) < 3:
        return 0.0
    away = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    return float(100 * np.median(away) / max(float(values.mean()), 1e-6))
