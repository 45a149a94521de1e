"""Pages that are rendered once and read in any language.

A worker renders the section of a report while it has the file, and does not know who will read it.
In the language `ANY` every message becomes a mark: what to say, encoded between two control
characters, which no other text of a page holds. `resolved` puts the text of a language in place of
each mark. It does not trust the page: what a mark stands for is escaped, and obeyed in nothing.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

BEGIN, END = "\x02", "\x03"
_MARK = re.compile("\x02([A-Za-z0-9_=-]{4,60000})\x03")
_DEEPEST = 4


def mark(what: str, texts: list[Any], values: Mapping[str, Any]) -> Markup:
    """A mark.

    Args:
        what: name of the function that says it.
        texts: its positional arguments.
        values: its named arguments; text that is safe HTML stays marked as such.
    """
    kept = {name: [isinstance(value, Markup), _plain(value)] for name, value in values.items()}
    given = [[isinstance(text, Markup), _plain(text)] for text in texts]
    said = json.dumps([what, given, kept], ensure_ascii=True, separators=(",", ":"))
    return Markup(BEGIN + base64.urlsafe_b64encode(said.encode()).decode("ascii") + END)


def resolved(page: str, say: Mapping[str, Callable[..., str]]) -> str:
    """A page with the text of each mark.

    Args:
        page: HTML with marks.
        say: name of a function → the function, which returns safe HTML.
    """
    return _resolved(page, say, 0)


def _resolved(page: str, say: Mapping[str, Callable[..., str]], depth: int) -> str:
    def one(found: re.Match[str]) -> str:
        try:
            what, given, kept = json.loads(base64.urlsafe_b64decode(found[1]))
            texts = [_value(safe, value, say, depth) for safe, value in given]
            values = {str(name): _value(safe, value, say, depth) for name, (safe, value) in
                      kept.items()}  # fmt: skip
            return str(say[what](*texts, **values))
        except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
            return ""

    return _MARK.sub(one, page)


def _value(safe: bool, value: Any, say: Mapping[str, Callable[..., str]], depth: int) -> Any:
    if not isinstance(value, str):
        return value
    if not safe:
        return value
    if depth >= _DEEPEST:
        raise ValueError("marks within marks")
    return Markup(_resolved(value, say, depth + 1))


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | bool) else str(value)


def without(text: str) -> str:
    """Text in which no mark can stand."""
    return text.replace(BEGIN, "").replace(END, "")


def escaped(text: str) -> Markup:
    """Text as HTML, apostrophes as they are, since attributes of our pages stand in quotes."""
    return Markup(html.escape(text, quote=False).replace('"', "&#34;"))
