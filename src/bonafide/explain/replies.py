"""Reads what a model wrote: statements in JSON, also where a server keeps to no schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bonafide.types import Statement

LONGEST = 100_000  # characters of an answer that are read
MOST = 32  # statements of one answer

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_LINE = re.compile(r"^\s*(?:[-*•]|\d+[.)])?\s*(.+?)\s*((?:\[[\w. ,;-]+\]\s*)+)\.?\s*$")
_TEXTS = ("text", "statement", "sentence", "claim")
_CITES = ("cites", "cite", "citations", "citation", "ids", "id", "sources", "source")


def statements(text: str, author: str) -> list[Statement]:
    """The statements in an answer.

    Args:
        text: as the model wrote it.
        author: name of the model.

    Returns:
        Every complete statement, at most `MOST`; one that was cut off is left out. From an answer
        without JSON, lines that end with ids in square brackets.
    """
    text = _THOUGHT.sub("", text[:LONGEST])
    found = [Statement(told, cites, author) for told, cites in _objects(text)]
    if not found:
        found = [Statement(told, cites, author) for told, cites in _lines(text)]
    return found[:MOST]


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Every complete JSON object in an answer that holds no others, at most `MOST`."""
    decoder = json.JSONDecoder(strict=False)
    text = _THOUGHT.sub("", text[:LONGEST])
    place, count = text.find("{"), 0
    while place >= 0 and count < MOST:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place = text.find("{", place + 1)
            continue
        inner = [
            item
            for held in value.values()
            for item in (held if isinstance(held, list) else [held])
            if isinstance(item, dict)
        ]
        for one in inner[:MOST] or [value]:
            count += 1
            yield one
        place = text.find("{", end)


def _objects(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(text, cites) of each complete JSON object that has a text."""
    decoder = json.JSONDecoder(strict=False)
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            # Not complete, or no JSON: what is inside may be.
            place = text.find("{", place + 1)
            continue
        yield from _inside(value, 0)
        place = text.find("{", end)


def _inside(value: Any, depth: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    if depth > 4:
        return
    if isinstance(value, list):
        for item in value:
            yield from _inside(item, depth + 1)
    elif isinstance(value, dict):
        told = next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), None)
        if told is not None:
            cites = next((value[name] for name in _CITES if name in value), ())
            yield told, _ids(cites)
            return
        for item in value.values():
            yield from _inside(item, depth + 1)


def _ids(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = re.split(r"[,;\s]+", value)
    if not isinstance(value, list):
        return ()
    return tuple(str(one).strip("[]() ") for one in value[:MOST] if str(one).strip("[]() "))


def _lines(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            yield match.group(1), _ids(re.sub(r"[\[\]]", " ", match.group(2)))
