"""What a detector says about itself; all that anything else needs to know of it.

The verdict, the report and the explanation read cards. None of them knows a detector's id or the
names of its facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bonafide.questions import Kind, Label, Question

JsonScalar = str | int | float | bool | None
Fact = JsonScalar | list[Any] | dict[str, Any]


class Profile(StrEnum):
    """How much time may be spent; each profile includes the ones before it."""

    TRIAGE = "triage"
    STANDARD = "standard"
    THOROUGH = "thorough"

    def includes(self, other: Profile) -> bool:
        """Whether a detector of profile `other` runs under this profile."""
        order = list(Profile)
        return order.index(other) <= order.index(self)


class Carrier(StrEnum):
    """What carries a claim, the strongest first; a verdict weighs a claim by this alone."""

    TRUSTED_SIGNATURE = "trusted_signature"  # valid, and the signer is on a trust list
    INTERIM_SIGNATURE = "interim_signature"  # valid, the signer is on the interim list alone
    VALID_SIGNATURE = "valid_signature"  # valid, but nobody vouches for the signer
    WATERMARK = "watermark"  # read from the pixels
    BROKEN_SIGNATURE = "broken_signature"  # does not fit the file
    UNSIGNED_TEXT = "unsigned_text"  # metadata that anyone can write


@dataclass(frozen=True)
class Claim:
    """What provenance asserts outright: a label, and what carries it."""

    label: Label
    carrier: Carrier


@dataclass(frozen=True)
class Event:
    """One entry of a file's history, as the file tells it.

    Attributes:
        when: as the file writes it, "" when it does not say.
        what: the event, in a few words.
        detail: further facts of it, "" for none.
        source: where it is written.
        standing: "signed" (covered by a trusted signature), "measured" (in the pixels), "stated"
            (anyone could have written it) or "broken" (covered by a signature that fails).
        last: whether it came after everything else that the file tells.
    """

    when: str
    what: str
    detail: str
    source: str
    standing: str
    last: bool = False


@dataclass(frozen=True)
class Needs:
    """What a detector requires of a media before it can say anything.

    Attributes:
        jpeg: the container must be JPEG, since compression history is read from it.
        min_side: the shorter side must have at least this many pixels.
        min_faces: so many faces must be visible.
        min_seconds: so much sound or video must be there, seconds.
    """

    jpeg: bool = False
    min_side: int = 1
    min_faces: int = 0
    min_seconds: float = 0.0


def _no_history(_facts: Mapping[str, Fact]) -> Iterable[Event]:
    return ()


def _no_ingredients() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Card:
    """What a detector is, beside its code; all that anything else needs to know of it.

    Attributes:
        id: equals the file name.
        version: changes when scores change; calibration is bound to it.
        question: what it answers.
        title: a few plain words for headings.
        kinds: media kinds that it reads.
        needs: what a media must bring.
        profile: the cheapest profile that runs it.
        cost: seconds per megapixel on one core, roughly; slow detectors are started first.
        facts: every fact it may report, name → meaning with the unit in square brackets.
        options: names of `examination.Settings` that its constructor takes.
        requires: the one of `options` without which it is not asked; "" for none.
        networks: networks that it reads besides the one that has its own id.
        erased_by: kinds of change ("jpeg", "scale", "crop") that erase what it reads.
        outlines: whether its map outlines the parts of a picture that were edited; the others
            only help to say what was done to a part.
        pool: how scores of frames become one score of a video ("mean", "median" or "maximum"); with
            it the detector is also asked about frames, under the id `<id>.frames`.
        history: from its facts to events of the file's history.
        ingredients: SHA-256 by name of what the user keeps that it reads, such as enrolled
            cameras; a report rests on them.
        paper: full reference with year.
        licence: licence of the method's implementation here.
        training_data: what it was trained on; "none" for a method without training.
        limits: where it is known to fail, with figures where they were measured.
    """

    id: str
    version: str
    question: Question
    title: str
    kinds: tuple[Kind, ...] = (Kind.IMAGE,)
    needs: Needs = field(default_factory=Needs)
    profile: Profile = Profile.STANDARD
    cost: float = 0.05
    facts: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    requires: str = ""
    networks: tuple[str, ...] = ()
    erased_by: tuple[str, ...] = ()
    outlines: bool = True
    pool: str = ""
    history: Callable[[Mapping[str, Fact]], Iterable[Event]] = _no_history
    ingredients: Callable[[], Mapping[str, str]] = _no_ingredients
    paper: str = ""
    licence: str = "Apache-2.0"
    training_data: str = "none"
    limits: str = ""
