"""Metrics over rows of weights: how often each file occurs in each resample of a bootstrap.

A kernel takes `truth` (n,) bool, `scores` (n,) float64, `weights` (b, n) whole numbers ≥ 0 and
options, and returns (b,) float64, NaN where a row leaves the metric undefined. One row of ones is
the metric itself, so that the figure and its interval come from the same lines.
`bonafide.bench.metrics` documents what each of them means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Kernel = Callable[..., Floats]

ECE_BINS = 15


def check(truth: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    """Return labels and scores as arrays of the right type.

    Raises:
        ValueError: they are not one-dimensional and of one length, a score is not finite, or a
            label is neither 0 nor 1.
    """
    labels, values = np.asarray(truth), np.asarray(scores, np.float64)
    if labels.ndim != 1 or values.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"one label and one score a file: got {labels.shape} and {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a score is NaN or infinite; leave such files out and count them")
    if labels.dtype != np.bool_:
        if labels.size and not np.isin(labels, (0, 1)).all():
            raise ValueError("labels must be booleans, or 0 and 1")
        labels = labels.astype(np.bool_)
    return labels, values


def unit_numbers(truth: NDArray[np.bool_], groups: ArrayLike) -> NDArray[np.intp]:
    """Groups, one a file, as numbers from 0 without gaps, (n,).

    Raises:
        ValueError: there is not one group a file.
    """
    names = np.asarray(groups)
    if names.shape != truth.shape:
        raise ValueError(f"one group a file: got {names.shape} and {truth.shape}")
    return np.unique(names, return_inverse=True)[1]


def check_probabilities(truth: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    """`check`, and that every score lies in [0, 1].

    Raises:
        ValueError: as `check`, or a score is no probability.
    """
    labels, values = check(truth, scores)
    if values.size and (values.min() < 0 or values.max() > 1):
        raise ValueError("this metric needs calibrated probabilities in [0, 1], not raw scores")
    return labels, values


def once(kernel: Kernel, truth: Bools, scores: Floats, **options: Any) -> float:
    """The metric itself: every file counts once."""
    return float(kernel(truth, scores, np.ones((1, len(scores)), np.int64), **options)[0])


@dataclass(frozen=True)
class Sweep:
    """Counts at or above every distinct score, falling, after (0, 0) at infinity.

    Attributes:
        thresholds: (k,) float64.
        true_positives, false_positives: int64 (b, k), one row for each row of weights.
        positives, negatives: int64 (b,), the size of each class.
    """

    thresholds: Floats
    true_positives: Counts
    false_positives: Counts
    positives: Counts
    negatives: Counts

    @property
    def both(self) -> bool:
        """Whether every row has files of both classes."""
        return bool(self.positives.all() and self.negatives.all())


def sweep(truth: Bools, scores: Floats, weights: Counts | None = None) -> Sweep:
    """Move a threshold down over all scores; tied scores are passed in one step."""
    counted = np.ones((1, len(scores)), np.int64) if weights is None else weights
    if (scores[1:] > scores[:-1]).any():  # a bootstrap brings them in order
        order = np.argsort(-scores, kind="stable")
        truth, scores, counted = truth[order], scores[order], counted[:, order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])

    def steps(among: Bools) -> Counts:
        total = np.zeros((len(counted), len(last) + 1), np.int64)
        summed = np.cumsum(counted * among, axis=1, dtype=np.int64)
        total[:, 1:] = summed if len(last) == len(scores) else summed[:, last]
        return total

    true, false = steps(truth), steps(~truth)
    return Sweep(np.append(np.inf, scores[last]), true, false, true[:, -1], false[:, -1])


def ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    """above / below, NaN where below is 0."""
    quotient = np.full(below.shape, np.nan)
    np.divide(above, below, out=quotient, where=below != 0)
    return quotient


def roc_auc(truth: Bools, scores: Floats, weights: Counts) -> Floats:
    """Kernel of `metrics.roc_auc`: trapezia between steps, in whole numbers until the end."""
    swept = sweep(truth, scores, weights)
    true = swept.true_positives
    twice = (np.diff(swept.false_positives) * (true[:, 1:] + true[:, :-1])).sum(axis=1)
    return ratio(twice, 2 * swept.positives * swept.negatives)


def average_precision(truth: Bools, scores: Floats, weights: Counts) -> Floats:
    """Kernel of `metrics.average_precision`."""
    swept = sweep(truth, scores, weights)
    true = swept.true_positives
    precision = true / np.maximum(true + swept.false_positives, 1)
    total = (np.diff(true) * precision[:, 1:]).sum(axis=1)
    return np.where(swept.negatives > 0, ratio(total, swept.positives), np.nan)


def accuracy(truth: Bools, scores: Floats, weights: Counts, threshold: float) -> Floats:
    """Kernel of `metrics.accuracy`."""
    right = (scores >= threshold) == truth
    share = ratio(weights @ right.astype(np.int64), weights.sum(axis=1))
    return share * _known(threshold)


def share_above(
    truth: Bools, scores: Floats, weights: Counts, threshold: float, positive: bool
) -> Floats:
    """Share of one class at or above a threshold."""
    among = truth == positive
    above = among & (scores >= threshold)
    share = ratio(weights @ above.astype(np.int64), weights @ among.astype(np.int64))
    return share * _known(threshold)


def _known(threshold: float) -> float:
    """1, or NaN for a threshold that could not be chosen: no score would be at or above it."""
    return np.nan if np.isnan(threshold) else 1.0


def true_positive_rate(truth: Bools, scores: Floats, weights: Counts, threshold: float) -> Floats:
    """Kernel of `metrics.true_positive_rate`."""
    return share_above(truth, scores, weights, threshold, positive=True)


def false_positive_rate(truth: Bools, scores: Floats, weights: Counts, threshold: float) -> Floats:
    """Kernel of `metrics.false_positive_rate`."""
    return share_above(truth, scores, weights, threshold, positive=False)


def hter(truth: Bools, scores: Floats, weights: Counts, threshold: float) -> Floats:
    """Kernel of `metrics.hter`."""
    false = false_positive_rate(truth, scores, weights, threshold)
    return (false + 1.0 - true_positive_rate(truth, scores, weights, threshold)) / 2


def balanced_accuracy(truth: Bools, scores: Floats, weights: Counts, threshold: float) -> Floats:
    """Kernel of `metrics.balanced_accuracy`."""
    return 1.0 - hter(truth, scores, weights, threshold)


def share_right(swept: Sweep, balanced: bool) -> Floats:
    """(b, k) accuracy, or balanced accuracy, at every threshold of a sweep."""
    positives, negatives = swept.positives[:, None], swept.negatives[:, None]
    true, true_negatives = swept.true_positives, negatives - swept.false_positives
    if balanced:
        both = true * negatives + true_negatives * positives
        return ratio(both, np.broadcast_to(2 * positives * negatives, both.shape))
    right = true + true_negatives
    return ratio(right, np.broadcast_to(positives + negatives, right.shape))


def oracle_accuracy(
    truth: Bools, scores: Floats, weights: Counts, balanced: bool = False
) -> Floats:
    """Kernel of `metrics.oracle_accuracy`."""
    swept = sweep(truth, scores, weights)
    both = (swept.positives > 0) & (swept.negatives > 0)
    return np.where(both, share_right(swept, balanced).max(axis=1), np.nan)


def rates_allowed(swept: Sweep, rate: float) -> Floats:
    """(b, k) true positive rate where the false positive rate is ≤ `rate`, else −1."""
    shape = swept.true_positives.shape
    false = ratio(swept.false_positives, np.broadcast_to(swept.negatives[:, None], shape))
    true = ratio(swept.true_positives, np.broadcast_to(swept.positives[:, None], shape))
    return np.where(false <= rate, true, -1.0)


def tpr_at_fpr(truth: Bools, scores: Floats, weights: Counts, rate: float) -> Floats:
    """Kernel of `metrics.tpr_at_fpr`."""
    swept = sweep(truth, scores, weights)
    both = (swept.positives > 0) & (swept.negatives > 0)
    return np.where(both, rates_allowed(swept, rate).max(axis=1), np.nan)


def equal_errors(swept: Sweep) -> tuple[NDArray[np.intp], Floats]:
    """(b,) index of the threshold where FPR and FNR differ least, and their mean there."""
    positives, negatives = swept.positives[:, None], swept.negatives[:, None]
    # Both rates times positives × negatives: whole numbers, so that ties are ties.
    false_positive = swept.false_positives * positives
    false_negative = (positives - swept.true_positives) * negatives
    index = np.argmin(np.abs(false_positive - false_negative), axis=1)
    rows = np.arange(len(index))
    total = false_positive[rows, index] + false_negative[rows, index]
    return index, ratio(total, 2 * swept.positives * swept.negatives)


def eer_value(truth: Bools, scores: Floats, weights: Counts) -> Floats:
    """Kernel of `metrics.eer_value`."""
    return equal_errors(sweep(truth, scores, weights))[1]


def brier(truth: Bools, scores: Floats, weights: Counts) -> Floats:
    """Kernel of `metrics.brier`."""
    return ratio(weights @ (scores - truth) ** 2, weights.sum(axis=1))


def bin_of(probabilities: Floats, bins: int) -> NDArray[np.intp]:
    """Index of the equal-width bin (low, high] of each probability; 0 lies in the first."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], probabilities, side="left")


def ece(truth: Bools, scores: Floats, weights: Counts, bins: int = ECE_BINS) -> Floats:
    """Kernel of `metrics.ece`."""
    gaps = np.zeros((len(scores), bins))
    gaps[np.arange(len(scores)), bin_of(scores, bins)] = scores - truth
    return ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))
