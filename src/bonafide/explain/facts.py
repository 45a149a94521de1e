"""Numbers, texts and units of the facts in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bonafide.types import Fact

MOST_VALUES = 40  # of one fact that is a list
LONGEST_TEXT = 500  # characters of one text of a file


def unit_of(meaning: str) -> str:
    """The unit that a card gives a fact, in the few names that numbers in sentences have."""
    bracket = meaning.rpartition("[")[2].partition("]")[0].lower() if "[" in meaning else ""
    for unit, names in _UNITS.items():
        if bracket in names:
            return unit
    return "px" if bracket.startswith("pixels") else ""


_UNITS: Mapping[str, tuple[str, ...]] = {
    "share": ("0–1", "0.5–1", "share"),
    "s": ("s", "seconds"),
    "dB": ("decibels", "db"),
    "bytes": ("bytes",),
    "Hz": ("hz", "hertz"),
}


def numbers(fact: Fact) -> list[float]:
    """The numbers of a fact, at most `MOST_VALUES`."""
    if isinstance(fact, bool) or fact is None or isinstance(fact, str):
        return []
    if isinstance(fact, int | float):
        return [float(fact)] if math.isfinite(fact) else []
    items = list(fact.values()) if isinstance(fact, dict) else fact
    return [number for item in items[:MOST_VALUES] for number in numbers(item)][:MOST_VALUES]


def texts_of(fact: Fact | Mapping[str, Fact]) -> list[str]:
    """The texts of a fact, each at most `LONGEST_TEXT` characters."""
    if isinstance(fact, str):
        return [fact[:LONGEST_TEXT]]
    if isinstance(fact, Mapping):
        return [text for item in list(fact.values())[:MOST_VALUES] for text in texts_of(item)]
    if isinstance(fact, list):
        return [text for item in fact[:MOST_VALUES] for text in texts_of(item)]
    return []


def shown(fact: Fact) -> str:
    """A fact for reading, without the texts in it."""
    if fact is None:
        return "none"
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, float):
        return f"{fact:.4g}"
    if isinstance(fact, int):
        return str(fact)
    if isinstance(fact, str):
        return fact[:80]
    return ", ".join(f"{number:.4g}" for number in numbers(fact)) or ("none" if not fact else "…")
