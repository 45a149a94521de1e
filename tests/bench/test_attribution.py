"""Attribution to known and new forgers, by hand."""

from __future__ import annotations

import math

import pytest

from bonafide.bench.attribution import attribution
from bonafide.errors import InvalidInput

TRUTH = ["a"] * 4 + ["b"] * 4 + ["c"] * 2


def test_names_of_classes_do_not_matter() -> None:
    score = attribution(TRUTH, [7] * 4 + [0] * 4 + [3] * 2, {"a", "b"})
    assert (score.every, score.known, score.novel) == (1, 1, 1)
    assert score.information == pytest.approx(1) and score.rand == 1


def test_one_class_stands_for_one_forger() -> None:
    score = attribution(TRUTH, [0] * 4 + [0] * 4 + [1] * 2, {"a"})  # b was merged with a
    assert score.every == 0.6
    assert {score.known, score.novel} in ({1.0, 2 / 6}, {0.0, 1.0})
    assert 0 < score.rand < 1


def test_what_is_not_there_has_no_share() -> None:
    assert math.isnan(attribution(["a", "a"], [0, 0], {"a"}).novel)
    assert attribution(["a", "b"], [0, 0], {"a", "b"}).rand == 0
    with pytest.raises(InvalidInput):
        attribution([], [], set())
    with pytest.raises(InvalidInput):
        attribution(["a"], [0, 1], set())
