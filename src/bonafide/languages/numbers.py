"""Numbers, percentages and moments as another language than English writes them.

Patterns and symbols are those of the Unicode CLDR, by Babel. Digits stay European in every
language, as hashes, sizes and coordinates beside them are: a figure must read the same in each.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from bonafide.languages.current import ENGLISH

if TYPE_CHECKING:
    from babel import Locale

_NUMBER = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d{1,18})(\.\d{1,12})?( ?%)?")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?) UTC")
_STEERING = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # as CLDR puts around signs


def localised(text: str, language: str) -> str | None:
    """`text` as a language writes it; None where it is no number, percentage or moment."""
    if language == ENGLISH:
        return None
    if found := _NUMBER.fullmatch(text):
        return _number(found[1], found[2], found[3], found[4], language)
    if found := _MOMENT.fullmatch(text):
        return _moment(found[1], found[2], language)
    return None


def _number(sign: str, whole: str, decimals: str | None, percent: str | None, language: str) -> str:
    from babel.numbers import format_decimal

    locale = _locale(language)
    pattern = str(locale.decimal_formats[None].pattern).split(";")[0].partition(".")[0]
    if "," not in whole:
        pattern = "0"
    if decimals:
        pattern += "." + "0" * (len(decimals) - 1)
    value = Decimal(whole.replace(",", "") + (decimals or ""))
    told = str(format_decimal(value, pattern, locale, numbering_system="latn"))
    if percent:
        shape = str(locale.percent_formats[None].pattern).split(";")[0]
        told = re.sub(r"[#0][#0,.]*", lambda _: told, shape)
    return {"+": "+", "-": "−"}.get(sign, "") + _STEERING.sub("", told)


def _moment(day: str, clock: str, language: str) -> str:
    from babel.dates import format_date

    try:
        begun = datetime.fromisoformat(day)
    except ValueError:
        return f"{day} {clock} UTC"
    # European digits, 24 hours: a moment of a record is compared, not read aloud.
    date = format_date(begun, "medium", _locale(language))
    return f"{_STEERING.sub('', _european(date))} {clock} UTC"


def _european(text: str) -> str:
    return "".join(str(int(one)) if one.isdecimal() else one for one in text)


@cache
def _locale(language: str) -> Locale:
    from babel import Locale

    return Locale.parse(language)
