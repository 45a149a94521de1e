"""Run a batch: names in, results into a folder, the report on each content once."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bonafide.batch import workers
from bonafide.batch.ahead import Ahead
from bonafide.batch.journal import Journal, Keep
from bonafide.batch.results import Form
from bonafide.batch.work import (
    Answer,
    Contents,
    Task,
    answer_lost,
    answer_missing,
    shared,
    stamp_of,
)
from bonafide.examination import Settings, key
from bonafide.media import remote

LOOK_SECONDS = 0.1  # without a name, or of names that need nothing, before results are looked for


@dataclass
class Tally:
    """What became of the names so far.

    Attributes:
        names: taken from the input and dealt with.
        examined: of these, in this run.
        copies: had the content of a file that was examined, in this run or before.
        known: are as they were at an earlier run.
        failed: could not be examined, now or then.
        verdicts: value of a `types.Label` → names, now or then.
        total: names that there are, None until all are listed.
    """

    names: int = 0
    examined: int = 0
    copies: int = 0
    known: int = 0
    failed: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    total: int | None = None

    def add(self, verdict: str | None) -> None:
        """Count one name."""
        self.names += 1
        if verdict is None:
            self.failed += 1
        else:
            self.verdicts[verdict] += 1


class Engine(Protocol):
    """Spreads tasks over processes."""

    def __call__(
        self,
        tasks: Iterator[Task | None],
        contents: Contents,
        settings: Settings,
        idle: Callable[[], None],
    ) -> Iterator[Answer]:
        """Yield answers as they come, one per task; call `idle` several times a second.

        A task of None stands for nothing: the next one takes its time, and what is finished is to
        be dealt with meanwhile.
        """
        ...


def run(
    names: Iterable[str],
    settings: Settings,
    folder: Path,
    form: Form,
    engine: Engine,
    *,
    hashed: bool = False,
    keep: Keep | None = None,
    watch: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Examine what is new or changed among `names`, and write it into `folder`.

    After a kill, the same call goes on where it was; what was finished more than half a second
    before is there, and nothing is there twice. Memory does not grow with the names; it grows by
    32 MB per million contents that earlier runs examined.

    Args:
        names: paths and addresses; each is taken once, ahead of its use, and kept on disk.
        settings: the same for all.
        folder: see `bonafide.batch.journal`.
        form: of the results.
        engine: `local` or `cluster.engine`.
        hashed: whether to compute perceptual hashes.
        keep: see `bonafide.batch.journal.Keep`.
        watch: called after each name.

    Raises:
        InvalidInput: the folder cannot be used, or a list among the names cannot be read.
        RuntimeError: a worker raised, a bug.
    """
    settings = replace(settings, threads=1)
    journal = Journal(folder, key(settings), form, keep)
    return _Run(journal, settings, hashed, watch).over(Ahead(names, folder, LOOK_SECONDS), engine)


def path_of(name: str) -> str:
    """The absolute path, or the address, that a name stands for."""
    return name if remote.is_url(name) else os.path.abspath(name)  # noqa: PTH100, links stay


class _Run:
    """One run over all names, with one journal."""

    def __init__(
        self, journal: Journal, settings: Settings, hashed: bool, watch: Callable[[Tally], None]
    ) -> None:
        self.journal, self.settings, self.hashed, self.watch = journal, settings, hashed, watch
        self.tally = Tally()
        self.under_way = 0
        # Copies of contents that are being examined, and those of which that came to nothing.
        self.waiting: dict[bytes, list[Answer]] = {}
        self.again: deque[Task] = deque()

    def over(self, names: Ahead, engine: Engine) -> Tally:
        journal = self.journal
        try:
            tasks = self.tasks(names)
            for answer in engine(tasks, journal.contents(), self.settings, journal.commit_if_due):
                self.under_way -= 1
                self.take(answer)
        except BaseException:
            journal.release()  # half an answer must not be committed
            raise
        journal.close()
        return self.tally

    def take(self, answer: Answer) -> None:
        """Remember an answer, and those that waited for it; or wait for another."""
        digest = answer.sha256
        if answer.outcome is None and digest is not None and not self.journal.known(digest):
            seen = self.journal.seen(answer.path)
            if seen is None or seen.sha256 != digest:
                self.waiting.setdefault(digest, []).append(answer)
                return
        self.count(answer)
        if digest is not None:
            for copy in self.waiting.pop(digest, ()):
                self.count(copy)
        for dropped in answer.dropped:
            for copy in self.waiting.pop(dropped, ()):
                self.again.append(Task(copy.path, None, self.settings, self.hashed))

    def count(self, answer: Answer) -> None:
        fresh = answer.outcome is not None
        self.tally.examined += fresh
        self.tally.copies += not fresh
        self.tally.add(self.journal.add(answer))
        self.watch(self.tally)

    def tasks(self, names: Ahead) -> Iterator[Task | None]:
        looked = time.monotonic()
        for name in names:
            self.tally.total = names.total
            if self.again:
                yield self.given(self.again.popleft())
            if name is None or (self.under_way and time.monotonic() - looked > LOOK_SECONDS):
                yield None
                looked = time.monotonic()
            if name is not None and (task := self.task(name)):
                yield self.given(task)
                looked = time.monotonic()
        self.tally.total = names.total
        while self.waiting or self.again:
            yield self.given(self.again.popleft()) if self.again else None

    def given(self, task: Task) -> Task:
        self.under_way += 1
        return task

    def task(self, name: str) -> Task | None:
        """What is to be done about a name; None if it is dealt with."""
        path = path_of(name)
        seen, local = self.journal.seen(path), not remote.is_url(path)
        stamp = stamp_of(path) if local else None
        if seen and stamp is not None and stamp == seen.stamp:
            self.tally.known += 1
            self.tally.add(seen.verdict)
            self.watch(self.tally)
            return None
        if local and stamp is None and not os.path.lexists(path):
            self.count(answer_missing(path))
            return None
        return Task(path, seen, self.settings, self.hashed)


def local(jobs: int, quiet: bool = True) -> Engine:
    """Processes on this machine.

    Args:
        jobs: how many; 0 for one per core.
        quiet: drop what decoders write to standard error.
    """
    count = jobs or os.cpu_count() or 1

    def engine(
        tasks: Iterator[Task | None],
        contents: Contents,
        settings: Settings,
        idle: Callable[[], None],
    ) -> Iterator[Answer]:
        ended = False

        def claim() -> Task | None:
            nonlocal ended
            for task in tasks:
                return task
            ended = True
            return None

        def stopped() -> bool:  # asked in every round of the pool, several times a second
            idle()
            return ended

        seconds = settings.limits.seconds
        with shared(contents) as (work, claims):
            for task, result in workers.stream(work, claim, stopped, count, seconds, quiet=quiet):
                answer = answer_lost(task, result) if isinstance(result, workers.Lost) else result
                if answer.sha256 is None:
                    answer = replace(answer, dropped=claims.drop(task.path))
                yield answer

    return engine
