"""The files besides the program that an examination rests on, by their checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bonafide.cards import Card
from bonafide.errors import InvalidInput
from bonafide.networks import runtime
from bonafide.trust.lists import digest
from bonafide.trust.user import in_use


def ingredients(cards: Iterable[Card], trust: str | None) -> dict[str, str]:
    """Hexadecimal SHA-256 of every file besides the program that an examination rests on.

    Args:
        cards: of the detectors that are asked.
        trust: file or folder of the certificate authorities that were given, None for none.

    Returns:
        `weights.<id>` for each network that is on this machine, `trust` for the list that was
        given, or for the shipped lists and the user's where a detector reads them, and what the
        cards name themselves, such as `camera.<name>`.
    """
    cards = tuple(cards)
    found = {}
    for name in dict.fromkeys(name for card in cards for name in (card.id, *card.networks)):
        network = runtime.checksum(name)
        if network is not None:
            found[f"weights.{name}"] = network
    for card in cards:
        found |= card.ingredients()
    asked = any("trust" in card.options for card in cards)
    if trust is not None:
        found["trust"] = _digest_of_all(Path(trust))
    elif asked and (known := _digest_in_use()):
        found["trust"] = known
    return found


def _digest_in_use() -> str:
    """SHA-256 of the shipped lists and the user's, "" where none counts or one is damaged."""
    try:
        return digest(in_use().lists)
    except (OSError, ValueError, InvalidInput):
        return ""


def _digest_of_all(path: Path) -> str:
    """SHA-256 of a file, or of the checksums of the files in a folder, in the order of names."""
    if not path.is_dir():
        return runtime.sha256(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    sums = "".join(f"{runtime.sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(sums.encode("utf-8", "surrogateescape")).hexdigest()
