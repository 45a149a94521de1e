"""Which process of this machine examines a content, so that no two examine the same."""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from pathlib import Path

_PATIENCE = 120.0  # seconds to wait for others, each of whom needs microseconds


class Claims:
    """Contents that are examined in this run, and the name under which each is.

    Args:
        path: of a database, made if it is missing, that all processes open.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")  # it does not outlive this run
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS claims (sha256 BLOB PRIMARY KEY, path BLOB) WITHOUT ROWID"
        )
        self._database.execute("CREATE INDEX IF NOT EXISTS paths ON claims (path)")

    def take(self, sha256: bytes, path: str) -> bool:
        """Whether the content is for this name to examine; also at a second try."""
        name = os.fsencode(path)
        added = self._database.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (sha256, name))
        if added.rowcount:
            return True
        asked = "SELECT path FROM claims WHERE sha256 = ?"
        return next(self._database.execute(asked, (sha256,)), None) == (name,)

    def drop(self, path: str) -> tuple[bytes, ...]:
        """Give up what a name has claimed, and return that."""
        asked = "DELETE FROM claims WHERE path = ? RETURNING sha256"
        return tuple(row[0] for row in self._database.execute(asked, (os.fsencode(path),)))

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


@lru_cache(1)
def claims_of_this_process(path: str) -> Claims:
    """The claims in a database, opened once per process."""
    return Claims(Path(path))
