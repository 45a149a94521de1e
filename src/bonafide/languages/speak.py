"""Messages in the language of the reader, for everything that renders.

In English each of them returns what it is given. For `ANY` each returns a mark in place of the
text, see `bonafide.languages.marks`.
"""

from __future__ import annotations

import re
from typing import Any

from bonafide.languages import marks
from bonafide.languages.catalogue import catalogue
from bonafide.languages.current import ANY, ENGLISH, current

_SLOT = re.compile(r"%\((\w+)\)s|%%")


def gettext(message: str, /, **values: Any) -> str:
    """A message of the catalogue with its values.

    Args:
        message: English, with %(name)s for each value.
        values: text, or anything that `str` makes text of.
    """
    if current() == ANY:
        return marks.mark("gettext", [message], values)
    return filled(_message(message), values)


def ngettext(one: str, many: str, n: int, /, **values: Any) -> str:
    """A message in the form that its language uses for `n`, which is a value of both forms too."""
    if current() == ANY:
        return marks.mark("ngettext", [one, many, n], values)
    return filled(plural(one, many, n), {"n": told(f"{n:,}"), **values})


def noop(message: str) -> str:
    """Mark a message for the catalogue where it is written; it is translated where it is shown."""
    return message


def sentence(text: str) -> str:
    """Like `noop`, for words that `told` shows."""
    return text


def told(text: str) -> str:
    """A sentence, a word, a number or a moment of a report; unchanged where it is not known."""
    if current() == ANY:
        return marks.mark("told", [text], {})
    return _told(text) or text


def is_known(text: str) -> bool:
    """Whether `told` has it in the language in use; data have no language."""
    return current() in (ENGLISH, ANY) or _told(text) is not None


def filled(text: str, values: dict[str, Any]) -> str:
    """Put values into a message. No other directive of printf is obeyed."""
    if not values:
        return text
    return _SLOT.sub(lambda found: "%" if found[1] is None else str(values.get(found[1], "")), text)


def _message(message: str) -> str:
    language = current()
    return message if language == ENGLISH else catalogue(language).messages.gettext(message)


def plural(one: str, many: str, n: int) -> str:
    """The form of a message for `n`, values not filled in."""
    language = current()
    if language == ENGLISH:
        return one if n == 1 else many
    return catalogue(language).messages.ngettext(one, many, n)


def _told(text: str) -> str | None:
    language = current()
    return None if language == ENGLISH else catalogue(language).sentences.told(text)
