"""Invisible marks and fingerprints by name: who makes them, and where they can be checked.

Most of them are closed: only their maker can tell whether one is in a file. So a report names the
maker's checker and guesses nothing. The algorithms of soft bindings are those of the list that the
C2PA keeps; `soft_bindings.json` says of which day.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LIST = Path(__file__).with_name("soft_bindings.json")

# Makers of generators that hide a mark in what they make and let anybody look for it. Each address
# stands in the maker's own documentation; docs/provenance.md names the pages.
_CHECKERS = {
    "Google AI": "Google hides the mark SynthID in what its generators make; only Google can read "
    "it, and tells for a picture that is uploaded to https://gemini.google.com.",
    "OpenAI": "OpenAI hides the mark SynthID in pictures that it makes since May 2026; only OpenAI "
    "can tell whether it is its own, at https://openai.com/verify.",
}


@dataclass(frozen=True)
class SoftBinding:
    """One algorithm of the list.

    Attributes:
        alg: its identifier.
        name, maker: for people.
        kind: "watermark" or "fingerprint".
        about: address of a page about it.
        lookup: address of the maker's service that finds a manifest by it, "" for none.
    """

    alg: str
    name: str
    maker: str
    kind: str
    about: str
    lookup: str = ""


def binding_of(alg: str) -> SoftBinding | None:
    """The algorithm with this identifier, None for one that is not on the list."""
    return _algorithms().get(alg)


def explained(algorithms: Iterable[str]) -> list[str]:
    """One sentence for each algorithm: what it is, whose, and where it can be checked."""
    return [_sentence(alg) for alg in algorithms]


def public_checker(names: Iterable[str]) -> str:
    """The sentence about the checker of the first maker in `names` that has one, "" for none."""
    return next((_CHECKERS[name] for name in names if name in _CHECKERS), "")


def _sentence(alg: str) -> str:
    found = binding_of(alg)
    if found is None:
        return f"The credentials bind the content by {alg}, which the C2PA's list does not name."
    text = (
        f"The credentials bind the content by a {found.kind} of {found.maker}, {found.name}, which "
        f"was not checked here; see {found.about}"
    )
    return f"{text}; its maker looks it up at {found.lookup}." if found.lookup else f"{text}."


@cache
def _algorithms() -> dict[str, SoftBinding]:
    listed = json.loads(_LIST.read_text("utf-8"))["algorithms"]
    return {entry["alg"]: SoftBinding(**entry) for entry in listed}
