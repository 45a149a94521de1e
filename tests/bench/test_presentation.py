"""APCER by species, BPCER and HTER, at a threshold of other files."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bonafide.bench import metrics
from bonafide.bench.presentation import presentation_errors
from bonafide.bench.protocol import load_protocol
from bonafide.bench.samples import Sample

TRUTH = [True, True, True, True, True, True, False, False, False, False]
SCORES = [0.9, 0.8, 0.7, 0.1, 0.9, 0.2, 0.1, 0.2, 0.6, 0.3]
SPECIES = ["print", "print", "print", "print", "mask", "mask", "live", "live", "live", "live"]


def test_the_worst_species_is_not_hidden_by_the_others() -> None:
    found = presentation_errors(TRUTH, SCORES, SPECIES, 0.5)
    assert found.apcer == {"mask": 0.5, "print": 0.25} and found.count == {"mask": 2, "print": 4}
    assert (found.worst, found.apcer_worst) == ("mask", 0.5)
    assert found.apcer_pooled == pytest.approx(2 / 6) and found.bpcer == 0.25
    assert found.acer == pytest.approx(0.375)
    assert found.hter == pytest.approx(metrics.hter(TRUTH, SCORES, 0.5))


def test_a_score_at_the_threshold_is_called_an_attack() -> None:
    found = presentation_errors([True, False], [0.5, 0.5], ["print", "live"], 0.5)
    assert (found.apcer_worst, found.bpcer) == (0.0, 1.0)


def test_without_files_or_threshold_there_is_no_share() -> None:
    for found in (
        presentation_errors([False], [0.1], ["live"], 0.5),
        presentation_errors(TRUTH, SCORES, SPECIES, math.nan),
    ):
        assert math.isnan(found.apcer_worst) and math.isnan(found.hter)
    with pytest.raises(ValueError, match="species"):
        presentation_errors(TRUTH, SCORES, SPECIES[1:], 0.5)


def ocim() -> list[Sample]:
    return [
        Sample(f"{name}-{person}-{label}", label, positive=label != "live", group=name,
               extra={"dataset": name, "video": f"{name} {person} {label}"})
        for name in ("msu", "casia", "replay", "oulu")
        for person in range(3)
        for label in ("live", "print", "replay")
    ]  # fmt: skip


def test_a_set_is_tested_at_the_threshold_of_the_others() -> None:
    samples = ocim()
    folds = load_protocol("mico-leave-one-out").folds(samples)
    assert sorted(fold.name for fold in folds) == ["casia", "msu", "oulu", "replay"]
    for fold in folds:
        assert {samples[i].group for i in fold.test} == {fold.name} and len(fold.test) == 9
        assert {samples[i].group for i in fold.calibrate} == \
            {"msu", "casia", "replay", "oulu"} - {fold.name}  # fmt: skip


def test_few_sources_give_the_threshold_for_the_others() -> None:
    samples = ocim()
    (fold,) = load_protocol("mico-limited-source").folds(samples)
    assert {samples[i].group for i in fold.calibrate} == {"msu", "replay"}
    assert {samples[i].group for i in fold.test} == {"casia", "oulu"}
    assert np.mean([bool(samples[i].positive) for i in fold.test]) == pytest.approx(2 / 3)
