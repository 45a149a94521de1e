"""The answer to each question, from calibrated findings and that question's calibration files.

Each calibrated score is a log-likelihood ratio; per question these are added with fitted weights. A
detector that did not apply adds nothing: it is missing, not innocent. The sum is compared with the
same sum over bona fide calibration files (`bonafide.evidence.reference`): a p-value at or under the
question's bound accuses, if the probability is also at least `LEAST_PROBABILITY`, since what is
rare among bona fide files may be as rare among altered ones. A p-value at or over `CLEAR`, with no
single detector at its own threshold, is clear; anything else is inconclusive.

An answer depends on the findings and the calibration of its own question alone.

A picture whose traces speak rather of a photograph that went through an autoencoder, an upscaler
or an enhancer is not accused of synthesis on their strength.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bonafide.evidence.calibration import NOTHING_MEASURED, Calibration, probability
from bonafide.evidence.reference import Comparison, Reference, Stratum, needed
from bonafide.types import (
    WHOLE,
    Answer,
    Calibrated,
    Decision,
    Finding,
    Measurement,
    Question,
    Reason,
    Status,
    Where,
)

LEAST_PROBABILITY = 0.9
CLEAR = 0.10
WORTH_NAMING = 0.4  # log-likelihood ratio under which a finding is no reason to accuse
LAUNDERED = 0.7  # share from which a trace is more like that of a processed photograph

LEAST_LLR = math.log(LEAST_PROBABILITY / (1 - LEAST_PROBABILITY))
_PROCESSED = (
    "It is not called AI-generated, since its traces are more like those of a photograph that went "
    "through an autoencoder, an upscaler or an enhancer than like those of a picture generated "
    "from nothing."
)


@dataclass(frozen=True)
class Said:
    """One calibrated measurement of one detector.

    Attributes:
        detector: whose it is.
        question: what the detector answers.
        measurement, calibrated: the part of its finding.
        weight: what its log-likelihood ratio counts for, in [0, 1].
    """

    detector: str
    question: Question
    measurement: Measurement
    calibrated: Calibrated | None
    weight: float

    @property
    def llr(self) -> float | None:
        """Weighted log-likelihood ratio; None where it does not vote."""
        if self.calibrated is None or self.calibrated.llr is None or self.weight <= 0:
            return None
        return self.weight * self.calibrated.llr

    @property
    def hit(self) -> bool:
        """Whether the score reaches its own threshold."""
        score = self.measurement.score
        return (
            score is not None
            and self.calibrated is not None
            and (score >= self.calibrated.threshold)
        )

    @property
    def laundered(self) -> bool:
        """Whether a trace of synthesis is more like that of a processed photograph."""
        return self.question is Question.SYNTHETIC and _laundered(self.measurement)


def answer_all(
    findings: Sequence[Finding],
    calibration: Calibration,
    measured: Mapping[str, float] = NOTHING_MEASURED,
    rate: float | None = None,
) -> tuple[Answer, ...]:
    """One answer per question that a detector was asked, and one per subject that one speaks of.

    Args:
        findings: as `calibration.calibrate` returned them, in any order.
        calibration: the same tables.
        measured: of the file, from `calibration.measures`.
        rate: bound on false accusations in place of each question's own, in (0, 1).

    Returns:
        Answers in the order of the questions; that about the whole file first.
    """
    stratum = Stratum.of(measured)
    found: list[Answer] = []
    for question in Question:
        own = [finding for finding in findings if finding.question is question]
        if question.accusation is None or not own:
            continue
        alpha = question.alpha if rate is None else rate
        reference = calibration.questions.get(question.value)
        source = reference.source if reference and reference.source else calibration.source
        for where, said in _places(own, calibration):
            found.append(_answer(question, where, said, reference, stratum, alpha, source))
    return tuple(found)


def fused(findings: Sequence[Finding], calibration: Calibration) -> dict[Question, float | None]:
    """Question → P in [0, 1] of all calibrated findings together; None where none spoke."""
    found: dict[Question, float | None] = {}
    for question in Question:
        if question.accusation is not None:
            total = _total(main_parts(findings, question, calibration))
            found[question] = None if total is None else probability(total)
    return found


def weight(finding: Finding, calibration: Calibration) -> float:
    """What a finding's log-likelihood ratio counts for in the question that it answers."""
    reference = calibration.questions.get(finding.question.value)
    return 0.0 if reference is None else reference.weight(finding.detector)


def laundered(finding: Finding) -> bool:
    """Whether a trace of synthesis is more like that of a processed photograph.

    "Laundered": it went through an autoencoder, an upscaler or an enhancer, of which a decoder made
    the pixels and nobody the content.
    """
    return finding.question is Question.SYNTHETIC and _laundered(finding.main)


def main_parts(
    findings: Iterable[Finding], question: Question, calibration: Calibration
) -> list[Said]:
    """What the findings of a question say of the whole file."""
    return [
        Said(one.detector, one.question, one.main, one.calibrated, weight(one, calibration))
        for one in findings
        if one.question is question and one.status is Status.OK and one.parts
    ]


def reasons(said: Iterable[Said]) -> tuple[Reason, ...]:
    """What moved a sum, the strongest first."""
    moved = [
        Reason(one.detector, one.question, round(one.llr, 3), one.measurement.summary)
        for one in said
        if one.llr is not None and abs(one.llr) >= 0.01
    ]
    return tuple(sorted(moved, key=lambda reason: -abs(reason.llr or 0.0)))


def _laundered(measurement: Measurement) -> bool:
    return measurement.laundered is not None and measurement.laundered >= LAUNDERED


def _places(
    findings: Sequence[Finding], calibration: Calibration
) -> Iterable[tuple[Where, list[Said]]]:
    """The whole file, then each subject that a further part is about as a whole."""
    yield WHOLE, main_parts(findings, findings[0].question, calibration)
    subjects: dict[str, tuple[Where, dict[str, Said]]] = {}
    for finding in findings:
        for part, known in finding.parts[1:]:
            if part.where.subject is None or part.where.span is not None:
                continue
            where = Where(part.where.track, subject=part.where.subject)
            _, said = subjects.setdefault(part.where.subject, (where, {}))
            said.setdefault(
                finding.detector,
                Said(finding.detector, finding.question, part, known, weight(finding, calibration)),
            )
    for where, said in subjects.values():
        yield where, list(said.values())


def _total(said: Iterable[Said]) -> float | None:
    parts = [one.llr for one in said if one.llr is not None]
    return round(sum(parts), 4) if parts else None


def _answer(
    question: Question,
    where: Where,
    said: Sequence[Said],
    reference: Reference | None,
    stratum: Stratum,
    alpha: float,
    source: str,
) -> Answer:
    total = _total(said)
    if total is None or reference is None:
        return Answer(
            question, where, None, None, Decision.NOT_ASSESSED, _hits(said),
            _with_outside(
                said,
                f"No calibrated detector could say whether it is {question.words}.",
                of_hits_alone=False,
            ),
            alpha,
        )  # fmt: skip
    comparison = reference.compare(_spoke(said), stratum, alpha)
    p, likely = comparison.p_value(total), probability(total)
    decision, why = _decide(question, said, reference, stratum, alpha, source)
    return Answer(
        question=question,
        where=where,
        probability=likely,
        p_value=p,
        decision=decision,
        because=_named(said),
        why=why,
        alpha=alpha,
        miss_rate=_rounded(comparison.miss_rate(alpha, LEAST_LLR)),
        stratum=comparison.stratum,
    )


def _decide(
    question: Question,
    said: Sequence[Said],
    reference: Reference,
    stratum: Stratum,
    alpha: float,
    source: str,
) -> tuple[Decision, str]:
    """The decision on what was said, and why."""
    total = _total(said) or 0.0
    comparison = reference.compare(_spoke(said), stratum, alpha)
    p = comparison.p_value(total)
    if _accuses(comparison, total, alpha):
        others = [one for one in said if not one.laundered]
        if len(others) < len(said):
            left = _total(others)
            beside = reference.compare(_spoke(others), stratum, alpha)
            if left is None or not _accuses(beside, left, alpha):
                return Decision.INCONCLUSIVE, _PROCESSED
        return Decision.ACCUSED, (
            f"At this level of evidence at most {100 * alpha:g} % of bona fide files are wrongly "
            f"accused, if their sources are like those of the calibration ({source})."
        )
    standing = [one for one in said if one.hit or one.measurement.contradiction]
    if p >= CLEAR and not standing:
        quiet = comparison.quiet_rate(CLEAR)
        missed = (
            ""
            if quiet is None
            else f"; {100 * quiet:.0f} % of {question.altered} show no trace either"
        )
        return Decision.CLEAR, (
            f"{_percent(p)} of bona fide calibration files show as much evidence of "
            f"{question.deed}{missed}."
        )
    short = _short_of(question, p, total, alpha)
    if p <= alpha + 1e-12 or not comparison.certifies(alpha):
        short = _uncertified(comparison, alpha) or short
    return Decision.INCONCLUSIVE, _with_outside(said, short)


def _with_outside(said: Iterable[Said], why: str, of_hits_alone: bool = True) -> str:
    """A reason, after what says that a measurement lies outside of what its detector is for."""
    told = dict.fromkeys(one.measurement.outside for one in said if one.hit or not of_hits_alone)
    return " ".join([*filter(None, told), why]).strip()


def _accuses(comparison: Comparison, total: float, alpha: float) -> bool:
    return (
        comparison.certifies(alpha)
        and comparison.p_value(total) <= alpha + 1e-12
        and total >= LEAST_LLR
    )


def _spoke(said: Iterable[Said]) -> frozenset[str]:
    return frozenset(one.detector for one in said if one.llr is not None)


def _named(said: Sequence[Said]) -> tuple[Reason, ...]:
    """The reasons of an answer: what moved it, and hits that did not."""
    moved = reasons(said)
    known = {reason.detector for reason in moved}
    return moved + tuple(hit for hit in _hits(said) if hit.detector not in known)


def _hits(said: Iterable[Said]) -> tuple[Reason, ...]:
    return tuple(
        Reason(one.detector, one.question, None, one.measurement.summary)
        for one in said
        if one.hit or one.measurement.contradiction
    )


def _uncertified(comparison: Comparison, alpha: float) -> str:
    """Why a comparison cannot accuse; "" if it can."""
    if comparison.certifies(alpha):
        return ""
    return (
        f"The calibration cannot certify a bound of {100 * alpha:g} % for a file like this: that "
        f"takes {needed(alpha)} bona fide sources of its kind, and it has "
        f"{0 if comparison.foreign else comparison.pool.sources}."
    )


def _short_of(question: Question, p: float, total: float, alpha: float) -> str:
    """How far evidence is from an accusation."""
    likely = math.floor(1000 * probability(total)) / 10  # 94.96 is not 95
    return (
        f"Too little to accuse: {_percent(p)} of bona fide calibration files show as much evidence "
        f"of {question.deed} (an accusation allows {100 * alpha:g} %), and its probability is "
        f"{likely:.1f} % (an accusation asks for {100 * LEAST_PROBABILITY:.0f} %)."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
