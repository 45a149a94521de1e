"""Templates that treat every value as hostile, and speak the language of the reader."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bonafide.explain import words
from bonafide.languages import marks, speak
from bonafide.languages.current import ANY, ENGLISH, LANGUAGES, current, direction, using
from bonafide.report import wording

_SAID_BY_SCRIPT = re.compile(r'\b(?:say|tell)\("([^"]+)"')


def environment(folder: Path) -> Environment:
    """Templates of a folder: values are escaped, steering characters shown, names checked.

    `_` and `ngettext` take messages of the catalogue; `said` and `told` sentences of a report,
    `said` for the content of an element, `told` for an attribute.
    """
    made = Environment(
        loader=FileSystemLoader(folder),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            wording.clean(value)
            if isinstance(value, str) and not isinstance(value, Markup)
            else value
        ),
    )
    # Not `install_gettext_callables`: its values would not pass `finalize`.
    made.newstyle_gettext = True  # type: ignore[attr-defined]
    made.globals.update(
        _=message,
        gettext=message,
        ngettext=plural,
        told=told,
        said=said,
        said_lines=said_lines,
        english=english,
        titled=titled,
        bold=bold,
        isolated=isolated,
        moment=moment,
        words_of=words_of,
        language=current,
        direction=direction,
        languages=LANGUAGES,
    )
    return made


def message(text: str, /, **values: Any) -> Markup:
    """A message with its values, as HTML."""
    if current() == ANY:
        return marks.mark("message", [text], values)
    return _filled(speak.gettext(text), values)


def plural(one: str, many: str, n: int, /, **values: Any) -> Markup:
    """A message in the form for `n`, as HTML."""
    if current() == ANY:
        return marks.mark("plural", [one, many, n], values)
    return _filled(speak.plural(one, many, n), {"n": speak.told(f"{n:,}"), **values})


def told(text: str) -> Markup:
    """A sentence of a report, for an attribute or beside others."""
    if isinstance(text, Markup):
        return text
    if current() == ANY:
        return marks.mark("told", [text], {})
    return escape(wording.clean(speak.told(text)))


def said(text: str) -> Markup:
    """A sentence of a report, for the content of an element; marked where it stays English."""
    if isinstance(text, Markup):
        return text
    if current() == ANY:
        return marks.mark("said", [text], {})
    if not text or speak.is_known(text):
        return told(text)
    return Markup('<span lang="en" dir="ltr">{}</span>').format(wording.clean(text))


def said_lines(text: str) -> Markup:
    """Several lines, each a sentence of a report."""
    return Markup("\n").join(said(line) for line in text.split("\n"))


def titled(detector: str) -> Markup:
    """The plain name of a detector."""
    return said(words.title(detector))


def english(text: str) -> Markup:
    """Text that stays English in every language: the method of a detector, its limits."""
    if current() == ANY:
        return marks.mark("english", [text], {})
    if current() == ENGLISH:
        return escape(wording.clean(text))
    return Markup('<span lang="en" dir="ltr">{}</span>').format(wording.clean(text))


def bold(text: str) -> Markup:
    """A value that stands out in a message."""
    return Markup("<b>{}</b>").format(_safe(text))


def isolated(name: str) -> Markup:
    """A name from a file, whose script does not turn the words around it."""
    return Markup("<bdi>{}</bdi>").format(_safe(name))


def moment(iso: str) -> Markup:
    """A moment of a report as an element of its own."""
    shown = wording.moment(iso)
    return Markup('<time datetime="{}">{}</time>').format(_safe(iso), _safe(shown))


def resolved(page: str, language: str) -> str:
    """A page that was rendered for any reader, in the language of one."""
    with using(language):
        return marks.resolved(page, _SAYS)


def words_of(script: str) -> str:
    """What a script says, as JSON: English → the language in use; "" in English.

    A script calls `say("…")` or `tell("…")`; the root element has the JSON in `data-words`.
    """
    if current() in (ENGLISH, ANY):
        return ""
    said_there = sorted(set(_SAID_BY_SCRIPT.findall(script)))
    return json.dumps({text: speak.gettext(text) for text in said_there}, ensure_ascii=False)


def policy(style: str, script: str | None = None) -> str:
    """A content security policy: this style, this script, data: pictures and sounds, no more."""
    allowed = f"style-src 'sha256-{_digest(style)}'"
    if script is not None:
        allowed += f"; script-src 'sha256-{_digest(script)}'"
    own = "default-src 'none'; img-src data:; media-src data:"
    return f"{own}; base-uri 'none'; form-action 'none'; {allowed}"


def _filled(text: str, values: Mapping[str, Any]) -> Markup:
    return Markup(speak.filled(marks.escaped(text), {k: _safe(v) for k, v in values.items()}))


def _safe(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return escape(wording.clean(value))


def _gettext(text: str, /, **values: Any) -> Markup:
    """What Python code asked for, escaped as the text that it would have been."""
    return _text(speak.gettext(text), values)


def _ngettext(one: str, many: str, n: int, /, **values: Any) -> Markup:
    return _text(speak.plural(one, many, n), {"n": speak.told(f"{n:,}"), **values})


def _text(text: str, values: Mapping[str, Any]) -> Markup:
    return Markup(speak.filled(escape(text), {k: _safe(v) for k, v in values.items()}))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


_SAYS: Mapping[str, Callable[..., Markup]] = {
    "message": message,
    "plural": plural,
    "told": told,
    "said": said,
    "english": english,
    "gettext": _gettext,
    "ngettext": _ngettext,
}
