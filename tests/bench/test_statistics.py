"""Intervals and tests against slow references, hand examples, and their own coverage."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bonafide.bench import metrics, statistics
from bonafide.bench.delong import delong, delong_interval
from bonafide.bench.statistics import Interval

Arrays = tuple[NDArray[np.bool_], NDArray[np.float64]]


def sample(n: int = 200, shift: float = 1.0, seed: int = 0, digits: int = 1) -> Arrays:
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 2 == 0
    return truth, np.round(random.normal(truth * shift), digits)


def probabilities(n: int = 200) -> Arrays:
    truth, scores = sample(n)
    return truth, np.round(1 / (1 + np.exp(-scores)), 2)


OPTIONS: dict[str, dict[str, float]] = {
    "accuracy": {"threshold": 0.5},
    "balanced_accuracy": {"threshold": 0.5},
    "hter": {"threshold": 0.5},
    "true_positive_rate": {"threshold": 0.5},
    "false_positive_rate": {"threshold": 0.5},
    "tpr_at_fpr": {"rate": 0.1},
    "ece": {"bins": 7},
}


@pytest.mark.parametrize("metric", metrics.BATCHED, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("grouped", [False, True])
def test_all_resamples_at_once_equal_one_by_one(
    metric: Callable[..., float], grouped: bool
) -> None:
    truth, scores = probabilities(60)
    options = OPTIONS.get(metric.__name__, {})
    groups = np.arange(60) // 3 if grouped else None
    fast = statistics.bootstrap(partial(metric, **options), truth, scores, groups, repeats=50)
    slow = statistics.bootstrap(
        lambda t, s: metric(t, s, **options), truth, scores, groups, repeats=50
    )
    assert fast.value == metric(truth, scores, **options)
    assert fast.low <= fast.value <= fast.high or metric is metrics.oracle_accuracy
    np.testing.assert_allclose(
        [fast.value, fast.low, fast.high], [slow.value, slow.low, slow.high], atol=1e-9
    )


def test_resampling_keeps_the_classes_and_every_file_can_be_drawn() -> None:
    truth = np.arange(20) < 5
    seen: list[NDArray[np.float64]] = []

    def spy(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        assert (labels.sum(), len(labels)) == (5, 20)
        assert (labels == (scores < 5)).all()
        seen.append(scores)
        return 0.0

    statistics.bootstrap(spy, truth, np.arange(20.0), repeats=200)
    drawn = np.concatenate(seen[1:])
    counts = np.bincount(drawn.astype(int), minlength=20)
    assert (counts > 120).all()
    assert (counts < 280).all()  # mean 200, standard deviation 14


def test_groups_are_drawn_whole() -> None:
    # Scenes 0–9 hold a genuine and an edited picture, 10–14 genuine ones only.
    groups = np.concatenate([np.repeat(np.arange(10), 2), np.repeat(np.arange(10, 15), 3)])
    truth = np.concatenate([np.tile([True, False], 10), np.zeros(15, np.bool_)])

    def spy(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        times = np.bincount(scores.astype(int), minlength=15)
        assert times[:10].sum() == 20
        assert (times[:10] % 2 == 0).all()
        assert times[10:].sum() == 15
        assert (times[10:] % 3 == 0).all()
        assert labels.sum() == 10
        return 0.0

    statistics.bootstrap(spy, truth, groups.astype(np.float64), groups, repeats=50)


def test_copies_of_a_file_do_not_make_us_surer() -> None:
    truth, scores = sample(60)
    alone = statistics.bootstrap(metrics.roc_auc, truth, scores)
    files = np.arange(60).repeat(10)
    copied = (truth[files], scores[files])
    fooled = statistics.bootstrap(metrics.roc_auc, *copied)
    honest = statistics.bootstrap(metrics.roc_auc, *copied, groups=files)
    assert fooled.high - fooled.low < 0.5 * (alone.high - alone.low)
    assert honest.high - honest.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_seed_and_level() -> None:
    truth, scores = sample()
    one = statistics.bootstrap(metrics.roc_auc, truth, scores, seed=1)
    assert one == statistics.bootstrap(metrics.roc_auc, truth, scores, seed=1)
    assert one != statistics.bootstrap(metrics.roc_auc, truth, scores, seed=2)
    narrow = statistics.bootstrap(metrics.roc_auc, truth, scores, seed=1, level=0.5)
    assert one.low < narrow.low < narrow.high < one.high
    with pytest.raises(ValueError, match="level"):
        statistics.bootstrap(metrics.roc_auc, truth, scores, level=95)


def test_batches_cover_all_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_CELLS", 200 * 7)  # 7 resamples at a time
    calls = []
    statistics.bootstrap(lambda t, s: calls.append(1) or 0.0, *sample(), repeats=30)  # type: ignore[func-returns-value]
    assert len(calls) == 1 + 30


def test_intervals_agree_with_delong() -> None:
    truth, scores = sample(400, digits=6)
    drawn = statistics.bootstrap(metrics.roc_auc, truth, scores, repeats=2000)
    computed = delong_interval(truth, scores)
    assert drawn.value == pytest.approx(computed.value, abs=1e-12)
    assert drawn.low == pytest.approx(computed.low, abs=0.01)
    assert drawn.high == pytest.approx(computed.high, abs=0.01)


def test_the_true_value_lies_inside_about_as_often_as_promised() -> None:
    true_auc = stats.norm.cdf(1 / math.sqrt(2))
    inside = 0
    for seed in range(200):
        truth, scores = sample(100, seed=seed, digits=9)
        interval = statistics.bootstrap(metrics.roc_auc, truth, scores, repeats=200)
        inside += interval.low <= true_auc <= interval.high
    assert 176 <= inside <= 200  # 190 expected; below 176 has probability 2e-5


@pytest.mark.parametrize("grouped", [False, True])
def test_one_file_or_group_of_a_class_says_nothing_about_spread(grouped: bool) -> None:
    truth, scores = sample(20)
    if grouped:
        groups = np.where(truth, 0, np.arange(20) + 1)
        interval = statistics.bootstrap(metrics.roc_auc, truth, scores, groups)
    else:
        truth = np.arange(20) == 3
        interval = statistics.bootstrap(metrics.roc_auc, truth, scores)
    assert math.isfinite(interval.value)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_undefined_metrics_have_undefined_intervals() -> None:
    for truth in (np.ones(5, np.bool_), np.zeros(0, np.bool_)):
        interval = statistics.bootstrap(metrics.roc_auc, truth, np.arange(float(len(truth))))
        assert all(math.isnan(value) for value in (interval.value, interval.low, interval.high))
    rate = partial(metrics.false_positive_rate, threshold=2.0)
    alone = statistics.bootstrap(rate, np.zeros(5, np.bool_), np.arange(5.0))
    assert alone.value == 0.6
    assert 0 <= alone.low < 0.6 < alone.high <= 1
    with pytest.raises(ValueError, match="NaN"):
        statistics.bootstrap(metrics.roc_auc, [True, False], [math.nan, 0])
    with pytest.raises(ValueError, match="one group a file"):
        statistics.bootstrap(metrics.roc_auc, [True, False], [1.0, 0], groups=[1])


def test_rarely_undefined_resamples_are_left_out_and_often_undefined_ones_are_not_hidden() -> None:
    truth, scores = sample(20)
    calls = 0

    def sometimes(labels: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
        nonlocal calls
        calls += 1
        return math.nan if calls % every == 0 else float(values.mean())

    every = 10
    assert math.isfinite(statistics.bootstrap(sometimes, truth, scores).low)
    calls, every = -1, 1  # all but the first call
    spoiled = statistics.bootstrap(
        lambda t, s: math.nan if len(np.unique(s)) < len(np.unique(scores)) else 1.0, truth, scores
    )
    assert spoiled.value == 1.0
    assert math.isnan(spoiled.low)


def test_macro_average() -> None:
    truth, scores = sample(300)
    generator = np.where(truth, np.arange(300) // 2 % 3, -1)
    subsets = [np.flatnonzero((generator == number) | ~truth) for number in range(3)]
    parts = [metrics.roc_auc(truth[subset], scores[subset]) for subset in subsets]
    fast = statistics.macro(metrics.roc_auc, truth, scores, subsets, repeats=100)
    slow = statistics.macro(lambda t, s: metrics.roc_auc(t, s), truth, scores, subsets, repeats=100)
    assert fast.value == pytest.approx(np.mean(parts))
    assert fast.low < fast.value < fast.high
    assert slow.low == pytest.approx(fast.low, abs=1e-12)
    assert slow.high == pytest.approx(fast.high, abs=1e-12)
    whole = statistics.macro(metrics.roc_auc, truth, scores, [np.arange(300)], repeats=100)
    assert whole == statistics.bootstrap(metrics.roc_auc, truth, scores, repeats=100)
    one_class = statistics.macro(metrics.roc_auc, truth, scores, [subsets[0], [1, 3]])
    assert math.isnan(one_class.value)
    with pytest.raises(ValueError, match="no subsets"):
        statistics.macro(metrics.roc_auc, truth, scores, [])


def test_macro_resamples_keep_every_subset() -> None:
    truth = np.arange(12) < 6
    subsets = [[0, 1, *range(6, 12)], [2, 3, 4, 5, *range(6, 12)]]

    def spy(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        assert labels.sum() in (2, 4)
        assert (~labels).sum() == 6
        return 0.0

    statistics.macro(spy, truth, np.arange(12.0), subsets, repeats=50)


def test_difference_of_detectors_on_the_same_files() -> None:
    truth, first = sample(200, digits=6)
    same = statistics.bootstrap_difference(metrics.roc_auc, truth, first, 2 * first)
    assert same == Interval(0.0, 0.0, 0.0)
    second = first + np.random.default_rng(1).normal(size=200) * 2
    paired = statistics.bootstrap_difference(metrics.roc_auc, truth, first, second)
    test = delong(truth, first, second)
    assert paired.value == pytest.approx(test.value)
    half = 1.96 * test.standard_error
    assert paired.low == pytest.approx(test.value - half, abs=0.02)
    assert paired.high == pytest.approx(test.value + half, abs=0.02)


def test_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    interval = statistics.bootstrap_mean(values, repeats=2000)
    assert interval.value == pytest.approx(values.mean())
    half = 1.96 * values.std(ddof=1) / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    assert math.isnan(statistics.bootstrap_mean([]).value)
    with pytest.raises(ValueError, match="NaN"):
        statistics.bootstrap_mean([1.0, math.nan])


def slow_delong(
    truth: NDArray[np.bool_], first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[float, float]:
    """Difference and its variance, straight from the definition of 1988: every pair is compared."""

    def pairs(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        positive, negative = scores[truth], scores[~truth]
        return np.array([[(p > n) + 0.5 * (p == n) for n in negative] for p in positive], float)

    both = [pairs(first), pairs(second)]
    by_positive = np.cov([matrix.mean(axis=1) for matrix in both])
    by_negative = np.cov([matrix.mean(axis=0) for matrix in both])
    covariance = by_positive / truth.sum() + by_negative / (~truth).sum()
    contrast = np.array([1, -1])
    return both[0].mean() - both[1].mean(), float(contrast @ covariance @ contrast)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 2**32 - 1), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_delong_equals_the_slow_definition(
    positives: int, negatives: int, seed: int, digits: int
) -> None:
    random = np.random.default_rng(seed)
    truth = random.permutation(np.arange(positives + negatives) < positives)
    shared = random.normal(truth * 1.0)
    first = np.round(shared + random.normal(size=len(truth)), digits)
    second = np.round(shared + random.normal(size=len(truth)), digits)
    test = delong(truth, first, second)
    value, variance = slow_delong(truth, first, second)
    assert test.value == pytest.approx(value, abs=1e-9)
    assert test.standard_error**2 == pytest.approx(variance, abs=1e-9)
    assert test.first == pytest.approx(metrics.roc_auc(truth, first), abs=1e-9)
    assert test.second == pytest.approx(metrics.roc_auc(truth, second), abs=1e-9)
    if variance > 1e-9:
        assert test.p == pytest.approx(2 * stats.norm.sf(abs(value) / math.sqrt(variance)), 1e-6)
    mirrored = delong(truth, second, first)
    assert mirrored.value == -test.value
    np.testing.assert_equal(mirrored.p, test.p)


def test_delong_where_there_is_no_spread() -> None:
    truth, scores = sample(40)
    same = delong(truth, scores, scores * 3)
    assert (same.value, same.z, same.p) == (0.0, 0.0, 1.0)
    opposite = delong(truth, truth * 1.0, truth * -1.0)
    assert (opposite.value, opposite.standard_error) == (1.0, 0.0)
    assert math.isnan(opposite.p)
    for labels in ([True, False, False], [True, True], []):
        values = np.arange(float(len(labels)))
        assert math.isnan(delong(labels, values, -values).p)
        assert math.isnan(delong_interval(labels, values).low)
    assert delong([True, False], [1.0, 0.0], [0.0, 1.0]).value == 1.0
    assert math.isnan(delong([True, False], [1.0, 0.0], [1.0, 0.0]).p)


def test_delong_is_calibrated() -> None:
    """Equal detectors are told apart in about one of twenty samples."""
    random = np.random.default_rng(0)
    truth = np.arange(120) % 2 == 0
    hits = 0
    for _ in range(400):
        shared = random.normal(truth * 1.0)
        one, other = (shared + random.normal(size=120) for _ in range(2))
        hits += delong(truth, one, other).p < 0.05
    assert 6 <= hits <= 37  # 20 expected, standard deviation 4.4


def clustered(random: np.random.Generator, videos: int, frames: int) -> tuple[NDArray[Any], ...]:
    """Truth, two equally good detectors and the video of each frame; frames resemble each other."""
    video = np.repeat(np.arange(videos), frames)
    truth = video % 2 == 0
    one, other = (
        truth * 1.0 + random.normal(size=videos)[video] + 0.3 * random.normal(size=len(video))
        for _ in range(2)
    )
    return truth, one, other, video


@pytest.mark.parametrize(("videos", "frames"), [(40, 20), (16, 10)])
def test_clustered_delong_is_calibrated(videos: int, frames: int) -> None:
    """Equal detectors are told apart in about one of twenty trials, however many frames."""
    random = np.random.default_rng(0)
    rejected = {"frames": 0, "videos": 0}
    for _ in range(300):
        truth, one, other, video = clustered(random, videos, frames)
        rejected["frames"] += delong(truth, one, other).p < 0.05
        rejected["videos"] += delong(truth, one, other, video).p < 0.05
    assert rejected["frames"] > 120  # why groups are needed
    assert 3 <= rejected["videos"] <= 30  # 15 expected, standard deviation 3.8


def test_clustered_delong_is_calibrated_where_groups_hold_both_classes() -> None:
    random = np.random.default_rng(1)
    scene, truth = np.repeat(np.arange(30), 8), np.tile([True, False], 120)
    rejected = 0
    for _ in range(300):
        one, other = (
            truth * (1.0 + random.normal(size=30)[scene]) + random.normal(size=240)
            for _ in range(2)
        )
        rejected += delong(truth, one, other, scene).p < 0.05
    assert 3 <= rejected <= 30


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_clustered_delong_equals_its_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 40
    group = random.integers(0, 12, n)
    truth = random.random(n) < 0.5
    truth[:2], group[:2], truth[2:4], group[2:4] = True, [0, 1], False, [0, 1]
    first = random.normal(truth * 1.0)
    second = random.normal(truth * 1.0)
    test = delong(truth, first, second, group)

    def kernel(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.greater.outer(scores[truth], scores[~truth]) * 1.0

    pairs = kernel(first) - kernel(second)
    m, k = pairs.shape
    value = pairs.mean()
    names = np.unique(group)
    ten = np.array([(pairs.mean(axis=1) - value)[group[truth] == g].sum() for g in names])
    one = np.array([(pairs.mean(axis=0) - value)[group[~truth] == g].sum() for g in names])
    i10, i01 = len(np.unique(group[truth])), len(np.unique(group[~truth]))
    i = len(names)
    variance = (
        i10 / (i10 - 1) * (ten**2).sum() / m**2
        + i01 / (i01 - 1) * (one**2).sum() / k**2
        + 2 * i / (i - 1) * (ten * one).sum() / (m * k)
    )
    assert test.value == pytest.approx(value, abs=1e-9)
    assert test.standard_error**2 == pytest.approx(max(variance, 0.0), abs=1e-9)


def test_clustered_delong_with_files_as_groups_is_delong() -> None:
    truth, scores = sample(60)
    other = scores + np.random.default_rng(3).normal(size=60)
    alone = delong(truth, scores, other)
    grouped = delong(truth, scores, other, np.arange(60))
    assert grouped.standard_error == pytest.approx(alone.standard_error)
    assert alone.p <= grouped.p <= alone.p + 0.02  # Student's t instead of the normal
    single = np.where(truth, 0, np.arange(60))  # one video holds all positives
    assert math.isnan(delong(truth, scores, other, single).p)
    with pytest.raises(ValueError, match="group"):
        delong(truth, scores, other, [1, 2])


def test_holm_by_hand() -> None:
    adjusted = statistics.holm([0.01, 0.04, 0.03, 0.005])
    # Sorted .005 ×4, .01 ×3, .03 ×2, .04 ×1 → .02, .03, .06, max(.04, .06).
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.holm([0.9, 0.8]), [1.0, 1.0])
    np.testing.assert_allclose(statistics.holm([0.02, math.nan, 0.03]), [0.04, math.nan, 0.04])
    assert statistics.holm([]).shape == (0,)
    with pytest.raises(ValueError, match="p-values"):
        statistics.holm([0.5, 1.5])


@given(st.integers(0, 300), st.integers(1, 300), st.sampled_from([0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(successes: int, trials: int, level: float) -> None:
    successes = min(successes, trials)
    interval = statistics.wilson(successes, trials, level)
    expected = stats.binomtest(successes, trials).proportion_ci(level, "wilson")
    assert interval.value == successes / trials
    assert interval.low == pytest.approx(expected.low, abs=1e-9)
    assert interval.high == pytest.approx(expected.high, abs=1e-9)


def test_wilson_at_its_edges() -> None:
    assert math.isnan(statistics.wilson(0, 0).value)
    none, every = statistics.wilson(0, 20), statistics.wilson(20, 20)
    assert none.low == 0.0 < none.high
    assert every.low < every.high == 1.0
    for successes, trials in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="share"):
            statistics.wilson(successes, trials)
