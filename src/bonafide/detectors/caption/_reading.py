"""What of a caption can be compared: dates, quotations, numbers with a word, credits, its words."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from bonafide.detectors.caption._months import MONTHS
from bonafide.media.text_metadata import clean, quote
from bonafide.types import Fact

LONGEST = 2_000  # characters of a caption that are read
MOST = 20  # dates, quotations or numbers of one text
MOST_SAID = 5  # statements of one summary

_MONTH = "(?P<month>" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?P<year>(?:18|19|20)\d\d)(?!\d)"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d){_YEAR}[-:/.](?P<second>\d\d)[-:/.](?P<first>\d\d)(?!\d)",
        rf"(?<!\d)(?P<first>\d\d?)(?:st|nd|rd|th|\.|er)?\s+(?:of\s+|de\s+)?{_MONTH},?\s+(?:de\s+)?{_YEAR}",
        rf"\b{_MONTH}\s+(?P<first>\d\d?)(?:st|nd|rd|th)?,?\s+{_YEAR}",
        rf"(?<!\d)(?P<first>\d\d?)[./-](?P<second>\d\d?)[./-]{_YEAR}",
        rf"\b{_MONTH},?\s+(?:de\s+)?{_YEAR}",
        rf"(?<![\d.,]){_YEAR}(?![.,]?\d)",
    )
)
_QUOTED = re.compile(
    r"“([^“”]{3,80})”|\"([^\"]{3,80})\"|«\s*([^«»]{3,80}?)\s*»|„([^„“”]{3,80})[“”]"
)
_NUMBER = re.compile(
    r"(?<![\w.,])(\d{1,3}(?:[,.\u202f\u00a0]\d{3})+|\d{2,12})(?![\d%])[ \u00a0]+([^\W\d_]{3,30})"
)
_CREDIT = re.compile(
    r"(?:\b(?:photo(?:graph)?|picture|image|foto|credit)\s*(?:by|:|from)|©|\(c\))\s*"
    r"((?:[^\W\d_][\w.'’-]*)(?:\s+[^\W\d_][\w.'’-]*){0,3})",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class Found:
    """A part of a text.

    Attributes:
        text: as written.
        start, end: where, characters.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Dated(Found):
    """A date in a text.

    Attributes:
        days: first and last day of each span that it may mean; "3/4/2020" may mean two days.
    """

    days: tuple[tuple[datetime.date, datetime.date], ...]

    def apart(self, first: datetime.date, last: datetime.date | None = None) -> int:
        """Days between this and a day or a span of days, 0 where they touch."""
        last = last or first
        return min(max((first - end).days, (begin - last).days, 0) for begin, end in self.days)


@dataclass(frozen=True)
class Counted(Found):
    """A number and the word after it: "5,000 people"."""

    number: int
    word: str


@dataclass(frozen=True)
class Said:
    """What was compared.

    Attributes:
        text: in words, without a full stop.
        agrees: whether both say the same; None where that cannot be told.
        words: positions in the caption of the words that something contradicts, from 0.
        lines: indices of the lines in the picture that it is about.
    """

    text: str
    agrees: bool | None
    words: tuple[int, ...] = ()
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Text:
    """A caption, or a line of text in a picture, bounded and on one line."""

    text: str

    @classmethod
    def of(cls, text: str) -> Text:
        """The text without what cannot be printed, at most `LONGEST` characters."""
        return cls(clean(text, LONGEST))

    @cached_property
    def dates(self) -> tuple[Dated, ...]:
        """Dates, the most exact reading of each part, in the order of the text."""
        found: list[Dated] = []
        read: list[tuple[int, int]] = []  # a day that never was is not read as its month
        for pattern in _DATES:
            for match in list(pattern.finditer(self.text))[:MOST]:
                if any(start < match.end() and match.start() < end for start, end in read):
                    continue
                read.append(match.span())
                if days := tuple(_days(match)):
                    found.append(Dated(match[0], *match.span(), days))
        return tuple(sorted(found, key=lambda one: one.start))

    @cached_property
    def quotations(self) -> tuple[Found, ...]:
        """What stands in quotation marks."""
        matches = list(_QUOTED.finditer(self.text))[:MOST]
        return tuple(Found(str(match[match.lastindex or 0]), *match.span()) for match in matches)

    @cached_property
    def counts(self) -> tuple[Counted, ...]:
        """Numbers of two digits and more with the word after them, dates left out."""
        return tuple(
            Counted(match[0], *match.span(), int(re.sub(r"\D", "", match[1])), match[2].casefold())
            for match in list(_NUMBER.finditer(self.text))[:MOST]
            if not any(one.start < match.end(1) and match.start() < one.end for one in self.dates)
        )

    @cached_property
    def credits(self) -> tuple[Found, ...]:
        """Whom it names as the photographer."""
        return tuple(
            Found(match[1], *match.span(1)) for match in list(_CREDIT.finditer(self.text))[:MOST]
        )

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Words and numbers, folded."""
        return tuple(word.casefold() for word in _WORD.findall(self.text))

    def positions(self, part: Found) -> tuple[int, ...]:
        """Which of the words, counted by spaces from 0, a part covers."""
        return tuple(
            number
            for number, match in enumerate(re.finditer(r"\S+", self.text))
            if match.start() < part.end and part.start < match.end()
        )

    def has(self, name: str) -> bool:
        """Whether all words of a name stand in it, one after the other."""
        wanted = [word.casefold() for word in _WORD.findall(name)]
        width = len(wanted)
        return bool(width) and any(
            list(self.words[at : at + width]) == wanted for at in range(len(self.words) - width + 1)
        )


def sentence(said: list[Said]) -> str:
    """What was compared as one sentence, contradictions first."""
    order = sorted(said, key=lambda one: {False: 0, None: 1, True: 2}[one.agrees])
    text = "; ".join(one.text for one in order[:MOST_SAID])
    more = len(order) - MOST_SAID
    told = f"{text}; and {more} more" if more > 0 else text
    return f"{told[:1].upper()}{told[1:]}."


def share(said: list[Said]) -> float | None:
    """Share of the comparisons that contradict, in [0, 1]; None without comparisons."""
    told = [one.agrees for one in said if one.agrees is not None]
    return round(told.count(False) / len(told), 4) if told else None


def counted(said: list[Said]) -> dict[str, Fact]:
    """What was compared, as facts."""
    return {
        "compared": sum(one.agrees is not None for one in said),
        "disagree": sum(one.agrees is False for one in said),
        "statements": [one.text for one in said],
        "words": sorted({word for one in said if one.agrees is False for word in one.words}),
    }


def shown(text: str) -> str:
    """A text of the caption or the file in quotation marks, without what ends a sentence."""
    return quote(text, 80)


def _days(match: re.Match[str]) -> Iterator[tuple[datetime.date, datetime.date]]:
    parts = match.groupdict()
    year = int(parts["year"])
    month = MONTHS.get((parts.get("month") or "").lower())
    first, second = parts.get("first"), parts.get("second")
    if month and first:
        pairs = {(month, int(first))}
    elif first and second:
        pairs = {(int(second), int(first))}
        if len(match[0]) < 4 or not match[0][:4].isdigit():  # not 2020-04-03
            pairs.add((int(first), int(second)))
    else:
        begin, end = (month, month) if month else (1, 12)
        after = datetime.date(year + end // 12, end % 12 + 1, 1)
        yield datetime.date(year, begin, 1), after - datetime.timedelta(days=1)
        return
    for one, day in sorted(pairs):
        try:
            exact = datetime.date(year, one, day)
        except ValueError:
            continue
        yield exact, exact
