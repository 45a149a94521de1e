"""One file of a batch: look whether it changed, examine it if so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.batch import workers
from bonafide.batch.claims import Claims, claims_of_this_process
from bonafide.batch.job import Job, Outcome, heard, lost, told
from bonafide.batch.job import perform as examine_job
from bonafide.errors import BonafideError, InvalidInput, MediaError, SourceError
from bonafide.examination import Settings
from bonafide.media import remote
from bonafide.media.source import open_source
from bonafide.media.sources import Source
from bonafide.report.to_dict import to_dict
from bonafide.types import Failure

DIGEST = np.dtype("S32")
_HELD = 256 * 1024**2  # bytes

Contents = NDArray[np.bytes_]


@dataclass(frozen=True)
class Seen:
    """What an earlier look at a name found.

    Attributes:
        stamp: of the file then; None if it could not be had.
        sha256: of its bytes, 32 bytes; None if they could not be read.
        verdict: value of a `types.Label`; None for a failure.
    """

    stamp: str | None
    sha256: bytes | None
    verdict: str | None


@dataclass(frozen=True)
class Task:
    """A name to look at.

    Attributes:
        path: absolute, or an address.
        seen: what is known of it.
        settings: how to examine it.
        hashed: whether to compute its perceptual hash.
        expected: SHA-256 of the content that is to be examined; None for whatever is there.
    """

    path: str
    seen: Seen | None
    settings: Settings
    hashed: bool
    expected: bytes | None = None


@dataclass(frozen=True)
class Glance(Task):
    """A name of which only the content is asked for."""


@dataclass(frozen=True)
class Answer:
    """What became of a task.

    Attributes:
        path: of the task.
        stamp: of the file, taken before it was read, so that a later change is seen; None if the
            name is to be tried again next time.
        sha256: of its bytes, 32 bytes; None if they could not be read.
        outcome: None if the content was examined before, or is by another process.
        dropped: SHA-256 of contents that were this name's to examine and have no outcome.
    """

    path: str
    stamp: str | None
    sha256: bytes | None
    outcome: Outcome | None
    dropped: tuple[bytes, ...] = ()


def perform(task: Task, contents: Contents, claims: Claims | None = None) -> Answer:
    """Look at one name in this process; examine it unless its content is known; never raises.

    Args:
        task: the name.
        contents: sorted SHA-256 of what was examined before, dtype `DIGEST`.
        claims: of all processes of this run.
    """
    return _guarded(task, lambda: _perform(task, contents, claims))


def _guarded(task: Task, work: Callable[[], Answer]) -> Answer:
    try:
        return work()
    except MediaError as error:
        why, kind = error.why, type(error).__name__
    except BonafideError as error:
        why, kind = str(error), type(error).__name__
    except Exception as error:  # a bug, or no memory, costs one file, not the night
        why, kind = f"please report it: {type(error).__name__}: {error}", "InternalError"
    return Answer(task.path, None, None, _failed(task.path, kind, why))


@contextmanager
def shared(contents: Contents) -> Iterator[tuple[workers.InJson[Task, Answer], Claims]]:
    """`perform` for worker processes, which map `contents` from one temporary file; their claims.

    Sent to them, each would hold a copy.
    """
    # On Windows a file cannot be removed while a process that was just ended still maps it.
    with TemporaryDirectory(prefix="bonafide-", ignore_cleanup_errors=True) as folder:
        path, claims = Path(folder, "contents.npy"), Path(folder, "claims.sqlite")
        np.save(path, contents)
        opened = Claims(claims)
        work = partial(_perform_mapped, path=str(path), claims=str(claims))
        try:
            yield workers.InJson(work, _answer), opened
        finally:
            opened.close()


def _perform_mapped(task: Task, path: str, claims: str) -> dict[str, Any]:
    return _told(perform(task, _map(path), claims_of_this_process(claims)))


def _told(answer: Answer) -> dict[str, Any]:
    return {
        "stamp": answer.stamp,
        "sha256": answer.sha256.hex() if answer.sha256 else None,
        "outcome": told(answer.outcome) if answer.outcome else None,
    }


def _answer(task: Task, values: Any) -> Answer:
    """The answer that a process of `mapped` gave, which a hostile file may have taken over.

    Raises:
        InvalidInput: it is none, or that of another file.
    """
    try:
        stamp, digest, found = values["stamp"], values["sha256"], values["outcome"]
        sha256 = None if digest is None else bytes.fromhex(digest)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"this is no answer: {type(error).__name__}") from None
    if not (stamp is None or isinstance(stamp, str)) or (sha256 and len(sha256) != 32):
        raise InvalidInput("this is no answer")
    outcome = None if found is None else heard(found, name_of(task.path), task.path, digest)
    return Answer(task.path, stamp, sha256, outcome)


@lru_cache(1)
def _map(path: str) -> Contents:
    contents: Contents = np.load(path, mmap_mode="r")
    return contents


def _perform_apart(task: Task) -> dict[str, Any]:
    """Look or examine for a worker that does not decide which of the two."""
    work = _glance if isinstance(task, Glance) else _examine
    return _told(_guarded(task, lambda: work(task)))


APART = workers.InJson(_perform_apart, _answer)


def _glance(task: Task) -> Answer:
    seen, stamp = task.seen, stamp_of(task.path)
    if seen and stamp is not None and stamp == seen.stamp:
        return Answer(task.path, stamp, seen.sha256, None)
    source = open_source(task.path, name_of(task.path), task.settings.limits)
    digest = bytes.fromhex(source.sha256)
    if remote.is_url(task.path):
        _held.keep(task.path, source)
    return Answer(task.path, stamp, digest, None)


def _examine(task: Task) -> Answer:
    """Raises `MediaError` for other content than is expected: another name may have that."""
    name = name_of(task.path)
    stamp, source = stamp_of(task.path), _held.take(task.path)
    if source is None:
        source = open_source(task.path, name, task.settings.limits)
    digest = bytes.fromhex(source.sha256)
    if digest != task.expected:
        raise SourceError(name, "the file changed while it was examined")
    job = Job(task.path, source, name, task.settings, hashed=task.hashed)
    return Answer(task.path, stamp, digest, examine_job(job))


class _Held:
    """Files behind addresses, kept between the two times that they are needed."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def keep(self, path: str, source: Source) -> None:
        self._sources[path] = source
        while sum(one.size for one in self._sources.values()) > _HELD:
            self._sources.pop(next(iter(self._sources)))

    def take(self, path: str) -> Source | None:
        return self._sources.pop(path, None)


_held = _Held()


def _perform(task: Task, contents: Contents, claims: Claims | None) -> Answer:
    seen, name = task.seen, name_of(task.path)
    stamp = stamp_of(task.path)
    if seen and stamp is not None and stamp == seen.stamp:
        return Answer(task.path, stamp, seen.sha256, None)
    source = open_source(task.path, name, task.settings.limits)
    digest = bytes.fromhex(source.sha256)
    if has(contents, digest) or (claims and not claims.take(digest, task.path)):
        return Answer(task.path, stamp, digest, None)
    job = Job(task.path, source, name, task.settings, hashed=task.hashed)
    return Answer(task.path, stamp, digest, examine_job(job))


def answer_lost(task: Task, how: workers.Lost) -> Answer:
    """The answer for a file whose processes hung or died, at both tries.

    After a kill from outside the file is tried again next time.
    """
    outcome = lost(Job(task.path, None, name_of(task.path), task.settings), how)
    stamp = None if how.killed else stamp_of(task.path)
    return Answer(task.path, stamp, None, outcome)


def answer_killed(path: str) -> Answer:
    """The answer for a file with which a whole worker of a cluster died, twice.

    It is tried again next time: its machine may be why.
    """
    why = "the worker that examined it died, and so did the next; it may need too much memory"
    return Answer(path, None, None, _failed(path, "DecodeError", why))


def answer_missing(path: str) -> Answer:
    """The answer for a local name under which there is nothing."""
    return Answer(path, None, None, _failed(path, "SourceError", "no such file"))


def stamp_of(path: str) -> str | None:
    """A text that changes when the file does, without reading it; None if it cannot be had.

    The time of the last change to the inode is part of it, which no program can set back.
    """
    if remote.is_url(path):
        return remote.stamp(path)
    try:
        found = os.stat(path)  # noqa: PTH116, a million times
    except (OSError, ValueError):
        return None
    return f"{found.st_ino:x}.{found.st_size:x}.{found.st_mtime_ns:x}.{found.st_ctime_ns:x}"


def name_of(path: str) -> str:
    """How reports call the file."""
    return PurePath(path).name or path


def has(contents: Contents, digest: bytes) -> bool:
    """Whether a sorted array holds a digest."""
    # NumPy ignores zero bytes at the end of a string, in both operands alike.
    place = int(np.searchsorted(contents, np.bytes_(digest)))
    return place < len(contents) and contents[place] == digest.rstrip(b"\0")


def _failed(path: str, error: str, why: str) -> Outcome:
    failure = Failure(name_of(path), path, error, why)
    return Outcome(failure, to_dict(failure))
