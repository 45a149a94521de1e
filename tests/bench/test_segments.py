"""Average precision and recall of intervals, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bonafide.bench.segments import (
    ClipIntervals,
    average_precision,
    average_recall,
    figures,
    overlaps,
)
from bonafide.errors import InvalidInput


def test_overlaps() -> None:
    table = overlaps([(0, 2), (5, 6), (3, 3)], [(1, 3), (5, 6)])
    np.testing.assert_allclose(table, [[1 / 3, 0], [0, 1], [0, 0]])


def test_perfect_proposals() -> None:
    clips = [ClipIntervals([(1, 2), (4, 5)], [(4, 5), (1, 2)], [0.2, 0.9]),
             ClipIntervals([], [], [])]  # fmt: skip
    assert set(figures(clips).values()) == {1.0}
    assert set(figures(clips)) == {
        "ap@0.5", "ap@0.75", "ap@0.95", "ar@100", "ar@50", "ar@20", "ar@10"
    }  # fmt: skip


def test_bona_fide_clips_cost_precision() -> None:
    hit = ClipIntervals([(1, 2)], [(1, 2)], [0.5])
    assert average_precision([hit, ClipIntervals([], [(0, 9)], [0.9])], 0.5) == 0.5
    assert average_precision([hit, ClipIntervals([], [(0, 9)], [0.1])], 0.5) == 1


def test_an_interval_is_found_once() -> None:
    twice = ClipIntervals([(0, 10), (20, 30)], [(0, 10), (0, 9), (20, 30)], [0.9, 0.8, 0.7])
    assert average_precision([twice], 0.5) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_an_overlap_must_be_exceeded() -> None:
    half = [ClipIntervals([(0, 10)], [(0, 5)], [1.0])]
    assert average_precision(half, 0.5) == 0 and average_precision(half, 0.49) == 1
    most = [ClipIntervals([(0, 10)], [(0, 7.2)], [1.0])]
    assert average_recall(most, 10) == 0.5  # above .5, .55, .6, .65 and .7


def test_only_the_best_proposals_recall() -> None:
    clip = [ClipIntervals([(0, 1)], [(5, 6), (0, 1)], [0.9, 0.1])]
    assert average_recall(clip, 1) == 0 and average_recall(clip, 2) == 1


def test_nothing_to_find() -> None:
    assert math.isnan(average_precision([ClipIntervals([], [(0, 1)], [1.0])], 0.5))
    assert math.isnan(average_recall([], 10))
    assert average_precision([ClipIntervals([(0, 1)], [], [])], 0.5) == 0


def test_intervals_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one score"):
        ClipIntervals([], [(0, 1)], [])
    with pytest.raises(InvalidInput, match="before it begins"):
        ClipIntervals([(2, 1)], [], [])
