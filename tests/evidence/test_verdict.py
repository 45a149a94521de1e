"""Answers, claims and the headline."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.evidence import verdict
from bonafide.evidence.answers import LAUNDERED
from bonafide.evidence.calibration import Calibration, default_calibration
from bonafide.evidence.reference import Reference
from bonafide.evidence.verdict import decide, evidence_words, shows_probability
from bonafide.types import (
    Answer,
    Calibrated,
    Carrier,
    Claim,
    Decision,
    Finding,
    Label,
    Measurement,
    Question,
    Status,
    Verdict,
    Where,
)


def answer_of(drawn: Verdict, question: Question = Question.EDITED) -> Answer:
    return next(answer for answer in drawn.answers if answer.question is question)


def claim(label: Label, carrier: Carrier, detector: str = "metadata") -> Finding:
    said = Measurement(summary="It says so.", claim=Claim(label, carrier))
    part = (said, None)
    return Finding(detector, "1", Question.PROVENANCE, Status.OK, parts=(part,))


def test_strong_evidence_accuses_and_names_its_reasons_in_order(made: SimpleNamespace) -> None:
    found = [made.calibrated("noise", 9.0), made.calibrated("grid", 9.0)]
    drawn = decide(found, made.table, made.JPEG)
    assert drawn.label is Label.MANIPULATED
    assert [reason.detector for reason in drawn.because] == ["grid", "noise"]
    told = answer_of(drawn)
    assert told.decision is Decision.ACCUSED and (told.p_value or 1) <= told.alpha == 0.01
    assert drawn.probabilities[Question.EDITED] == told.probability > 0.99  # type: ignore[operator]
    assert drawn.probabilities[Question.SYNTHETIC] is None
    assert 0 < (told.miss_rate or 0) < 1
    assert told.stratum == "JPEG, medium: 200 sources, 800 files; all: 200 sources, 800 files"
    assert drawn.caveat == told.why and "made-up numbers" in drawn.caveat


def test_between_the_bounds_is_inconclusive_and_below_no_trace(made: SimpleNamespace) -> None:
    middle = float(np.quantile(np.random.default_rng(1).normal(-1, 1, 99999), 0.95))
    drawn = decide([made.calibrated("grid", (middle + 1) / 7 * 10)], made.table, made.JPEG)
    assert drawn.label is Label.INCONCLUSIVE and "Too little to accuse" in drawn.caveat
    quiet = decide([made.calibrated("grid", 0.0)], made.table, made.JPEG)
    assert quiet.label is Label.NO_TRACE_FOUND
    assert "not a proof" in quiet.caveat and "of edited files show no trace either" in (
        quiet.caveat
    )


def test_rare_is_not_enough_when_the_probability_is_low(made: SimpleNamespace) -> None:
    rows = [[f"s{n}", 0, "", "jpeg", 1.5, 0, -1.0] for n in range(999)]
    weak = Reference({"weights": {"grid": 1.0}, "columns": [*made_head(), "grid"], "files": rows})
    table = replace(made.table, questions={"edited": weak})
    drawn = decide([made.calibrated("grid", 30 / 7)], table)  # evidence 2.0, P = 0.88
    assert drawn.label is Label.INCONCLUSIVE
    assert "0.1 % of bona fide" in drawn.caveat and "88.0 %" in drawn.caveat
    assert decide([made.calibrated("grid", 9.0)], table).label is Label.MANIPULATED


def made_head() -> tuple[str, ...]:
    from bonafide.evidence.reference import HEAD

    return HEAD


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.floats(0, 10), min_size=4, max_size=4),
    drop=st.sets(st.sampled_from(["traces", "lines"])),
    extra=st.integers(0, 40),
)
def test_nothing_of_another_question_changes_an_answer(
    made: SimpleNamespace, scores: list[float], drop: set[str], extra: int
) -> None:
    grid, noise, traces, lines = scores
    own = [made.calibrated("grid", grid), made.calibrated("noise", noise)]
    others = [made.calibrated("traces", traces), made.calibrated("lines", lines)]
    alone = answer_of(decide(own, made.table, made.JPEG))
    asked = [finding for finding in others if finding.detector not in drop]
    rows = [["new", 0, "", "jpeg", 1.5, 0, 1.0, 2.0]] * extra
    grown = Reference({
        "weights": {"traces": 1.0, "lines": 1.0},
        "columns": [*made_head(), "traces", "lines"],
        "files": made.table.questions["synthetic"].rows + rows,
    })  # fmt: skip
    table = replace(
        made.table,
        questions={**made.table.questions, "synthetic": grown, "face_forged": grown},
    )
    assert answer_of(decide([*own, *asked], table, made.JPEG)) == alone


def test_a_third_and_a_fourth_question_weaken_nothing(made: SimpleNamespace) -> None:
    more = {name: made.reference(("lips",), seed=9) for name in ("face_forged", "voice_cloned")}
    detectors = {
        "lips": made.entry("face_forged"),
        "voice": made.entry("voice_cloned"),
        **made.table.detectors,
    }
    table = replace(made.table, detectors=detectors, questions={**made.table.questions, **more})
    edit = made.calibrated("grid", 9.0)
    quiet = made.calibrated("lips", 0.0, with_=table)
    both = decide([edit, quiet], table, made.JPEG)
    assert both.label is decide([edit], made.table, made.JPEG).label is Label.MANIPULATED


def test_one_detector_is_compared_with_itself_alone(made: SimpleNamespace) -> None:
    alone = answer_of(decide([made.calibrated("noise", 10.0)], made.table, made.JPEG))
    both = answer_of(
        decide([made.calibrated("noise", 10.0), made.calibrated("grid", 10.0)], made.table,
               made.JPEG)
    )  # fmt: skip
    assert alone.miss_rate != both.miss_rate
    silent = Finding("grid", "1", Question.EDITED, Status.NOT_APPLICABLE, "no JPEG")
    absent = answer_of(decide([made.calibrated("noise", 10.0), silent], made.table, made.JPEG))
    assert absent == alone


def test_a_png_is_not_punished_for_what_cannot_be_tested_on_it(made: SimpleNamespace) -> None:
    drawn = decide([made.calibrated("noise", 0.0)], made.table, made.PNG)
    assert drawn.label is Label.NO_TRACE_FOUND
    assert answer_of(drawn).stratum.startswith("not JPEG, medium: 0 sources, 0 files; all: 200")


def test_a_detector_without_weight_can_only_forbid_to_be_clear(made: SimpleNamespace) -> None:
    weights = {"grid": 1.0, "noise": 0.0}
    table = replace(
        made.table,
        questions={"edited": made.reference(("grid", "noise"), weights=weights)},
    )
    quiet, loud = made.calibrated("noise", 0.0), made.calibrated("noise", 9.0)
    alone = decide([quiet], table, made.JPEG)
    assert answer_of(alone).decision is Decision.NOT_ASSESSED
    assert alone.label is Label.INCONCLUSIVE
    base = made.calibrated("grid", 0.0)
    assert decide([base, quiet], table, made.JPEG).label is Label.NO_TRACE_FOUND
    drawn = decide([base, loud], table, made.JPEG)
    assert drawn.label is Label.INCONCLUSIVE
    assert [reason.detector for reason in drawn.because] == ["noise"]
    strong = made.calibrated("grid", 10.0)
    assert answer_of(decide([strong, loud], table, made.JPEG)).p_value == answer_of(
        decide([strong], table, made.JPEG)
    ).p_value  # fmt: skip


def test_a_hit_with_little_weight_is_still_named(made: SimpleNamespace) -> None:
    low = replace(
        made.table, questions={"edited": made.reference(("grid",), weights={"grid": 0.1})}
    )
    drawn = decide([made.calibrated("grid", 5.5)], low, made.JPEG)
    assert drawn.label is Label.INCONCLUSIVE
    assert [reason.detector for reason in drawn.because] == ["grid"]


def test_a_table_too_small_for_its_bound_says_so_and_cannot_accuse(made: SimpleNamespace) -> None:
    small = replace(
        made.table, questions={"edited": made.reference(("grid",), sources=98, each=20)}
    )
    drawn = decide([made.calibrated("grid", 10.0)], small, made.JPEG)
    assert drawn.label is Label.INCONCLUSIVE
    assert "cannot certify a bound of 1 %" in drawn.caveat and "takes 99" in drawn.caveat
    assert answer_of(drawn).miss_rate == 1.0
    assert "98 bona fide sources" in small.uncertified()["edited"]
    assert decide([made.calibrated("grid", 10.0)], small, made.JPEG, 0.02).label is (
        Label.MANIPULATED
    )
    assert not replace(
        small, questions={"edited": made.reference(("grid",), sources=99)}
    ).uncertified()


def test_the_bound_of_the_user_replaces_that_of_the_question(made: SimpleNamespace) -> None:
    found = [made.calibrated("grid", 10.0)]
    assert decide(found, made.table, made.JPEG, 0.001).label is Label.INCONCLUSIVE
    assert answer_of(decide(found, made.table, made.JPEG, 0.05)).alpha == 0.05


@pytest.mark.parametrize("question", ["provenance", "edited"])
def test_what_contradicts_itself_forbids_no_trace(made: SimpleNamespace, question: str) -> None:
    said = Measurement(summary="s.", contradiction=True)
    odd = Finding("odd", "1", Question(question), Status.OK, parts=((said, None),))
    drawn = decide([made.calibrated("grid", 0.0), odd], made.table, made.JPEG)
    assert drawn.label is Label.INCONCLUSIVE
    assert [reason.detector for reason in drawn.because] == ["odd"]
    hit = made.calibrated("exif", 3.0)
    assert hit.hit and hit.llr is None
    assert decide([made.calibrated("grid", 0.0), hit], made.table).label is Label.INCONCLUSIVE


def test_nothing_calibrated_is_inconclusive(made: SimpleNamespace) -> None:
    assert decide([], made.table).label is Label.INCONCLUSIVE
    newer = made.finding("grid", 9.0, version="2")
    drawn = decide([newer], made.table)
    assert drawn.label is Label.INCONCLUSIVE
    assert answer_of(drawn).decision is Decision.NOT_ASSESSED and not drawn.because


def test_a_question_that_cannot_be_assessed_does_not_count(made: SimpleNamespace) -> None:
    unknown = made.finding("voices", 3.0, Question.VOICE_CLONED)
    drawn = decide([made.calibrated("grid", 0.0), unknown], made.table, made.JPEG)
    assert drawn.label is Label.NO_TRACE_FOUND


class TestClaims:
    @pytest.mark.parametrize(
        ("label", "carrier", "headline"),
        [
            (Label.AI_GENERATED, Carrier.TRUSTED_SIGNATURE, Label.AI_GENERATED),
            (Label.AI_GENERATED, Carrier.VALID_SIGNATURE, Label.AI_GENERATED),
            (Label.AI_GENERATED, Carrier.WATERMARK, Label.AI_GENERATED),
            (Label.AI_GENERATED, Carrier.BROKEN_SIGNATURE, Label.DECLARED_AI),
            (Label.AI_GENERATED, Carrier.UNSIGNED_TEXT, Label.DECLARED_AI),
            (Label.DECLARED_AI, Carrier.VALID_SIGNATURE, Label.DECLARED_AI),
            (Label.MANIPULATED, Carrier.BROKEN_SIGNATURE, Label.MANIPULATED),
            (Label.AUTHENTICATED, Carrier.TRUSTED_SIGNATURE, Label.AUTHENTICATED),
            (Label.AUTHENTICATED, Carrier.VALID_SIGNATURE, Label.NO_TRACE_FOUND),
            (Label.AUTHENTICATED, Carrier.WATERMARK, Label.NO_TRACE_FOUND),
            (Label.MANIPULATED, Carrier.UNSIGNED_TEXT, Label.NO_TRACE_FOUND),
        ],
    )
    def test_a_claim_weighs_what_carries_it(
        self, made: SimpleNamespace, label: Label, carrier: Carrier, headline: Label
    ) -> None:
        drawn = decide([claim(label, carrier), made.calibrated("grid", 0.0)], made.table)
        assert drawn.label is headline
        if headline is not Label.NO_TRACE_FOUND:
            assert [(r.detector, r.llr) for r in drawn.because] == [("metadata", None)]
            assert drawn.caveat
        assert drawn.probabilities[Question.SYNTHETIC] is None

    def test_the_stronger_carrier_goes_first(self, made: SimpleNamespace) -> None:
        order = [
            claim(Label.AUTHENTICATED, Carrier.TRUSTED_SIGNATURE, "a"),
            claim(Label.AI_GENERATED, Carrier.VALID_SIGNATURE, "b"),
            claim(Label.AI_GENERATED, Carrier.WATERMARK, "c"),
            claim(Label.MANIPULATED, Carrier.BROKEN_SIGNATURE, "d"),
            claim(Label.AI_GENERATED, Carrier.UNSIGNED_TEXT, "e"),
        ]
        for first in range(len(order)):
            drawn = decide(order[first:][::-1], made.table)
            assert drawn.because[0].detector == "abcde"[first]
        assert "planted" in decide(order[4:], made.table).caveat
        assert "plant it" in decide(order[2:], made.table).caveat

    def test_measurements_make_declared_into_generated(self, made: SimpleNamespace) -> None:
        text = claim(Label.AI_GENERATED, Carrier.UNSIGNED_TEXT)
        traces = [made.calibrated("traces", 10.0), made.calibrated("lines", 9.0)]
        both = decide([text, *traces], made.table, made.JPEG)
        assert both.label is Label.AI_GENERATED
        assert [reason.detector for reason in both.because] == ["metadata", "traces", "lines"]
        edited = decide([text, made.calibrated("grid", 10.0)], made.table, made.JPEG)
        assert edited.label is Label.DECLARED_AI
        assert answer_of(edited).decision is Decision.ACCUSED

    def test_a_trusted_signature_outranks_measurements(self, made: SimpleNamespace) -> None:
        signed = claim(Label.AUTHENTICATED, Carrier.TRUSTED_SIGNATURE)
        drawn = decide([signed, made.calibrated("grid", 10.0)], made.table, made.JPEG)
        assert drawn.label is Label.AUTHENTICATED

    def test_a_claim_is_never_weighed(self, made: SimpleNamespace) -> None:
        said = Claim(Label.AI_GENERATED, Carrier.WATERMARK)
        found = made.calibrated("traces", 9.0, claim=said)
        assert found.llr is None and found.probability is None


@pytest.mark.parametrize(("share", "processed"), [(None, False), (0.69, False), (LAUNDERED, True)])
def test_a_processed_photograph_is_not_called_generated(
    made: SimpleNamespace, share: float | None, processed: bool
) -> None:
    found = made.calibrated("traces", 10.0, laundered=share)
    drawn = decide([found], made.table, made.JPEG)
    assert (drawn.label is Label.INCONCLUSIVE) is processed
    assert ("autoencoder" in drawn.caveat) is processed
    assert drawn.probabilities[Question.SYNTHETIC] == found.probability
    assert [reason.detector for reason in drawn.because] == ["traces"]


def test_other_evidence_that_suffices_alone_still_calls_it_generated(
    made: SimpleNamespace,
) -> None:
    found = made.calibrated("traces", 10.0, laundered=0.9)
    strong, weak = made.calibrated("lines", 9.0), made.calibrated("lines", 3.0)
    assert decide([found, strong], made.table, made.JPEG).label is Label.AI_GENERATED
    assert decide([found, weak], made.table, made.JPEG).label is Label.INCONCLUSIVE


def test_a_subject_has_an_answer_of_its_own_and_a_frame_has_none(made: SimpleNamespace) -> None:
    from bonafide.evidence.calibration import calibrate
    from bonafide.regions import Span

    parts = [
        Measurement(0.0, "whole."),
        Measurement(9.0, "frame.", Where("video", Span(0, 1))),
        Measurement(10.0, "face.", Where("video", subject="face 2")),
    ]
    found = calibrate(Finding.of(made.card("grid"), *parts), made.table)
    drawn = decide([found], made.table)
    assert [(a.where.subject, a.decision) for a in drawn.answers] == [
        (None, Decision.CLEAR),
        ("face 2", Decision.ACCUSED),
    ]
    assert drawn.label is Label.INCONCLUSIVE and drawn.because[0].text == "face."
    assert drawn.probabilities[Question.EDITED] == drawn.answers[0].probability


def test_people_see_a_probability_only_where_evidence_is_strong(made: SimpleNamespace) -> None:
    words = {}
    for score in (0.0, 10 * (0.5 + 1) / 7, 10 * (0.85 + 1) / 7, 10.0):
        told = answer_of(decide([made.calibrated("grid", score)], made.table, made.JPEG))
        words[evidence_words(told)] = shows_probability(told)
    assert words == {
        "no evidence": False,
        "weak evidence": False,
        "some evidence": True,
        "strong evidence": True,
    }
    nothing = Answer(Question.EDITED, Where(), None, None, Decision.NOT_ASSESSED)
    assert not shows_probability(nothing) and evidence_words(nothing) == "not assessed"


def test_probabilities_of_copies_are_fused_alike(made: SimpleNamespace) -> None:
    found = [made.calibrated("grid", 5.0), made.calibrated("noise", 5.0)]
    p = verdict.fused(found, made.table)[Question.EDITED]
    assert p == pytest.approx(1 / (1 + math.exp(-1.5 * 2.5)), abs=1e-4)


def test_the_shipped_table_is_sound() -> None:
    table = default_calibration()
    for entry in table.detectors.values():
        knots: list[Any] = entry.get("knots", [])
        assert knots == sorted(knots) and [k[1] for k in knots] == sorted(k[1] for k in knots)
        assert 0 <= entry["false_positive_rate"] <= 0.0201
    assert isinstance(table, Calibration)
    for question, reference in table.questions.items():
        assert Question(question).accusation is not None
        assert set(reference.weights) == set(reference.detectors)
        assert all(0 <= value <= 1 for value in reference.weights.values())
    assert Calibrated(None, None, 1.0, 0.0).warnings == ()


def test_what_its_method_was_not_made_for_is_said_and_does_not_accuse(
    made: SimpleNamespace,
) -> None:
    why = "The picture looks drawn."
    alone = decide([made.calibrated("grid", 9.0, outside=why)], made.table, made.JPEG)
    assert alone.label is Label.INCONCLUSIVE
    told = answer_of(alone)
    assert told.decision is Decision.NOT_ASSESSED and told.why.startswith(why)
    assert [reason.llr for reason in told.because] == [None]  # it is named, without weight
    quiet = [made.calibrated("grid", 9.0, outside=why), made.calibrated("noise", 0.0)]
    beside = answer_of(decide(quiet, made.table, made.JPEG))
    assert beside.decision is Decision.INCONCLUSIVE and beside.why.startswith(why)
    # What such content cannot fake still accuses.
    loud = [made.calibrated("grid", 9.0, outside=why), made.calibrated("noise", 10.0)]
    drawn = decide(loud, made.table, made.JPEG)
    assert drawn.label is Label.MANIPULATED and answer_of(drawn).because[0].detector == "noise"
