"""The products that passed the C2PA conformance programme, by the certificate that they sign with.

A certificate of the programme names the record of its product. Where it does not, the product is
told by the names in the certificate, which the programme requires to agree with the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bonafide.trust.der import Certificate
from bonafide.trust.lists import SNAPSHOT

_NAMES = ("CN", "O", "OU", "C")


@dataclass(frozen=True)
class Product:
    """One entry of the list.

    Attributes:
        name: of the product and of who makes it.
        level: highest assurance level that it may state, 1 or 2; 0 where none is given.
        barred: kinds of origin that it may not state: "capturedMedia", "capturedMediaStitched",
            "nonGenAIDigitalCreation".
    """

    name: str
    level: int
    barred: tuple[str, ...]


def product_of(certificate: Certificate) -> Product | None:
    """The product that signs with a certificate, None where the list has none."""
    by_record, by_names = _products()
    found = by_record.get(certificate.product)
    return found or by_names.get(tuple(certificate.subject.get(name, "") for name in _NAMES))


@cache
def _products() -> tuple[dict[str, Product], dict[tuple[str, ...], Product]]:
    records: list[Mapping[str, Any]] = json.loads(
        (SNAPSHOT / "conforming-products-list.json").read_text("utf-8")
    )
    by_record: dict[str, Product] = {}
    by_names: dict[tuple[str, ...], Product] = {}
    for record in records:
        listed = record["product"]
        if record.get("status") != "conformant" or listed["productType"] != "generatorProduct":
            continue
        names = listed.get("DN", {})
        shown = " · ".join(filter(None, (names.get("CN"), names.get("OU"), names.get("O"))))
        made = Product(
            shown,
            int(listed.get("assurance", {}).get("maxAssuranceLevel", 0)),
            tuple(listed.get("disallowedSignals", {}).get("inception", ())),
        )
        by_record[str(record["recordId"])] = made
        key = tuple(names.get(name) or "" for name in _NAMES)
        other = by_names.get(key)
        if other is not None:  # the names do not tell which: what holds for both
            barred = tuple(dict.fromkeys((*made.barred, *other.barred)))
            made = Product(made.name, min(made.level, other.level), barred)
        by_names[key] = made
    return by_record, by_names
