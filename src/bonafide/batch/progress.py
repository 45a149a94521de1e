"""Which names and contents are done: recent ones in one database, older ones in shards.

`progress.sqlite` takes what is new, so that a commit is one transaction on one small file. When
much has gathered there, it moves into `progress/0.sqlite` to `progress/f.sqlite`, sixteen
databases chosen by hash: names by the BLAKE2b of their path, contents by their SHA-256. A move that
a kill cuts short is done again; until then a row is in both places, and the recent one counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.batch.entries import Entry
from bonafide.batch.work import DIGEST, Contents, Seen
from bonafide.errors import InvalidInput

SHARDS = 16
MOVE_ROWS = 100_000  # recent names, from which on they move
_PIECE = 25_000  # rows that are held while they move
_CACHE = 16  # MiB
SCHEMA = 2  # 1 had no shards
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS form (form TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS kept (mark TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS streams (
    name TEXT PRIMARY KEY, parts INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS names (
    key INTEGER NOT NULL, path BLOB NOT NULL, stamp TEXT, sha256 BLOB, verdict TEXT, failure TEXT,
    PRIMARY KEY (key, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (
    key INTEGER NOT NULL, sha256 BLOB NOT NULL, path BLOB NOT NULL, summary TEXT NOT NULL,
    PRIMARY KEY (key, sha256)) WITHOUT ROWID;
"""
_SHARD_TABLES = """
CREATE TABLE IF NOT EXISTS names (
    key INTEGER NOT NULL, name BLOB NOT NULL, stamp TEXT, sha256 BLOB, verdict TEXT, failure TEXT,
    PRIMARY KEY (key, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS failed ON names (key) WHERE failure NOT NULL;
CREATE TABLE IF NOT EXISTS contents (
    key INTEGER NOT NULL, sha256 BLOB NOT NULL, said INTEGER NOT NULL,
    PRIMARY KEY (key, sha256)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS said (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, summary TEXT NOT NULL);
"""
_WHOLE = "contents JOIN said ON said.id = contents.said"
_ASKED = 500  # values in one question
Row = tuple[Any, ...]


class Progress:
    """The databases of one batch, open for one process.

    Args:
        folder: of the batch.
        key: of the examination; only what was done under it is seen.
        cache: MiB of pages that are held in memory.

    Raises:
        InvalidInput: they cannot be used, or a newer version of bonafide made them.
    """

    def __init__(self, folder: Path, key: str, cache: int = _CACHE) -> None:
        self._folder, self._cache = folder, cache
        self._shards: list[sqlite3.Connection] = []
        with self._plainly():
            self._main = _opened(folder / "progress.sqlite", cache * 512)
            self._main.executescript(_TABLES)
        self._check()
        if self.meta("schema") == SCHEMA:
            self._open_shards()
        self.run("INSERT OR IGNORE INTO keys (key) VALUES (?)", key)
        ((self._key,),) = self.run("SELECT id FROM keys WHERE key = ?", key)
        ((self._recent,),) = self.run("SELECT count(*) FROM names")

    def seen(self, paths: Sequence[str]) -> dict[str, Seen]:
        """What is known of names; those of which nothing is are left out."""
        encoded = {os.fsencode(path): path for path in paths}
        columns = "stamp, sha256, verdict"
        found = {
            encoded[name]: Seen(*row)
            for name, *row in self._look_up(self._main, "names", "path", columns, encoded)
        }
        if self._shards:
            digests = {_digest(name): path for name, path in encoded.items() if path not in found}
            for shard, some in _apart(digests):
                for digest, *row in self._look_up(
                    self._shards[shard], "names", "name", columns, some
                ):
                    found[digests[digest]] = Seen(*row)
        return found

    def known(self, contents: Sequence[bytes]) -> dict[bytes, tuple[bytes, str]]:
        """SHA-256 → the name under which a content was first examined, and what came out as JSON.

        Contents that were not examined are left out.
        """
        columns = "path, summary"
        rows = self._look_up(self._main, "contents", "sha256", columns, contents)
        found = {sha256: (path, summary) for sha256, path, summary in rows}
        if self._shards:
            for shard, some in _apart(one for one in contents if one not in found):
                for sha256, path, summary in self._look_up(
                    self._shards[shard], _WHOLE, "sha256", columns, some
                ):
                    found[sha256] = (path, summary)
        return found

    def contents(self) -> Contents:
        """Sorted SHA-256 of what was examined; 32 bytes each."""
        asked = "SELECT sha256 FROM contents WHERE key = ? ORDER BY sha256"
        found = [
            np.fromiter((row[0] for row in place.execute(asked, (self._key,))), DIGEST)
            for place in (*self._shards, self._main)
        ]
        if not self._shards:
            return found[0]
        return np.unique(np.concatenate(found))

    def failures(self) -> Iterator[str]:
        """The record of each name that could not be examined, as JSON."""
        asked = "SELECT failure FROM names WHERE key = ? AND failure NOT NULL"
        for shard in self._shards:
            for (failure,) in shard.execute(asked, (self._key,)):
                path = os.fsencode(json.loads(failure)["media"]["path"])
                later = "SELECT 1 FROM names WHERE key = ? AND path = ?"
                if not list(self.run(later, self._key, path)):
                    yield failure
        for (failure,) in self.run(asked, self._key):
            yield failure

    def begin(self) -> None:
        """Begin a transaction unless one is open."""
        if not self._main.in_transaction:
            self.run("BEGIN IMMEDIATE")

    @property
    def open(self) -> bool:
        """Whether a transaction is open."""
        return self._main.in_transaction

    def commit(self) -> None:
        """Make what was written outlive a kill."""
        self.run("COMMIT")

    def put(self, entries: Iterable[Entry]) -> None:
        """Write what became of names, and what came out of contents that were not known."""
        names, contents = [], []
        for entry in entries:
            name = os.fsencode(entry.path)
            names.append((self._key, name, entry.stamp, entry.sha256, entry.verdict, entry.failure))
            if entry.summary is not None:
                contents.append((self._key, entry.sha256, name, entry.summary))
        with self._plainly():
            put = self._main.executemany
            put("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)", names)
            put("INSERT INTO contents VALUES (?, ?, ?, ?)", contents)
        self._recent += len(names)

    def put_stamp(self, path: str, stamp: str | None) -> None:
        """Write another stamp of a name that is known, and keep the rest."""
        name = os.fsencode(path)
        changed = self.run(
            "UPDATE names SET stamp = ? WHERE key = ? AND path = ? RETURNING 1",
            *(stamp, self._key, name),
        )
        if list(changed) or not self._shards:
            return
        digest = _digest(name)
        asked = "SELECT sha256, verdict, failure FROM names WHERE key = ? AND name = ?"
        with self._plainly():
            rows = list(self._shards[_shard(digest)].execute(asked, (self._key, digest)))
        self.put(Entry(path, stamp, row[0], row[1], row[2], None) for row in rows)

    def meta(self, name: str) -> int:
        """A number that is kept under a name, 0 where there is none."""
        rows = self.run("SELECT value FROM meta WHERE name = ?", name)
        return next((row[0] for row in rows), 0)

    def tell(self, **values: int) -> None:
        """Keep numbers under their names."""
        for name, value in values.items():
            self.run("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def run(self, statement: str, *values: Any) -> Iterator[Any]:
        """Run a statement on the database of what is recent.

        Raises:
            InvalidInput: it cannot be used.
        """
        try:
            return self._main.execute(statement, values)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Let go of the files."""
        for database in (self._main, *self._shards):
            database.close()

    def move_if_many(self) -> None:
        """Move what is recent into the shards if much has gathered; outside of a transaction."""
        if self._recent < MOVE_ROWS:
            return
        with self._plainly():
            if not self._shards:
                self.tell(schema=SCHEMA)  # first, so that older versions refuse the folder
                self._open_shards()
            self._move("names", "path", self._move_names)
            self._move("contents", "sha256", self._move_contents)
            self._recent = 0

    def _move(self, table: str, column: str, put: Callable[[list[Row]], None]) -> None:
        """Move a table piece by piece, in the order of its primary key."""
        asked = f"SELECT * FROM {table} ORDER BY key, {column} LIMIT {_PIECE}"
        moved = f"DELETE FROM {table} WHERE key < ? OR key = ? AND {column} <= ?"
        while rows := list(self.run(asked)):
            put(rows)
            key, last, *_ = rows[-1]
            self.run(moved, key, key, last)

    def _move_names(self, rows: list[Row]) -> None:
        moved = [(row[0], _digest(row[1]), *row[2:]) for row in rows]
        for number, some in _by_shard(moved):
            shard = self._shards[number]
            with _transaction(shard):
                shard.executemany("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)", some)

    def _move_contents(self, rows: list[Row]) -> None:
        for number, some in _by_shard(rows):
            shard = self._shards[number]
            with _transaction(shard):
                ((last,),) = shard.execute("SELECT coalesce(max(id), 0) FROM said")
                there = _there(shard, some)  # from a move that was cut short
                fresh = [row for row in some if row[:2] not in there]
                ids = range(last + 1, last + 1 + len(fresh))
                kept = [(row[0], row[1], id_) for row, id_ in zip(fresh, ids, strict=True)]
                shard.executemany("INSERT INTO contents VALUES (?, ?, ?)", kept)
                said = [(id_, row[2], row[3]) for row, id_ in zip(fresh, ids, strict=True)]
                shard.executemany("INSERT INTO said VALUES (?, ?, ?)", said)

    def _open_shards(self) -> None:
        folder = self._folder / "progress"
        folder.mkdir(exist_ok=True)
        with self._plainly():
            for number in range(SHARDS):
                shard = _opened(folder / f"{number:x}.sqlite", self._cache * 512 // SHARDS)
                shard.executescript(_SHARD_TABLES)
                self._shards.append(shard)

    def _look_up(
        self,
        database: sqlite3.Connection,
        table: str,
        column: str,
        columns: str,
        values: Iterable[bytes],
    ) -> Iterator[Row]:
        """Rows under this key whose column has one of some values: that, and other columns."""
        left = list(values)
        for start in range(0, len(left), _ASKED):
            some = left[start : start + _ASKED]
            marks = ", ".join("?" * len(some))
            asked = (
                f"SELECT {column}, {columns} FROM {table} WHERE key = ? AND {column} IN ({marks})"
            )
            with self._plainly():
                yield from database.execute(asked, (self._key, *some))

    def _check(self) -> None:
        if self.meta("schema") > SCHEMA:
            self._main.close()
            raise InvalidInput("a newer version of bonafide started this batch: update bonafide")

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> InvalidInput:
        return InvalidInput(f"the progress file in {self._folder} cannot be used: {error}")


def _opened(path: Path, kibibytes: int) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA cache_size = -{kibibytes}")
    return database


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _there(shard: sqlite3.Connection, rows: list[Row]) -> set[Row]:
    """Key and content of those rows that a shard has."""
    found: set[Row] = set()
    for key in {row[0] for row in rows}:
        contents = [row[1] for row in rows if row[0] == key]
        for start in range(0, len(contents), _ASKED):
            some = contents[start : start + _ASKED]
            marks = ", ".join("?" * len(some))
            asked = f"SELECT key, sha256 FROM contents WHERE key = ? AND sha256 IN ({marks})"
            found.update(shard.execute(asked, (key, *some)))
    return found


def _digest(name: bytes) -> bytes:
    """16 bytes that stand for a name: of 10^9 names, two share theirs once in 10^20 batches."""
    return hashlib.blake2b(name, digest_size=16).digest()


def _shard(digest: bytes) -> int:
    return digest[0] * SHARDS >> 8


def _apart(digests: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Digests by shard."""
    for shard, some in groupby(sorted(digests), _shard):
        yield shard, list(some)


def _by_shard(rows: Iterable[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Rows whose second column is a digest, in its order, so that pages are written in a row."""
    ordered = sorted(rows, key=itemgetter(1))
    for shard, some in groupby(ordered, lambda row: _shard(row[1])):
        yield shard, list(some)
