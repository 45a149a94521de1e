"""From answers and claims to a headline.

1. *Claims.* What the file says about itself outranks what its pixels suggest, in the order of what
   carries it (`bonafide.evidence.claims`).
2. *Accusations.* Of the questions that were answered with an accusation, the one whose p-value is
   smallest beside its own bound. An accusation of synthesis makes `declared_ai` into
   `ai_generated`; any other leaves it standing.
3. *The rest.* One open answer makes the whole inconclusive, as do credentials or metadata that
   contradict themselves, and a video whose pictures are too poor to be judged. All assessed
   questions clear: no trace was found.

Answers about single subjects do not make the headline, since the bound is one per file; an
accusation of one forbids to say that no trace was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from bonafide.evidence import claims
from bonafide.evidence.answers import CLEAR as CLEAR
from bonafide.evidence.answers import LAUNDERED as LAUNDERED
from bonafide.evidence.answers import LEAST_PROBABILITY as LEAST_PROBABILITY
from bonafide.evidence.answers import WORTH_NAMING as WORTH_NAMING
from bonafide.evidence.answers import answer_all
from bonafide.evidence.answers import fused as fused
from bonafide.evidence.answers import laundered as laundered
from bonafide.evidence.answers import weight as weight
from bonafide.evidence.calibration import NOTHING_MEASURED, Calibration, poor_pictures
from bonafide.types import (
    WHOLE,
    Answer,
    Decision,
    Finding,
    Label,
    Question,
    Reason,
    Status,
    Verdict,
)

FALSE_ACCUSATION_RATE = 0.01  # of a question, where its row does not say otherwise
SHOWN_FROM = 0.05  # p-value up to which people are shown a probability


def decide(
    findings: Sequence[Finding],
    calibration: Calibration,
    measured: Mapping[str, float] = NOTHING_MEASURED,
    rate: float | None = None,
) -> Verdict:
    """Draw the verdict from calibrated findings.

    Args:
        findings: as `calibrate` returned them, in any order.
        calibration: the same tables.
        measured: of the file, from `calibration.measures`.
        rate: bound on the share of bona fide files that the measurements of one question may
            accuse, in (0, 1); None for the bound of each question's row.

    Returns:
        The verdict with its reasons, strongest first.
    """
    spoken = [finding for finding in findings if finding.status is Status.OK]
    answers = answer_all(findings, calibration, measured, rate)
    whole = [answer for answer in answers if answer.where == WHOLE]
    accused = [answer for answer in whole if answer.decision is Decision.ACCUSED]
    declared = claims.strongest(spoken)
    if declared is not None:
        proven = next((one for one in accused if one.question is Question.SYNTHETIC), None)
        if declared.label is Label.DECLARED_AI and proven is not None:
            because = declared.because + _for_a_trace(proven, spoken)
            return Verdict(Label.AI_GENERATED, answers, because, proven.why)
        return Verdict(declared.label, answers, declared.because, claims.caveat(declared))
    if accused:
        strongest = min(accused, key=lambda answer: (answer.p_value or 1.0) / answer.alpha)
        label = strongest.question.accusation
        assert label is not None
        return Verdict(label, answers, _for_a_trace(strongest, spoken), strongest.why)
    return _unaccused(spoken, answers, whole, poor_pictures(measured))


def shows_probability(answer: Answer) -> bool:
    """Whether people are shown the probability of an answer, and not words alone.

    A weak detector that leans is no reason to print "82 % likely": a probability is shown from a
    p-value of `SHOWN_FROM` on, and with an accusation. JSON keeps the numbers.
    """
    if answer.probability is None or answer.p_value is None:
        return False
    return answer.decision is Decision.ACCUSED or answer.p_value <= SHOWN_FROM


def evidence_words(answer: Answer) -> str:
    """The strength of an answer in words: "strong", "some", "weak", "no evidence", "not assessed".

    "strong evidence" accuses, "some evidence" is rare among bona fide files, "weak evidence" is
    not, and there is "no evidence" where a tenth of bona fide files and more show as much. Where
    something besides the sum keeps such an answer from being clear, it is "inconclusive".
    """
    if answer.p_value is None:
        return "not assessed"
    if answer.decision is Decision.ACCUSED:
        return "strong evidence"
    if answer.p_value <= SHOWN_FROM:
        return "some evidence"
    if answer.p_value < CLEAR:
        return "weak evidence"
    return "inconclusive" if answer.decision is Decision.INCONCLUSIVE else "no evidence"


def _unaccused(
    spoken: Sequence[Finding],
    answers: tuple[Answer, ...],
    whole: Sequence[Answer],
    poor: str,
) -> Verdict:
    """The verdict without an accusation; `poor` says why a video's pictures allow none."""
    assessed = [answer for answer in whole if answer.decision is not Decision.NOT_ASSESSED]
    contradictions = _contradictions(spoken)
    accused_subjects = [
        answer
        for answer in answers
        if answer.where != WHOLE and answer.decision is Decision.ACCUSED
    ]
    if not assessed:
        return Verdict(
            Label.INCONCLUSIVE,
            answers,
            _once(contradictions, (r for a in whole for r in a.because if r.llr is None)),
            poor
            or "No calibrated detector could examine this file, so nothing can be said either way.",
        )
    standing = [a for a in assessed if a.decision is Decision.INCONCLUSIVE] + accused_subjects
    if standing or contradictions:
        because = tuple(reason for answer in standing for reason in _for_a_trace(answer, spoken))
        return Verdict(
            Label.INCONCLUSIVE,
            answers,
            _once(sorted(because, key=lambda reason: -(reason.llr or 0.0)), contradictions),
            poor or (_strongest_of(standing).why if standing else _why_open(contradictions)),
        )
    if poor:
        return Verdict(Label.INCONCLUSIVE, answers, (), poor)
    against = sorted(
        (r for a in assessed for r in a.because if (r.llr or 0.0) < 0), key=lambda r: r.llr or 0.0
    )
    return Verdict(Label.NO_TRACE_FOUND, answers, tuple(against[:3]), _no_proof(assessed))


def _for_a_trace(answer: Answer, findings: Sequence[Finding]) -> tuple[Reason, ...]:
    """Reasons of an answer that speak for a trace: strong enough ones, and hits."""
    hits = {finding.detector for finding in findings if finding.hit}
    return tuple(
        reason
        for reason in answer.because
        if reason.llr is None or reason.llr > WORTH_NAMING or reason.detector in hits
    )


def _once(*groups: Iterable[Reason]) -> tuple[Reason, ...]:
    """The reasons of all groups in their order, each detector once per question."""
    found: dict[tuple[str, Question], Reason] = {}
    for reason in chain(*groups):
        found.setdefault((reason.detector, reason.question), reason)
    return tuple(found.values())


def _strongest_of(answers: Sequence[Answer]) -> Answer:
    return min(answers, key=lambda answer: (answer.p_value or 1.0) / answer.alpha)


def _contradictions(findings: Sequence[Finding]) -> tuple[Reason, ...]:
    """What forbids to say that no trace was found, whatever the measurements say."""
    return tuple(
        Reason(finding.detector, finding.question, None, finding.summary)
        for finding in findings
        if finding.main.contradiction
        or (finding.question.accusation is None and finding.hit and finding.claim is None)
    )


_CONTRADICTS = "What the file says of itself does not hold together, so it is not called clean."
_UNWEIGHED = (
    "A test found something that no calibration can weigh, so the file is neither accused nor "
    "called clean."
)


def _why_open(contradictions: Sequence[Reason]) -> str:
    said = any(one.question is Question.PROVENANCE for one in contradictions)
    return _CONTRADICTS if said else _UNWEIGHED


def _no_proof(assessed: Sequence[Answer]) -> str:
    """The caveat of *no trace found*, with what each question missed on the calibration files."""
    told = " ".join(answer.why for answer in assessed)
    return f"This is not a proof of authenticity. {told}"
