"""How well a map of marked pixels agrees with the true mask, always at the threshold 0.5.

A heatmap says of each pixel how strongly it is marked, and at or above 0.5 *that* it is marked; the
better of a mask and its inverse is never taken. Edited pictures have F1 and the rest; authentic
pictures have an empty mask and therefore none of them: they give the false-region rate.

Rules for cases that others leave to a warning:

- A detector that marks nothing in an edited picture has precision, recall, F1, IoU and MCC 0. It
  is not left out of the mean, which would reward silence. This equals scikit-learn's default.
- No heatmap (a detector that found nothing to map, or failed) counts as nothing marked.
- AUC is NaN where the mask covers the whole picture, and left out of the mean, with the count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.5


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of one picture, or of several together, by mask and mark."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
        )

    @property
    def edited(self) -> bool:
        """Whether the mask has any pixel."""
        return self.true_positives + self.false_negatives > 0

    @property
    def marked_share(self) -> float:
        """Share of pixels that are marked, in [0, 1]."""
        marked = self.true_positives + self.false_positives
        return marked / (marked + self.false_negatives + self.true_negatives)

    @property
    def precision(self) -> float:
        """Share of marked pixels that lie in the mask; 0 when none is marked."""
        return self._of_edited(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the mask that is marked."""
        return self._of_edited(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        wrong = self.false_positives + self.false_negatives
        return self._of_edited(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def iou(self) -> float:
        """TP / (TP + FP + FN), the Jaccard index."""
        wrong = self.false_positives + self.false_negatives
        return self._of_edited(self.true_positives, self.true_positives + wrong)

    @property
    def mcc(self) -> float:
        """Matthews' correlation coefficient in [-1, 1]; 0 when mask or mark is all or nothing."""
        tp, fp = self.true_positives, self.false_positives
        fn, tn = self.false_negatives, self.true_negatives
        # Whole numbers of any size until the root, since their product passes 64 bits.
        below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return self._of_edited(tp * tn - fp * fn, math.sqrt(below))

    def _of_edited(self, above: float, below: float) -> float:
        if not self.edited:
            return math.nan
        return above / below if below else 0.0


@dataclass(frozen=True)
class PixelScores:
    """One picture against its mask.

    Attributes:
        counts: pixels at the fixed threshold; F1 and the others are its properties.
        auc: threshold-free, NaN for authentic pictures and for masks that cover everything.
    """

    counts: PixelCounts
    auc: float


@dataclass(frozen=True)
class PixelSummary:
    """Many pictures: means over pictures, each counting the same; NaN over none.

    Attributes:
        edited, authentic: number of pictures with a mask that is not empty, and empty.
        f1, iou, mcc, precision, recall: means over edited pictures, in [0, 1] (mcc in [-1, 1]).
        auc: mean over the `auc_pictures` edited pictures where it is defined.
        auc_pictures: their number.
        pooled_f1: F1 of all pixels of edited pictures together, where large pictures and regions
            weigh most.
        false_region_rate: share of authentic pictures with any marked pixel.
        false_marked_share: mean share of marked pixels in authentic pictures.
    """

    edited: int
    authentic: int
    f1: float
    iou: float
    mcc: float
    precision: float
    recall: float
    auc: float
    auc_pictures: int
    pooled_f1: float
    false_region_rate: float
    false_marked_share: float


def score_picture(
    mask: NDArray[np.bool_], heatmap: NDArray[np.floating[Any]] | None
) -> PixelScores:
    """Compare one heatmap with the true mask of the same picture.

    Args:
        mask: bool H×W, True where the picture was edited; all False for an authentic one.
        heatmap: float H×W in [0, 1], or None where there is none.

    Raises:
        ValueError: shapes differ, the mask is not boolean, or the heatmap leaves [0, 1].
    """
    counts = count_pixels(mask, heatmap)
    if heatmap is None:
        defined = counts.edited and counts.true_negatives > 0
        return PixelScores(counts, 0.5 if defined else math.nan)
    return PixelScores(counts, pixel_auc(mask, heatmap))


def count_pixels(mask: NDArray[np.bool_], heatmap: NDArray[np.floating[Any]] | None) -> PixelCounts:
    """The four counts at the threshold 0.5; arguments and errors as `score_picture`."""
    _check(mask, heatmap)
    edited = int(np.count_nonzero(mask))
    if heatmap is None:
        return PixelCounts(0, 0, edited, mask.size - edited)
    marked = heatmap >= THRESHOLD
    both = int(np.count_nonzero(marked & mask))
    false = int(np.count_nonzero(marked)) - both
    return PixelCounts(both, false, edited - both, mask.size - edited - false)


def pixel_auc(mask: NDArray[np.bool_], heatmap: NDArray[np.floating[Any]]) -> float:
    """P(heatmap inside the mask > outside) + half P(equal), exact; NaN where either is empty.

    One sorted copy of the heatmap is the largest thing in memory.

    Raises:
        ValueError: as `score_picture`.
    """
    _check(mask, heatmap)
    inside, outside = np.sort(heatmap[mask]), np.sort(heatmap[~mask])
    if not len(inside) or not len(outside):
        return math.nan
    twice = 0
    for start in range(0, len(inside), 2**20):
        part = inside[start : start + 2**20]
        below = np.searchsorted(outside, part, side="left")
        up_to = np.searchsorted(outside, part, side="right")
        twice += int(below.sum()) + int(up_to.sum())
    return twice / (2 * len(inside) * len(outside))


def summarise(pictures: Iterable[PixelScores]) -> PixelSummary:
    """Means over pictures; a set without edited, or authentic, pictures has NaN for their part."""
    every = list(pictures)
    edited = [picture for picture in every if picture.counts.edited]
    authentic = [picture.counts for picture in every if not picture.counts.edited]
    aucs = [picture.auc for picture in edited if not math.isnan(picture.auc)]
    together = sum((picture.counts for picture in edited), PixelCounts(0, 0, 0, 0))
    return PixelSummary(
        edited=len(edited),
        authentic=len(authentic),
        f1=_mean([picture.counts.f1 for picture in edited]),
        iou=_mean([picture.counts.iou for picture in edited]),
        mcc=_mean([picture.counts.mcc for picture in edited]),
        precision=_mean([picture.counts.precision for picture in edited]),
        recall=_mean([picture.counts.recall for picture in edited]),
        auc=_mean(aucs),
        auc_pictures=len(aucs),
        pooled_f1=together.f1,
        false_region_rate=_mean([float(counts.false_positives > 0) for counts in authentic]),
        false_marked_share=_mean([counts.marked_share for counts in authentic]),
    )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _check(mask: NDArray[np.bool_], heatmap: NDArray[np.floating[Any]] | None) -> None:
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask is a boolean H×W array, not {mask.dtype} {mask.shape}")
    if heatmap is None:
        return
    if heatmap.shape != mask.shape:
        raise ValueError(f"heatmap {heatmap.shape} and mask {mask.shape} differ in shape")
    low, high = float(heatmap.min()), float(heatmap.max())
    if not (low >= 0 and high <= 1):  # also refuses NaN
        raise ValueError(f"a heatmap lies in [0, 1]; this one reaches from {low} to {high}")
