"""Forged intervals of clips: average precision and average recall.

Proposals of all clips, bona fide ones too, are pooled and sorted by score, so that a proposal in a
clip without a forged interval costs precision. Each true interval is found at most once, by the
first proposal of its clip whose overlap (intersection over union) with it is above a threshold.

Source: as ActivityNet counts (F. Caba Heilbron et al., "ActivityNet", CVPR 2015), and Z. Cai et
al., "Do You Really Mean That? Content Driven Audio-Visual Deepfake Dataset" (LAV-DF), DICTA 2022:
precision at 0.5, 0.75 and 0.95, recall of the best 100, 50, 20 and 10 proposals of a clip, averaged
over overlaps of 0.5 to 0.95.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput

OVERLAPS = (0.5, 0.75, 0.95)
PROPOSALS = (100, 50, 20, 10)
AVERAGED = tuple(float(value) for value in np.arange(0.5, 1.0, 0.05).round(2))

Interval = tuple[float, float]


@dataclass(frozen=True)
class ClipIntervals:
    """One clip.

    Attributes:
        truth: begin and end of each forged interval, seconds; () for a bona fide clip.
        proposals: begin and end of each that was found, seconds.
        scores: of the proposals, larger for surer ones.
    """

    truth: Sequence[Interval]
    proposals: Sequence[Interval]
    scores: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.proposals) != len(self.scores):
            raise InvalidInput("each proposal needs one score")
        if any(end < begin for begin, end in (*self.truth, *self.proposals)):
            raise InvalidInput("an interval ends before it begins")


def overlaps(proposals: Sequence[Interval], truth: Sequence[Interval]) -> NDArray[np.float64]:
    """Intersection over union of each proposal with each true interval, (P, T) in [0, 1]."""
    one = np.asarray(proposals, np.float64).reshape(-1, 1, 2)
    other = np.asarray(truth, np.float64).reshape(1, -1, 2)
    shared = np.minimum(one[..., 1], other[..., 1]) - np.maximum(one[..., 0], other[..., 0])
    shared = shared.clip(0)
    joined = one[..., 1] - one[..., 0] + other[..., 1] - other[..., 0] - shared
    found: NDArray[np.float64] = np.divide(
        shared, joined, out=np.zeros_like(shared), where=joined > 0
    )
    return found


def average_precision(clips: Sequence[ClipIntervals], overlap: float) -> float:
    """Area under precision over recall, precision made falling; NaN without true intervals.

    Args:
        clips: all of them, bona fide ones too.
        overlap: that a proposal has to exceed.
    """
    total = sum(len(clip.truth) for clip in clips)
    if not total:
        return float("nan")
    ranked = sorted(
        ((score, number, place) for number, clip in enumerate(clips)
         for place, score in enumerate(clip.scores)),
        key=lambda one: (-one[0], one[1], one[2]),
    )  # fmt: skip
    tables = [overlaps(clip.proposals, clip.truth) for clip in clips]
    taken = [np.zeros(len(clip.truth), bool) for clip in clips]
    right = np.zeros(len(ranked))
    for rank, (_, number, place) in enumerate(ranked):
        shares = np.where(taken[number], -1.0, tables[number][place])
        if len(shares) and shares.max() > overlap:
            taken[number][int(shares.argmax())] = True
            right[rank] = 1
    recall = np.cumsum(right) / total
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * falling))


def average_recall(clips: Sequence[ClipIntervals], proposals: int) -> float:
    """Share of true intervals that the best proposals of their clip find, over `AVERAGED`.

    NaN without true intervals.
    """
    total = sum(len(clip.truth) for clip in clips)
    if not total:
        return float("nan")
    found = np.zeros(len(AVERAGED))
    for clip in clips:
        best = np.argsort(-np.asarray(clip.scores, np.float64), kind="stable")[:proposals]
        table = overlaps([clip.proposals[place] for place in best], clip.truth)
        if table.size:
            found += [(table.max(0) > overlap).sum() for overlap in AVERAGED]
    return float(np.mean(found / total))


def figures(clips: Sequence[ClipIntervals]) -> dict[str, float]:
    """ "ap@0.5" and "ar@100" to value, for all `OVERLAPS` and `PROPOSALS`."""
    precision = {f"ap@{overlap:g}": average_precision(clips, overlap) for overlap in OVERLAPS}
    return precision | {f"ar@{count}": average_recall(clips, count) for count in PROPOSALS}
