"""Every metric against scikit-learn, or against the definition written out slowly."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from bonafide.bench import metrics
from bonafide.bench.kernels import ECE_BINS

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]
CLOSE = 1e-9


@st.composite
def samples(draw: st.DrawFn, both: bool = True, probabilities: bool = False) -> Sample:
    """Labels and scores; scores come from few values half of the time, so that many tie."""
    n = draw(st.integers(2 if both else 1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = random.random(n) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    if both:
        truth[:2] = (True, False)
    steps = draw(st.sampled_from([1, 3, 10, 0]))
    scores = random.integers(0, steps + 1, n) / steps if steps else random.random(n)
    if not probabilities:
        scores = scores * draw(st.sampled_from([1.0, -7.5, 1e6]))
    order = random.permutation(n)
    return truth[order], scores[order]


def threshold_of(sample: Sample) -> float:
    return float(np.median(sample[1]))


def equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE, abs_tol=CLOSE)


@given(samples())
@settings(max_examples=150, deadline=None)
def test_rank_metrics_equal_scikit_learn(sample: Sample) -> None:
    truth, scores = sample
    assert equal(metrics.roc_auc(truth, scores), reference.roc_auc_score(truth, scores))
    average = reference.average_precision_score(truth, scores)
    assert equal(metrics.average_precision(truth, scores), average)


@given(samples())
@settings(max_examples=100, deadline=None)
def test_curves_equal_scikit_learn(sample: Sample) -> None:
    truth, scores = sample
    ours = metrics.roc_curve(truth, scores)
    false, true, thresholds = reference.roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(ours.false_positive_rate, false, atol=CLOSE)
    np.testing.assert_allclose(ours.true_positive_rate, true, atol=CLOSE)
    np.testing.assert_allclose(ours.thresholds, thresholds, atol=CLOSE)
    curve = metrics.precision_recall_curve(truth, scores)
    precision, recall, steps = reference.precision_recall_curve(truth, scores)
    np.testing.assert_allclose(curve.precision, precision[::-1], atol=CLOSE)
    np.testing.assert_allclose(curve.recall, recall[::-1], atol=CLOSE)
    np.testing.assert_allclose(curve.thresholds[1:], steps[::-1], atol=CLOSE)


@given(samples())
@settings(max_examples=100, deadline=None)
def test_metrics_at_a_threshold_equal_scikit_learn(sample: Sample) -> None:
    truth, scores = sample
    threshold = threshold_of(sample)
    called = scores >= threshold
    accuracy = reference.accuracy_score(truth, called)
    balanced = reference.balanced_accuracy_score(truth, called)
    assert equal(metrics.accuracy(truth, scores, threshold), accuracy)
    assert equal(metrics.balanced_accuracy(truth, scores, threshold), balanced)
    assert equal(metrics.hter(truth, scores, threshold), 1 - balanced)
    recall = reference.recall_score(truth, called)
    assert equal(metrics.true_positive_rate(truth, scores, threshold), recall)
    specificity = reference.recall_score(~truth, ~called)
    assert equal(metrics.false_positive_rate(truth, scores, threshold), 1 - specificity)


@given(samples(both=False, probabilities=True))
@settings(max_examples=100, deadline=None)
def test_calibration_equals_scikit_learn(sample: Sample) -> None:
    truth, scores = sample
    brier = reference.brier_score_loss(truth.astype(int), scores, pos_label=1)
    assert equal(metrics.brier(truth, scores), brier)
    bins = metrics.reliability(truth, scores)
    filled = bins.count > 0
    if truth.any() and not truth.all():  # scikit-learn refuses one class
        observed, announced = calibration_curve(truth, scores, n_bins=ECE_BINS)
        np.testing.assert_allclose(bins.observed[filled], observed, atol=CLOSE)
        np.testing.assert_allclose(bins.announced[filled], announced, atol=CLOSE)
    gaps = np.abs(bins.observed - bins.announced)[filled] * bins.count[filled]
    assert equal(metrics.ece(truth, scores), gaps.sum() / len(truth))
    assert np.isnan(bins.observed[~filled]).all()


def test_expected_calibration_error_by_hand() -> None:
    truth, probabilities = [0, 1, 1, 1], [0.1, 0.1, 0.9, 0.9]
    # Two bins: (0.1 announced, 0.5 observed) and (0.9 announced, 1 observed), two files each.
    assert metrics.ece(truth, probabilities, bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert metrics.ece([1, 0], [1.0, 0.0]) == 0.0


@given(samples())
@settings(max_examples=100, deadline=None)
def test_searched_thresholds_against_all_thresholds(sample: Sample) -> None:
    truth, scores = sample
    every = [*np.unique(scores), math.inf]
    for balanced in (False, True):
        measure = metrics.balanced_accuracy if balanced else metrics.accuracy
        best = metrics.best_threshold(truth, scores, balanced)
        assert equal(best.value, max(measure(truth, scores, threshold) for threshold in every))
        assert equal(best.value, measure(truth, scores, best.threshold))
        assert equal(best.value, metrics.oracle_accuracy(truth, scores, balanced))
        assert math.isfinite(best.threshold)
    for rate in (0.0, 0.001, 0.01, 0.1, 0.5, 1.0):
        allowed = [
            metrics.true_positive_rate(truth, scores, threshold)
            for threshold in every
            if metrics.false_positive_rate(truth, scores, threshold) <= rate
        ]
        point = metrics.threshold_at_fpr(truth, scores, rate)
        assert metrics.tpr_at_fpr(truth, scores, rate) == max(allowed) == point.value
        assert metrics.true_positive_rate(truth, scores, point.threshold) == point.value
        assert metrics.false_positive_rate(truth, scores, point.threshold) <= rate


@given(samples())
@settings(max_examples=100, deadline=None)
def test_equal_error_rate_is_where_the_rates_differ_least(sample: Sample) -> None:
    truth, scores = sample
    false, true, _ = reference.roc_curve(truth, scores, drop_intermediate=False)
    difference = np.abs(false - (1 - true))
    candidates = ((false + 1 - true) / 2)[difference <= difference.min() + CLOSE]
    point = metrics.eer(truth, scores)
    assert equal(point.value, candidates[0])
    assert equal(point.value, metrics.eer_value(truth, scores))
    assert equal(point.value, metrics.hter(truth, scores, point.threshold))


def test_equal_error_rate_of_torchmetrics_examples() -> None:
    assert metrics.eer_value([0, 1, 1, 0], [0, 0.5, 0.7, 0.8]) == 0.5
    value = metrics.eer_value([0, 0, 1, 1, 1], [0.13, 0.26, 0.08, 0.19, 0.34])
    assert value == pytest.approx(0.5833, abs=1e-4)


@given(samples())
@settings(max_examples=50, deadline=None)
def test_the_order_of_files_does_not_matter(sample: Sample) -> None:
    truth, scores = sample
    order = np.random.default_rng(len(truth)).permutation(len(truth))
    for metric in (
        metrics.roc_auc,
        metrics.average_precision,
        metrics.eer_value,
        metrics.oracle_accuracy,
    ):
        assert metric(truth, scores) == metric(truth[order], scores[order])


def test_a_rate_that_is_a_decimal_fraction_is_met_exactly() -> None:
    truth = np.repeat([False, True], [100, 10])
    scores = np.concatenate([np.arange(100.0), np.full(10, 70.5)])
    assert metrics.tpr_at_fpr(truth, scores, 0.29) == 1.0  # 29 of 100 lie above; 0.29 × 100 < 29
    assert metrics.tpr_at_fpr(truth, scores, 0.28) == 0.0


def test_the_best_threshold_keeps_clear_of_both_neighbours() -> None:
    point = metrics.best_threshold([0, 0, 1, 1], [0.0, 0.2, 0.6, 0.9])
    assert point == metrics.OperatingPoint(pytest.approx(0.4), 1.0)
    worst = metrics.best_threshold([1, 0, 0], [0.0, 1.0, 1.0])
    assert worst.value == pytest.approx(2 / 3)
    assert worst.threshold > 1.0  # nothing is accused
    close = np.nextafter(1.0, 2.0)
    assert metrics.best_threshold([0, 1], [1.0, close]) == metrics.OperatingPoint(close, 1.0)


def risk_by_random_order(wrong: NDArray[np.bool_], sure: NDArray[np.float64]) -> float:
    """The mean area over many random orders of tied files."""
    random = np.random.default_rng(0)
    areas = []
    for _ in range(3000):
        order = np.lexsort((random.random(len(wrong)), -sure))
        areas.append(np.mean(np.cumsum(wrong[order]) / np.arange(1, len(wrong) + 1)))
    return float(np.mean(areas))


def test_risk_and_coverage() -> None:
    truth = np.array([1, 0, 1, 0], np.bool_)
    scores = np.array([0.99, 0.1, 0.3, 0.45])  # the third is wrong, third in confidence
    curve = metrics.risk_coverage(truth, scores)
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve.risk, [0, 0, 1 / 3, 1 / 4])
    assert curve.area == pytest.approx((1 / 3 + 1 / 4) / 4)
    assert curve.risk[-1] == 1 - metrics.accuracy(truth, scores, 0.5)
    tied = metrics.risk_coverage(truth, scores, confidence=[2, 1, 1, 1])
    np.testing.assert_allclose(tied.coverage, [0.25, 1.0])
    wrong = (scores >= 0.5) != truth
    expected = risk_by_random_order(wrong, np.array([2.0, 1, 1, 1]))
    assert tied.area == pytest.approx(expected, abs=0.01)
    assert math.isnan(metrics.risk_coverage([], []).area)


def test_pooling() -> None:
    groups = np.array(["b", "a", "b", "b", "b", "a"])
    scores = np.array([1.0, 5.0, 2.0, 3.0, 4.0, 7.0])
    mean = metrics.pool(scores, groups)
    assert mean.groups.tolist() == ["a", "b"]
    assert mean.scores.tolist() == [6.0, 2.5]
    assert groups[mean.first].tolist() == ["a", "b"]
    assert metrics.pool(scores, groups, "max").scores.tolist() == [7.0, 4.0]
    assert metrics.pool(scores, groups, "top_mean").scores.tolist() == [7.0, 4.0]
    assert metrics.pool(scores, groups, "top_mean", 0.5).scores.tolist() == [7.0, 3.5]
    assert metrics.pool(scores, groups, "top_mean", 1.0).scores.tolist() == [6.0, 2.5]
    assert metrics.pool([], []).scores.shape == (0,)
    with pytest.raises(ValueError, match="median"):
        metrics.pool(scores, groups, "median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one group a score"):
        metrics.pool(scores, groups[:2])
    with pytest.raises(ValueError, match="NaN"):
        metrics.pool([math.nan], ["a"])


@given(samples(both=False))
@settings(max_examples=50, deadline=None)
def test_pooled_means_equal_plain_means(sample: Sample) -> None:
    scores = sample[1]
    groups = np.arange(len(scores)) % 4
    pooled = metrics.pool(scores, groups)
    for group, score in zip(pooled.groups, pooled.scores, strict=True):
        assert equal(score, scores[groups == group].mean())


NEEDS_BOTH: dict[str, Callable[..., float]] = {
    "roc_auc": metrics.roc_auc,
    "average_precision": metrics.average_precision,
    "balanced_accuracy": lambda t, s: metrics.balanced_accuracy(t, s, 0.5),
    "hter": lambda t, s: metrics.hter(t, s, 0.5),
    "oracle_accuracy": metrics.oracle_accuracy,
    "tpr_at_fpr": lambda t, s: metrics.tpr_at_fpr(t, s, 0.01),
    "eer_value": metrics.eer_value,
    "eer": lambda t, s: metrics.eer(t, s).threshold,
    "best_threshold": lambda t, s: metrics.best_threshold(t, s).threshold,
    "threshold_at_fpr": lambda t, s: metrics.threshold_at_fpr(t, s, 0.01).threshold,
    "roc_curve": lambda t, s: float(metrics.roc_curve(t, s).true_positive_rate[-1]),
    "precision_recall": lambda t, s: float(metrics.precision_recall_curve(t, s).precision[-1]),
}
NEEDS_ANY: dict[str, Callable[..., float]] = {
    "accuracy": lambda t, s: metrics.accuracy(t, s, 0.5),
    "brier": metrics.brier,
    "ece": metrics.ece,
    "risk_coverage": lambda t, s: metrics.risk_coverage(t, s).area,
}
EVERY = {**NEEDS_BOTH, **NEEDS_ANY}


@pytest.mark.parametrize("name", NEEDS_BOTH)
@pytest.mark.parametrize("label", [False, True])
def test_one_class_is_not_a_measurement(name: str, label: bool) -> None:
    assert math.isnan(NEEDS_BOTH[name](np.full(3, label), np.array([0.1, 0.5, 0.5])))


@pytest.mark.parametrize("name", NEEDS_ANY)
def test_metrics_of_single_files_are_defined_for_one_class(name: str) -> None:
    assert math.isfinite(NEEDS_ANY[name](np.ones(3, np.bool_), np.array([0.1, 0.5, 0.5])))


def test_rates_need_their_own_class_only() -> None:
    assert metrics.true_positive_rate([1, 1], [0.2, 0.7], 0.5) == 0.5
    assert math.isnan(metrics.false_positive_rate([1, 1], [0.2, 0.7], 0.5))
    assert metrics.false_positive_rate([0, 0], [0.2, 0.7], 0.5) == 0.5
    assert math.isnan(metrics.true_positive_rate([0, 0], [0.2, 0.7], 0.5))


@pytest.mark.parametrize("name", EVERY)
def test_nothing_measured_is_nan(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(EVERY[name](np.zeros(0, np.bool_), np.zeros(0)))


@pytest.mark.parametrize("name", EVERY)
def test_bad_arguments_are_errors(name: str) -> None:
    metric = EVERY[name]
    with pytest.raises(ValueError, match="NaN"):
        metric([True, False], [math.nan, 0.5])
    with pytest.raises(ValueError, match="infinite"):
        metric([True, False], [math.inf, 0.5])
    with pytest.raises(ValueError, match="one label and one score"):
        metric([True, False, True], [0.1, 0.5])
    with pytest.raises(ValueError, match="one label and one score"):
        metric([[True, False]], [[0.1, 0.5]])
    with pytest.raises(ValueError, match="0 and 1"):
        metric([1, 2], [0.1, 0.5])


@pytest.mark.parametrize(
    "metric",
    [
        metrics.accuracy,
        metrics.balanced_accuracy,
        metrics.hter,
        metrics.true_positive_rate,
        metrics.false_positive_rate,
    ],
)
def test_a_threshold_that_could_not_be_chosen_measures_nothing(
    metric: Callable[..., float],
) -> None:
    chosen = metrics.best_threshold([True, True], [0.1, 0.5]).threshold
    assert math.isnan(metric([True, False], [0.1, 0.5], chosen))
    assert metric([True, False], [0.1, 0.5], math.inf) in (0.0, 0.5)


def test_impossible_thresholds_and_rates() -> None:
    with pytest.raises(ValueError, match="threshold is NaN"):
        metrics.risk_coverage([True, False], [0.1, 0.5], math.nan)
    for rate in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match="rate"):
            metrics.tpr_at_fpr([True, False], [0.1, 0.5], rate)
        with pytest.raises(ValueError, match="rate"):
            metrics.threshold_at_fpr([True, False], [0.1, 0.5], rate)


@pytest.mark.parametrize("metric", [metrics.brier, metrics.ece, metrics.reliability])
def test_raw_scores_are_no_probabilities(metric: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        metric([True, False], [1.2, 0.5])


def test_where_we_differ_from_scikit_learn() -> None:
    """The documented differences; this fails when scikit-learn changes its mind."""
    scores = np.array([0.1, 0.5, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without positives it says 0, without negatives 1: we say that nothing was measured.
        assert reference.average_precision_score(np.zeros(3, int), scores) == 0.0
        assert reference.average_precision_score(np.ones(3, int), scores) == 1.0
        # One class: it averages over the classes that occur.
        assert reference.balanced_accuracy_score(np.ones(3, int), scores >= 0.5) == pytest.approx(
            2 / 3
        )
        # One class: here it agrees with us.
        assert math.isnan(reference.roc_auc_score(np.ones(3, int), scores))
    with pytest.raises(ValueError):  # no files: it refuses
        reference.roc_auc_score([], [])
