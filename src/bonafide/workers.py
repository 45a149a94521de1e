"""Run a function over many inputs in processes that can be stopped.

A decoder that hangs or crashes on a hostile file takes down one worker, not the batch: the parent
kills it at the deadline, reports that one input, and starts another. `concurrent.futures` can
neither time out a running task nor survive a crashed worker, hence this small pool.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_KILLED = (-1, -2, -9, -15)  # SIGHUP, SIGINT, SIGKILL and SIGTERM, which no decoder sends itself
_LOOK_AHEAD = 4  # finished results that may wait, per worker, for an earlier input


@dataclass(frozen=True)
class Lost:
    """An input whose worker gave no answer.

    Attributes:
        timed_out: True if it was stopped at the deadline, False if the process died by itself.
        exit_code: of the process; a negative number is the signal that ended it.
        seconds: how long it ran.
    """

    timed_out: bool
    exit_code: int | None
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether it was ended from outside, by a person or a system short of memory."""
        return self.exit_code in _KILLED


def run(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    jobs: int,
    seconds: float,
    quiet: bool = True,
) -> Iterator[tuple[Task, Result | Lost]]:
    """Yield (task, result) in the order of `tasks`, which is consumed as it is needed.

    Args:
        work: a module-level function; tasks and results must be picklable.
        tasks: any iterable, also an endless one.
        jobs: processes, at least 1.
        seconds: wall time that one task may take.
        quiet: drop what workers write to standard error. C decoders complain there about every
            damaged file, past Python and past the result that says the same.

    Raises:
        RuntimeError: `work` raised, with its traceback: a bug, not a property of the input.
    """
    pool = [_Worker(work, quiet) for _ in range(jobs)]
    waiting: deque[_Slot[Task, Result]] = deque()
    queue = iter(tasks)
    exhausted = False
    try:
        while True:
            for worker in pool:
                if worker.slot or exhausted or len(waiting) >= jobs * _LOOK_AHEAD:
                    continue
                try:
                    slot: _Slot[Task, Result] = _Slot(next(queue))
                except StopIteration:
                    exhausted = True
                    break
                waiting.append(slot)
                worker.give(slot)
            if not waiting:
                return
            if waiting[0].outcome is not None:
                done = waiting.popleft()
                assert done.outcome is not None
                yield done.task, done.outcome[0]
            else:
                _collect(pool, seconds)
    finally:
        for worker in pool:
            worker.stop()


def stream(
    work: Callable[[Task], Result],
    claim: Callable[[], Task | None],
    stopped: Callable[[], bool],
    jobs: int,
    seconds: float,
    pause: float = 0.2,
    quiet: bool = True,
) -> Generator[tuple[Task, Result | Lost]]:
    """Yield (task, result) as results come, of tasks from a queue that never ends.

    Args:
        work: a module-level function; tasks and results must be picklable.
        claim: the next task, None if there is none now; called only when a process is free.
        stopped: whether to claim no more; what runs then is finished.
        jobs: processes, at least 1.
        seconds: wall time that one task may take.
        pause: between two looks at an empty queue, seconds.
        quiet: drop what workers write to standard error.

    Raises:
        RuntimeError: `work` raised, with its traceback.
    """
    pool = [_Worker(work, quiet) for _ in range(jobs)]
    try:
        while True:
            ending = stopped()
            if not ending:
                _fill(pool, claim)
            running = [worker.slot for worker in pool if worker.slot]
            if running:
                _collect(pool, seconds, pause)
            elif ending:
                return
            else:
                time.sleep(pause)
            for slot in running:
                if slot.outcome is not None:
                    yield slot.task, slot.outcome[0]
    finally:
        for worker in pool:
            worker.stop()


def _fill(pool: list[_Worker], claim: Callable[[], Any]) -> None:
    for worker in pool:
        if worker.slot is None:
            task = claim()
            if task is None:
                return
            worker.give(_Slot(task))


class _Slot(Generic[Task, Result]):
    """A task on its way; `outcome` is a one-element tuple once it is known."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.outcome: tuple[Result | Lost] | None = None


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, work: Callable[[Any], Any], quiet: bool) -> None:
        self.work, self.quiet = work, quiet
        # Forking a parent that holds no decoder threads is quick and safe on Linux only.
        method = "fork" if sys.platform == "linux" else "spawn"
        context: Any = multiprocessing.get_context(method)
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, work, quiet), daemon=True)
        self.process.start()
        far.close()
        self.slot: _Slot[Any, Any] | None = None
        self.began = 0.0

    def give(self, slot: _Slot[Any, Any]) -> None:
        self.slot, self.began = slot, time.monotonic()
        try:
            self.pipe.send(slot.task)
        except (BrokenPipeError, OSError):
            pass  # it died; `_collect` sees the end of the pipe

    def finish(self, outcome: Any) -> None:
        assert self.slot is not None
        self.slot.outcome = (outcome,)
        self.slot = None

    def renew(self) -> _Worker:
        """Stop this process and start another in its place."""
        self.stop()
        return _Worker(self.work, self.quiet)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _collect(pool: list[_Worker], seconds: float, patience: float = math.inf) -> None:
    """Wait until a busy worker answers, dies or reaches its deadline, and deal with all such.

    Gives up waiting after `patience` seconds.
    """
    busy = {worker.pipe: index for index, worker in enumerate(pool) if worker.slot}
    deadline = min(pool[index].began for index in busy.values()) + seconds
    ready = connection.wait(
        list(busy), timeout=min(patience, max(0.0, deadline - time.monotonic()))
    )
    for pipe in ready:
        index = busy[pipe]
        worker = pool[index]
        try:
            failed, answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            elapsed = time.monotonic() - worker.began
            worker.finish(Lost(False, worker.process.exitcode, elapsed))
            pool[index] = worker.renew()
            continue
        if failed:
            raise RuntimeError(f"a worker raised:\n{answer}")
        worker.finish(answer)
    for index, worker in enumerate(pool):
        elapsed = time.monotonic() - worker.began
        if worker.slot and elapsed >= seconds:
            worker.finish(Lost(True, None, elapsed))
            pool[index] = worker.renew()


def _end_with(parent: int) -> None:
    """End this process, whatever it is at, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _serve(pipe: connection.Connection, work: Callable[[Any], Any], quiet: bool) -> None:
    import signal
    import threading
    import traceback

    if quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    # Siblings hold copies of the pipe, so its end does not tell that the parent was killed.
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = (False, work(task))
        except Exception:
            answer = (True, traceback.format_exc())
        pipe.send(answer)
