"""The questions that detectors answer, one row each, what an answer is, and how it is explained.

Adding a question is adding a member here, the label of its accusation to `Label`, and detectors.
The bound on false accusations (`alpha`) belongs to its question alone: no other question, and no
choice of detectors, changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bonafide.regions import WHOLE, Where


class Label(StrEnum):
    """The verdicts."""

    AI_GENERATED = "ai_generated"
    MANIPULATED = "manipulated"
    FACE_FORGED = "face_forged"
    VOICE_CLONED = "voice_cloned"
    SPOOFED = "spoofed"
    MISCAPTIONED = "miscaptioned"
    AUTHENTICATED = "authenticated"  # by cryptographic provenance only, never by pixels
    DECLARED_AI = "declared_ai"  # the file says so: unsigned text, or a signature that is broken
    NO_TRACE_FOUND = "no_trace_found"  # not a proof of authenticity
    INCONCLUSIVE = "inconclusive"


class Kind(StrEnum):
    """What sort of file a media is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"  # carries provenance (SVG, PDF) but nothing that we decode

    @property
    def plural(self) -> str:
        """For sentences: "images", "sounds"."""
        return "sounds" if self is Kind.AUDIO else f"{self}s"


class Question(StrEnum):
    """What a detector answers.

    Attributes:
        accusation: the label of a positive answer; None for what is never an accusation.
        kinds: media that it is asked of.
        words: completes "the file is …": "made by a generator".
        deed: names the act: "generation".
        altered: plural noun for files of which the answer is yes.
        symbol: one character for terminals and pages.
        colour: CSS colour for pages.
        alpha: bound on the share of bona fide files that measurements may accuse, in (0, 1).
        asked: False where a question has to be asked for explicitly.
    """

    accusation: Label | None
    kinds: tuple[Kind, ...]
    words: str
    deed: str
    altered: str
    symbol: str
    colour: str
    alpha: float
    asked: bool

    def __new__(
        cls,
        id_: str,
        accusation: Label | None = None,
        kinds: tuple[Kind, ...] = (Kind.IMAGE,),
        words: str = "",
        deed: str = "",
        altered: str = "",
        symbol: str = "?",
        colour: str = "#555",
        alpha: float = 0.01,
        asked: bool = True,
    ) -> Question:
        """A member from its row."""
        row = str.__new__(cls, id_)
        row._value_ = id_
        row.accusation, row.kinds, row.words, row.deed = accusation, kinds, words, deed
        row.altered, row.symbol, row.colour = altered, symbol, colour
        row.alpha, row.asked = alpha, asked
        return row

    SYNTHETIC = (
        "synthetic", Label.AI_GENERATED, (Kind.IMAGE, Kind.VIDEO), "made by a generator",
        "generation", "AI-generated pictures", "✳", "#7a3e9d",
    )  # fmt: skip
    EDITED = (
        "edited", Label.MANIPULATED, (Kind.IMAGE, Kind.VIDEO, Kind.AUDIO), "edited after capture",
        "editing", "edited files", "✂", "#b3541e",
    )  # fmt: skip
    FACE_FORGED = (
        "face_forged", Label.FACE_FORGED, (Kind.IMAGE, Kind.VIDEO), "a forged face",
        "a forged face", "forged faces", "☺", "#a3263a",
    )  # fmt: skip
    VOICE_CLONED = (
        "voice_cloned", Label.VOICE_CLONED, (Kind.AUDIO, Kind.VIDEO), "synthetic speech",
        "synthetic speech", "synthetic voices", "♪", "#0a6242",
    )  # fmt: skip
    SPOOFED = (
        "spoofed", Label.SPOOFED, (Kind.IMAGE, Kind.VIDEO), "a presentation attack",
        "a presentation attack", "presentation attacks", "▣", "#6b5200", 0.01, False,
    )  # fmt: skip
    MISCAPTIONED = (
        "miscaptioned", Label.MISCAPTIONED, (Kind.IMAGE, Kind.VIDEO), "out of context",
        "a wrong caption", "miscaptioned pictures", "¶", "#1f4f82", 0.01, False,
    )  # fmt: skip
    PROVENANCE = (
        "provenance", None, tuple(Kind), "what the file says about itself",
        "provenance", "files with provenance", "ⓘ", "#444444",
    )  # fmt: skip


ACCUSATIONS: dict[Label, Question] = {
    question.accusation: question for question in Question if question.accusation is not None
}


@dataclass(frozen=True)
class Reason:
    """One finding that moved an answer.

    Attributes:
        detector: id of the finding.
        question: the question that it moved.
        llr: by how much (natural log of the likelihood ratio); None for what is not weighed.
        text: why, in one sentence.
    """

    detector: str
    question: Question
    llr: float | None
    text: str


class Decision(StrEnum):
    """How a question was answered."""

    ACCUSED = "accused"  # beyond the bound of the question
    CLEAR = "clear"  # nothing unusual
    INCONCLUSIVE = "inconclusive"
    NOT_ASSESSED = "not_assessed"  # nothing calibrated spoke


@dataclass(frozen=True)
class Answer:
    """The answer to one question, about the whole file or one place, time or subject in it.

    Attributes:
        question: which.
        where: what it is about.
        probability: P in [0, 1] at even prior odds; None where nothing calibrated spoke.
        p_value: share of bona fide calibration sources with at least this evidence, in (0, 1].
        decision: what follows.
        because: the findings that moved it, strongest first.
        why: the decision in one sentence, with its figures.
        alpha: the bound that the p-value was compared with.
        miss_rate: share of altered calibration files that are not accused here; None if unknown.
        stratum: which calibration files it was compared with, for people.
    """

    question: Question
    where: Where
    probability: float | None
    p_value: float | None
    decision: Decision
    because: tuple[Reason, ...] = ()
    why: str = ""
    alpha: float = 0.01
    miss_rate: float | None = None
    stratum: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the findings together amount to.

    Attributes:
        label: the headline.
        answers: one per question, and per subject where detectors speak of one.
        because: the findings that moved the headline, strongest first.
        caveat: what the reader must know before relying on it, one sentence.
    """

    label: Label
    answers: tuple[Answer, ...]
    because: tuple[Reason, ...]
    caveat: str

    @property
    def probabilities(self) -> dict[Question, float | None]:
        """Question → P in [0, 1] over the whole file; None where nothing calibrated spoke."""
        found: dict[Question, float | None] = {
            question: None for question in Question if question.accusation is not None
        }
        for answer in self.answers:
            if answer.where == WHOLE:
                found[answer.question] = answer.probability
        return found


@dataclass(frozen=True)
class Statement:
    """A sentence or two of an explanation, and what they rest on.

    Attributes:
        text: plain words.
        cites: ids from `bonafide.explain.citable`: "finding.<detector>", "region.1".
        author: "words" for the sentences made here, else the name of the model.
    """

    text: str
    cites: tuple[str, ...]
    author: str = "words"


@dataclass(frozen=True)
class Dropped:
    """A statement that is not shown as evidence.

    Attributes:
        statement: as it was made.
        reason: which rule it broke, one word; see `bonafide.explain.check.REASONS`.
        why: the same in one sentence, about this statement.
    """

    statement: Statement
    reason: str
    why: str


@dataclass(frozen=True)
class Role:
    """One of five questions of a caption, as a model answers it.

    Attributes:
        role: "who", "what", "when", "where" or "why".
        claim: what the caption says, copied from it.
        evidence: what the file or the report says, copied from what is cited, or what the model
            sees; "" for nothing.
        relation: "supported", "refuted" or "no_evidence", in the model's judgement.
        cites: ids of where the evidence stands; "picture" for what the model sees itself.
    """

    role: str
    claim: str
    evidence: str
    relation: str
    cites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opinion:
    """What a model says of a picture when it is asked in several ways.

    Attributes:
        answers: name of the prompt → "generated", "photograph" or "undetermined".
        requests: that were answered.
        tokens_in, tokens_out: as the endpoint counted them; estimated where it did not.
        failure: why some answers are missing, one sentence; "" if all went well.
    """

    answers: Mapping[str, str]
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Step:
    """A call of a tool that a model made before it explained a report.

    Attributes:
        tool: its name.
        arguments: that it was called with.
        summary: the beginning of the result, or why there is none.
        digest: SHA-256 of the whole result, its pictures included.
        bytes: of the result.
        trouble: whether the call could not be made.
    """

    tool: str
    arguments: Mapping[str, int | str]
    summary: str
    digest: str
    bytes: int
    trouble: bool = False


@dataclass(frozen=True)
class Explained:
    """What a model added to an explanation, after every statement was checked.

    Attributes:
        model: its name, as it was asked for.
        endpoint: host and port that was asked.
        share: what was sent: "findings", "regions" or "picture".
        prompt: name and version of the prompt, "findings-1".
        sent: SHA-256 of what was sent first.
        seed: of the sampling.
        kept: the statements that hold.
        dropped: those that do not, those made again included.
        requests: HTTP requests that were answered.
        tokens_in, tokens_out: as the endpoint counted them; estimated where it did not.
        cost: in the currency of the prices that were given; None without prices.
        cached: whether the answers come from the cache, in which case nothing was sent.
        failure: why there is nothing or less, one sentence; "" if all went well.
        seconds: wall time.
        steps: calls of tools that the model made first, in order.
        stopped: why it made no more: "finished", a bound, or a sentence; "" where it had none.
        roles: how it holds the caption against the report, where there was one; its own judgement.
    """

    model: str
    endpoint: str
    share: str
    prompt: str
    sent: str
    seed: int
    kept: tuple[Statement, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    cached: bool = False
    failure: str = ""
    seconds: float = 0.0
    steps: tuple[Step, ...] = ()
    stopped: str = ""
    roles: tuple[Role, ...] = ()

    @property
    def made(self) -> int:
        """How many statements the model made."""
        return len(self.kept) + len(self.dropped)

    @property
    def reasons(self) -> Mapping[str, int]:
        """Reason → how many statements were dropped for it, the commonest first."""
        counted: dict[str, int] = {}
        for one in self.dropped:
            counted[one.reason] = counted.get(one.reason, 0) + 1
        return dict(sorted(counted.items(), key=lambda item: -item[1]))
