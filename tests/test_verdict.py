"""Calibration, fusion and the bound on false accusations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.evidence import verdict
from bonafide.evidence.calibration import Calibration, calibrate, default_calibration
from bonafide.evidence.verdict import LAUNDERED, decide, laundered, p_value
from bonafide.explain import words
from bonafide.types import Finding, Kind, Label, MediaFacts, Question, Status

BONA_FIDE = sorted(np.random.default_rng(1).normal(-1, 1, 999).tolist())
TABLE = Calibration(
    detectors={
        name: {
            "version": "1",
            "knots": [[0.0, -1.0], [10.0, 6.0]],
            "threshold": 5.0,
            "false_positive_rate": 0.01,
        }
        for name in ("grid", "noise")
    },
    claims={"metadata": {"llr": 4.0}},
    fusion={
        "edited": {
            "weights": {"grid": 1.0, "noise": 0.5},
            "bona_fide": BONA_FIDE,
            "miss_rate": 0.4,
        }
    },
    source="made-up numbers",
    id="test",
)


def finding(detector: str, score: float | None, **fields: object) -> Finding:
    question = fields.pop("question", Question.EDITED)
    found = Finding(detector, "1", question, Status.OK, score=score, summary="s.", **fields)  # type: ignore[arg-type]
    return calibrate(found, TABLE)


def test_score_becomes_a_calibrated_probability() -> None:
    found = finding("grid", 5.0)
    assert found.llr == pytest.approx(2.5)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-2.5)), abs=1e-4)
    assert (found.threshold, found.false_positive_rate) == (5.0, 0.01)


def test_evidence_never_grows_beyond_what_calibration_saw() -> None:
    assert finding("grid", 1e9).llr == 6.0
    assert finding("grid", -1e9).llr == -1.0


def test_another_version_of_a_detector_is_shown_and_does_not_vote() -> None:
    newer = Finding("grid", "2", Question.EDITED, Status.OK, score=9.0)
    assert calibrate(newer, TABLE).probability is None
    assert decide([calibrate(newer, TABLE)], TABLE).label is Label.INCONCLUSIVE


def test_strong_evidence_accuses_and_names_its_reasons_in_order() -> None:
    drawn = decide([finding("noise", 9.0), finding("grid", 9.0)], TABLE)
    assert drawn.label is Label.MANIPULATED
    assert [reason.detector for reason in drawn.because] == ["grid", "noise"]
    assert drawn.probabilities[Question.EDITED] > 0.99  # type: ignore[operator]
    assert drawn.probabilities[Question.SYNTHETIC] is None


def test_between_the_bounds_is_inconclusive_and_below_no_trace() -> None:
    middle = float(np.quantile(BONA_FIDE, 0.96))
    score = (middle + 1.0) / 7.0 * 10.0
    assert decide([finding("grid", score)], TABLE).label is Label.INCONCLUSIVE
    assert decide([finding("grid", 0.0)], TABLE).label is Label.NO_TRACE_FOUND
    assert "not a proof" in decide([finding("grid", 0.0)], TABLE).caveat


def test_rare_is_not_enough_when_the_probability_is_low() -> None:
    weak = Calibration({**TABLE.detectors}, TABLE.claims, {**TABLE.fusion}, TABLE.source, "weak")
    weak.fusion["edited"] = {**TABLE.fusion["edited"], "bona_fide": [-1.0] * 999}  # type: ignore[index]
    score = (2.0 + 1.0) / 7.0 * 10.0  # evidence 2.0: beyond every bona fide picture, P = 0.88
    drawn = decide([finding("grid", score)], weak)
    assert drawn.label is Label.INCONCLUSIVE
    assert "0.1 % of bona fide" in drawn.caveat and "88.0 %" in drawn.caveat
    assert decide([finding("grid", 9.0)], weak).label is Label.MANIPULATED


def test_a_question_that_is_rare_but_unlikely_does_not_shield_another() -> None:
    both = Calibration(
        {**TABLE.detectors, "lines": TABLE.detectors["grid"]},
        TABLE.claims,
        {
            "edited": TABLE.fusion["edited"],
            "synthetic": {
                "weights": {"lines": 1.0},
                "bona_fide": [-1.0] * 9999,  # anything else is rarer than any edit
                "miss_rate": 0.9,
            },
        },
        TABLE.source,
        "both",
    )
    lines = Finding("lines", "1", Question.SYNTHETIC, Status.OK, score=4.0, summary="s.")
    edit = finding("grid", 9.9)
    drawn = decide([calibrate(lines, both), edit], both)
    assert (drawn.probabilities[Question.SYNTHETIC] or 0) < verdict.LEAST_PROBABILITY
    assert drawn.label is Label.MANIPULATED


def test_a_hit_with_little_weight_is_still_named() -> None:
    low = Calibration(
        TABLE.detectors,
        TABLE.claims,
        {"edited": {**TABLE.fusion["edited"], "weights": {"grid": 0.1}}},
        TABLE.source,
        "low",
    )
    drawn = decide([finding("grid", 5.5)], low)
    assert drawn.label is Label.INCONCLUSIVE
    assert [reason.detector for reason in drawn.because] == ["grid"]


def test_a_hit_of_one_detector_keeps_the_verdict_from_no_trace() -> None:
    contradiction = Finding(
        "exif", "1", Question.PROVENANCE, Status.OK, score=3.0, threshold=2.0, summary="s."
    )
    drawn = decide([finding("grid", 0.0), contradiction], TABLE)
    assert drawn.label is Label.INCONCLUSIVE
    assert [reason.detector for reason in drawn.because] == ["exif"]


def test_credentials_that_do_not_hold_keep_the_verdict_from_no_trace() -> None:
    broken = finding("c2pa", 0.0, question=Question.PROVENANCE, facts={"state": "Invalid"})
    assert decide([finding("grid", 0.0), broken], TABLE).label is Label.INCONCLUSIVE


def test_missing_is_not_innocence() -> None:
    absent = Finding("noise", "1", Question.EDITED, Status.NOT_APPLICABLE, why="too small")
    with_absent = decide([finding("grid", 9.0), absent], TABLE)
    assert with_absent.probabilities == decide([finding("grid", 9.0)], TABLE).probabilities


def test_nothing_calibrated_is_inconclusive() -> None:
    assert decide([], TABLE).label is Label.INCONCLUSIVE


def test_claims_outrank_pixels() -> None:
    claim = finding("metadata", None, question=Question.PROVENANCE, claim=Label.AI_GENERATED)
    drawn = decide([claim, finding("grid", 0.0)], TABLE)
    assert drawn.label is Label.AI_GENERATED
    assert drawn.probabilities[Question.SYNTHETIC] == pytest.approx(0.982, abs=1e-3)
    assert "not signed" in drawn.caveat


@pytest.mark.parametrize("state", ["Valid", "Invalid", "none"])
def test_only_a_trusted_signature_authenticates(state: str) -> None:
    fields = {"question": Question.PROVENANCE, "claim": Label.AUTHENTICATED}
    trusted = finding("c2pa_manifest", None, facts={"state": "Trusted"}, **fields)
    other = finding("c2pa_manifest", None, facts={"state": state}, **fields)
    assert decide([trusted], TABLE).label is Label.AUTHENTICATED
    assert decide([other], TABLE).label is not Label.AUTHENTICATED


def test_a_trusted_signature_outranks_pixel_evidence() -> None:
    signed = finding(
        "c2pa_manifest",
        None,
        question=Question.PROVENANCE,
        claim=Label.AUTHENTICATED,
        facts={"state": "Trusted"},
    )
    assert decide([signed, finding("grid", 10.0)], TABLE).label is Label.AUTHENTICATED


SYNTHETIC = Calibration(
    dict.fromkeys(("traces", "lines"), TABLE.detectors["grid"]),
    {},
    {
        "synthetic": {
            "weights": {"traces": 1.0, "lines": 1.0},
            "bona_fide": BONA_FIDE,
            "miss_rate": 0.4,
        }
    },
    "made-up numbers",
    "synthetic",
)


def trace(detector: str, score: float, **facts: object) -> Finding:
    found = Finding(
        detector, "1", Question.SYNTHETIC, Status.OK, score=score, summary="s.", facts=facts
    )
    return calibrate(found, SYNTHETIC)


@pytest.mark.parametrize(
    ("facts", "processed"),
    [
        ({}, False),
        ({"laundered_share": LAUNDERED}, True),
        ({"laundered_share": 0.69}, False),
        ({"laundered_share": None}, False),
        ({"origin_guess": "laundered"}, True),
        ({"origin_guess": "generated", "laundered_probability": 0.9}, False),
        ({"origin_guess": None, "laundered_probability": 0.9}, True),
    ],
)
def test_a_processed_photograph_is_not_called_generated(
    facts: dict[str, object], processed: bool
) -> None:
    found = trace("traces", 10.0, **facts)
    assert laundered(found) is processed
    drawn = decide([found], SYNTHETIC)
    assert (drawn.label is Label.INCONCLUSIVE) is processed
    assert ("autoencoder" in drawn.caveat) is processed
    assert drawn.probabilities[Question.SYNTHETIC] == found.probability
    assert [reason.detector for reason in drawn.because] == ["traces"]
    media = MediaFacts("a", None, "0", 1, Kind.IMAGE, "PNG")
    told = " ".join(words.explain(media, [found], drawn))
    assert ("a photograph that went through" in told) is processed


def test_other_evidence_that_suffices_alone_still_calls_it_generated() -> None:
    found = trace("traces", 10.0, laundered_share=0.9)
    assert decide([found, trace("lines", 9.0)], SYNTHETIC).label is Label.AI_GENERATED
    assert decide([found, trace("lines", 3.0)], SYNTHETIC).label is Label.INCONCLUSIVE


def test_what_is_outside_of_the_calibration_is_said_in_words() -> None:
    found = Finding(
        "grid", "1", Question.EDITED, Status.OK, score=1.0, outside=("Its JPEG quality is 5.",)
    )
    media = MediaFacts("a", None, "0", 1, Kind.IMAGE, "PNG")
    drawn = decide([finding("grid", 9.0)], TABLE)
    told = words.explain(media, [found], drawn)
    assert any("files like this one. Its JPEG quality is 5." in sentence for sentence in told)


def test_false_accusations_stay_under_the_bound_on_fresh_exchangeable_data() -> None:
    fresh = np.random.default_rng(2).normal(-1, 1, 20_000)
    accused = np.mean([p_value(float(e), BONA_FIDE) <= 0.01 for e in fresh])
    assert accused <= 0.02  # the bound holds on average over calibration sets; this is one


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=50), st.floats(-60, 60))
def test_p_value_is_a_decreasing_rank(values: list[float], evidence: float) -> None:
    bona_fide = sorted(values)
    p = p_value(evidence, bona_fide)
    assert 1 / (len(values) + 1) <= p <= 1
    assert p_value(evidence + 1, bona_fide) <= p


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_more_score_is_never_less_evidence(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert finding("grid", low).llr <= finding("grid", high).llr  # type: ignore[operator]


def test_shipped_calibration_is_usable() -> None:
    table = default_calibration()
    for entry in table.detectors.values():
        scores = [knot[0] for knot in entry.get("knots", [])]
        ratios = [knot[1] for knot in entry.get("knots", [])]
        assert scores == sorted(scores) and ratios == sorted(ratios)
        assert 0 <= entry["false_positive_rate"] <= 0.0201
    for fused in table.fusion.values():
        assert fused["bona_fide"] == sorted(fused["bona_fide"])
        assert len(fused["bona_fide"]) >= 200  # else half a per cent could never be reached
