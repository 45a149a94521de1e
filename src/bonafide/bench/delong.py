"""DeLong's test between two detectors, and his interval, for independent files or for groups."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bonafide.bench.kernels import check, unit_numbers
from bonafide.bench.statistics import Interval


@dataclass(frozen=True)
class Difference:
    """The outcome of `delong`: AUC of the first detector minus AUC of the second.

    Attributes:
        value: the difference, in [-1, 1].
        standard_error: of the difference.
        z: value / standard_error.
        p: two-sided probability of so large a difference between equal detectors.
        first, second: both AUCs.
    """

    value: float
    standard_error: float
    z: float
    p: float
    first: float
    second: float


def delong(
    truth: ArrayLike, first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None
) -> Difference:
    """DeLong's test of whether two detectors have the same AUC on the same files.

    Without groups, files are taken to be independent and z is compared with the normal
    distribution. With groups, only groups are taken to be independent: the placements of a group
    are summed before their spread is measured, and z is compared with Student's distribution,
    since groups are often few. A group may hold files of both classes.

    With fewer than two files of a class, or fewer than two groups that hold it, everything but the
    AUCs is NaN. Detectors that order all pairs alike give z = 0 and p = 1; where the estimated
    error is 0 although the AUCs differ (each sorts every pair the same way, one right and one
    wrong), z and p are NaN.

    Args:
        truth: (n,) bool.
        first, second: (n,) scores, larger for positives.
        groups: (n,) text or whole numbers; None where every file is independent.

    Raises:
        ValueError: there is not one group a file.

    Source: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44, 1988; midranks as in X. Sun,
    W. Xu, IEEE Signal Processing Letters 21, 2014; groups as in N. Obuchowski, Biometrics 53,
    1997; degrees of freedom after F. Satterthwaite, Biometrics Bulletin 2, 1946.
    """
    labels, one = check(truth, first)
    two = check(truth, second)[1]
    auc_one, positive_one, negative_one = _placements(labels, one)
    auc_two, positive_two, negative_two = _placements(labels, two)
    value = auc_one - auc_two
    positive, negative = positive_one - positive_two, negative_one - negative_two
    freedom = math.inf
    if groups is None:
        error = _error(positive, negative)
    else:
        error, freedom = _clustered_error(labels, positive, negative, unit_numbers(labels, groups))
    z = math.nan
    if error > 1e-12:  # less is rounding, not spread
        z = value / error
    elif error <= 1e-12 and abs(value) < 1e-12:
        z = 0.0
    p = 2 * float(stats.t.sf(abs(z), freedom))  # infinite freedom: the normal distribution
    return Difference(value, error, z, p, auc_one, auc_two)


def delong_interval(truth: ArrayLike, scores: ArrayLike, level: float = 0.95) -> Interval:
    """AUC with DeLong's normal interval, cut at 0 and 1; files are taken to be independent."""
    labels, values = check(truth, scores)
    auc, positive, negative = _placements(labels, values)
    half = float(stats.norm.ppf((1 + level) / 2)) * _error(positive, negative)
    if math.isnan(half):
        return Interval(auc, math.nan, math.nan)
    return Interval(auc, max(auc - half, 0.0), min(auc + half, 1.0))


def _placements(
    truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """AUC, and for every file the share of the other class that it is on the right side of.

    Returns:
        AUC, float64 (positives,), float64 (negatives,); NaN where a class is absent.
    """
    positive, negative = scores[truth], scores[~truth]
    if not len(positive) or not len(negative):
        return math.nan, np.full(len(positive), np.nan), np.full(len(negative), np.nan)
    together = stats.rankdata(np.concatenate([positive, negative]))
    below = together[: len(positive)] - stats.rankdata(positive)
    above = len(positive) - (together[len(positive) :] - stats.rankdata(negative))
    auc = float(below.sum() / len(positive) / len(negative))
    return auc, below / len(negative), above / len(positive)


def _error(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Standard error of a mean over both classes, from the spread inside each."""
    if len(positive) < 2 or len(negative) < 2:
        return math.nan
    return math.sqrt(
        float(positive.var(ddof=1)) / len(positive) + float(negative.var(ddof=1)) / len(negative)
    )


def _clustered_error(
    truth: NDArray[np.bool_],
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
    unit: NDArray[np.intp],
) -> tuple[float, float]:
    """Standard error of a mean over both classes, from the spread between groups.

    Args:
        truth: (n,).
        positive, negative: what is averaged, of the files of each class in their order.
        unit: (n,) group of each file, numbered from 0 without gaps.

    Returns:
        The error and its degrees of freedom; both NaN with fewer than two groups of a class.
    """
    sums, counts = [], []
    for values, members in ((positive, unit[truth]), (negative, unit[~truth])):
        counts.append(len(np.unique(members)))
        if counts[-1] < 2:
            return math.nan, math.nan
        deviations = (values - values.mean()) / len(values)
        sums.append(np.bincount(members, deviations, unit.max() + 1))
    groups = len(np.unique(unit))
    spread = [
        count / (count - 1) * float(total @ total)
        for total, count in zip(sums, counts, strict=True)
    ]
    shared = 2 * groups / (groups - 1) * float(sums[0] @ sums[1])  # groups that hold both classes
    error = math.sqrt(max(sum(spread) + shared, 0.0))
    doubt = sum(part**2 / (count - 1) for part, count in zip(spread, counts, strict=True))
    freedom = sum(spread) ** 2 / doubt if doubt > 0 else 1.0
    return error, min(freedom, groups - 1.0)
