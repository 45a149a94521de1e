"""What is attacked: the answer to one question about a picture, asked as a user asks."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.evidence import verdict
from bonafide.examination import Examiner, Settings
from bonafide.media.source import open_media
from bonafide.types import Decision, Finding, Question, Report, Status

Pixels = NDArray[np.uint8]


class Goal(Enum):
    """What an attacker wants; the value is the direction in which scores are to move."""

    HIDE = -1.0
    FRAME = 1.0

    @property
    def right(self) -> Decision:
        """The answer that the attacker wants to avoid."""
        return Decision.ACCUSED if self is Goal.HIDE else Decision.CLEAR

    @property
    def wrong(self) -> Decision:
        """The answer that the attacker wants."""
        return Decision.CLEAR if self is Goal.HIDE else Decision.ACCUSED

    def outcome(self, decision: Decision) -> str:
        """ "right", "wrong", or "open" for an answer that says neither."""
        return {self.right: "right", self.wrong: "wrong"}.get(decision, "open")


class Spent(Exception):
    """No query is left."""


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes:
        decision: on the question.
        score: of the detector that has most weight, larger for an accusation; 0 where none spoke.
        probability: P of the question, 0.5 where it was not assessed.
        held: mean probability over changed copies, where they were asked about.
        report: all of it.
    """

    decision: Decision
    score: float
    probability: float
    held: float | None
    report: Report


class Target:
    """Answers about pictures, and counts how often it was asked.

    Args:
        question: which.
        detectors: that are asked; all of the standard profile without any.
        stability: whether changed copies are asked about too.
        quality: of the JPEG that pictures are saved as; None for PNG.
    """

    def __init__(
        self,
        question: Question,
        detectors: Sequence[str] = (),
        stability: bool = False,
        quality: int | None = None,
    ) -> None:
        self.question, self.quality = question, quality
        self.queries = 0
        self._last: tuple[Pixels, Answered] | None = None
        self.most = math.inf
        self._examiner = Examiner(Settings(only=tuple(detectors), stability=stability, threads=1))

    def begin(self, queries: float = math.inf) -> None:
        """Count from nought; `Spent` is raised when more is asked."""
        self.queries, self.most = 0, queries

    def ask(self, pixels: Pixels) -> Answered:
        """Hand a picture in, uint8 H×W×3.

        Raises:
            Spent: no query is left.
        """
        if self.queries >= self.most:
            raise Spent
        self.queries += 1
        report = self._examiner.examine(open_media(self.encode(pixels), "picture"))
        answers = [one for one in report.verdict.answers if one.question is self.question]
        decisions = [one.decision for one in answers]
        decision = next(
            (one for one in (Decision.ACCUSED, Decision.INCONCLUSIVE, Decision.CLEAR)
             if one in decisions), Decision.NOT_ASSESSED,
        )  # fmt: skip
        known = [one.probability for one in answers if one.probability is not None]
        copies = report.stability.variants if report.stability else ()
        held = [copy.probabilities[self.question] for copy in copies
                if self.question in copy.probabilities]  # fmt: skip
        answered = Answered(
            decision,
            self._score(report.findings),
            max(known, default=0.5),
            float(np.mean(held)) if held else None,
            report,
        )
        self._last = pixels, answered
        return answered

    def asked(self, pixels: Pixels) -> Answered | None:
        """The answer about this very array, if it was the last that was asked about."""
        return self._last[1] if self._last is not None and self._last[0] is pixels else None

    def encode(self, pixels: Pixels) -> bytes:
        """The file that is handed in, without metadata."""
        stream = io.BytesIO()
        picture = Pillow.fromarray(np.ascontiguousarray(pixels))
        if self.quality is None:
            picture.save(stream, "PNG", compress_level=1)
        else:
            picture.save(stream, "JPEG", quality=self.quality)
        return stream.getvalue()

    def _score(self, findings: Sequence[Finding]) -> float:
        calibration = self._examiner.calibration
        speaking = [
            (verdict.weight(one, calibration), one.score)
            for one in findings
            if one.question is self.question and one.status is Status.OK and one.score is not None
        ]
        return float(max(speaking)[1]) if speaking else 0.0
