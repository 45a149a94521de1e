"""From calibrated findings to a verdict: fuse, bound, and say why.

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

A picture whose traces speak rather of a photograph that went through an autoencoder, an upscaler
or an enhancer is not called AI-generated on their strength (see `laundered`).

Split-conformal p-values: V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random
World", 2005, equation 2.20, and J. Lei et al., JASA 113, 2018.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence

from bonafide.evidence.calibration import CLAIM_QUESTION, Calibration, probability
from bonafide.types import Finding, Label, Question, Reason, Status, Verdict

FALSE_ACCUSATION_RATE = 0.01
LEAST_PROBABILITY = 0.95
CLEAR = 0.10
WORTH_NAMING = 0.4  # log-likelihood ratio under which a finding is no reason to accuse
LAUNDERED = 0.7  # share from which a trace is more like that of a processed photograph

ACCUSATION = {
    Question.SYNTHETIC: Label.AI_GENERATED,
    Question.EDITED: Label.MANIPULATED,
    Question.FACE_FORGED: Label.FACE_FORGED,
}
_QUESTIONS = tuple(question for question in Question if question is not Question.PROVENANCE)


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
    probabilities = _probabilities(evidence)
    claimed = _claimed(spoken)
    if claimed is not None:
        label, reasons = claimed
        caveat = _claim_caveat(label, [f for f in spoken if f.claim is label])
        return Verdict(label, probabilities, reasons, caveat)
    return _weighed(spoken, evidence, probabilities, calibration, false_accusation_rate)


def fused(findings: Sequence[Finding], calibration: Calibration) -> dict[Question, float | None]:
    """Question → P in [0, 1] of all calibrated findings together; None where none spoke."""
    return _probabilities(
        {question: _evidence(question, findings, calibration) for question in _QUESTIONS}
    )


def weight(finding: Finding, calibration: Calibration) -> float:
    """What a finding's log-likelihood ratio counts for in the question that it bears on."""
    if finding.claim is not None:
        return 1.0
    weights = calibration.fusion.get(_moves(finding).value, {}).get("weights", {})
    return float(weights.get(finding.detector, 0.0))


def laundered(finding: Finding) -> bool:
    """Whether a trace of synthesis is more like that of a processed photograph.

    "Laundered": it went through an autoencoder, an upscaler or an enhancer, of which a decoder made
    the pixels and nobody the content. A detector of SYNTHETIC says so by the fact `origin_guess`
    ("generated", "laundered" or None), or leaves it to `LAUNDERED` by the fact `laundered_share`
    or `laundered_probability`, in [0, 1], given that a decoder was at work at all.
    """
    if finding.question is not Question.SYNTHETIC:
        return False
    facts = finding.facts
    if facts.get("origin_guess") is not None:
        return facts["origin_guess"] == "laundered"
    share = facts.get("laundered_share", facts.get("laundered_probability"))
    return isinstance(share, int | float) and share >= LAUNDERED


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


def _probabilities(evidence: Mapping[Question, float | None]) -> dict[Question, float | None]:
    return {
        question: None if total is None else probability(total)
        for question, total in evidence.items()
    }


def _evidence(
    question: Question, findings: Sequence[Finding], calibration: Calibration
) -> float | None:
    """Fused log-likelihood ratio of one question; None where nothing calibrated spoke."""
    parts = [
        weight(finding, calibration) * finding.llr
        for finding in findings
        if finding.llr is not None and _moves(finding) is question
    ]
    return round(sum(parts), 4) if parts else None


def _moves(finding: Finding) -> Question:
    """The question that a finding bears on: a claim answers what it claims."""
    if finding.claim in CLAIM_QUESTION:
        return CLAIM_QUESTION[finding.claim]
    return finding.question


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
        if total is not None and question.value in calibration.fusion and question in ACCUSATION
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
    processed = Question.SYNTHETIC in accused and _rests_on_laundered(
        findings, calibration, allowed
    )
    if processed:
        accused.remove(Question.SYNTHETIC)
    reasons = _reasons(findings, tuple(assessed), calibration)
    weighing = tuple(reason for reason in reasons if (reason.llr or 0) > WORTH_NAMING)
    if accused:
        strongest = min(accused, key=lambda question: assessed[question])
        return Verdict(
            ACCUSATION[strongest],
            probabilities,
            tuple(reason for reason in weighing if reason.question is strongest),
            f"At this level of evidence at most {100 * false_accusation_rate:g} % of bona fide "
            "pictures are wrongly accused, if they are like those of the calibration "
            f"({calibration.fusion[strongest.value].get('source', calibration.source)}).",
        )
    hits = [finding for finding in findings if _stands_out(finding)]
    if min(assessed.values()) >= CLEAR and not hits:
        misses = ", ".join(
            f"{100 * calibration.fusion[question.value]['miss_rate']:.0f} % of {_ALTERED[question]}"
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
        _PROCESSED if processed else _short_of(assessed, probabilities, allowed),
    )


def _short_of(
    assessed: Mapping[Question, float],
    probabilities: Mapping[Question, float | None],
    allowed: float,
) -> str:
    """How far the strongest evidence is from an accusation."""
    nearest = min(assessed, key=lambda question: assessed[question])
    likely = math.floor(1000 * (probabilities[nearest] or 0.0)) / 10  # 94.96 is not 95
    return (
        f"Too little to accuse: {100 * assessed[nearest]:.2g} % of bona fide calibration pictures "
        f"show as much evidence of {_DEED[nearest]} (an accusation allows {100 * allowed:.2g} %), "
        f"and its probability is {likely:.1f} % (an accusation asks for "
        f"{100 * LEAST_PROBABILITY:.0f} %)."
    )


_PROCESSED = (
    "It is not called AI-generated, since its traces are more like those of a photograph that went "
    "through an autoencoder, an upscaler or an enhancer than like those of a picture generated "
    "from nothing."
)


def _rests_on_laundered(
    findings: Sequence[Finding], calibration: Calibration, allowed: float
) -> bool:
    """Whether AI_GENERATED would not stand without what speaks of a processed photograph."""
    others = [finding for finding in findings if not laundered(finding)]
    if len(others) == len(findings):
        return False
    left = _evidence(Question.SYNTHETIC, others, calibration)
    if left is None or probability(left) < LEAST_PROBABILITY:
        return True
    bona_fide = calibration.fusion[Question.SYNTHETIC.value]["bona_fide"]
    return p_value(left, bona_fide) > allowed


def _stands_out(finding: Finding) -> bool:
    """Whether a finding alone forbids to say that no trace was found."""
    if finding.facts.get("state") in ("Invalid", "unreadable"):  # credentials that do not hold
        return True
    return finding.threshold is not None and (finding.score or 0) >= finding.threshold


_DEED = {
    Question.SYNTHETIC: "generation",
    Question.EDITED: "editing",
    Question.FACE_FORGED: "a forged face",
}
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
        shift = weight(finding, calibration) * finding.llr
        if abs(shift) >= 0.01:
            moved.append(Reason(finding.detector, question, round(shift, 3), finding.summary))
    return tuple(sorted(moved, key=lambda reason: -abs(reason.llr or 0.0)))
