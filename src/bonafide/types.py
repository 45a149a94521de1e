"""The vocabulary that every other file speaks.

A file is opened into media (`bonafide.media`). A detector *measures* it: each `Measurement` has a
score, facts, perhaps maps and series, and says where it was taken. Calibration adds `Calibrated`:
what the score is worth as evidence. Both together, for one detector, are a `Finding`. The verdict
gives one `Answer` per question, drawn from findings alone, and a `Report` holds everything that a
person is ever shown. Nothing here imports more than the standard library, the table of questions
and the words for places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from bonafide.cards import Card as Card
from bonafide.cards import Carrier as Carrier
from bonafide.cards import Claim as Claim
from bonafide.cards import Event as Event
from bonafide.cards import Fact as Fact
from bonafide.cards import JsonScalar as JsonScalar
from bonafide.cards import Needs as Needs
from bonafide.cards import Profile as Profile
from bonafide.questions import ACCUSATIONS as ACCUSATIONS
from bonafide.questions import Answer as Answer
from bonafide.questions import Decision as Decision
from bonafide.questions import Dropped as Dropped
from bonafide.questions import Explained as Explained
from bonafide.questions import Kind as Kind
from bonafide.questions import Label as Label
from bonafide.questions import Opinion as Opinion
from bonafide.questions import Question as Question
from bonafide.questions import Reason as Reason
from bonafide.questions import Role as Role
from bonafide.questions import Statement as Statement
from bonafide.questions import Step as Step
from bonafide.questions import Verdict as Verdict
from bonafide.regions import WHOLE as WHOLE
from bonafide.regions import Box as Box
from bonafide.regions import EditedRegion as EditedRegion
from bonafide.regions import EditKind as EditKind
from bonafide.regions import Edits as Edits
from bonafide.regions import Region as Region
from bonafide.regions import ScoreMap as ScoreMap
from bonafide.regions import Series as Series
from bonafide.regions import Span as Span
from bonafide.regions import Where as Where


class Status(StrEnum):
    """How a detector ended."""

    OK = "ok"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"


@dataclass(frozen=True)
class Measurement:
    """What was measured at one place of a media, before anybody says what it is worth.

    Attributes:
        score: larger means more evidence for the question; None for maps that never vote.
        summary: one plain sentence of what was measured, made from `facts` alone.
        where: track, time, place and subject; all absent for the whole file.
        maps: evidence by place, each on the lattice on which it was measured.
        series: scores along time.
        regions: rectangles pointed at, strongest first.
        facts: values by the names declared in the card; JSON values only.
        claim: what provenance asserts outright, None otherwise.
        kind: what the regions show, where the detector can tell.
        laundered: given that the pixels are synthetic, probability in [0, 1] that they are a
            photograph which went through an autoencoder, an upscaler or an enhancer; None where
            the detector cannot tell.
        contradiction: whether something must be said even if nothing is accused: credentials that
            do not hold, metadata that contradict each other.
        outside: one sentence, where the picture shows what the method was not made for and its
            traces occur without any alteration; such a score is shown and does not vote.
    """

    score: float | None = None
    summary: str = ""
    where: Where = WHOLE
    maps: tuple[ScoreMap, ...] = ()
    series: tuple[Series, ...] = ()
    regions: tuple[Region, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    claim: Claim | None = None
    kind: EditKind = EditKind.UNKNOWN
    laundered: float | None = None
    contradiction: bool = False
    outside: str = ""


@dataclass(frozen=True)
class NotApplicable:
    """Returned by a detector that has nothing to say about a media; `why` is one sentence."""

    why: str


@dataclass(frozen=True)
class Failed:
    """Returned by a detector that should have spoken and could not; `why` is one sentence."""

    why: str


Measured = Iterable[Measurement] | NotApplicable | Failed


@dataclass(frozen=True)
class Calibrated:
    """What calibration adds to a measurement.

    Attributes:
        llr: natural-log likelihood ratio of the score; None where only a threshold is known.
        probability: P(question is true) at even prior odds, in [0, 1]; None without `llr`.
        threshold: the raw score that counts as a hit.
        false_positive_rate: share of bona fide calibration files at or above `threshold`.
        stratum: name of the group of calibration files that it was compared with.
        warnings: sentences that say in what the file lies outside of the calibrated range.
    """

    llr: float | None
    probability: float | None
    threshold: float
    false_positive_rate: float
    stratum: str = ""
    warnings: tuple[str, ...] = ()


_NOTHING = Measurement()
_UNKNOWN = Calibrated(None, None, float("inf"), 0.0)


@dataclass(frozen=True)
class Finding:
    """What one detector says about one media.

    The first part stands for the whole file; further parts for frames, faces or stretches. The
    properties below speak of the first part.

    Attributes:
        detector, version, question: copied from the card.
        status: how it ended; unless OK, `why` says why and `parts` is empty.
        why: one plain sentence, "" when OK.
        parts: measurements, each with what calibration knows of it, None where it knows nothing.
        seconds: wall time spent.
    """

    detector: str
    version: str
    question: Question
    status: Status
    why: str = ""
    parts: tuple[tuple[Measurement, Calibrated | None], ...] = ()
    seconds: float = 0.0

    @classmethod
    def of(cls, card: Card, *measured: Measurement, seconds: float = 0.0) -> Finding:
        """The finding of a detector with these measurements, not calibrated yet."""
        parts = tuple((one, None) for one in measured)
        return cls(card.id, card.version, card.question, Status.OK, "", parts, seconds)

    @classmethod
    def silent(cls, card: Card, why: str, status: Status = Status.NOT_APPLICABLE) -> Finding:
        """The finding of a detector that has nothing to say, or should have and could not."""
        return cls(card.id, card.version, card.question, status, why)

    @property
    def main(self) -> Measurement:
        """The measurement of the whole file; an empty one where there is none."""
        return self.parts[0][0] if self.parts else _NOTHING

    @property
    def calibrated(self) -> Calibrated | None:
        """What calibration knows of `main`."""
        return self.parts[0][1] if self.parts else None

    @property
    def score(self) -> float | None:
        """Raw score of `main`."""
        return self.main.score

    @property
    def summary(self) -> str:
        """The sentence of `main`."""
        return self.main.summary

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Facts of `main`."""
        return self.main.facts

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions of `main`."""
        return self.main.regions

    @property
    def map(self) -> ScoreMap | None:
        """The first map of `main`, None without one."""
        return self.main.maps[0] if self.main.maps else None

    @property
    def claim(self) -> Claim | None:
        """The claim of `main`."""
        return self.main.claim

    @property
    def llr(self) -> float | None:
        """Log-likelihood ratio of `main`, None where it was not calibrated."""
        return (self.calibrated or _UNKNOWN).llr

    @property
    def probability(self) -> float | None:
        """P in [0, 1] of `main` alone at even prior odds, None where it was not calibrated."""
        return (self.calibrated or _UNKNOWN).probability

    @property
    def hit(self) -> bool:
        """Whether `main` reaches the threshold at which it counts as a hit."""
        limit = (self.calibrated or _UNKNOWN).threshold
        return self.score is not None and self.score >= limit


class Detector(Protocol):
    """What `registry.load` returns; its constructor only keeps its options."""

    def measure(self, ctx: Any) -> Measured:
        """Measure a media without changing it.

        Args:
            ctx: a `bonafide.media.context.Context`: the media, its tracks and shared signals.

        Returns:
            At least one measurement, that of the whole file first; or why there is none.

        Raises:
            MediaError: the media is damaged where this detector reads it.
        """
        ...


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
        schema: number of the JSON schema that it was written in; 2 for reports made now.
        stability: how the answers held on changed copies; None if that was not asked for.
        edits: where it was changed, from all maps together; None where no map could say.
        explained: what a model added to `explanation`; None unless that was asked for.
    """

    media: MediaFacts
    findings: tuple[Finding, ...]
    verdict: Verdict
    explanation: tuple[str, ...]
    untested: Mapping[str, str]
    settings: Mapping[str, Fact]
    versions: Mapping[str, str]
    examined_at: str
    schema: int = 2
    stability: Stability | None = None
    edits: Edits | None = None
    explained: Explained | None = None

    def _repr_html_(self) -> str:
        """The page of this report, shown by a notebook in a frame of its own."""
        # The one import that points up, and only when a notebook asks.
        from bonafide.report.notebook import framed

        return framed(self)


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
