"""What a batch has done, on disk: nothing that was committed is lost or written twice.

In the folder of a batch:

- `reports.jsonl`, or `part-000001.parquet` and so on with `pending.jsonl`: the results;
- `part-STREAM-000001.parquet` and so on with `pending-STREAM-….jsonl`: those that the workers of a
  cluster wrote, see `bonafide.batch.streams`;
- `failures.jsonl`: names that could not be examined, with the reason;
- `progress.sqlite` and `progress/`: the names and contents that are done, and how long the files
  above are, see `bonafide.batch.progress`.

A commit appends to the files, flushes them to the disk, and only then tells the database, in one
transaction with the new lengths. What a kill leaves behind those lengths is cut off at the next
start. SQLite does the part that is hard to get right.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bonafide.batch import streams
from bonafide.batch.entries import Entry, copy_of, entry_of
from bonafide.batch.job import Outcome
from bonafide.batch.progress import SCHEMA, Progress
from bonafide.batch.results import Form, Results
from bonafide.batch.streams import Place
from bonafide.batch.work import Answer, Contents, Seen
from bonafide.errors import InvalidInput
from bonafide.files import atomic_write

COMMIT_SECONDS = 0.25  # of finished work that a kill may cost
COMMIT_ROWS = 2_000


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
        cache: MiB of the database that are held in memory.

    Raises:
        InvalidInput: the folder cannot be used, another process works in it, it holds results of
            another form, or what it put elsewhere is no longer there.
    """

    def __init__(
        self, folder: Path, key: str, form: Form, keep: Keep | None = None, cache: int = 16
    ) -> None:
        self.key, self._keep = key, keep
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._failures = folder, folder / "failures.jsonl"
        with _plainly(folder):
            self._lock = _locked(folder / "lock.sqlite")
        self._progress = Progress(folder, key, cache)
        self._check_form(form)
        self._check_kept()
        told = self._progress.meta
        self._results = Results(folder, form, told("parts"), told("bytes"))
        # Lines may have been moved away.
        self._progress.tell(parts=self._results.parts, bytes=self._results.size)
        self._streams: dict[str, Place] = {}  # new places of streams, in the next commit
        self._recover()
        self._fresh: list[dict[str, Any]] = []
        self._failed: list[str] = []
        self._committed = time.monotonic()
        self._write_failures()

    def seen(self, path: str) -> Seen | None:
        """What is known of a name under this key."""
        return self._progress.seen([path]).get(path)

    def seen_all(self, paths: Sequence[str]) -> dict[str, Seen]:
        """What is known of names under this key; those of which nothing is are left out."""
        return self._progress.seen(paths)

    def known(self, sha256: bytes | None) -> tuple[bytes, str] | None:
        """The name under which a content was first examined, and what came out."""
        return None if sha256 is None else self._progress.known([sha256]).get(sha256)

    def known_all(self, contents: Sequence[bytes]) -> dict[bytes, tuple[bytes, str]]:
        """The same of several contents; those that were not examined are left out."""
        return self._progress.known(contents)

    def contents(self) -> Contents:
        """Sorted SHA-256 of what was examined under this key; 32 bytes each."""
        return self._progress.contents()

    def add(self, answer: Answer) -> str | None:
        """Remember an answer, in the next commit; return its verdict, None for a failure."""
        self._progress.begin()
        last, known = self.seen(answer.path), self.known(answer.sha256)
        if last and last.sha256 == answer.sha256 and (known or answer.outcome is None):
            return self.add_date(answer.path, answer.stamp, last.verdict)
        if known:
            record = copy_of(answer.path, *known)
            if self._keep and record["status"] != "failed":
                self._keep.again(record["media"])
        else:
            record = self._examined(answer)
        entry = entry_of(answer, record, copy=known is not None)
        if entry.failure is None:
            self._fresh.append(record)
        self._put([entry])
        self.commit_if_due()
        return entry.verdict

    def add_date(self, path: str, stamp: str | None, verdict: str | None) -> str | None:
        """Remember that of a known name only the date has changed; return its verdict."""
        self._progress.begin()
        self._progress.put_stamp(path, stamp)
        self.commit_if_due()
        return verdict

    def add_written(self, entries: Sequence[Entry], stream: str, place: Place) -> None:
        """Remember names whose rows a worker wrote into its stream.

        Args:
            entries: one for each name, failures included, which are written here.
            stream: of the worker.
            place: what counts of the stream with these rows.
        """
        self._progress.begin()
        self._put(entries)
        self._streams[stream] = place
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Commit if the last time is a while ago or much has gathered; cheap if nothing has."""
        if not self._progress.open:
            return
        since = time.monotonic() - self._committed
        if since >= COMMIT_SECONDS or len(self._fresh) + len(self._failed) >= COMMIT_ROWS:
            self.commit()

    def commit(self) -> None:
        """Make everything added so far outlive a kill."""
        if not self._progress.open:
            return
        _append(self._failures, self._failed)
        parts, size = self._results.append(self._fresh)
        self._progress.tell(parts=parts, bytes=size)
        self._place(self._streams)
        self._mark()
        self._progress.commit()
        self._results.cut()
        moved = {name: (self._known.get(name, Place()), now) for name, now in self._streams.items()}
        streams.publish(self._folder, moved)
        self._known |= self._streams
        self._fresh, self._failed, self._streams = [], [], {}
        self._progress.move_if_many()
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit, and leave whole files behind; no worker of a cluster may be left."""
        self.commit()
        self._recover()
        self._progress.begin()
        parts, size = self._results.finish()
        self._progress.tell(parts=parts, bytes=size)
        self._progress.commit()
        self._results.cut()
        self._write_failures()
        self.release()

    def release(self) -> None:
        """Let go of the folder as a kill would, without committing."""
        self._progress.close()
        self._lock.close()

    def _put(self, entries: Sequence[Entry]) -> None:
        self._failed += [entry.failure for entry in entries if entry.failure is not None]
        self._progress.put(entries)

    def _examined(self, answer: Answer) -> dict[str, Any]:
        assert answer.outcome is not None, "a content is known only if it is in the database"
        record = answer.outcome.record
        if self._keep and record["status"] == "ok":
            record = self._keep(answer.outcome).record
        return record

    def _recover(self) -> None:
        """Make whole parts of what workers of an earlier run, or of this one, left."""
        rows = self._progress.run("SELECT name, parts, bytes FROM streams")
        self._known = {name: Place(parts, size) for name, parts, size in rows}
        found = streams.recover(self._folder, self._known)
        if found:
            self._progress.begin()
            self._place(found)
            self._progress.commit()
            self._known |= found
        streams.clean(self._folder, self._known)

    def _place(self, places: Mapping[str, Place]) -> None:
        for name, place in places.items():
            values = (name, place.parts, place.bytes)
            self._progress.run("INSERT OR REPLACE INTO streams VALUES (?, ?, ?)", *values)

    def _write_failures(self) -> None:
        """From the database, which knows what failed once and then did not."""
        with (
            atomic_write(self._failures) as partial,
            partial.open("w", encoding="utf-8") as file,
        ):
            file.writelines(f"{failure}\n" for failure in self._progress.failures())

    def _check_form(self, form: Form) -> None:
        known = list(self._progress.run("SELECT form FROM form"))
        if not known:
            self._progress.run("INSERT INTO form VALUES (?)", form.value)
            self._progress.tell(schema=SCHEMA - 1)  # until there are shards
        elif known != [(form.value,)]:
            raise InvalidInput(
                f"this folder holds results as {known[0][0]}: keep that form, or use another folder"
            )

    def _check_kept(self) -> None:
        """A name counts as done only while the place where its report was put has it."""
        mark = next((mark for (mark,) in self._progress.run("SELECT mark FROM kept")), None)
        if self._keep and mark is not None and not self._keep.holds(mark):
            raise InvalidInput(
                "this store lacks reports that the batch put into another one: name that one with "
                "--store, or use another folder"
            )

    def _mark(self) -> None:
        if self._keep:
            self._progress.run("DELETE FROM kept")
            self._progress.run("INSERT INTO kept VALUES (?)", self._keep.mark())


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
