"""The vocabulary that every other file speaks.

Media go in, findings come out, a verdict is drawn from findings alone, and everything that a
person sees is rendered from one report. Nothing here imports more than the standard library and
the words for places.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from bonafide.regions import EditedRegion as EditedRegion
from bonafide.regions import EditKind as EditKind
from bonafide.regions import Edits as Edits
from bonafide.regions import Region as Region
from bonafide.regions import Segment as Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

JsonScalar = str | int | float | bool | None
Fact = JsonScalar | list[Any] | dict[str, Any]


class Question(StrEnum):
    """What a detector answers."""

    SYNTHETIC = "synthetic"  # made whole by a generator
    EDITED = "edited"  # part changed after capture: splicing, copy-move, removal, inpainting
    FACE_FORGED = "face_forged"  # a face swapped, reenacted or synthesised
    SPOOFED = "spoofed"  # presentation attack; asked by the liveness profile only
    PROVENANCE = "provenance"  # what signatures, metadata and watermarks say


class Kind(StrEnum):
    """What sort of file a `Media` is."""

    IMAGE = "image"
    VIDEO = "video"
    DOCUMENT = "document"  # carries provenance (SVG, PDF) but no pixels that we read


class Status(StrEnum):
    """How a detector ended."""

    OK = "ok"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"


class Profile(StrEnum):
    """How much time may be spent; each profile includes the ones before it."""

    TRIAGE = "triage"
    STANDARD = "standard"
    THOROUGH = "thorough"

    def includes(self, other: Profile) -> bool:
        """Whether a detector of profile `other` runs under this profile."""
        order = list(Profile)
        return order.index(other) <= order.index(self)


class Label(StrEnum):
    """The verdicts."""

    AI_GENERATED = "ai_generated"
    MANIPULATED = "manipulated"
    FACE_FORGED = "face_forged"
    AUTHENTICATED = "authenticated"  # by cryptographic provenance only, never by pixels
    NO_TRACE_FOUND = "no_trace_found"  # not a proof of authenticity
    INCONCLUSIVE = "inconclusive"


class Media:
    """The original bytes of one file, and what was computed from them.

    Attributes:
        data: the bytes as they came; nothing is stripped or re-saved.
        name: the file name shown to people.
        path: where it came from, or None for bytes and standard input.
        format: the container, upper case: "JPEG", "PNG", "MP4", "PDF"…
    """

    kind: ClassVar[Kind]

    def __init__(self, data: bytes, name: str, path: str | None, format: str) -> None:  # noqa: A002
        self.data = data
        self.name = name
        self.path = path
        self.format = format
        self._shared: dict[str, Any] = {}
        self._lock = threading.RLock()

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of `data`."""
        return hashlib.sha256(self.data).hexdigest()

    def memo(self, key: str, compute: Callable[[], T]) -> T:
        """Return the shared signal `key`, computed once per media and kept.

        Detectors use this for signals that several of them need. The result must not be changed.
        """
        with self._lock:
            if key not in self._shared:
                self._shared[key] = compute()
            return cast(T, self._shared[key])


@dataclass(frozen=True)
class Needs:
    """What a detector requires of a media before it can say anything.

    Attributes:
        jpeg: the container must be JPEG, since compression history is read from it.
        min_side: the shorter side must have at least this many pixels.
    """

    jpeg: bool = False
    min_side: int = 1

    def unmet(self, media: Media) -> str | None:
        """Return why `media` does not meet the needs, or None if it does."""
        if self.jpeg and media.format != "JPEG":
            return f"it reads JPEG compression history; this file is {media.format}"
        if media.kind is not Kind.DOCUMENT and self.min_side > 1:
            width, height = getattr(media, "width", 0), getattr(media, "height", 0)
            if min(width, height) < self.min_side:
                return f"it needs {self.min_side} pixels on each side; this is {width}×{height}"
        return None


@dataclass(frozen=True)
class Card:
    """What a detector is, beside its code.

    Attributes:
        id: equals the file name.
        version: changes when scores change; calibration is bound to it.
        question: what it answers.
        title: a few plain words for headings.
        kinds: media kinds that it reads.
        needs: what a media must bring.
        profile: the cheapest profile that runs it.
        facts: every fact it may report, name → meaning with the unit in square brackets.
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
    facts: Mapping[str, str] = field(default_factory=dict)
    paper: str = ""
    licence: str = "Apache-2.0"
    training_data: str = "none"
    limits: str = ""

    def finding(self, **fields: Any) -> Finding:
        """A `Finding` of this detector with status OK and the given fields."""
        return Finding(self.id, self.version, self.question, Status.OK, **fields)

    def not_applicable(self, why: str) -> Finding:
        """The finding of a detector that has nothing to say about this media."""
        return Finding(self.id, self.version, self.question, Status.NOT_APPLICABLE, why=why)

    def failed(self, why: str) -> Finding:
        """The finding of a detector that should have spoken and could not."""
        return Finding(self.id, self.version, self.question, Status.FAILED, why=why)


@dataclass(frozen=True)
class Finding:
    """What one detector says about one media.

    Attributes:
        detector, version, question: copied from the card.
        status: how it ended; unless OK, `why` says why and everything below is empty.
        why: one plain sentence, "" when OK.
        summary: one plain sentence of what was measured, made from `facts` alone.
        score: raw, larger means more evidence for the question; None for maps that never vote.
        claim: what provenance asserts outright (C2PA, metadata, watermark), None otherwise.
        heatmap: float32 H×W in [0, 1] of the oriented picture; 1 is the strongest evidence.
        regions: rectangles pointed at, strongest first.
        segments: stretches of a video pointed at.
        facts: measured values by the names declared in the card; JSON values only.
        seconds: wall time spent.
        probability: calibrated P(question is true) at even prior odds, in [0, 1];
            None when nothing was calibrated. This and the next three are set by `verdict`.
        llr: natural-log likelihood ratio behind `probability`.
        threshold: the raw score that counts as a hit.
        false_positive_rate: share of bona fide calibration pictures at or above `threshold`.
        outside: sentences that say in what the file lies outside of what the detector was
            calibrated on, and whether `llr` is halved for it; () inside, or where nothing is known.
    """

    detector: str
    version: str
    question: Question
    status: Status
    why: str = ""
    summary: str = ""
    score: float | None = None
    claim: Label | None = None
    heatmap: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    regions: tuple[Region, ...] = ()
    segments: tuple[Segment, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    seconds: float = 0.0
    probability: float | None = None
    llr: float | None = None
    threshold: float | None = None
    false_positive_rate: float | None = None
    outside: tuple[str, ...] = ()


class Detector(Protocol):
    """What `registry.load` returns: a callable that never changes its media.

    Its class may have `options`, the names of `examination.Settings` that its constructor takes,
    and `erased_by`, the kinds of change that erase what it reads (see `stability`).
    """

    def __call__(self, media: Any) -> Finding:
        """Examine `media`."""
        ...


@dataclass(frozen=True)
class Reason:
    """One finding that moved the verdict.

    Attributes:
        detector: id of the finding.
        question: the question that it moved.
        llr: by how much (natural log of the likelihood ratio); None for a cryptographic fact,
            which is not weighed.
        text: why, in one sentence.
    """

    detector: str
    question: Question
    llr: float | None
    text: str


@dataclass(frozen=True)
class Verdict:
    """What the findings together amount to.

    Attributes:
        label: the verdict.
        probabilities: question → P in [0, 1] at even prior odds; None where nothing calibrated
            spoke.
        because: the findings that moved it, strongest first.
        caveat: what the reader must know before relying on it, one sentence.
    """

    label: Label
    probabilities: Mapping[Question, float | None]
    because: tuple[Reason, ...]
    caveat: str


@dataclass(frozen=True)
class Variant:
    """A copy of the picture, changed in memory and asked about again.

    Attributes:
        name: of the change, "jpeg:90".
        words: the same for people, "saved as JPEG at quality 90".
        mild: whether an accusation has to survive it.
        probabilities: question → P in [0, 1] on the copy; only questions that this change puts
            to a fair test.
    """

    name: str
    words: str
    mild: bool
    probabilities: Mapping[Question, float]


@dataclass(frozen=True)
class Stability:
    """How far the answers move when the picture is changed in ways that change no truth.

    Attributes:
        variants: in a fixed order.
        skipped: name of a change → why it was not tried.
        accusation: what the pixels accused the picture of, None if of nothing.
        survived: whether it stands on the copies; None where no change was a fair test of it.
        text: the outcome in one sentence.
    """

    variants: tuple[Variant, ...]
    skipped: Mapping[str, str]
    accusation: Label | None
    survived: bool | None
    text: str


@dataclass(frozen=True)
class MediaFacts:
    """What a report says about the file itself; sizes in pixels, `bytes` in bytes."""

    name: str
    path: str | None
    sha256: str
    bytes: int
    kind: Kind
    format: str
    width: int | None = None
    height: int | None = None
    details: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Everything that is known about one file; the only thing that is ever shown.

    Attributes:
        media: the file.
        findings: one per detector that was asked, in a fixed order, also the inapplicable ones.
        verdict: drawn from `findings` alone.
        explanation: plain sentences made from findings and verdict.
        untested: detector id → why it was not asked (profile, selection).
        settings: the settings that could change the outcome.
        versions: of tool, calibration, libraries; SHA-256 of networks and of the trust list.
        examined_at: UTC, ISO 8601.
        schema: number of the JSON schema that `report.to_dict` writes.
        stability: how the answers held on changed copies; None if that was not asked for.
        edits: where it was changed, from all maps together; None where no map could say.
    """

    media: MediaFacts
    findings: tuple[Finding, ...]
    verdict: Verdict
    explanation: tuple[str, ...]
    untested: Mapping[str, str]
    settings: Mapping[str, Fact]
    versions: Mapping[str, str]
    examined_at: str
    schema: int = 1
    stability: Stability | None = None
    edits: Edits | None = None


@dataclass(frozen=True)
class Failure:
    """A file that could not be examined.

    Attributes:
        name, path: which file.
        error: class name from `bonafide.errors`.
        why: one plain sentence.
        sha256: of the bytes, where they could be read.
    """

    name: str
    path: str | None
    error: str
    why: str
    sha256: str | None = None
