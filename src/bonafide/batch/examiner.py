"""The worker of a cluster: one process that examines, and a stream that it writes to.

It runs as an actor; nothing but the id of its machine comes from Ray. A hostile file brings down
its process, not it.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonafide.batch import workers
from bonafide.batch.entries import Entry, copy_of, entry_of
from bonafide.batch.scheduler import Copy, Look, Name
from bonafide.batch.streams import Place, Stream
from bonafide.batch.work import APART, Answer, Glance, Task, answer_lost
from bonafide.errors import BonafideError
from bonafide.examination import Settings, key


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker of one run is told.

    Attributes:
        settings: the same for all.
        key: of the examination on the machine that started the batch.
        hashed: whether to compute perceptual hashes.
        folder: where rows are to be written as Parquet; None if they are to be sent back.
        token: name of a file in that folder, by which a worker sees that it is the same folder.
    """

    settings: Settings
    key: str
    hashed: bool
    folder: Path | None
    token: str


@dataclass(frozen=True, slots=True)
class Ready:
    """What a worker is.

    Attributes:
        like: whether it would examine as the machine does that started the batch.
        stream: that it writes to, None if it sends its rows.
        node: id of its machine, None where that is not known.
    """

    like: bool
    stream: str | None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Worked:
    """What became of a block.

    Attributes:
        entries: of names whose rows are in the stream.
        place: what counts of the stream with them.
        answers: where there is no stream; copies are not among them.
        seconds: for which it was worked on.
    """

    entries: list[Entry]
    place: Place
    answers: list[Answer]
    seconds: float


class Examiner:
    """One worker.

    Args:
        order: what it is told.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._lock = threading.Lock()
        self._queue: deque[Task] = deque()
        self._running, self._shed = False, 0
        try:
            self._like = key(order.settings) == order.key
        except (BonafideError, OSError):  # a list or a calibration is missing here
            self._like = False
        self._stream = None
        if order.folder is not None and (order.folder / order.token).exists():
            self._stream = Stream(order.folder, secrets.token_hex(6))
        self._results = workers.stream(
            APART,
            self._claim,
            lambda: False,
            jobs=1,
            seconds=order.settings.limits.seconds,
        )

    def ready(self) -> Ready:
        """Say what it is."""
        ray, node = sys.modules.get("ray"), None
        if ray is not None and ray.is_initialized():
            node = ray.get_runtime_context().get_node_id()
        return Ready(self._like, self._stream.name if self._stream else None, node)

    def look(self, names: list[Name]) -> list[Answer]:
        """Read files without examining them.

        Returns:
            One answer per name, whose outcome is a failure, or None where the file could be read.
        """
        told = self._order.settings, self._order.hashed
        return list(self._performed([Glance(name.path, name.seen, *told) for name in names]))

    def work(self, looks: list[Look], copies: list[Copy]) -> Worked:
        """Examine files, and write rows of copies; of what `shed` took nothing is said."""
        began = time.monotonic()
        told = self._order.settings, self._order.hashed
        tasks = [Task(look.path, None, *told, look.sha256) for look in looks]
        answers = list(self._performed(tasks))
        if self._stream is None:
            return Worked([], Place(), answers, time.monotonic() - began)
        entries, records = [], []
        for answer in answers:
            assert answer.outcome is not None
            record = answer.outcome.record
            entries.append(entry_of(answer, record, copy=False))
            records.append(record)
        for copy in copies:
            record = copy_of(copy.look.path, copy.first, copy.summary)
            answer = Answer(copy.look.path, copy.look.stamp, copy.look.sha256, None)
            entries.append(entry_of(answer, record, copy=True))
            records.append(record)
        place = self._stream.append([one for one in records if one["status"] != "failed"])
        return Worked(entries, place, [], time.monotonic() - began)

    def finish(self) -> Place:
        """Leave whole parts behind."""
        return self._stream.finish() if self._stream else Place()

    def shed(self) -> None:
        """Give up the files that it has not begun with, in a thread of its own."""
        with self._lock:
            if self._running:  # else nothing would wake the thread that waits for a result
                self._shed += len(self._queue)
                self._queue.clear()

    def _claim(self) -> Task | None:
        with self._lock:
            task = self._queue.popleft() if self._queue else None
            self._running = task is not None
        return task

    def _performed(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        with self._lock:
            self._queue.extend(tasks)
            self._shed = 0
        done = 0
        while done < len(tasks) - self._shed:
            task, result = next(self._results)
            with self._lock:
                self._running = False
            done += 1
            yield answer_lost(task, result) if isinstance(result, workers.Lost) else result
