"""What a file says of itself, graded by what carries it.

A signature of a signer on a trust list outranks one whose signer is on the interim list alone; that
outranks one that is merely valid, that outranks a watermark, that outranks credentials which do
not fit the file, and those outrank text that anyone can write. Text and broken credentials that
speak of a generator amount to `declared_ai`, never to `ai_generated`; only a signature of a listed
signer authenticates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bonafide.types import ACCUSATIONS, Carrier, Claim, Finding, Label, Question, Reason, Status

_VOUCHED = (Carrier.TRUSTED_SIGNATURE, Carrier.INTERIM_SIGNATURE)
_WEAK = (Carrier.BROKEN_SIGNATURE, Carrier.UNSIGNED_TEXT)
_ORDER = (Label.AI_GENERATED, Label.MANIPULATED, Label.DECLARED_AI, Label.AUTHENTICATED)
_INTERIM = (
    "The signer is on the interim list alone, which was frozen at the start of 2026 and whose "
    "members did not go through the C2PA conformance programme."
)


@dataclass(frozen=True)
class Declared:
    """The headline that claims command.

    Attributes:
        label: the headline.
        carrier: the strongest that carries it.
        because: the findings that claim it, the strongest carrier first.
    """

    label: Label
    carrier: Carrier
    because: tuple[Reason, ...]


def strongest(findings: Sequence[Finding]) -> Declared | None:
    """The headline that the claims of these findings command, None where they command none."""
    graded = [
        (list(Carrier).index(claim.carrier), _ORDER.index(label), finding, claim)
        for finding in findings
        if finding.status is Status.OK
        and (claim := finding.claim) is not None
        and (label := grade(claim)) is not None
    ]
    if not graded:
        return None
    graded.sort(key=lambda one: one[:2])
    label = _ORDER[graded[0][1]]
    return Declared(
        label,
        graded[0][3].carrier,
        tuple(
            Reason(finding.detector, _bears_on(label), None, finding.summary)
            for _, order, finding, _ in graded
            if _ORDER[order] is label
        ),
    )


def grade(claim: Claim) -> Label | None:
    """The headline that a claim is worth alone; None for one that commands none."""
    if claim.label in (Label.AI_GENERATED, Label.DECLARED_AI):
        weak = claim.carrier in _WEAK or claim.label is Label.DECLARED_AI
        return Label.DECLARED_AI if weak else Label.AI_GENERATED
    if claim.label is Label.MANIPULATED:
        return None if claim.carrier is Carrier.UNSIGNED_TEXT else Label.MANIPULATED
    if claim.label is Label.AUTHENTICATED and claim.carrier in _VOUCHED:
        return Label.AUTHENTICATED
    return None


def caveat(declared: Declared) -> str:
    """What the reader must know before relying on a claim, one sentence."""
    carrier = declared.carrier
    if declared.label is Label.AUTHENTICATED:
        told = (
            "The signature vouches for who signed these bytes and that they are unchanged since; "
            "it does not vouch that the scene was not staged."
        )
        return f"{told} {_INTERIM}" if carrier is Carrier.INTERIM_SIGNATURE else told
    if declared.label is Label.MANIPULATED and carrier is Carrier.BROKEN_SIGNATURE:
        return (
            "The file is not as its content credentials describe it; a re-save by a platform is "
            "enough for that, so ask for the file as it was signed."
        )
    if carrier is Carrier.BROKEN_SIGNATURE:
        return (
            "The content credentials that declare this do not fit these bytes: the file was "
            "re-saved, or they were moved here from another file."
        )
    if carrier is Carrier.UNSIGNED_TEXT:
        return (
            "Metadata are not signed: they are easily removed from a generated picture, and could "
            "be planted in a genuine one."
        )
    if carrier is Carrier.WATERMARK:
        return (
            "A watermark is read from the pixels; who knows how it is made could plant it in a "
            "genuine picture."
        )
    if carrier is Carrier.VALID_SIGNATURE:
        return (
            "This rests on what the file's signed credentials declare, not on its pixels; nobody "
            "on the trust list vouches for the signer."
        )
    if carrier is Carrier.INTERIM_SIGNATURE:
        return (
            "This rests on what the file's signed credentials declare, not on its pixels. "
            f"{_INTERIM}"
        )
    return "This rests on what the file's signed credentials declare, not on its pixels."


def _bears_on(label: Label) -> Question:
    if label is Label.DECLARED_AI:
        return Question.SYNTHETIC
    return ACCUSATIONS.get(label, Question.PROVENANCE)
