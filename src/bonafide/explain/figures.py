"""Numbers in a sentence: each has to be a value that is cited, within the digits that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bonafide.explain import lexicon, reading
from bonafide.explain.citable import Citable
from bonafide.explain.reading import Number
from bonafide.explain.scope import Problem, Scope

_NEAR = 6  # words on each side of a number that tell what it is
# A number beside one of these has to be that; the words are looked for in a stretch of text.
_ROLES = {
    "score": re.compile(r"\bscor(?:e|es|ed)\b"),
    "threshold": re.compile(r"\b(?:threshold|limit|counts? from)\b"),
    "probability": re.compile(r"\bprobabilit(?:y|ies)\b"),
    "p-value": re.compile(r"\bp-values?\b"),
    "false-positive rate": re.compile(r"\bfalse[- ]positives?\b"),
    "miss rate": re.compile(r"\bmiss(?:es|ed)?(?: rate)?\b"),
    "bound": re.compile(r"\bbound\b"),
}


_REGIONS = re.compile(r"\s+(?:[a-z]+\s+)?regions?\b")


@dataclass(frozen=True)
class Known:
    """A cited value, and the words by which it can be told.

    Attributes:
        number: in `unit`.
        unit: as in `citable.Value`, or as written in a text ("%").
        role: as in `citable.Value`; "" for a number of a text.
        words: stems that stand beside it or name it.
        groups: detector and question that it belongs to.
        before: the words before it in the text, for comparisons such as "at most".
    """

    number: float
    unit: str
    role: str
    words: frozenset[str]
    groups: tuple[str, ...]
    before: str = ""


def problem(scope: Scope) -> Problem | None:
    """What is wrong with the numbers of a sentence; None if nothing is."""
    repeated = [clause for clause in scope.clauses if scope.repeats(clause)]
    values: list[Known] | None = None
    places = [
        match.span()
        for pattern in (reading.POINT, reading.SIZE)
        for match in pattern.finditer(scope.sentence)
    ]
    for number in reading.numbers(scope.sentence):
        if any(part.start <= number.start < part.start + len(part.text) for part in repeated):
            continue
        if any(start <= number.start < end for start, end in places):
            continue  # `places` checks these, in pairs
        counted = _REGIONS.match(scope.sentence[number.end :])
        cited = len(scope.cites("region."))
        if counted and cited and not number.unit:
            if number.value == cited:
                continue
            return Problem("number", f"It cites {cited} regions, not {number.text}.")
        values = known(scope.cited) if values is None else values
        why = _wrong(number, scope, values)
        if why:
            return Problem("number", why)
    return None


def known(cited: list[Citable]) -> list[Known]:
    """Every number of what is cited: its values, and those in its texts."""
    found: list[Known] = []
    for one in cited:
        names = frozenset(
            lexicon.stem(word) for name in (*one.names, one.label) for word in reading.words(name)
        )
        for value in one.values:
            role = frozenset(lexicon.stem(word) for word in reading.words(value.role))
            found.append(Known(value.number, value.unit, value.role, names | role, one.groups))
        for text in one.texts:
            for number in reading.numbers(text):
                beside = frozenset(beside_words(text, number))
                before = reading.plain(text[max(0, number.start - 30) : number.start])
                # A number of a text may be told by any word near it.
                found.append(
                    Known(number.value, number.unit, "", names | beside, one.groups, before)
                )
    return found


def beside_words(text: str, number: Number) -> Iterator[str]:
    """Stems of the words around a number, in its own sentence."""
    start = max(text.rfind(". ", 0, number.start), text.rfind("; ", 0, number.start)) + 1
    before = reading.words(text[start : number.start])[-_NEAR:]
    end = min(
        (at for at in (text.find(". ", number.end), text.find("; ", number.end)) if at >= 0),
        default=len(text),
    )
    after = reading.words(text[number.end : end])[:_NEAR]
    for word in (*before, *after):
        yield lexicon.stem(word)


def equal(number: Number, value: float, unit: str) -> bool:
    """Whether a number as written is a value, rounded to the digits that are shown."""
    if number.unit == "%":
        if unit == "share":
            value *= 100
        elif unit != "%":
            return False
    elif unit == "%" and not number.unit:
        return False
    elif number.unit == "ms" and unit == "s":
        value *= 1000
    elif number.unit == "min" and unit == "s":
        value /= 60
    elif number.unit in ("KB", "MB") and unit == "bytes":
        value /= 1000 if number.unit == "KB" else 1_000_000
    elif number.unit and number.unit != unit and (unit or number.unit != "px"):
        return False  # a count of pixels may have no unit on its card
    # Half of the last digit that is shown, and no more.
    return abs(number.value - value) <= number.step / 2 + 1e-9 * max(1.0, abs(value))


def _wrong(number: Number, scope: Scope, values: list[Known]) -> str:
    """Why a number does not hold, one sentence; "" if it does."""
    same = [one for one in values if equal(number, one.number, one.unit)]
    if not same:
        return f"{number.text!r} is none of the values that it cites."
    named = scope.near(number.start)
    if named:
        same = [one for one in same if named & set(one.groups) or not one.groups]
        if not same:
            return f"{number.text!r} belongs to something else than it is said of."
    role = _role(scope.sentence, number)
    if role:
        same = [one for one in same if one.role == role or (not one.role and _told(one, role))]
        if not same:
            return f"{number.text!r} is not the {role}."
    told = frozenset(beside_words(scope.sentence, number)) - lexicon.PLAIN_STEMS
    if not role and told and not any(told & one.words for one in same):
        return f"{number.text!r} is not what it is said to be."
    compared = lexicon.COMPARING.search(
        scope.sentence[max(0, number.start - 24) : number.start + 1].lower()
    )
    if compared and compared.end() >= min(24, number.start):
        words = compared.group(1)
        if not any(one.before.endswith(words) for one in same) and not _threshold(words, same):
            return f"The report does not say “{words} {number.text}”."
    return ""


def _role(sentence: str, number: Number) -> str:
    """The role that the words next to a number give it, "" for none."""
    before = sentence[max(0, number.start - 32) : number.start].lower()
    after = sentence[number.end : number.end + 24].lower()
    # Another number between the word and this one has it.
    before = re.split(r"\d", before)[-1]
    after = re.split(r"\d", after)[0]
    nearest, role = 10_000, ""
    for name, pattern in _ROLES.items():
        for match in pattern.finditer(before):
            if len(before) - match.end() < nearest:
                nearest, role = len(before) - match.end(), name
        # "18.4, the score" is rarer than "the score is 18.4".
        for match in pattern.finditer(after):
            if match.start() + 8 < nearest and not re.search(
                r"[,;.]| and ", after[: match.start()]
            ):
                nearest, role = match.start() + 8, name
    return role


def _told(one: Known, role: str) -> bool:
    return any(lexicon.stem(word) in one.words for word in reading.words(role))


def _threshold(words: str, same: list[Known]) -> bool:
    """Whether "above 4.0" names a threshold; which side it lies on is checked elsewhere."""
    return words in ("over", "above", "below", "under", "exceeds", "exceed", "exceeding") and any(
        one.role == "threshold" for one in same
    )
