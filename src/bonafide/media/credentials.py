"""What a C2PA manifest store says, read from the JSON that the C2PA library writes.

Everything here was written by whoever made the file: shapes are checked, text is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bonafide.media.text_metadata import clean

_MAX_DEPTH = 8


def source_types(manifest: Mapping[str, Any]) -> list[str]:
    """IPTC digital source types anywhere in the assertions of one manifest, sorted."""
    found = set()
    for key, value in _walk(manifest.get("assertions"), _MAX_DEPTH):
        if key.rsplit(":", 1)[-1].lower() == "digitalsourcetype" and isinstance(value, str):
            found.add(term_of(value))
    return sorted(filter(None, found))


def term_of(value: object) -> str:
    """The last part of the address of an IPTC digital source type, "" for anything else."""
    term = value.strip().rstrip("/").rsplit("/", 1)[-1] if isinstance(value, str) else ""
    return term if re.fullmatch(r"[A-Za-z]{3,60}", term) else ""


def _walk(value: object, depth: int) -> Iterator[tuple[str, object]]:
    """Every key and value below `value`, down to `depth` levels."""
    if depth < 0:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key), item
            yield from _walk(item, depth - 1)
    elif isinstance(value, list):
        for item in value[:1000]:
            yield from _walk(item, depth - 1)


def manifest_actions(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of all actions assertions of one manifest, in order."""
    result = []
    for assertion in map(as_mapping, as_list(manifest.get("assertions"))):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            data = as_mapping(assertion.get("data"))
            result += [as_mapping(action) for action in as_list(data.get("actions"))[:1000]]
    return result


def program_name(manifest: Mapping[str, Any]) -> str:
    """The program that wrote the manifest, as it calls itself, "" when it does not."""
    for info in map(as_mapping, as_list(manifest.get("claim_generator_info"))):
        if info.get("name"):
            return clean(f"{info['name']} {info.get('version', '')}", 100)
    return clean(manifest.get("claim_generator"), 100)


def status_codes(statuses: object) -> list[str]:
    """The distinct codes of a list of validation statuses, sorted."""
    return sorted({clean(as_mapping(status).get("code"), 100) for status in as_list(statuses)})


def as_list(value: object) -> list[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
