"""Takes files from the store's queue and examines each in a process that can be stopped.

Runs apart from the web process, on the same host or on others: what a hostile file does to a
decoder costs that one file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bonafide.batch import sandbox, workers
from bonafide.batch.job import Job, Outcome, heard, perform, told, with_explained
from bonafide.batch.sandbox import Sandbox
from bonafide.errors import StoreUnavailable
from bonafide.examination import Settings, key
from bonafide.explain.model import explain
from bonafide.explain.model import options as explaining
from bonafide.languages.current import ANY, using
from bonafide.media.sources import PathSource
from bonafide.report.to_dict import to_dict
from bonafide.server import logs
from bonafide.server.config import Config, chosen
from bonafide.server.render import OPENING, thumbnail_of
from bonafide.server.spool import Spool
from bonafide.store import open_store
from bonafide.store.database import address
from bonafide.store.jobs import ReportGone
from bonafide.store.rows import JobFile
from bonafide.store.store import Store
from bonafide.telemetry import traces
from bonafide.types import Failure

_log = logging.getLogger("bonafide.worker")
_PAUSE = 0.2  # seconds between two looks at an empty queue
BEAT_SECONDS = 5.0
SILENCE = 60.0  # seconds without a sign of life after which a worker counts as dead
PATIENCE = 5.0  # seconds to finish what runs, when told to stop


class _OutOfPatience(Exception):
    """What still runs is given up and put back into the queue."""


@dataclass(frozen=True)
class Task:
    """One file to examine.

    Attributes:
        file: as claimed.
        owner: name of the key that handed it in.
        path: of its bytes.
        settings: how to examine it.
        key: of the examination, and of the explanation where one is asked for.
        share: what a model may see of it, a `Share`; "" where none is asked.
        claimed: when, nanoseconds since 1970.
        traced: whether spans are made of what was done.
    """

    file: JobFile
    owner: str
    path: str
    settings: Settings
    key: str
    share: str = ""
    claimed: int = 0
    traced: bool = False


def main(config: Config, parent: int | None = None) -> None:
    """Work until told to stop by a signal, or until the process `parent` is gone."""
    logs.configure()
    told: list[float] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: told.append(time.monotonic()))

    def stopped() -> bool:
        if not told and parent is not None and os.getppid() != parent:
            told.append(time.monotonic())
        if told and time.monotonic() > told[0] + PATIENCE:
            raise _OutOfPatience
        return bool(told)

    store = open_store(config.store)
    traces.start("worker")
    try:
        Worker(store, Spool(config.spool), config).run(stopped)
    except _OutOfPatience:
        _log.warning("stopped before it had finished; its file is examined again")
        store.release(name_of(os.getpid()), tried=False)
    except (StoreUnavailable, OSError) as error:
        _log.error("the store or the spool fails", extra={"why": str(error)})
        with suppress(StoreUnavailable):
            store.release(name_of(os.getpid()), tried=False)
        sys.exit(1)
    finally:
        traces.stop()
        store.close()


def lives(config: Config) -> bool:
    """Whether a worker of this host left a sign of life a short time ago, and has its store."""
    silence = Spool(config.spool).silence(socket.gethostname())
    if silence is None or silence > SILENCE:
        return False
    store = open_store(config.store)
    try:
        store.waiting()
    except StoreUnavailable:
        return False
    finally:
        store.close()
    return True


def name_of(process: int) -> str:
    """What the store calls the worker in a process of this host."""
    return f"{socket.gethostname()}:{process}"


class Worker:
    """The link between the queue and the processes."""

    def __init__(self, store: Store, spool: Spool, config: Config) -> None:
        self.store, self.spool, self.config = store, spool, config
        self.sandbox = sandbox_of(config)
        self._key = lru_cache(64)(key)  # networks and calibration stay as they are while it runs
        self.name = name_of(os.getpid())

    def run(self, stopped: Callable[[], bool]) -> None:
        """Examine files until `stopped`."""
        extra = {"worker": self.name, "processes": self.config.workers}
        _log.info("ready: %s", sandbox.description(self.sandbox), extra=extra)
        done = workers.stream(
            EXAMINE,
            self.claim,
            self._beating(stopped),
            max(1, self.config.workers),
            self.config.settings.limits.seconds,
            _PAUSE,
            sandbox=self.sandbox,
        )
        # Closed, it ends its processes; else an error would leave this one waiting for them.
        with closing(done):
            for task, outcome in done:
                self.settle(task, outcome)

    def _beating(self, stopped: Callable[[], bool]) -> Callable[[], bool]:
        """The same question, which is asked several times a second; with a sign of life now."""
        beaten = -BEAT_SECONDS

        def asked() -> bool:
            nonlocal beaten
            if time.monotonic() - beaten >= BEAT_SECONDS:
                beaten = time.monotonic()
                with suppress(OSError):  # a full spool is no reason to stop
                    self.spool.beat(socket.gethostname())
            return stopped()

        return asked

    def claim(self) -> Task | None:
        """The next file that needs to be examined; those already known are settled on the way."""
        while True:
            file = self.store.claim(self.name, self.config.lease_seconds)
            if file is None:
                return None
            claimed = time.time_ns()
            task = self._task(file)
            if isinstance(task, Failure):
                with self._traced(file, claimed):
                    self._fail(file, task)
            elif not self._known(task):
                return task

    def settle(self, task: Task, outcome: Outcome | workers.Lost) -> None:
        """Store what became of a file."""
        with self._traced(task.file, task.claimed):
            if isinstance(outcome, Outcome):
                traces.replay(outcome.steps, task.claimed)
            self._settle(task, outcome)

    def _settle(self, task: Task, outcome: Outcome | workers.Lost) -> None:
        if isinstance(outcome, workers.Lost):
            self._fail(task.file, _lost(task, outcome))
        elif isinstance(outcome.report, Failure):
            self._fail(task.file, outcome.report)
        else:
            outcome = self._explained(task, outcome)
            try:
                self._keep(task, outcome)
            except ReportGone:  # an old one of the same file, deleted at this moment
                self._keep(task, outcome)
            self._say(task.file, outcome.record["verdict"])

    def _explained(self, task: Task, outcome: Outcome) -> Outcome:
        """The outcome with what the operator's model added, where it was asked for."""
        asking = self.config.explain
        if asking is None or not task.share or isinstance(outcome.report, Failure):
            return outcome
        added = explain(outcome.report, asking, outcome.pictures)
        if added.failure:
            _log.warning("the model gave no answer, or only a part", extra={"why": added.failure})
        with using(ANY):
            return with_explained(outcome, added)

    def _keep(self, task: Task, outcome: Outcome) -> None:
        id_ = self.store.put_report(outcome.record, task.key, outcome.perceptual_hash, task.owner)
        small = thumbnail_of(outcome.section[:OPENING])
        self.spool.write_page(id_, outcome.section, small)
        self.store.finish(task.file.id, id_)

    def _task(self, file: JobFile) -> Task | Failure:
        path = self.spool.upload(file.path)
        if not path.exists():
            why = "the upload is no longer kept; send the file again"
            return Failure(file.name, None, "SourceError", why, file.sha256)
        settings = chosen(self.config.settings, dict(file.settings))
        owner = str(file.settings["owner"])
        asking = self.config.explain if file.settings.get("explain") else None
        examined, watched = self._key(settings), (time.time_ns(), traces.on())
        if asking is None:
            return Task(file, owner, str(path), settings, examined, "", *watched)
        both = f"{examined} {json.dumps(explaining(asking), sort_keys=True)}"
        explained = hashlib.sha256(both.encode()).hexdigest()
        return Task(file, owner, str(path), settings, explained, asking.share.value, *watched)

    def _known(self, task: Task) -> bool:
        """Whether the same bytes were examined in the same way before; they are not again."""
        facts = {"sha256": task.file.sha256, "name": task.file.name}
        id_ = self.store.known(facts, task.key)
        if id_ is None or not self.spool.page(id_).exists():
            return False
        with self._traced(task.file, task.claimed):
            try:
                self.store.finish(task.file.id, id_)
            except ReportGone:
                return False
            self._say(task.file, "known")
        return True

    def _traced(self, file: JobFile, claimed: int) -> AbstractContextManager[Any]:
        """A span from when a file was claimed, in the trace of the request that handed it in."""
        told: dict[str, Any] = {
            "bonafide.job": file.job,
            "bonafide.file": file.id,
            "bonafide.attempt": file.attempts,
        }
        parent = file.settings.get("trace", {})
        return traces.span("job", "CONSUMER", parent, claimed, told)

    def _fail(self, file: JobFile, failure: Failure) -> None:
        self.store.finish(file.id, None, {"error": failure.error, "why": failure.why})
        self._say(file, failure.error)

    def _say(self, file: JobFile, outcome: str) -> None:
        extra: dict[str, Any] = {"job": file.job, "file": file.id, "outcome": outcome}
        _log.info("examined", extra=extra | {"sha256": file.sha256, "attempt": file.attempts})


def examine_upload(task: Task) -> dict[str, Any]:
    """Examine one upload in this process; never raises.

    Returns:
        JSON values that `outcome_of` reads in the process that has the store.
    """
    name = task.file.name
    try:
        source = PathSource(task.path, name)  # whose path must not enter the report
        return told(
            perform(
                Job(
                    None,
                    source,
                    name,
                    task.settings,
                    page=True,
                    hashed=True,
                    share=task.share,
                    language=ANY,
                    traced=task.traced,
                )
            )
        )
    except MemoryError:
        kind, why = "LimitExceeded", "memory: it needs more than one file may have"
    except Exception as error:  # a bug costs one file, not the service
        kind = "InternalError"
        why = f"internal error, please report it: {type(error).__name__}: {error}"
    failure = Failure(name, None, kind, why, task.file.sha256)
    return told(Outcome(failure, to_dict(failure)))


def outcome_of(task: Task, values: Any) -> Outcome:
    """What became of a task, from the process that a hostile file may have taken over.

    Raises:
        InvalidInput: it cannot be what became of this file.
    """
    return heard(values, task.file.name, None, task.file.sha256)


EXAMINE = workers.InJson(examine_upload, outcome_of)


def sandbox_of(config: Config) -> Sandbox:
    """What the processes that examine files may do.

    Raises:
        InvalidInput: what the operator asked for is not to be had here.
    """
    settings = config.settings
    named = [config.spool / "uploads", settings.trust, settings.calibration]
    made = Sandbox(
        level=sandbox.chosen(config.sandbox),
        readable=tuple(str(Path(path).resolve()) for path in named if path),
        memory=config.memory_bytes,
        seconds=settings.limits.seconds * (os.cpu_count() or 1),
    )
    store = address(config.store)
    secrets = [config.spool / "secret"]
    if store.database and store.get_backend_name() == "sqlite":
        secrets.append(Path(store.database))
    sandbox.refuse_exposed(made, secrets)
    return made


def _lost(task: Task, lost: workers.Lost) -> Failure:
    if lost.exit_code is None and not lost.timed_out:
        why = "the process that examined it gave no answer that can be read"
        return Failure(task.file.name, None, "DecodeError", why, task.file.sha256)
    if lost.timed_out:
        why = f"seconds: stopped after {lost.seconds:.0f}, which is the limit"
        return Failure(task.file.name, None, "LimitExceeded", why, task.file.sha256)
    why = "the process that examined it died; the file may be built to crash decoders"
    return Failure(task.file.name, None, "DecodeError", why, task.file.sha256)
