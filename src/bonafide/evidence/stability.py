"""How far the answers move when a picture is changed in ways that change no truth about it.

Copies are made in memory (saved again, resized, cut) and asked the same questions by the same
detectors. What made a picture does not depend on its last save, so an accusation that most *mild*
copies do not share rests on an accident of these bytes, and is withdrawn.

A change is no fair test of everything. Some traces are erased by it whether or not they were right
(a save erases the history of earlier saves); their cards say so in `erased_by`, and their
finding on the original is kept for the copy. Only a copy on which a finding that supports the
accusation could be measured again counts.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from bonafide import registry
from bonafide.errors import MediaError
from bonafide.evidence import claims, verdict
from bonafide.evidence.calibration import Calibration
from bonafide.types import (
    ACCUSATIONS,
    Card,
    Decision,
    Finding,
    Label,
    Question,
    Stability,
    Status,
    Variant,
    Verdict,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bonafide.media.limits import Limits
    from bonafide.media.media import Media

STANDS_FROM = 0.5  # probability on a copy at which the accusation is still more likely than not

_ENLARGED = 1.25**2  # the largest copy has so many times the pixels

Ask = Callable[["Media", tuple[Card, ...]], tuple[Finding, ...]]


@dataclass(frozen=True)
class Change:
    """One way to change a picture.

    Attributes:
        kind: "jpeg", "scale" or "crop", as in `erased_by`.
        value: quality, factor, or share of each side that is kept (1 for a shift).
        words: for people.
        mild: whether an accusation has to survive it.
        whole: whether the copy still shows all of the picture; an edit may lie in what it lost.
    """

    kind: str
    value: float
    words: str
    mild: bool
    whole: bool = True

    @property
    def name(self) -> str:
        """As reports name it."""
        return f"{self.kind}:{self.value:g}"

    def apply(self, pixels: NDArray[np.uint8]) -> bytes:
        """Encode the changed copy of uint8 H×W×3 RGB `pixels`: JPEG after a save, else BMP."""
        picture = Pillow.fromarray(pixels)
        if self.kind == "scale":
            size = [max(1, round(side * self.value)) for side in picture.size]
            picture = picture.resize((size[0], size[1]), Pillow.Resampling.BICUBIC)
        elif self.kind == "crop":
            picture = picture.crop(self._box(*picture.size))
        out = io.BytesIO()
        if self.kind == "jpeg":
            picture.save(out, "JPEG", quality=int(self.value))
        else:  # without loss and without the time that PNG takes
            picture.save(out, "BMP")
        return out.getvalue()

    def _box(self, width: int, height: int) -> tuple[int, int, int, int]:
        if self.value < 1:
            left, top = (round(side * (1 - self.value) / 2) for side in (width, height))
            return left, top, width - left, height - top
        # Off the 8×8 grid of JPEG in both directions.
        return min(3, width - 1), min(5, height - 1), width, height


CHANGES = (
    Change("jpeg", 90, "saved as JPEG at quality 90", mild=True),
    Change("jpeg", 75, "saved as JPEG at quality 75", mild=False),
    Change("scale", 1.25, "enlarged to 125 %", mild=True),
    Change("scale", 0.75, "reduced to 75 %", mild=True),
    Change("scale", 0.5, "reduced to 50 %", mild=False),
    Change("crop", 1, "cut by 3 columns and 5 rows", mild=True),
    Change("crop", 0.75, "cut to the middle 75 % of each side", mild=True, whole=False),
)


def check(
    media: Media,
    findings: Sequence[Finding],
    drawn: Verdict,
    calibration: Calibration,
    ask: Ask,
    deadline: float,
    limits: Limits | None = None,
) -> Stability:
    """Ask again on changed copies.

    Args:
        media: a still picture.
        findings: of the picture itself, calibrated.
        drawn: the verdict drawn from them.
        calibration: the tables behind both.
        ask: returns the calibrated findings of some detectors on a copy.
        deadline: `time.monotonic()` by which a copy must be done, as far as the time that the
            picture itself and the copies before took can tell; otherwise it is not begun.
        limits: what a copy may cost; one that passes them is skipped.
    """
    assert media.image is not None
    pixels = media.image.pixels
    weighed = [finding for finding in findings if _weighs(finding, calibration)]
    accused = _accused(findings, drawn)
    supporting = {r.detector for r in drawn.because if r.question is accused and (r.llr or 0) > 0}
    variants: list[Variant] = []
    skipped: dict[str, str] = {}
    votes: list[float] = []
    longest = _ENLARGED * sum(finding.seconds for finding in weighed)
    for change in CHANGES if weighed else ():
        asked = [finding for finding in weighed if change.kind not in _erased_by(finding)]
        if not asked:
            skipped[change.name] = "what the detectors that spoke read is erased by it"
            continue
        began = time.monotonic()
        if began + longest > deadline:
            skipped[change.name] = "no time was left; --max-seconds gives more"
            continue
        try:
            answers = _answers(change, pixels, asked, ask, limits)
        except MediaError as error:  # an enlarged copy can be larger than is allowed
            skipped[change.name] = error.why
            continue
        longest = max(longest, time.monotonic() - began)
        if not answers:
            skipped[change.name] = "the detectors that spoke could not read the copy"
            continue
        after = verdict.fused([answers.get(f.detector, f) for f in findings], calibration)
        moved = {finding.question for finding in answers.values()}
        found = {question: p for question, p in after.items() if p is not None}
        variant = Variant(
            change.name,
            change.words,
            change.mild,
            {question: p for question, p in found.items() if question in moved},
        )
        variants.append(variant)
        fair = change.whole or accused is Question.SYNTHETIC
        if accused and change.mild and fair and supporting.intersection(answers):
            votes.append(found[accused])
    survived = None
    if votes:
        survived = 2 * sum(p < STANDS_FROM for p in votes) <= len(votes)
    accusation = drawn.label if accused else None
    text = _sentence(variants, accused, votes, survived)
    return Stability(tuple(variants), skipped, accusation, survived, text)


def withdraw(drawn: Verdict, held: Stability, findings: Sequence[Finding] = ()) -> Verdict:
    """The verdict after the check: an accusation that did not survive becomes inconclusive.

    Args:
        drawn: the verdict that was checked.
        held: the outcome.
        findings: of the picture itself; what they declare of it stands, whatever copies say.
    """
    if held.survived is not False:
        return drawn
    declared = claims.strongest(findings)
    label = Label.INCONCLUSIVE if declared is None else declared.label
    answers = tuple(
        replace(answer, decision=Decision.INCONCLUSIVE, why=held.text)
        if answer.question.accusation is drawn.label and answer.decision is Decision.ACCUSED
        else answer
        for answer in drawn.answers
    )
    return replace(drawn, label=label, answers=answers, caveat=held.text)


def _weighs(finding: Finding, calibration: Calibration) -> bool:
    """Whether a finding was read from pixels and moved a probability."""
    return (
        finding.status is Status.OK
        and finding.claim is None
        and finding.llr is not None
        and verdict.weight(finding, calibration) > 0
    )


def _accused(findings: Sequence[Finding], drawn: Verdict) -> Question | None:
    """The question of an accusation that measurements made; what a file declares is not tested."""
    declared = claims.strongest(findings)
    if declared is not None and declared.label is drawn.label:
        return None
    return ACCUSATIONS.get(drawn.label)


def _erased_by(finding: Finding) -> tuple[str, ...]:
    card = registry.card(finding.detector)
    if card.needs.jpeg:  # for the history that the file brings along
        return tuple(change.kind for change in CHANGES)
    return card.erased_by


def _answers(
    change: Change,
    pixels: NDArray[np.uint8],
    asked: Sequence[Finding],
    ask: Ask,
    limits: Limits | None,
) -> Mapping[str, Finding]:
    """Detector → its finding on the copy, of those that could read it."""
    from bonafide.media.source import open_media

    copy = open_media(change.apply(pixels), change.words, limits)
    if copy.image is not None:
        _ = copy.image.pixels  # what is too large is said here, once for all detectors
    cards = tuple(registry.card(finding.detector) for finding in asked)
    return {
        finding.detector: finding
        for finding in ask(copy, cards)
        if finding.status is Status.OK and finding.llr is not None
    }


def _sentence(
    variants: Sequence[Variant],
    accused: Question | None,
    votes: Sequence[float],
    survived: bool | None,
) -> str:
    if not variants:
        return "Nothing that moved the verdict could be measured again on a changed copy."
    if accused is None:
        return f"On {len(variants)} changed copies, {_spread(variants)}."
    if survived is None:
        return (
            "The accusation rests on traces that any new save or resize erases, so changed copies "
            "can neither confirm nor refute it."
        )
    fallen = sum(p < STANDS_FROM for p in votes)
    if survived:
        return (
            f"The accusation stands on {len(votes) - fallen} of {len(votes)} mildly changed copies."
        )
    return (
        f"It is not accused: on {fallen} of {len(votes)} mildly changed copies the probability of "
        f"{accused.deed} falls below {100 * STANDS_FROM:.0f} %, and what made a picture does not "
        "depend on its last save."
    )


def _spread(variants: Sequence[Variant]) -> str:
    parts = []
    for question in Question:
        found = [v.probabilities[question] for v in variants if question in v.probabilities]
        if not found:
            continue
        low, high = f"{100 * min(found):.0f} %", f"{100 * max(found):.0f} %"
        lies = f"is {low}" if low == high else f"lies between {low} and {high}"
        parts.append(f"the probability of {question.deed} {lies}")
    return " and ".join(parts)
