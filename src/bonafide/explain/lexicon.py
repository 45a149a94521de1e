"""The words with which a statement may speak of a report, and those that it may never use.

They stand in `lexicon.txt`. A statement may use the words of what it cites, and those of `PLAIN`.
Anything else would be a claim that nothing was measured for. The other sets are rules for single
words.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from bonafide.types import ACCUSATIONS, Question

_SUFFIXES = ("ations", "ation", "ions", "ion", "ings", "ing", "ies", "ied", "ers", "er", "ed",
             "es", "ly", "s", "e")  # fmt: skip


def _sections() -> dict[str, frozenset[str]]:
    """Section of the file → its words."""
    found: dict[str, frozenset[str]] = {}
    name = ""
    for line in Path(__file__).with_name("lexicon.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        elif line and not line.startswith("#"):
            found[name] = found.get(name, frozenset()) | frozenset(line.split())
    return found


_WORDS = _sections()
FUNCTION = _WORDS["function"]
PLAIN = FUNCTION | _WORDS["plain"]
VERBS = _WORDS["verbs"]
NEGATIONS = _WORDS["negations"]
HEDGES = _WORDS["hedges"]
CERTAINTY = _WORDS["certainty"]
PROOF = _WORDS["proof"]
GENUINE = _WORDS["genuine"]
IDENTITY = _WORDS["identity"]
INTENT = _WORDS["intent"]
SCENE = _WORDS["scene"]
READER = _WORDS["reader"]
RESTRICTED = _WORDS["restricted"]
KINDS = {kind: _WORDS[kind] for kind in ("clone", "splice", "regenerated")}

# Verbs that tell what a test is for; beside them nothing is said of its outcome.
PURPOSE = re.compile(
    r"\b(look(?:s|ed)? for|search(?:es|ed)? for|test(?:s|ed)? (?:for|whether|if)|check(?:s|ed)? "
    r"(?:for|whether|if)|ask(?:s|ed)? whether|measures? how|compares?|looks? at)\b"
)
SILENT = re.compile(
    r"\b(did not (?:run|answer|apply|give an answer)|gave no answer|no answer|not (?:asked|run|"
    r"applicable|tested|assessed|possible)|could not|was not asked|were not asked|failed|"
    r"does not apply|had nothing to say)\b"
)
COMPARING = re.compile(
    r"\b(more than|less than|fewer than|at least|at most|up to|over|under|above|below|nearly|"
    r"almost|about|around|approximately|roughly|exceed(?:s|ing)?|only|just)\s+(?=[-−+]?\d)"
)


NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        ("zero", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
         "eleven", "twelve")
    )
    if word
}  # fmt: skip


@cache
def stem(word: str) -> str:
    """A word without its ending, so that "measures" and "measured" are one.

    Crude on purpose: the same ending is cut from both sides of every comparison.
    """
    word = word.lower().replace("’", "'")
    word = word.removesuffix("'s").strip("'-")
    if word in ("copies", "copied", "copying", "copy"):
        return "copy"
    for suffix in _SUFFIXES:
        base = word.removesuffix(suffix)
        if base != word and len(base) >= 3:
            return base.removesuffix("e") + ("y" if suffix in ("ies", "ied") else "")
    return word


@cache
def accusing(question: Question) -> frozenset[str]:
    """Stems of the words that accuse a file of what a question asks."""
    row = _WORDS.get(f"accusing {question.value}", frozenset()) | frozenset(question.deed.split())
    return stems(row) - PLAIN_STEMS


@cache
def every_accusation() -> frozenset[str]:
    """Stems of the words that accuse a file of anything."""
    return frozenset().union(*(accusing(question) for question in ACCUSATIONS.values()))


def stems(words: frozenset[str]) -> frozenset[str]:
    """The stems of some words."""
    return frozenset(stem(word) for word in words)


FUNCTION_STEMS = stems(FUNCTION - {"own", "same", "other", "another"})
PLAIN_STEMS = stems(PLAIN)
TRACE_STEMS = stems(_WORDS["trace"])
OUTCOME_STEMS = stems(_WORDS["outcome"])
ATTRIBUTION_STEMS = stems(_WORDS["attribution"])
EVIDENCE_STEMS = stems(_WORDS["evidence"])
