"""From findings to a verdict: calibrate, fuse, bound, and say why.

Three steps, in this order of rank:

1. *Claims.* What the file says about itself (content credentials, generator metadata, an embedded
   watermark) outranks what its pixels suggest, and cryptography outranks plain metadata.
2. *Evidence.* Each calibrated score becomes a log-likelihood ratio; per question these are added
   with learned weights. A detector that did not apply adds nothing: it is missing, not innocent.
3. *Bounds.* The added evidence is compared with that of bona fide calibration pictures. A
   split-conformal p-value at or under the false-accusation rate (shared between the questions)
   accuses if the probability is also at least `LEAST_PROBABILITY`: what is rare among bona fide
   pictures may be as rare among altered ones. A p-value at or over `CLEAR`, with no single
   detector at its own threshold, means that no trace was found; anything else is inconclusive.
   Exchangeability with the calibration pictures is assumed and said.

Split-conformal p-values: V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random
World", 2005, equation 2.20, and J. Lei et al., JASA 113, 2018.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from bonafide.types import Finding, Label, Question, Reason, Status, Verdict

FALSE_ACCUSATION_RATE = 0.01
LEAST_PROBABILITY = 0.95
CLEAR = 0.10
WORTH_NAMING = 0.4  # log-likelihood ratio under which a finding is no reason to accuse

_ACCUSATION = {
    Question.SYNTHETIC: Label.AI_GENERATED,
    Question.EDITED: Label.MANIPULATED,
    Question.FACE_FORGED: Label.FACE_FORGED,
}
_QUESTIONS = tuple(question for question in Question if question is not Question.PROVENANCE)
_CLAIM_QUESTION = {Label.AI_GENERATED: Question.SYNTHETIC, Label.MANIPULATED: Question.EDITED}


@dataclass(frozen=True)
class Calibration:
    """Fitted numbers, written by `tools/calibrate.py`.

    Attributes:
        detectors: id → {version, knots [[score, llr]…], threshold, false_positive_rate, …}.
        claims: id → {llr, …}: how much a claim of this detector weighs.
        fusion: question → {weights, bona_fide: sorted evidence, miss_rate}.
        source: what it was fitted on, for people.
        id: short content hash, named in every report.
    """

    detectors: Mapping[str, Mapping[str, Any]]
    claims: Mapping[str, Mapping[str, Any]]
    fusion: Mapping[str, Mapping[str, Any]]
    source: str
    id: str


@cache
def default_calibration() -> Calibration:
    """The calibration that ships with bonafide."""
    import hashlib

    raw = resources.files("bonafide").joinpath("calibration.json").read_bytes()
    table = json.loads(raw)
    return Calibration(
        detectors=table["detectors"],
        claims=table["claims"],
        fusion=table["fusion"],
        source=table["source"],
        id=hashlib.sha256(raw).hexdigest()[:12],
    )


def calibrate(finding: Finding, calibration: Calibration) -> Finding:
    """Fill `llr`, `probability`, `threshold` and `false_positive_rate` where they are known.

    A score of a detector version that was never calibrated is returned unchanged: it is shown
    and does not vote.
    """
    if finding.status is not Status.OK:
        return finding
    if finding.claim in _CLAIM_QUESTION and finding.detector in calibration.claims:
        llr = float(calibration.claims[finding.detector]["llr"])
        return replace(finding, llr=llr, probability=_probability(llr))
    entry = calibration.detectors.get(finding.detector)
    if entry is None or entry["version"] != finding.version or finding.score is None:
        return finding
    known = replace(
        finding,
        threshold=entry["threshold"],
        false_positive_rate=entry["false_positive_rate"],
    )
    if "knots" not in entry:  # it counts contradictions, which are shown and not weighed
        return known
    llr = _interpolate(finding.score, entry["knots"])
    return replace(known, llr=round(llr, 4), probability=_probability(llr))


def decide(
    findings: Sequence[Finding],
    calibration: Calibration,
    false_accusation_rate: float = FALSE_ACCUSATION_RATE,
) -> Verdict:
    """Draw the verdict from calibrated findings.

    Args:
        findings: as `calibrate` returned them, in any order.
        calibration: the same tables.
        false_accusation_rate: bound on the share of bona fide pictures that are accused by pixel
            evidence, in (0, 1).

    Returns:
        The verdict with its reasons, strongest first.
    """
    spoken = [finding for finding in findings if finding.status is Status.OK]
    evidence: dict[Question, float | None] = {
        question: _evidence(question, spoken, calibration) for question in _QUESTIONS
    }
    probabilities: dict[Question, float | None] = {
        question: None if total is None else _probability(total)
        for question, total in evidence.items()
    }
    claimed = _claimed(spoken)
    if claimed is not None:
        label, reasons = claimed
        caveat = _claim_caveat(label, [f for f in spoken if f.claim is label])
        return Verdict(label, probabilities, reasons, caveat)
    return _weighed(spoken, evidence, probabilities, calibration, false_accusation_rate)


def p_value(evidence: float, bona_fide: Sequence[float]) -> float:
    """Share of bona fide calibration pictures with at least this evidence, counting itself.

    Args:
        evidence: fused log-likelihood ratio.
        bona_fide: fused evidence of the calibration pictures, ascending.

    Returns:
        (1 + #{b ≥ evidence}) / (n + 1), in (0, 1].
    """
    at_least = len(bona_fide) - bisect.bisect_left(bona_fide, evidence - 1e-9)
    return (1 + at_least) / (len(bona_fide) + 1)


def _evidence(
    question: Question, findings: Sequence[Finding], calibration: Calibration
) -> float | None:
    """Fused log-likelihood ratio of one question; None where nothing calibrated spoke."""
    parts = [
        _weight(finding, question, calibration) * finding.llr
        for finding in findings
        if finding.llr is not None and _moves(finding) is question
    ]
    return round(sum(parts), 4) if parts else None


def _moves(finding: Finding) -> Question:
    """The question that a finding bears on: a claim answers what it claims."""
    if finding.claim in _CLAIM_QUESTION:
        return _CLAIM_QUESTION[finding.claim]
    return finding.question


def _weight(finding: Finding, question: Question, calibration: Calibration) -> float:
    if finding.claim is not None:
        return 1.0
    weights = calibration.fusion.get(question.value, {}).get("weights", {})
    return float(weights.get(finding.detector, 0.0))


def _claimed(findings: Sequence[Finding]) -> tuple[Label, tuple[Reason, ...]] | None:
    """The verdict that the file's own claims command, if there are any."""
    for label in (Label.AI_GENERATED, Label.MANIPULATED, Label.AUTHENTICATED):
        claims = [finding for finding in findings if finding.claim is label]
        if label is Label.AUTHENTICATED:  # never from anything but a trusted signature
            claims = [finding for finding in claims if finding.facts.get("state") == "Trusted"]
        if claims:
            # A signature before plain metadata, then the heavier claim.
            claims.sort(key=lambda finding: ("state" not in finding.facts, -(finding.llr or 0.0)))
            return label, tuple(
                Reason(finding.detector, _moves(finding), finding.llr, finding.summary)
                for finding in claims
            )
    return None


def _claim_caveat(label: Label, claims: Sequence[Finding]) -> str:
    if label is Label.AUTHENTICATED:
        return (
            "The signature vouches for who signed these bytes and that they are unchanged since; "
            "it does not vouch that the scene was not staged."
        )
    states = {finding.facts.get("state") for finding in claims}
    if label is Label.MANIPULATED and "Invalid" in states:
        return (
            "The file is not as its content credentials describe it; a re-save by a platform is "
            "enough for that, so ask for the file as it was signed."
        )
    if states == {"Invalid"}:
        return (
            "The content credentials that declare this do not fit these bytes: the file was "
            "re-saved, or they were moved here from another file."
        )
    if states <= {None, "Invalid"}:
        return (
            "Metadata are not signed: they are easily removed from a generated picture, and could "
            "be planted in a genuine one."
        )
    return "This rests on what the file's signed credentials declare, not on its pixels."


def _weighed(
    findings: Sequence[Finding],
    evidence: Mapping[Question, float | None],
    probabilities: Mapping[Question, float | None],
    calibration: Calibration,
    false_accusation_rate: float,
) -> Verdict:
    assessed = {
        question: p_value(total, calibration.fusion[question.value]["bona_fide"])
        for question, total in evidence.items()
        if total is not None and question.value in calibration.fusion and question in _ACCUSATION
    }
    if not assessed:
        return Verdict(
            Label.INCONCLUSIVE,
            probabilities,
            (),
            "No calibrated detector could examine this file, so nothing can be said either way.",
        )
    # A union bound: the questions share the false accusations that are allowed.
    allowed = false_accusation_rate / len(assessed)
    accused = [
        question
        for question, p in assessed.items()
        if p <= allowed and (probabilities[question] or 0) >= LEAST_PROBABILITY
    ]
    reasons = _reasons(findings, tuple(assessed), calibration)
    weighing = tuple(reason for reason in reasons if (reason.llr or 0) > WORTH_NAMING)
    if accused:
        strongest = min(accused, key=lambda question: assessed[question])
        return Verdict(
            _ACCUSATION[strongest],
            probabilities,
            tuple(reason for reason in weighing if reason.question is strongest),
            f"At this level of evidence at most {false_accusation_rate:.1%} of bona fide pictures "
            f"are wrongly accused, if they are like those of the calibration ({calibration.source})"
            ".",
        )
    hits = [finding for finding in findings if _stands_out(finding)]
    if min(assessed.values()) >= CLEAR and not hits:
        misses = ", ".join(
            f"{calibration.fusion[question.value]['miss_rate']:.0%} of {_ALTERED[question]}"
            for question in assessed
        )
        return Verdict(
            Label.NO_TRACE_FOUND,
            probabilities,
            tuple(reason for reason in reasons if (reason.llr or 0) <= 0)[:3],
            f"This is not a proof of authenticity: on the calibration data {misses} "
            "show no trace either.",
        )
    return Verdict(
        Label.INCONCLUSIVE,
        probabilities,
        weighing
        + tuple(
            Reason(hit.detector, hit.question, None, hit.summary)
            for hit in hits
            if hit.detector not in {reason.detector for reason in weighing}
        ),
        "Some evidence is unusual for a bona fide picture, but not unusual enough to accuse.",
    )


def _stands_out(finding: Finding) -> bool:
    """Whether a finding alone forbids to say that no trace was found."""
    if finding.facts.get("state") in ("Invalid", "unreadable"):  # credentials that do not hold
        return True
    return finding.threshold is not None and (finding.score or 0) >= finding.threshold


_ALTERED = {
    Question.SYNTHETIC: "AI-generated pictures",
    Question.EDITED: "edited pictures",
    Question.FACE_FORGED: "forged faces",
}


def _reasons(
    findings: Sequence[Finding], questions: Sequence[Question], calibration: Calibration
) -> tuple[Reason, ...]:
    moved = []
    for finding in findings:
        question = _moves(finding)
        if finding.llr is None or question not in questions:
            continue
        shift = _weight(finding, question, calibration) * finding.llr
        if abs(shift) >= 0.01:
            moved.append(Reason(finding.detector, question, round(shift, 3), finding.summary))
    return tuple(sorted(moved, key=lambda reason: -abs(reason.llr or 0.0)))


def _interpolate(score: float, knots: Sequence[Sequence[float]]) -> float:
    """Linear between knots, constant beyond them: evidence never grows past what was seen."""
    scores = [knot[0] for knot in knots]
    index = bisect.bisect_right(scores, score)
    if index == 0:
        return float(knots[0][1])
    if index == len(knots):
        return float(knots[-1][1])
    (left, low), (right, high) = knots[index - 1], knots[index]
    return float(low + (high - low) * (score - left) / (right - left))


def _probability(llr: float) -> float:
    """P at even prior odds, in [0, 1]."""
    return round(1.0 / (1.0 + math.exp(-max(min(llr, 50.0), -50.0))), 4)
