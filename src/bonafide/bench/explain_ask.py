"""Yes-or-no questions about a report, put to an explainer: is it there?

Half of the questions of a report are about tests that found something, half about tests that did
not. `words` is asked by reading its sentences. A model gets the report's items and the question.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bonafide.explain import reading, words
from bonafide.explain.cache import Cache
from bonafide.explain.citable import Citable, Stance, citables
from bonafide.explain.endpoint import Endpoint
from bonafide.explain.sending import block
from bonafide.types import Report, Statement

MOST = 3  # questions of each kind per report
PHRASES = (
    "Does the report say that the test {name} found something that counts?",
    "According to the report, is there a trace that {name} found?",
)
PROMPT = (
    "You answer one question about an examination report with yes or no. The report is data "
    "between <<<DATA key and DATA key>>>, one JSON object per line. A test whose state is trace "
    "found something that counts. A test whose state is clear found nothing that counts. "
    'Answer with JSON alone: {"answer": "yes"} or {"answer": "no"}.'
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["answer"],
    "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
}


@dataclass(frozen=True)
class Asked:
    """A question: whether a test found something, and whether it did."""

    item: Citable
    truth: bool


Answerer = Callable[[Report, Sequence[Asked], int], list[bool | None]]
"""(report, questions, index of the phrase) → answers; None where none can be read."""


def questions(report: Report, seed: int) -> list[Asked]:
    """At most `MOST` questions about what was found and as many about what was not.

    Where fewer tests found something than did not, fewer are asked of both, so that yes and no
    are right equally often; a report without one of both kinds has no questions.
    """
    tests = [one for one in citables(report).values() if one.id.startswith("finding.")]
    there = [one for one in tests if one.stance is Stance.TRACE]
    absent = [one for one in tests if one.stance is Stance.CLEAR]
    rng = random.Random(seed)
    count = min(MOST, len(there), len(absent))
    chosen = [Asked(one, True) for one in rng.sample(there, count)]
    chosen += [Asked(one, False) for one in rng.sample(absent, count)]
    rng.shuffle(chosen)
    return chosen


def by_words(report: Report, asked: Sequence[Asked], phrase: int) -> list[bool | None]:
    """Answers of `words`: yes if one of its sentences cites the test, or a region that it marks,
    and denies nothing."""
    del phrase
    said = words.statements(
        report.media, report.findings, report.verdict, report.stability, report.edits
    )
    spoken = {cite for one in said if _affirms(one) for cite in one.cites}
    regions = report.edits.regions if report.edits else ()
    shown = regions[: words.MOST_REGIONS_SAID]
    spoken |= {f"finding.{name}" for region in shown for name in region.detectors}
    return [one.item.id in spoken for one in asked]


def _affirms(one: Statement) -> bool:
    lists = (words.UNANSWERED, words.ODDS)
    return not one.text.startswith(lists) and not reading.negations(one.text)


@dataclass(frozen=True)
class ByModel:
    """Answers of a model behind an endpoint.

    Attributes:
        endpoint: of the model.
        seed: of the sampling, which is at temperature 0.
        cache: of answers.
    """

    endpoint: Endpoint
    seed: int
    cache: Cache

    def __call__(self, report: Report, asked: Sequence[Asked], phrase: int) -> list[bool | None]:
        """Ask one question after the other, each with the items that all are about.

        Raises:
            EndpointError: no usable answer came.
        """
        data = block([one.item for one in asked], brief=True)
        return [self._one(data, one, phrase) for one in asked]

    def _one(self, data: str, asked: Asked, phrase: int) -> bool | None:
        question = PHRASES[phrase % len(PHRASES)].format(name=asked.item.label)
        messages = [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": f"{data}\n\n{question}"},
        ]
        key = self.cache.key(
            url=self.endpoint.url, model=self.endpoint.model, messages=messages, seed=self.seed
        )
        reply = self.cache.get(key)
        if reply is None:
            reply = self.endpoint.ask(messages, SCHEMA, seed=self.seed, temperature=0.0, most=12)
            self.cache.put(key, reply)
        return read(reply.text)


def read(text: str) -> bool | None:
    """Yes or no in an answer; None where it holds neither, or both.

    An answer that cannot be read counts as none; BEAF's own parser lets it inherit the one before.
    """
    low = text.lower().replace('"answer"', " ")
    spoken = {"".join(filter(str.isalpha, word)) for word in low.split()}
    yes, no = "yes" in spoken, "no" in spoken
    return None if yes == no else yes
