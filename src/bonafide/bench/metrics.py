"""Figures of merit of a detector over labelled files. Pure functions of two arrays.

Every function takes `truth`, (n,) booleans that are True where the question is true (generated,
manipulated, …), and `scores`, (n,) finite floats that are larger for more evidence. A file is
called positive when its score is *at or above* a threshold, as everywhere in bonafide.

Rules that hold throughout:

- Tied scores are one step: no metric depends on the order of files.
- A metric that compares two classes is NaN when one of them is absent, and every metric is NaN
  over no files at all, or at a threshold that is NaN because it could not be chosen: nothing was
  measured. scikit-learn answers some of these cases with 0 or 1 and a warning (average precision,
  balanced accuracy), or with an exception.
- NaN or infinite scores, arrays of different lengths, labels other than 0 and 1 and rates outside
  [0, 1] raise ValueError. A file that has no score belongs in the coverage, not here.
- No threshold is chosen behind the caller's back: what is searched on the same labels
  (`best_threshold`, `oracle_accuracy`, `eer`, `tpr_at_fpr`) says so, and belongs in a column of
  its own.

`BATCHED` maps the metrics that `bonafide.bench.statistics` can bootstrap quickly to their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonafide.bench import kernels
from bonafide.bench.kernels import ECE_BINS, check, check_probabilities, once, sweep


@dataclass(frozen=True)
class RocCurve:
    """One point per distinct score, thresholds falling; the first is (0, 0) at infinity.

    Attributes:
        false_positive_rate, true_positive_rate: float64 (k,) in [0, 1], both rising.
        thresholds: float64 (k,), the score at or above which a file is called positive.
    """

    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    thresholds: NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """One point per distinct score, thresholds falling; first precision 1 and recall 0.

    Attributes:
        precision, recall: float64 (k,) in [0, 1].
        thresholds: float64 (k,), the first infinite.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    thresholds: NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and the value of a metric there; both NaN when a class is absent."""

    threshold: float
    value: float


@dataclass(frozen=True)
class Reliability:
    """How often what was announced came true, by equal-width bins (low, high]; 0 is in the first.

    Attributes:
        edges: float64 (bins + 1,), from 0 to 1.
        count: int64 (bins,) files in each bin.
        announced: float64 (bins,) mean probability; NaN in an empty bin.
        observed: float64 (bins,) share of positive files; NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    announced: NDArray[np.float64]
    observed: NDArray[np.float64]


@dataclass(frozen=True)
class RiskCoverage:
    """What is gained by abstaining on the least sure files.

    Attributes:
        coverage: float64 (k,) rising share of files that are answered, one point per distinct
            confidence, the surest first.
        risk: float64 (k,) share of wrong answers among them; selective accuracy is 1 − risk.
        confidence: float64 (k,) the least confidence that is answered.
        area: mean risk over coverages 1/n, 2/n, … 1, in [0, 1]; lower is better. Within tied
            confidences it is the expectation over their order. NaN without files.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    confidence: NDArray[np.float64]
    area: float


@dataclass(frozen=True)
class Pooled:
    """Scores of groups (clips, videos, scenes) made from the scores of their files.

    Attributes:
        groups: (g,) the distinct groups, sorted.
        scores: float64 (g,).
        first: intp (g,), the first file of each group: `truth[first]` is the truth of the groups.
    """

    groups: NDArray[Any]
    scores: NDArray[np.float64]
    first: NDArray[np.intp]


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The receiver operating characteristic; both rates are NaN when a class is absent.

    Equal to scikit-learn's with `drop_intermediate=False`.
    """
    swept = sweep(*check(truth, scores))
    if not swept.both:
        nothing = np.full(len(swept.thresholds), np.nan)
        return RocCurve(nothing, nothing, swept.thresholds)
    return RocCurve(
        swept.false_positives[0] / swept.negatives,
        swept.true_positives[0] / swept.positives,
        swept.thresholds,
    )


def precision_recall_curve(truth: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """Precision over recall; both are NaN when a class is absent.

    Equal to scikit-learn's with `drop_intermediate=False`, read from its end.
    """
    swept = sweep(*check(truth, scores))
    if not swept.both:
        nothing = np.full(len(swept.thresholds), np.nan)
        return PrecisionRecallCurve(nothing, nothing, swept.thresholds)
    true = swept.true_positives[0]
    precision = true / np.maximum(true + swept.false_positives[0], 1)
    precision[0] = 1.0
    return PrecisionRecallCurve(precision, true / swept.positives, swept.thresholds)


def roc_auc(truth: ArrayLike, scores: ArrayLike) -> float:
    """P(score of a positive > score of a negative) + half P(equal), in [0, 1]; exact."""
    return once(kernels.roc_auc, *check(truth, scores))


def average_precision(truth: ArrayLike, scores: ArrayLike) -> float:
    """Σ (recall step × precision at its end), as scikit-learn defines it: no interpolation.

    NaN when a class is absent: without negatives it is 1 whatever the detector says.
    """
    return once(kernels.average_precision, *check(truth, scores))


def accuracy(truth: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Share of files on the right side of a threshold that was fixed beforehand."""
    return once(kernels.accuracy, *check(truth, scores), threshold=threshold)


def balanced_accuracy(truth: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Mean of the true positive and the true negative rate at a fixed threshold."""
    return once(kernels.balanced_accuracy, *check(truth, scores), threshold=threshold)


def hter(truth: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Half total error rate, (FPR + FNR) / 2, at a threshold chosen on *other* files."""
    return once(kernels.hter, *check(truth, scores), threshold=threshold)


def true_positive_rate(truth: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Share of positive files at or above a fixed threshold; NaN without positive files."""
    return once(kernels.true_positive_rate, *check(truth, scores), threshold=threshold)


def false_positive_rate(truth: ArrayLike, scores: ArrayLike, threshold: float) -> float:
    """Share of negative files at or above a fixed threshold; NaN without negative files."""
    return once(kernels.false_positive_rate, *check(truth, scores), threshold=threshold)


def best_threshold(truth: ArrayLike, scores: ArrayLike, balanced: bool = False) -> OperatingPoint:
    """The threshold of the highest (balanced) accuracy, and that accuracy.

    On a calibration split it is the threshold to test other files with; on the test split its
    value is the *oracle* accuracy, which nobody can reach in use. Of equally good thresholds the
    highest is taken, since it accuses least; it lies midway between two neighbouring scores.
    """
    swept = sweep(*check(truth, scores))
    if not swept.both:
        return OperatingPoint(np.nan, np.nan)
    right = kernels.share_right(swept, balanced)[0]
    index = int(np.argmax(right))
    return OperatingPoint(_midway(swept.thresholds, index), float(right[index]))


def oracle_accuracy(truth: ArrayLike, scores: ArrayLike, balanced: bool = False) -> float:
    """The value of `best_threshold`: an upper bound, searched on the labels it is measured on."""
    return once(kernels.oracle_accuracy, *check(truth, scores), balanced=balanced)


def tpr_at_fpr(truth: ArrayLike, scores: ArrayLike, rate: float) -> float:
    """The largest true positive rate at any threshold whose false positive rate is ≤ `rate`.

    Nothing is interpolated. With fewer than 1 / rate negative files no false positive at all is
    allowed, and the value says little about `rate`: look at its interval.
    """
    return once(kernels.tpr_at_fpr, *check(truth, scores), rate=_rate(rate))


def threshold_at_fpr(truth: ArrayLike, scores: ArrayLike, rate: float) -> OperatingPoint:
    """The threshold behind `tpr_at_fpr`, and the true positive rate there.

    Of thresholds with that rate the highest is taken. It is itself a score, except where no file
    may be called positive: then it is the next float above all scores.
    """
    swept = sweep(*check(truth, scores))
    reached = kernels.rates_allowed(swept, _rate(rate))[0]
    if not swept.both:
        return OperatingPoint(np.nan, np.nan)
    index = int(np.argmax(reached))
    threshold = float(swept.thresholds[index]) if index else _midway(swept.thresholds, 0)
    return OperatingPoint(threshold, float(reached[index]))


def eer(truth: ArrayLike, scores: ArrayLike) -> OperatingPoint:
    """Equal error rate: (FPR + FNR) / 2 where the two differ least, and the threshold there.

    torchmetrics defines it so; others interpolate the curve, and with few files the two differ by
    up to half a step. Of equal differences the highest threshold is taken.
    """
    swept = sweep(*check(truth, scores))
    if not swept.both:
        return OperatingPoint(np.nan, np.nan)
    index, value = kernels.equal_errors(swept)
    return OperatingPoint(_midway(swept.thresholds, int(index[0])), float(value[0]))


def eer_value(truth: ArrayLike, scores: ArrayLike) -> float:
    """The value of `eer`, for tables and the bootstrap."""
    return once(kernels.eer_value, *check(truth, scores))


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared distance of calibrated probabilities from what is true, in [0, 1].

    Defined for one class alone.
    """
    return once(kernels.brier, *check_probabilities(truth, probabilities))


def ece(truth: ArrayLike, probabilities: ArrayLike, bins: int = ECE_BINS) -> float:
    """Expected calibration error: Σ over bins of |announced − observed| × share of files.

    Over equal-width bins of the probability of the *positive* class (`reliability`), not of the
    confidence in the answer. Bins are closed above, as in scikit-learn; torchmetrics closes them
    below, which matters to probabilities on an edge. The value depends on the number of bins and
    is biased upwards when few files fall into one. Defined for one class alone.
    """
    return once(kernels.ece, *check_probabilities(truth, probabilities), bins=bins)


def reliability(truth: ArrayLike, probabilities: ArrayLike, bins: int = ECE_BINS) -> Reliability:
    """The bins behind `ece`, for a reliability diagram."""
    labels, values = check_probabilities(truth, probabilities)
    member = kernels.bin_of(values, bins)
    count = np.bincount(member, minlength=bins).astype(np.int64)
    return Reliability(
        np.linspace(0, 1, bins + 1),
        count,
        kernels.ratio(np.bincount(member, values, bins), count),
        kernels.ratio(np.bincount(member, labels.astype(np.float64), bins), count),
    )


def risk_coverage(
    truth: ArrayLike,
    scores: ArrayLike,
    threshold: float = 0.5,
    confidence: ArrayLike | None = None,
) -> RiskCoverage:
    """Errors among the files that are answered, as ever less sure ones are answered too.

    Source: R. El-Yaniv, Y. Wiener, "On the foundations of noise-free selective classification",
    JMLR 2010; area: Y. Geifman, G. Uziel, R. El-Yaniv, ICLR 2019.

    Args:
        truth, scores: as everywhere; the answer is score ≥ threshold.
        threshold: 0.5 suits calibrated probabilities.
        confidence: (n,) larger for surer; by default the distance of the score from `threshold`.
    """
    labels, values = check(truth, scores)
    if np.isnan(threshold):
        raise ValueError("the threshold is NaN: without one there are no answers")
    sure = np.abs(values - threshold) if confidence is None else check(truth, confidence)[1]
    n = len(values)
    if n == 0:
        return RiskCoverage(np.zeros(0), np.zeros(0), np.zeros(0), np.nan)
    swept = sweep((values >= threshold) != labels, sure)  # a "positive" here is a wrong answer
    wrong = swept.true_positives[0]
    answered = wrong + swept.false_positives[0]
    each = np.arange(1, n + 1)
    area = float(np.mean(np.interp(each, answered, wrong) / each))
    return RiskCoverage(answered[1:] / n, wrong[1:] / answered[1:], swept.thresholds[1:], area)


def pool(
    scores: ArrayLike,
    groups: ArrayLike,
    how: Literal["mean", "max", "top_mean"] = "mean",
    share: float = 0.25,
) -> Pooled:
    """One score for each group of files, such as the frames of a video.

    Args:
        scores: (n,) finite.
        groups: (n,) what each file belongs to: text or whole numbers.
        how: mean, largest, or the mean of the highest `share` of a group's scores.
        share: for "top_mean", in (0, 1]; rounded up, so that at least one score counts.

    Raises:
        ValueError: `how` is unknown, lengths differ, a score is not finite.
    """
    values, names = np.asarray(scores, np.float64), np.asarray(groups)
    check(np.zeros(values.shape, np.bool_), values)
    if names.shape != values.shape:
        raise ValueError(f"one group a score: got {names.shape} and {values.shape}")
    if how not in ("mean", "max", "top_mean") or not 0 < share <= 1:
        raise ValueError(f"pool by mean, max or top_mean with 0 < share ≤ 1, not {how!r}, {share}")
    distinct, first, member, sizes = np.unique(
        names, return_index=True, return_inverse=True, return_counts=True
    )
    if not len(distinct):
        return Pooled(distinct, np.zeros(0), first)
    # Sorted inside each group, so that sums do not depend on the order of files.
    falling = values[np.lexsort((-values, member))]
    starts = np.cumsum(sizes) - sizes
    part = {"mean": 1.0, "max": 0.0}.get(how, share)
    kept = np.maximum(np.ceil(sizes * part - 1e-9), 1).astype(np.intp)
    rank = np.arange(len(values)) - np.repeat(starts, sizes)
    counted = np.where(rank < np.repeat(kept, sizes), falling, 0.0)
    return Pooled(distinct, np.add.reduceat(counted, starts) / kept, first)


def _rate(rate: float) -> float:
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate lies in [0, 1], not at {rate}")
    return rate


def _midway(thresholds: NDArray[np.float64], index: int) -> float:
    """A finite threshold with the same answers as thresholds[index], clear of both neighbours."""
    upper = float(thresholds[index])
    if index == 0:
        top = float(thresholds[1]) if len(thresholds) > 1 else 0.0
        return float(np.nextafter(top, np.inf))
    if index + 1 == len(thresholds):
        return upper
    lower = float(thresholds[index + 1])
    middle = lower / 2 + upper / 2
    return middle if lower < middle <= upper else upper


BATCHED: Mapping[Callable[..., float], kernels.Kernel] = MappingProxyType(
    {
        roc_auc: kernels.roc_auc,
        average_precision: kernels.average_precision,
        accuracy: kernels.accuracy,
        balanced_accuracy: kernels.balanced_accuracy,
        hter: kernels.hter,
        true_positive_rate: kernels.true_positive_rate,
        false_positive_rate: kernels.false_positive_rate,
        oracle_accuracy: kernels.oracle_accuracy,
        tpr_at_fpr: kernels.tpr_at_fpr,
        eer_value: kernels.eer_value,
        brier: kernels.brier,
        ece: kernels.ece,
    }
)
