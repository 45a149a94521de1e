"""Sentences, clauses, words and numbers of a text; nothing here knows what a report is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bonafide.explain.lexicon import NEGATIONS, NUMBER_WORDS, stem

QUOTE = re.compile(r"“([^“”]*)”|\"([^\"]*)\"|«([^«»]*)»|„([^„“”]*)[“”]")
# Anything that a reader or a program could follow.
ADDRESS = re.compile(
    r"(?:https?|ftp|file|javascript|data|mailto):|www\.|\b[\w.-]+@[\w-]+\.\w+|"
    r"\b[\w-]{2,}\.(?:com|org|net|io|ru|cn|de|co|info|biz|xyz|dev|app|ai|example|test|onion)\b|"
    r"\]\(|<[a-z/!]|`|\{\{|\$\(",
    re.IGNORECASE,
)
POINT = re.compile(r"\(\s*(\d+)\s*[,;]\s*(\d+)\s*\)")
SIZE = re.compile(r"\b(\d+)\s*[×x]\s*(\d+)\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9“\"(])")
_STRONG = re.compile(
    r"[;:.!?]\s+|\s+(?:but|while|whereas|although|though|however|yet|instead)\s+", re.IGNORECASE
)
_WEAK = re.compile(r",\s+|\s*[()]\s*|\s+[–—]\s+")
_WORD = re.compile(r"[A-Za-z][\w'’/-]*")
_DATE = re.compile(r"\b\d{4}[:./-]\d\d[:./-]\d\d(?:[T ]\d\d:\d\d(?::\d\d)?[\w.:+-]*)?")
_CLOCK = re.compile(r"(?<![\w:])(?:(\d{1,2}):)?(\d{1,2}):(\d{2}(?:\.\d+)?)(?![\w:])")
# Letters with digits are names: "SHA-256", "C2PA", "ViT-B/16", "8-bit", "StyleGAN2".
_NAMED = re.compile(r"(?<![\w.])(?:[A-Za-z][\w./-]*\d[\w./-]*|\d+-[A-Za-z][\w-]*|\d+[A-Za-z]\w+)")
_NUMBER = re.compile(
    r"(?<![\w.,])(?:(?<!\d)[-−+])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?![\d])"
)
_UNIT = re.compile(
    r"\s?(%|percent\b|per cent\b|px\b|pixels?\b|seconds?\b|secs?\b|s\b|ms\b|milliseconds?\b|"
    r"bytes?\b|KB\b|MB\b|kHz\b|Hz\b|dB\b|decibels?\b|minutes?\b)"
)
_UNITS = {
    "%": "%", "percent": "%", "per cent": "%", "px": "px", "pixel": "px", "pixels": "px",
    "second": "s", "seconds": "s", "sec": "s", "secs": "s", "s": "s", "ms": "ms",
    "millisecond": "ms", "milliseconds": "ms", "byte": "bytes", "bytes": "bytes", "KB": "KB",
    "MB": "MB", "kHz": "kHz", "Hz": "Hz", "dB": "dB", "decibel": "dB", "decibels": "dB",
    "minute": "min", "minutes": "min",
}  # fmt: skip


@dataclass(frozen=True)
class Number:
    """A number in a text.

    Attributes:
        value: as written; a clock in seconds.
        step: what its last digit counts, 0.01 for "0.37".
        unit: "%", "px", "s", …; "" without one.
        start, end: where it stands in the text.
        text: as written.
    """

    value: float
    step: float
    unit: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Clause:
    """A part of a sentence.

    Attributes:
        text: of the clause.
        start: where it begins in the sentence.
        segment: number of the stretch between strong boundaries ("but", ";") that it is in.
    """

    text: str
    start: int
    segment: int

    @property
    def denies(self) -> bool:
        """Whether it has a negation."""
        return bool(negations(self.text))


def sentences(text: str) -> list[str]:
    """The sentences of a text; a full stop inside of a quotation ends none."""
    masked = QUOTE.sub(lambda match: "“" + "x" * (len(match.group()) - 2) + "”", text)
    found, start = [], 0
    for match in _SENTENCE.finditer(masked):
        found.append(text[start : match.start()])
        start = match.end()
    return [one.strip() for one in (*found, text[start:]) if one.strip()]


def clauses(sentence: str) -> list[Clause]:
    """The clauses of a sentence, in order."""
    found = []
    masked = POINT.sub(lambda match: "x" * len(match.group()), sentence)  # no boundary in a place
    for segment, (begin, end) in enumerate(_cut(masked, _STRONG)):
        for inner, stop in _cut(masked[begin:end], _WEAK):
            if sentence[begin + inner : begin + stop].strip(" .,;:!?"):
                found.append(Clause(sentence[begin + inner : begin + stop], begin + inner, segment))
    return found


def _cut(text: str, boundary: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    start = 0
    for match in boundary.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def words(text: str) -> list[str]:
    """Words in lower case; names with digits are words, numbers are not."""
    found = []
    for match in _WORD.finditer(text):
        word = match.group().lower().replace("’", "'").rstrip("'/-")
        # "copy-move" is two words, so that "copy move" is the same; "ai-generated" as well.
        found += [part for part in re.split(r"[-/]", word) if part and part[0].isalpha()]
    return found


def negations(text: str) -> list[str]:
    """The words of a text that deny."""
    low = text.lower().replace("’", "'")
    return [word for word in re.findall(r"[a-z']+", low) if word in NEGATIONS]


def plain(text: str) -> str:
    """A text for comparison: lower case, single blanks, no articles, no closing full stop."""
    low = text.lower().replace("’", "'").replace("−", "-").replace("\u00a0", " ")
    low = re.sub(r"[“”„«»\"]", "'", low)
    low = re.sub(r"\b(?:the|a|an|this|that|these|those)\b", " ", low)
    return " ".join(low.split()).strip(" .,;:!?")


def named(text: str) -> list[str]:
    """Dates, and names that have digits: "2024-02-03", "SHA-256", "8-bit"."""
    found = [match.group() for match in _DATE.finditer(text)]
    rest = _DATE.sub(" ", text)
    return found + [name for name in _NAMED.findall(rest) if not _is_number(name)]


def _is_number(name: str) -> bool:
    """Whether it is a number with its unit attached: "70px", "3s"."""
    digits = re.match(r"\d+", name)
    return digits is not None and name[digits.end() :] in _UNITS


def numbers(text: str) -> list[Number]:
    """Every number in a text, also those in words; not the digits of names and dates."""
    found: list[Number] = []
    masked = _DATE.sub(lambda match: "x" * len(match.group()), text)
    masked = _NAMED.sub(
        lambda match: match.group() if _is_number(match.group()) else "x" * len(match.group()),
        masked,
    )
    for match in _CLOCK.finditer(masked):
        hours, minutes, seconds = match.groups()
        value = 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
        found.append(Number(value, _step(seconds), "s", *match.span(), match.group()))
    masked = _CLOCK.sub(lambda match: "x" * len(match.group()), masked)
    # "70px" is cut into number and unit.
    for match in re.finditer(_NUMBER.pattern.replace(r"(?![\d])", ""), masked):
        text_of = match.group().replace("−", "-").replace(",", "")
        unit = _UNIT.match(masked, match.end())
        end = unit.end() if unit else match.end()
        name = _UNITS[unit.group(1)] if unit else ""
        found.append(
            Number(float(text_of), _step(text_of), name, match.start(), end, match.group())
        )
    for match in _WORD.finditer(masked):
        word = match.group().lower()
        if word in NUMBER_WORDS:
            unit = _UNIT.match(masked, match.end())
            end = unit.end() if unit else match.end()
            name = _UNITS[unit.group(1)] if unit else ""
            found.append(
                Number(float(NUMBER_WORDS[word]), 1.0, name, match.start(), end, match.group())
            )
    return sorted(found, key=lambda number: number.start)


def _step(text: str) -> float:
    mantissa, _, exponent = text.partition("e")
    decimals = len(mantissa.partition(".")[2])
    step: float = 10.0 ** (int(exponent or 0) - decimals)
    return step


def content(text: str, without: frozenset[str]) -> list[str]:
    """Stems of the words of a text that are not in `without` (stems), in order."""
    found = [stem(word) for word in words(text) if word not in NEGATIONS]
    return [one for one in found if one not in without]
