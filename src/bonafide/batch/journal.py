"""What a batch has done, on disk: nothing that was committed is lost or written twice.

In the folder of a batch:

- `reports.jsonl`, or `part-000001.parquet` and so on with `pending.jsonl`: the results;
- `failures.jsonl`: names that could not be examined, with the reason;
- `progress.sqlite`: the names and contents that are done, and how long the files above are.

A commit appends to the files, flushes them to the disk, and only then tells the database, in one
transaction with the new lengths. What a kill leaves behind those lengths is cut off at the next
start. SQLite does the part that is hard to get right.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bonafide.batch.job import Outcome
from bonafide.batch.results import Form, Results
from bonafide.batch.work import DIGEST, Answer, Contents, Seen, name_of
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.report.to_dict import to_dict
from bonafide.types import Failure

COMMIT_SECONDS = 0.25  # of finished work that a kill may cost
COMMIT_ROWS = 2_000
_SCHEMA = 1
_SUMMARY = ("error", "why", "verdict", "verdict_words", "probabilities")
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS form (form TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS kept (mark TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS names (
    key INTEGER NOT NULL, path BLOB NOT NULL, stamp TEXT, sha256 BLOB, verdict TEXT, failure TEXT,
    PRIMARY KEY (key, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (
    key INTEGER NOT NULL, sha256 BLOB NOT NULL, path BLOB NOT NULL, summary TEXT NOT NULL,
    PRIMARY KEY (key, sha256)) WITHOUT ROWID;
"""


class Keep(Protocol):
    """What else is to happen to results, such as being put into the store."""

    def __call__(self, outcome: Outcome) -> Outcome:
        """See an examined outcome; what is returned is written."""
        ...

    def again(self, media: Mapping[str, Any]) -> None:
        """See the facts of a file whose content was examined under another name."""
        ...

    def mark(self) -> str:
        """A text by which `holds` knows all that was kept so far."""
        ...

    def holds(self, mark: str) -> bool:
        """Whether what was kept when `mark` was taken is still kept."""
        ...


class Journal:
    """The folder of a batch, open for one process.

    Args:
        folder: made if it is missing.
        key: of the examination, see `examination.key`; what was done under another does not count.
        form: of the results.
        keep: told of everything before it counts as done, after a kill perhaps again.

    Raises:
        InvalidInput: the folder cannot be used, another process works in it, it holds results of
            another form, or what it put elsewhere is no longer there.
    """

    def __init__(self, folder: Path, key: str, form: Form, keep: Keep | None = None) -> None:
        self.key, self._keep = key, keep
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._failures = folder, folder / "failures.jsonl"
        with _plainly(folder):
            self._lock = _locked(folder / "lock.sqlite")
            self._database = sqlite3.connect(folder / "progress.sqlite", isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_TABLES)
        self._check_form(form)
        self._check_kept()
        self._run("INSERT OR IGNORE INTO keys (key) VALUES (?)", key)
        ((self._id,),) = self._run("SELECT id FROM keys WHERE key = ?", key)
        self._results = Results(folder, form, self._meta("parts"), self._meta("bytes"))
        self._tell(self._results.parts, self._results.size)  # lines may have been moved away
        self._fresh: list[dict[str, Any]] = []
        self._failed: list[str] = []
        self._committed = time.monotonic()
        self._write_failures()

    def seen(self, path: str) -> Seen | None:
        """What is known of a name under this key."""
        for row in self._run(
            "SELECT stamp, sha256, verdict FROM names WHERE key = ? AND path = ?",
            self._id,
            os.fsencode(path),
        ):
            return Seen(*row)
        return None

    def contents(self) -> Contents:
        """Sorted SHA-256 of what was examined under this key; 32 bytes each."""
        ((count,),) = self._run("SELECT count(*) FROM contents WHERE key = ?", self._id)
        # The primary key keeps them in order.
        rows = self._run("SELECT sha256 FROM contents WHERE key = ? ORDER BY sha256", self._id)
        return np.fromiter((row[0] for row in rows), DIGEST, count)

    def add(self, answer: Answer) -> str | None:
        """Remember an answer, in the next commit; return its verdict, None for a failure."""
        if not self._database.in_transaction:
            self._run("BEGIN IMMEDIATE")
        last, known = self.seen(answer.path), self._known(answer.sha256)
        if last and last.sha256 == answer.sha256 and (known or answer.outcome is None):
            verdict = last.verdict  # only its date has changed
            where = (answer.stamp, self._id, os.fsencode(answer.path))
            self._run("UPDATE names SET stamp = ? WHERE key = ? AND path = ?", *where)
        else:
            verdict = self._new(answer, known)
        self.commit_if_due()
        return verdict

    def commit_if_due(self) -> None:
        """Commit if the last time is a while ago or much has gathered; cheap if nothing has."""
        if not self._database.in_transaction:
            return
        since = time.monotonic() - self._committed
        if since >= COMMIT_SECONDS or len(self._fresh) + len(self._failed) >= COMMIT_ROWS:
            self.commit()

    def commit(self) -> None:
        """Make everything added so far outlive a kill."""
        if not self._database.in_transaction:
            return
        _append(self._failures, self._failed)
        self._tell(*self._results.append(self._fresh))
        self._mark()
        self._run("COMMIT")
        self._results.cut()
        self._fresh, self._failed = [], []
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit, and leave whole files behind."""
        self.commit()
        self._run("BEGIN IMMEDIATE")
        self._tell(*self._results.finish())
        self._run("COMMIT")
        self._results.cut()
        self._write_failures()
        self.release()

    def release(self) -> None:
        """Let go of the folder as a kill would, without committing."""
        self._database.close()
        self._lock.close()

    def _new(self, answer: Answer, known: tuple[bytes, str] | None) -> str | None:
        if known:
            record = _copy(answer, *known)
            if self._keep and record["status"] != "failed":
                self._keep.again(record["media"])
        else:
            record = self._examined(answer)
        verdict: str | None = record["verdict"]
        failure = _json(record) if record["status"] == "failed" else None
        if failure is None:
            self._fresh.append(record)
        else:
            self._failed.append(failure)
        self._run(
            "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)",
            *(self._id, os.fsencode(answer.path), answer.stamp, answer.sha256, verdict, failure),
        )
        return verdict

    def _known(self, sha256: bytes | None) -> tuple[bytes, str] | None:
        """The name under which a content was first examined, and what came out."""
        asked = "SELECT path, summary FROM contents WHERE key = ? AND sha256 = ?"
        return next(iter(self._run(asked, self._id, sha256)), None)

    def _examined(self, answer: Answer) -> dict[str, Any]:
        assert answer.outcome is not None, "a content is known only if it is in the database"
        record = answer.outcome.record
        if self._keep and record["status"] == "ok":
            record = self._keep(answer.outcome).record
        if answer.sha256 is not None:
            summary = {name: record.get(name) for name in _SUMMARY}
            media = {name: value for name, value in record["media"].items() if name != "details"}
            self._run(
                "INSERT INTO contents VALUES (?, ?, ?, ?)",
                *(self._id, answer.sha256, os.fsencode(answer.path)),
                _json(summary | {"media": media}),
            )
        return record

    def _write_failures(self) -> None:
        """From the database, which knows what failed once and then did not."""
        rows = self._run("SELECT failure FROM names WHERE key = ? AND failure NOT NULL", self._id)
        with (
            atomic_write(self._failures) as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.writelines(f"{failure}\n" for (failure,) in rows)

    def _check_form(self, form: Form) -> None:
        if self._meta("schema") not in (0, _SCHEMA):
            raise InvalidInput("a newer version of bonafide started this batch: update bonafide")
        known = list(self._run("SELECT form FROM form"))
        if not known:
            self._run("INSERT INTO form VALUES (?)", form.value)
            self._tell(schema=_SCHEMA)
        elif known != [(form.value,)]:
            raise InvalidInput(
                f"this folder holds results as {known[0][0]}: keep that form, or use another folder"
            )

    def _check_kept(self) -> None:
        """A name counts as done only while the place where its report was put has it."""
        mark = next((mark for (mark,) in self._run("SELECT mark FROM kept")), None)
        if self._keep and mark is not None and not self._keep.holds(mark):
            raise InvalidInput(
                "this store lacks reports that the batch put into another one: name that one with "
                "--store, or use another folder"
            )

    def _mark(self) -> None:
        if self._keep:
            self._run("DELETE FROM kept")
            self._run("INSERT INTO kept VALUES (?)", self._keep.mark())

    def _meta(self, name: str) -> int:
        return next((row[0] for row in self._run("SELECT value FROM meta WHERE name = ?", name)), 0)

    def _tell(self, parts: int | None = None, size: int | None = None, **more: int) -> None:
        values = more | ({"parts": parts, "bytes": size} if parts is not None else {})
        for name, value in values.items():
            self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def _run(self, statement: str, *values: Any) -> Iterator[Any]:
        with _plainly(self._folder):
            return self._database.execute(statement, values)


@contextmanager
def _plainly(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise InvalidInput(f"the progress file in {folder} cannot be used: {error}") from error


def _locked(path: Path) -> sqlite3.Connection:
    """Hold a lock that ends with this process, on every system."""
    lock = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" not in str(error):
            raise
        raise InvalidInput(f"another batch is running in {path.parent}: {error}") from None
    return lock


def _append(path: Path, lines: list[str]) -> None:
    if lines:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def _copy(answer: Answer, path: bytes, summary: str) -> dict[str, Any]:
    """The row of a file with the content of one that was examined: short, and names the other."""
    known = json.loads(summary)
    name = name_of(answer.path)
    if known["error"] is not None:
        digest = known["media"]["sha256"]
        return to_dict(Failure(name, answer.path, known["error"], known["why"], digest))
    return {
        "schema": 1,
        "media": known["media"] | {"path": answer.path, "name": name},
        "status": "same",
        "verdict": known["verdict"],
        "verdict_words": known["verdict_words"],
        "probabilities": known["probabilities"],
        "same_as": os.fsdecode(path),
    }


def _json(record: dict[str, Any]) -> str:
    """One line of ASCII: half surrogate pairs from file names stay readable as escapes."""
    return json.dumps(record, ensure_ascii=True, allow_nan=False)
