"""Names of months in English, German, French, Spanish and Portuguese."""

from __future__ import annotations

_MONTHS = (
    "january jan januar janvier enero janeiro",
    "february feb februar février febrero fevereiro",
    "march mar märz mars marzo março",
    "april apr avril abril",
    "may mai mayo maio",
    "june jun juni juin junio junho",
    "july jul juli juillet julio julho",
    "august aug août agosto",
    "september sept sep septembre septiembre setembro",
    "october oct oktober okt octobre octubre outubro",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre diciembre dezembro",
)
MONTHS = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
