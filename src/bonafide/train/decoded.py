"""Which decoded arrays a cache holds, by what they were decoded from.

A training of ten million pictures cannot read and hash each of them at every start. The index has
a row for what was decoded, under the path, size and time of its source; the arrays themselves are
named by content, so that copies are kept once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bonafide.errors import InvalidInput

NAME = "index.db"
_AT_ONCE = 500  # values of one query
_WAIT = 60.0  # seconds, for another training that writes


class Index:
    """The index of one cache, which trainings may share."""

    def __init__(self, folder: Path) -> None:
        """Open or make it.

        Raises:
            InvalidInput: the file in its place is no index.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        with self._connection() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS decoded (stamp TEXT PRIMARY KEY, found TEXT NOT NULL)"
            )

    def find(self, stamps: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What is known of each stamp; unknown ones are absent."""
        found: dict[str, dict[str, Any]] = {}
        wanted = list(stamps)
        with self._connection() as connection:
            for first in range(0, len(wanted), _AT_ONCE):
                some = wanted[first : first + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT stamp, found FROM decoded WHERE stamp IN ({marks})", some
                )
                found |= {stamp: json.loads(text) for stamp, text in rows}
        return found

    def add(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember; what is known already is replaced."""
        rows = [(stamp, json.dumps(value)) for stamp, value in found.items()]
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO decoded VALUES (?, ?)", rows)

    def _connection(self) -> _Closing:
        return _Closing(self.path)


class _Closing:
    """A connection for one transaction, closed after it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> sqlite3.Connection:
        self.connection = sqlite3.connect(self.path, timeout=_WAIT)
        return self.connection

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None:
                self.connection.commit()
        finally:
            self.connection.close()
        if kind is not None and issubclass(kind, sqlite3.DatabaseError):
            raise InvalidInput(f"{self.path} is no index of a cache: {error}") from None
