"""The questions that detectors answer: one row each, read by everything else.

Adding a question is adding a member here, the label of its accusation to `Label`, and detectors.
The bound on false accusations (`alpha`) belongs to its question alone: no other question, and no
choice of detectors, changes it.
"""

from __future__ import annotations

from enum import StrEnum


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
        "edited", Label.MANIPULATED, (Kind.IMAGE, Kind.VIDEO), "edited after capture",
        "editing", "edited pictures", "✂", "#b3541e",
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
