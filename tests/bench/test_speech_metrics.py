"""Costs, information, and stretches against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bonafide.bench import interval_metrics as intervals
from bonafide.bench.speech_metrics import act_dcf, cllr, min_dcf

TRUTH = np.array([True, True, False, False])


def test_min_dcf_is_nothing_for_classes_apart_and_one_for_none() -> None:
    assert min_dcf(TRUTH, [2, 3, -1, 0]) == 0
    assert min_dcf(TRUTH, [1, 1, 1, 1]) == 1
    assert min_dcf(TRUTH, [-1, 0, 2, 3]) == pytest.approx(1)
    assert math.isnan(min_dcf([True], [1]))


def test_min_dcf_by_hand() -> None:
    # Costs over 0.5: 1.9 of refusing, 1 of accepting. At 1 nothing is refused, half is accepted.
    assert min_dcf(TRUTH, [0, 1, -1, 0]) == pytest.approx(0.5)


def test_min_dcf_over_all_thresholds() -> None:
    random = np.random.default_rng(3)
    truth = random.random(200) < 0.4
    scores = np.round(random.normal(truth * 1.0, 1), 1)
    costs = []
    for threshold in (*np.unique(scores), np.inf):
        said = scores >= threshold
        costs.append(1.9 * said[~truth].mean() + (~said[truth]).mean())
    assert min_dcf(truth, scores) == pytest.approx(min(costs))
    assert act_dcf(truth, scores) >= min_dcf(truth, scores) - 1e-12


def test_act_dcf_asks_at_the_threshold_of_the_costs() -> None:
    threshold = math.log(1.9)
    assert act_dcf(TRUTH, [threshold + 0.1, 9, threshold - 0.1, -9]) == 0
    assert act_dcf(TRUTH, [threshold - 0.1, 9, -9, -9]) == pytest.approx(0.5)


def test_cllr() -> None:
    assert cllr(TRUTH, [0, 0, 0, 0]) == pytest.approx(1)
    assert cllr(TRUTH, [50, 50, -50, -50]) == pytest.approx(0, abs=1e-9)
    assert cllr(TRUTH, [-1000, 50, -50, -50]) == pytest.approx(1000 / math.log(2) / 4)
    assert math.isnan(cllr([False], [0]))


def test_intervals_are_written_and_read() -> None:
    spans = [(1.5, 2.25), (7.0, 8.0)]
    assert intervals.read(intervals.written(spans)) == spans
    assert intervals.read("") == []
    with pytest.raises(ValueError, match="ends before"):
        intervals.read("3-2")


def test_overlap() -> None:
    assert intervals.overlap((0, 2), (1, 3)) == pytest.approx(1 / 3)
    assert intervals.overlap((0, 1), (2, 3)) == 0 == intervals.overlap((1, 1), (1, 1))


def test_average_precision_by_hand() -> None:
    truth = {"a": [(0.0, 1.0), (4.0, 5.0)], "b": []}
    proposals = {"a": [(0.0, 1.0, 0.9), (0.0, 1.0, 0.8), (4.0, 5.0, 0.3)], "b": [(0.0, 1.0, 0.5)]}
    # Right, a second hit on what was found, wrong in a genuine clip, right: 1/1 and 2/4.
    assert intervals.average_precision(truth, proposals, 0.5) == pytest.approx(0.75)
    assert intervals.average_precision(truth, {}, 0.5) == 0
    assert math.isnan(intervals.average_precision({"b": []}, {}, 0.5))
    with pytest.raises(ValueError, match="no truth"):
        intervals.average_precision(truth, {"c": []}, 0.5)


def test_the_overlap_has_to_be_exceeded() -> None:
    truth = {"a": [(0.0, 2.0)]}
    half = {"a": [(0.0, 1.0, 1.0)]}
    assert intervals.average_precision(truth, half, 0.5) == 0
    assert intervals.average_precision(truth, half, 0.49) == 1


def test_average_recall_counts_the_best_proposals() -> None:
    truth = {"a": [(0.0, 1.0)], "b": [(2.0, 3.0)]}
    proposals = {"a": [(5.0, 6.0, 0.9), (0.0, 1.0, 0.1)], "b": [(2.0, 2.72, 0.5)]}
    assert intervals.average_recall(truth, proposals, 1, (0.5,)) == 0.5
    assert intervals.average_recall(truth, proposals, 2, (0.5,)) == 1
    # An overlap of 0.72 passes 0.5, 0.55, 0.6, 0.65 and 0.7.
    assert intervals.average_recall(truth, proposals, 2) == pytest.approx((10 + 5) / 20)
