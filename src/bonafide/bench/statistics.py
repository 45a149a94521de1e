"""How sure a figure is: intervals, tests between two detectors, correction for many tests.

Files of one scene, video or origin are not independent. Wherever a function takes `groups`, whole
groups are drawn instead of files, which is what makes an interval honest on such data. `wilson`
assumes independent files and says so. DeLong's test is in `delong`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bonafide.bench.kernels import check, unit_numbers
from bonafide.bench.metrics import BATCHED

Metric = Callable[..., float]

_CELLS = 2**17  # weights held at once: few enough to stay in the processor's cache


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval; `low` and `high` are NaN where they are unknowable."""

    value: float
    low: float
    high: float


def bootstrap(
    metric: Metric,
    truth: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a metric over resampled files or groups.

    Resampling is stratified: each class keeps its number of files, or, with groups, each kind of
    group (only positive, only negative, both) keeps its number of groups. Metrics of
    `metrics.BATCHED`, also as `functools.partial` with keywords, are computed for all resamples at
    once; any other callable of (truth, scores) is called once per resample. Both ways draw the
    same resamples.

    What it cannot see: a perfect score has the interval [1, 1] however few the files (for shares,
    use `wilson`), and under some ten groups intervals are too narrow.

    Args:
        metric: called with truth (n,) bool and scores (n,) float64; larger or smaller is better.
        truth, scores: as in `bonafide.bench.metrics`.
        groups: (n,) text or whole numbers; files of one group are drawn together.
        repeats: number of resamples.
        seed: of the resampling.
        level: share of resamples inside the interval.

    Returns:
        The metric and its interval. The bounds are NaN when a class that occurs does so in a single
        file or group, since one says nothing about others, and when the metric is NaN in more
        than half of the resamples; other NaN resamples are left out.

    Source: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 8.
    """
    rows = np.arange(np.asarray(truth).size)
    return macro(metric, truth, scores, [rows], groups, repeats, seed, level)


def macro(
    metric: Metric,
    truth: ArrayLike,
    scores: ArrayLike,
    subsets: Sequence[ArrayLike],
    groups: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The unweighted mean of a metric over subsets of the files, with its percentile interval.

    A subset is, for example, the pictures of one generator and all bona fide ones. Files that
    several subsets share are drawn once for all of them, so that the interval knows how the
    parts of the mean move together. Everything else is as in `bootstrap`; the mean is NaN when
    one of its parts is.

    Args:
        subsets: index arrays into the files; none of them may be empty.

    Raises:
        ValueError: there is no subset.
    """
    labels, values = check(truth, scores)
    parts = [np.asarray(subset, np.intp) for subset in subsets]
    if not parts:
        raise ValueError("a mean over no subsets is not defined")
    value = float(np.mean([metric(labels[part], values[part]) for part in parts]))
    drawn = _Resamples(labels, groups, parts, repeats, seed)
    if math.isnan(value) or not drawn.possible:
        return Interval(value, math.nan, math.nan)
    measures = [_over_rows(metric, labels, values, part) for part in parts]
    means = [np.mean([measure(weights) for measure in measures], axis=0) for weights in drawn]
    return _percentiles(value, np.concatenate(means), level)


def bootstrap_difference(
    metric: Metric,
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    groups: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """metric(first) − metric(second) over the same resamples of the same files.

    An interval that excludes 0 says that the detectors differ at that level. Unlike
    DeLong's test it takes any metric.
    """
    labels, one = check(truth, first)
    two = check(truth, second)[1]
    value = metric(labels, one) - metric(labels, two)
    rows = np.arange(len(labels))
    drawn = _Resamples(labels, groups, [rows], repeats, seed)
    if math.isnan(value) or not drawn.possible:
        return Interval(value, math.nan, math.nan)
    measure_one = _over_rows(metric, labels, one, rows)
    measure_two = _over_rows(metric, labels, two, rows)
    differences = [measure_one(weights) - measure_two(weights) for weights in drawn]
    return _percentiles(value, np.concatenate(differences), level)


def bootstrap_mean(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The mean of one value per file, such as pixel F1, with its percentile interval.

    Raises:
        ValueError: a value is not finite; leave such files out first.
    """
    known = np.asarray(values, np.float64)
    labels = np.zeros(known.shape, np.bool_)
    return bootstrap(_mean, labels, known, groups, repeats, seed, level)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjusted p-values, in the order given: reject where they are ≤ the level.

    A NaN stands for a test that could not be made: it stays NaN and does not count.

    Source: S. Holm, Scandinavian Journal of Statistics 6, 1979.

    Raises:
        ValueError: a value lies outside [0, 1].
    """
    given = np.asarray(p_values, np.float64)
    if given.ndim != 1 or np.any((given < 0) | (given > 1)):
        raise ValueError("p-values are a list of numbers in [0, 1]")
    adjusted = np.full(given.shape, np.nan)
    order = np.argsort(given, kind="stable")  # NaN sort to the end
    order = order[: int(np.sum(~np.isnan(given)))]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return adjusted


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """A share with Wilson's score interval; all NaN without trials. Trials are independent.

    Source: E. B. Wilson, Journal of the American Statistical Association 22, 1927.

    Raises:
        ValueError: not 0 ≤ successes ≤ trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is not a share")
    if trials == 0:
        return Interval(math.nan, math.nan, math.nan)
    share = successes / trials
    z = float(special.ndtri((1 + level) / 2))
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    low = 0.0 if successes == 0 else max(middle - half, 0.0)
    high = 1.0 if successes == trials else min(middle + half, 1.0)
    return Interval(share, low, high)


class _Resamples:
    """Rows of weights: how often each file occurs in each resample, in bounded batches."""

    def __init__(
        self,
        truth: NDArray[np.bool_],
        groups: ArrayLike | None,
        parts: Sequence[NDArray[np.intp]],
        repeats: int,
        seed: int,
    ) -> None:
        n = len(truth)
        unit = np.arange(n) if groups is None else unit_numbers(truth, groups)
        kinds = np.zeros((n, len(parts) + 1), np.bool_)
        kinds[:, 0] = truth
        for column, part in enumerate(parts, start=1):
            kinds[part, column] = True
        self._unit, self._repeats, self._seed = unit, repeats, seed
        self._strata = _strata(unit, kinds)
        # One file or group says nothing about how others would differ.
        self.possible = repeats > 0 and all(
            len(np.unique(unit[part[truth[part] == label]])) != 1
            for part in parts
            for label in (False, True)
        )

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        random = np.random.default_rng(self._seed)
        n = len(self._unit)
        units = int(self._unit.max(initial=-1)) + 1
        batch = max(1, _CELLS // max(n, 1))
        for start in range(0, self._repeats, batch):
            rows = min(batch, self._repeats - start)
            weights = np.zeros((rows, units), np.int64)
            for members in self._strata:
                drawn = random.integers(0, len(members), (rows, len(members)))
                drawn += len(members) * np.arange(rows)[:, None]
                counts = np.bincount(drawn.ravel(), minlength=rows * len(members))
                weights[:, members] = counts.reshape(rows, len(members))
            yield weights[:, self._unit]


def _strata(unit: NDArray[np.intp], kinds: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Units by the set of kinds of file they hold: lists of unit numbers.

    Args:
        unit: (n,) the unit of each file, numbered from 0 without gaps.
        kinds: (n, k) truth and membership of each file in each subset.
    """
    if not len(unit):
        return []
    distinct, kind = np.unique(kinds, axis=0, return_inverse=True)
    holds = np.zeros((int(unit.max()) + 1, len(distinct)), np.bool_)
    holds[unit, kind.reshape(-1)] = True
    patterns, stratum = np.unique(holds, axis=0, return_inverse=True)
    return [np.flatnonzero(stratum.reshape(-1) == number) for number in range(len(patterns))]


def _over_rows(
    metric: Metric,
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    part: NDArray[np.intp],
) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
    """A function from weights (b, n) to the metric (b,) over the files `part`."""
    part = part[np.argsort(-scores[part], kind="stable")]  # kernels are quick on falling scores
    labels, values = truth[part], scores[part]
    function, options = metric, {}
    if isinstance(metric, partial) and not metric.args:
        function, options = metric.func, metric.keywords
    kernel = _mean_over_rows if function is _mean else BATCHED.get(function)
    if kernel is not None:
        return lambda weights: kernel(labels, values, weights[:, part], **options)

    def one_by_one(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = (np.repeat(np.arange(len(part)), row) for row in weights[:, part])
        return np.array([metric(labels[rows], values[rows]) for rows in drawn], np.float64)

    return one_by_one


def _mean(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    return float(scores.mean()) if len(scores) else math.nan


def _mean_over_rows(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.int64]
) -> NDArray[Any]:
    return np.asarray(weights @ scores / weights.sum(axis=1))


def _percentiles(value: float, sample: NDArray[np.float64], level: float) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    known = sample[~np.isnan(sample)]
    if 2 * len(known) < len(sample):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
