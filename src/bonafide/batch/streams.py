"""Parquet parts that workers of a cluster write themselves, each in a stream of its own.

A worker appends rows to `pending-STREAM-NUMBER.jsonl` and flushes them to the disk; 2,000 rows
become a hidden `.part-STREAM-NUMBER.parquet`. Nothing of that counts until the machine that runs
the batch has written into its database how many parts of the stream, and how many bytes of lines
after them, do. It alone gives parts their visible names. So a worker that was given up, and
writes on, changes nothing that counts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonafide.batch import results
from bonafide.files import flush

_PENDING = re.compile(r"pending-([0-9a-f]{12})-(\d{6})\.jsonl")
_HIDDEN = re.compile(r"\.{1,2}part-([0-9a-f]{12})-(\d{6})\.parquet(\..*)?")


@dataclass(frozen=True, slots=True)
class Place:
    """How much of a stream counts: whole parts, and bytes of the lines that wait after them."""

    parts: int = 0
    bytes: int = 0


class Stream:
    """Where one worker writes.

    Args:
        folder: of the batch, which the worker shares with the machine that runs it.
        name: 12 hexadecimal digits that no other worker has or had.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self._folder, self._place, self._rows = name, folder, Place(), 0

    def append(self, records: list[dict[str, Any]]) -> Place:
        """Write records to the disk; what will count once the batch has committed it."""
        if not records:
            return self._place
        number = self._place.parts + 1
        lines = pending(self._folder, self.name, number)
        with lines.open("ab") as file:
            for record in records:
                file.write(json.dumps(record, ensure_ascii=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._place = Place(number - 1, file.tell())
        self._rows += len(records)
        return self.finish() if self._rows >= results.PART_ROWS else self._place

    def finish(self) -> Place:
        """Make a part of the lines that wait; what will count once the batch has committed it."""
        if self._rows:
            number = self._place.parts + 1
            lines = pending(self._folder, self.name, number)
            results.write_part(lines, hidden(self._folder, self.name, number))
            self._place, self._rows = Place(number), 0
        return self._place


def publish(folder: Path, places: Mapping[str, tuple[Place, Place]]) -> None:
    """Show parts that count now, and drop the lines they were made of.

    Args:
        folder: of the batch.
        places: name of a stream → what counted before, and what counts now.
    """
    shown = False
    for name, (before, now) in places.items():
        for number in range(before.parts + 1, now.parts + 1):
            shown |= _show(folder, name, number)
            pending(folder, name, number).unlink(missing_ok=True)
    if shown:
        flush(folder)


def recover(folder: Path, places: Mapping[str, Place]) -> dict[str, Place]:
    """Make whole parts of what counts, and remove what does not.

    It must be remembered before `clean` is called.

    Args:
        folder: of the batch, in which no worker is left.
        places: name of a stream → what counts of it.

    Returns:
        Streams of which other parts count now.
    """
    found = {}
    for path in list(folder.iterdir()):
        match = _HIDDEN.fullmatch(path.name)
        if match and not match[3] and int(match[2]) <= places.get(match[1], Place()).parts:
            _show(folder, match[1], int(match[2]))
    for name, place in places.items():
        if place.bytes:
            number = place.parts + 1
            lines = pending(folder, name, number)
            results.write_part(lines, hidden(folder, name, number), place.bytes)
            found[name] = Place(number)
    return found


def clean(folder: Path, places: Mapping[str, Place]) -> None:
    """Show the parts that `recover` made, and remove all that no longer counts."""
    publish(folder, {name: (Place(place.parts - 1), place) for name, place in places.items()})
    for path in list(folder.iterdir()):
        if _PENDING.fullmatch(path.name) or _HIDDEN.fullmatch(path.name):
            path.unlink(missing_ok=True)


def pending(folder: Path, stream: str, number: int) -> Path:
    """Where the lines of a part gather."""
    return folder / f"pending-{stream}-{number:06}.jsonl"


def hidden(folder: Path, stream: str, number: int) -> Path:
    """Where a part is until it counts."""
    return folder / f".part-{stream}-{number:06}.parquet"


def _show(folder: Path, stream: str, number: int) -> bool:
    """Give a part its name, unless it has it."""
    try:
        hidden(folder, stream, number).rename(folder / f"part-{stream}-{number:06}.parquet")
    except FileNotFoundError:
        return False
    return True
