"""Run a batch: names in, results into a folder, the report on each content once."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from typing import Protocol

from bonafide.batch import workers
from bonafide.batch.journal import Journal, Keep
from bonafide.batch.results import Form
from bonafide.batch.work import (
    Answer,
    Contents,
    Task,
    answer_lost,
    answer_missing,
    mapped,
    stamp_of,
)
from bonafide.examination import Settings, key
from bonafide.media import remote

AHEAD = 1_000  # names that are taken before they are needed
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
    """

    names: int = 0
    examined: int = 0
    copies: int = 0
    known: int = 0
    failed: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)

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
        names: paths and addresses, taken as they are needed.
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
    tally = Tally()
    under_way = 0

    def count(answer: Answer) -> None:
        fresh = answer.outcome is not None
        tally.examined += fresh
        tally.copies += not fresh
        tally.add(journal.add(answer))
        watch(tally)

    def tasks() -> Iterator[Task | None]:
        nonlocal under_way
        looked = time.monotonic()
        for name in _arriving(names):
            if name is None or (under_way and time.monotonic() - looked > LOOK_SECONDS):
                yield None
                looked = time.monotonic()
            if name is None:
                continue
            path = name if remote.is_url(name) else os.path.abspath(name)  # noqa: PTH100, links stay
            seen, local = journal.seen(path), not remote.is_url(path)
            stamp = stamp_of(path) if local else None
            if seen and stamp is not None and stamp == seen.stamp:
                tally.known += 1
                tally.add(seen.verdict)
                watch(tally)
            elif local and stamp is None and not os.path.lexists(path):
                count(answer_missing(path))
            else:
                under_way += 1
                yield Task(path, seen, settings, hashed)
                looked = time.monotonic()

    try:
        for answer in engine(tasks(), journal.contents(), settings, journal.commit_if_due):
            under_way -= 1
            count(answer)
    except BaseException:
        journal.release()  # half an answer must not be committed
        raise
    journal.close()
    return tally


def _arriving(names: Iterable[str]) -> Iterator[str | None]:
    """The same names, taken ahead by a thread, and None whenever the next one is slow to come."""
    ahead: Queue[str | BaseException | None] = Queue(AHEAD)

    def take() -> None:
        try:
            for name in names:
                ahead.put(name)
        except BaseException as error:
            ahead.put(error)
        else:
            ahead.put(None)

    threading.Thread(target=take, daemon=True).start()
    while True:
        try:
            found = ahead.get(timeout=LOOK_SECONDS)
        except Empty:
            yield None
            continue
        if found is None:
            return
        if isinstance(found, BaseException):
            raise found
        yield found


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
        with mapped(contents) as work:
            for task, result in workers.stream(work, claim, stopped, count, seconds, quiet=quiet):
                yield answer_lost(task, result) if isinstance(result, workers.Lost) else result

    return engine
