"""Sentences of reports in another language.

A report stores its sentences in English, each made from a template and values: f"{count} parts have
another compression history". The catalogue has the templates with {0}, {1}… in place of the values.
A sentence is recognised by the fixed pieces of its template, in the order in which they stand.
What lies between them are the values: numbers, sentences or words of the catalogue, or data, which
stay as they are. So a report of another version, or one that was signed years ago, is read in the
language of its reader as far as its sentences are known. A sentence that is not stays English.

Matching takes the first place of each piece and never goes back, and at most `_MOST_TRIED` texts
are looked up for one sentence, so that a hostile one costs little.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bonafide.languages.numbers import localised

LONGEST = 4000  # characters; what is longer is no sentence of ours
_DEEPEST = 12  # values within values
_MOST_TRIED = 2000  # texts that are looked up for one sentence
_SLOT = re.compile(r"\{(\d)\}")
_END = re.compile(r"(?<=[.!?”)]) (?=[A-Z0-9“])")  # where one sentence may end and the next begin
_LISTS = ("; ", ", ", " and ")
_JOINS: Mapping[str, Mapping[str, str]] = {
    "ar": {"; ": "؛ ", ", ": "، ", " and ": " و"},
    "zh": {"; ": "；", ", ": "、", " and ": "和"},
    "de": {" and ": " und "},
    "fr": {"; ": " ; ", " and ": " et "},
    "es": {" and ": " y "},
    "pt": {" and ": " e "},
    "hi": {" and ": " और "},
}
_MOST_ITEMS = 40  # of a list
_MOST_PAIRS = 6  # brackets that are tried
_STOPS = ".。।"
_SPACES = {"zh": ""}  # between two sentences
_LEAST = 4  # letters in the fixed pieces of a template, fewer would recognise anything


@dataclass(frozen=True)
class Template:
    """One template.

    Attributes:
        pieces: the fixed pieces around its values, one more than there are values.
        slots: which value stands in each place.
        told: the translation, with {0}, {1}….
    """

    pieces: tuple[str, ...]
    slots: tuple[int, ...]
    told: str

    @classmethod
    def of(cls, template: str, told: str) -> Template:
        """Split a template at its values."""
        parts = _SLOT.split(template)
        return cls(tuple(parts[::2]), tuple(int(slot) for slot in parts[1::2]), told)

    @property
    def fixed(self) -> int:
        """How many characters are fixed; the template with the most is tried first."""
        return sum(map(len, self.pieces))

    def values(self, text: str) -> dict[int, str] | None:
        """Slot → value, None where `text` was not made from this template."""
        first, last = self.pieces[0], self.pieces[-1]
        end = len(text) - len(last)
        if end < len(first) or not text.startswith(first) or not text.endswith(last):
            return None
        found, at = dict[int, str](), len(first)
        for slot, piece in zip(self.slots, (*self.pieces[1:-1], ""), strict=True):
            stop = text.find(piece, at, end) if piece else end
            if stop < 0 or (stop == at and not piece and at < end):
                return None
            value = text[at:stop]
            if found.setdefault(slot, value) != value:
                return None
            at = stop + len(piece)
        return found


class Sentences:
    """The sentences of one language.

    Args:
        pairs: English sentence or template → translation.
        language: a key of `LANGUAGES`.
    """

    def __init__(self, pairs: Mapping[str, str], language: str) -> None:
        self.language = language
        self._work = threading.local()
        self._exact = {text: told for text, told in pairs.items() if not _SLOT.search(text)}
        made = [Template.of(text, told) for text, told in pairs.items() if _SLOT.search(text)]
        usable = [one for one in made if sum(c.isalpha() for c in "".join(one.pieces)) >= _LEAST]
        self._templates = sorted(usable, key=lambda one: -one.fixed)
        self.told = lru_cache(4096)(self._told)

    def _told(self, text: str) -> str | None:
        """`text` in this language, None where it is not known or longer than `LONGEST`."""
        self._work.left = _MOST_TRIED
        return None if len(text) > LONGEST else self._translate(text, 0)

    def _translate(self, text: str, depth: int) -> str | None:
        self._work.left -= 1
        if depth > _DEEPEST or not text or self._work.left < 0:
            return None
        one = localised(text, self.language) or self._exact.get(text) or self._capital(text)
        if one is not None:
            return one
        # What stands in brackets at the end of a region belongs to none of its values.
        head, marked, by = text.rpartition(" (marked by ")
        if marked and by.endswith((")", ").")):
            names, _, end = by.rpartition(")")
            names = self._value(f"marked by {names}", depth + 1)
            if head[:1].islower():  # what was done alone
                told = self._translate(head, depth + 1)
                return told and f"{told} ({names}){end}"
            told = self._translate(head + end, depth + 1)
            body = (told or "").rstrip(_STOPS)
            return told and f"{body} ({names}){told[len(body) :]}"
        for template in self._templates:
            values = template.values(text)
            if values is not None:
                return self._filled(template.told, values, depth)
        told = self._several(text, depth) or self._list(text, depth)
        if told is None and text.endswith(")."):
            told = self._pair(text[:-1], depth + 1)
            told = told and f"{told}."
        return told

    def _capital(self, text: str) -> str | None:
        """A phrase that a heading begins with."""
        told = self._exact.get(text[:1].lower() + text[1:])
        return told and told[:1].upper() + told[1:]

    def _filled(self, told: str, values: Mapping[int, str], depth: int) -> str:
        known = {slot: self._value(value, depth + 1) for slot, value in values.items()}
        return _SLOT.sub(lambda found: known.get(int(found[1]), ""), told)

    def _value(self, text: str, depth: int) -> str:
        """A value: known words, a list of them, or data."""
        lead = text[: len(text) - len(text.lstrip(" "))]
        told = self._translate(text.strip(" "), depth)
        if told is None and depth < _DEEPEST:
            told = self._pair(text.strip(" "), depth + 1)
        if told is not None:
            return lead + told
        for join in _LISTS:
            parts = text.split(join)
            if 1 < len(parts) <= _MOST_ITEMS and depth < _DEEPEST:
                each = self._items(parts, join, depth + 1)
                if each != parts:
                    return self._joined(join, each)
        return text

    def _items(self, parts: Sequence[str], join: str, depth: int) -> list[str]:
        """The items of a list, of which one may hold what joins them: the longest that is known."""
        found, start = [], 0
        while start < len(parts):
            for stop in range(min(len(parts), start + 3), start, -1):
                text = join.join(parts[start:stop])
                told = self._translate(text, depth) or self._pair(text, depth)
                if told is not None:
                    break
            else:
                told, stop = self._value(parts[start], depth), start + 1
            found.append(told)
            start = stop
        return found

    def _pair(self, text: str, depth: int) -> str | None:
        """Words and what belongs to them, "editing: 82 %" or "ELA (not asked)"; the first known."""
        if depth > _DEEPEST:
            return None
        for between, end in ((": ", ""), (" (", ")")):
            at = text.find(between)
            while at >= 0 and text.endswith(end):
                head, rest = text[:at], text[at + len(between) : len(text) - len(end)]
                if rest and (f"{end}; " not in rest):
                    told = self._translate(head, depth)
                    if told is not None:
                        return f"{told}{between}{self._value(rest, depth)}{end}"
                at = text.find(between, at + 1) if text.count(between) <= _MOST_PAIRS else -1
        return None

    def _list(self, text: str, depth: int) -> str | None:
        """A list of which each item is known."""
        for join in _LISTS:
            parts = text.split(join)
            if 1 < len(parts) <= _MOST_ITEMS:
                known = self._known(parts, join, depth + 2)
                if known:
                    return self._joined(join, known)
        return None

    def _known(self, parts: Sequence[str], join: str, depth: int) -> list[str]:
        """The items of a list, [] if one is not known; an item may hold what joins them."""
        found, start = [], 0
        while start < len(parts):
            for stop in range(min(len(parts), start + 3), start, -1):
                if stop - start < len(parts):
                    told = self._translate(join.join(parts[start:stop]), depth)
                    if told is not None:
                        break
            else:
                return []
            found.append(told)
            start = stop
        return found

    def _joined(self, join: str, parts: Sequence[str]) -> str:
        return _JOINS.get(self.language, {}).get(join, join).join(parts)

    def _several(self, text: str, depth: int) -> str | None:
        """Several sentences, one after the other, each of which is known."""
        parts = _END.split(text)
        if not 1 < len(parts) <= 30:
            return None
        known, start = [], 0
        while start < len(parts):
            for stop in range(len(parts), start, -1):
                if (start, stop) == (0, len(parts)):
                    continue
                told = self._translate(" ".join(parts[start:stop]), depth + 2)
                if told is not None:
                    known.append(told)
                    start = stop
                    break
            else:
                return None
        return _SPACES.get(self.language, " ").join(known)
