"""The catalogues of one language, read from their `.po` files.

Three domains: "bonafide" holds the messages of pages, cards and forms, "sentences" those of
reports, which are stored in English and have their values in them, "detectors" what detectors say.
`tools/languages.py` writes all of them.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bonafide.errors import MissingExtra
from bonafide.languages.current import ENGLISH
from bonafide.languages.sentences import Sentences

MESSAGES, SENTENCES, DETECTORS = "bonafide", "sentences", "detectors"
FOLDER = Path(__file__).parent / "locale"


@dataclass(frozen=True)
class Catalogue:
    """What one language has.

    Attributes:
        language: a key of `LANGUAGES`.
        messages: of the domain "bonafide".
        sentences: of the domains "sentences" and "detectors".
    """

    language: str
    messages: gettext.NullTranslations
    sentences: Sentences


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language; that of English is empty, since English is what is translated.

    Raises:
        MissingExtra: Babel is not installed, without which only English can be shown.
    """
    if language == ENGLISH:
        return Catalogue(ENGLISH, gettext.NullTranslations(), Sentences({}, ENGLISH))
    return Catalogue(language, _messages(language), Sentences(_pairs(language), language))


def path(language: str, domain: str) -> Path:
    """The `.po` file of a domain."""
    return FOLDER / language / "LC_MESSAGES" / f"{domain}.po"


def _messages(language: str) -> gettext.NullTranslations:
    try:
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po
    except ModuleNotFoundError:
        raise MissingExtra("languages", "another language than English") from None
    with path(language, MESSAGES).open("rb") as file:
        read = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, read)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _pairs(language: str) -> Mapping[str, str]:
    from babel.messages.pofile import read_po

    found: dict[str, str] = {}
    for domain in (DETECTORS, SENTENCES):
        with path(language, domain).open("rb") as file:
            for message in read_po(file, locale=language):
                if isinstance(message.id, str) and isinstance(message.string, str):
                    found[message.id] = message.string
    return {text: told for text, told in found.items() if text and told}
