"""The language of the reader for whom something is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

ENGLISH = "en"
# What a worker renders for readers whose language is not known yet; see `bonafide.languages.marks`.
ANY = "any"
LANGUAGES: Mapping[str, str] = {
    ENGLISH: "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "pt": "Português",
    "ar": "العربية",
    "hi": "हिन्दी",
    "zh": "中文",
}
RIGHT_TO_LEFT = frozenset({"ar"})
_MOST_WISHES = 20  # entries of an Accept-Language header that are looked at

_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


def current() -> str:
    """The language in use: a key of `LANGUAGES`, or `ANY`."""
    return _current.get()


def direction() -> str:
    """The direction of its script: "ltr" or "rtl"."""
    return "rtl" if current() in RIGHT_TO_LEFT else "ltr"


@contextmanager
def using(language: str) -> Iterator[None]:
    """Render in a language inside of the block; other threads and tasks keep theirs.

    Args:
        language: a key of `LANGUAGES`, or `ANY`.
    """
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def known(tag: str) -> str | None:
    """The language of a BCP 47 tag or a POSIX locale: "pt" for "pt-BR" and "pt_BR.UTF-8"."""
    primary = tag.strip().replace("_", "-").partition("-")[0].partition(".")[0].lower()
    return primary if primary in LANGUAGES else None


def negotiated(header: str) -> str:
    """The language that an Accept-Language header (RFC 9110, 12.5.4) asks for first and we have.

    English where it names none that we have.
    """
    wishes: list[tuple[float, int, str]] = []
    for number, wish in enumerate(header.split(",")[:_MOST_WISHES]):
        tag, _, rest = wish.partition(";")
        name, _, value = rest.strip().partition("=")
        try:
            weight = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            continue
        language = ENGLISH if tag.strip() == "*" else known(tag)
        if language is not None and 0.0 < weight <= 1.0:
            wishes.append((-weight, number, language))
    return min(wishes)[2] if wishes else ENGLISH
