"""Run a function over many inputs in processes that can be stopped.

A decoder that hangs or crashes on a hostile file takes down one worker, not the batch: the parent
kills it at the deadline, tries the input once more in a fresh process, reports it if that fails
too, and goes on. `concurrent.futures` can neither time out a running task nor survive a crashed
worker; pebble can, but it gives up the whole pool when an idle worker is killed, and a worker that
hangs lives on when its parent is killed; hence this small pool.

Workers come from a fork server, since a copy of a process whose threads hold locks can hang; where
fork is unsafe (macOS) or unknown (Windows), each is a new interpreter. Only a command that has done
nothing but import modules copies itself, once, which saves importing them again in the server.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from bonafide.batch.child import METHOD, Options, serve
from bonafide.batch.child import prepare as prepare
from bonafide.batch.sandbox import Sandbox, clean
from bonafide.errors import InvalidInput

Task = TypeVar("Task")
Result = TypeVar("Result")
Given = TypeVar("Given", contravariant=True)
Read = TypeVar("Read", covariant=True)

_KILLED = (-1, -2, -9, -15)  # SIGHUP, SIGINT, SIGKILL and SIGTERM, which no decoder sends itself
_LOOK_AHEAD = 4  # finished results that may wait, per worker, for an earlier input
TRIES = 2  # of an input whose worker hung or died, each in a process of its own
_STARTS = 3  # failed starts in a row after which no worker will ever start
_LONGEST_ANSWER = 1 << 28  # bytes
_START_SECONDS = 120.0  # until a worker is ready; imports take long on a busy machine


@dataclass(frozen=True)
class InJson(Generic[Given, Read]):
    """A function for workers whose answers come as JSON.

    Answers of other functions are pickled, which whoever takes over a worker could use to run code
    in the process that reads them.

    Attributes:
        work: returns JSON values.
        read: makes the result of the task and of these, here; raises `InvalidInput` for what it
            refuses.
    """

    work: Callable[[Given], Any]
    read: Callable[[Given, Any], Read]


@dataclass(frozen=True)
class Lost:
    """An input whose workers gave no answer, the second try included.

    Attributes:
        timed_out: True if the last try was stopped at the deadline, False if its process died or
            gave an answer that cannot be.
        exit_code: of the process; a negative number is the signal that ended it.
        seconds: how long the last try ran.
    """

    timed_out: bool
    exit_code: int | None
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether it was ended from outside, by a person or a system short of memory."""
        return self.exit_code in _KILLED


def run(
    work: Callable[[Task], Result] | InJson[Task, Result],
    tasks: Iterable[Task],
    jobs: int,
    seconds: float,
    quiet: bool = True,
    fork: bool = False,
) -> Iterator[tuple[Task, Result | Lost]]:
    """Start workers and return (task, result) in the order of `tasks`, consumed as needed.

    Args:
        work: a module-level function of a module that can be imported, or a `functools.partial` of
            one; tasks and results must be picklable.
        tasks: any iterable, also an endless one.
        jobs: processes, at least 1.
        seconds: wall time that one try of a task may take.
        quiet: drop what workers write to standard error. C decoders complain there about every
            damaged file, past Python and past the result that says the same.
        fork: whether the first workers may be copies of this process, if it has one thread. Only
            for a process that computed nothing yet: libraries keep threads of their own.

    Raises:
        RuntimeError: `work` raised, with its traceback: a bug, not a property of the input. Or no
            worker could be started.
    """
    feed: _Feed[Task, Result] = _Feed(_Pool(work, jobs, seconds, quiet, fork), tasks, jobs)
    feed.fill()  # workers begin at once, while the caller prepares to show what they find
    return _run(feed)


def _run(feed: _Feed[Task, Result]) -> Iterator[tuple[Task, Result | Lost]]:
    try:
        while feed.waiting:
            if feed.waiting[0].outcome is not None:
                done = feed.waiting.popleft()
                assert done.outcome is not None
                yield done.task, done.outcome[0]
            else:
                feed.pool.collect()
            feed.fill()
    finally:
        feed.pool.stop()


class _Feed(Generic[Task, Result]):
    """Hands out tasks in order; `waiting` holds those whose result was not passed on."""

    def __init__(self, pool: _Pool, tasks: Iterable[Task], jobs: int) -> None:
        self.pool = pool
        self.waiting: deque[_Slot[Task, Result]] = deque()
        self._queue = iter(tasks)
        self._most = jobs * _LOOK_AHEAD

    def fill(self) -> None:
        """Give each free worker a task, unless too many results wait already."""
        for worker in self.pool.free():
            if len(self.waiting) >= self._most:
                return
            try:
                slot: _Slot[Task, Result] = _Slot(next(self._queue))
            except StopIteration:
                return
            self.waiting.append(slot)
            worker.give(slot)


def stream(
    work: Callable[[Task], Result] | InJson[Task, Result],
    claim: Callable[[], Task | None],
    stopped: Callable[[], bool],
    jobs: int,
    seconds: float,
    pause: float = 0.2,
    quiet: bool = True,
    sandbox: Sandbox | None = None,
) -> Generator[tuple[Task, Result | Lost]]:
    """Yield (task, result) as results come, of tasks from a queue that never ends.

    Args:
        work: as for `run`.
        claim: the next task, None if there is none now; called only when a process is free.
        stopped: whether to claim no more; what runs then is finished.
        jobs: processes, at least 1.
        seconds: wall time that one try of a task may take.
        pause: between two looks at an empty queue, seconds.
        quiet: drop what workers write to standard error.
        sandbox: what the workers may do; None for whatever this process may.

    Raises:
        RuntimeError: `work` raised, with its traceback. Or no worker could be started.
    """
    pool = _Pool(work, jobs, seconds, quiet, sandbox=sandbox)
    try:
        while True:
            ending = stopped()
            for worker in () if ending else pool.free():
                task = claim()
                if task is None:
                    break
                worker.give(_Slot(task))
            running = pool.running()
            if running:
                pool.collect(pause)
            elif ending:
                return
            else:
                time.sleep(pause)
            for slot in running:
                if slot.outcome is not None:
                    yield slot.task, slot.outcome[0]
    finally:
        pool.stop()


class _Slot(Generic[Task, Result]):
    """A task on its way; `outcome` is a one-element tuple once it is known."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.tries = 0  # that ended without an answer
        self.outcome: tuple[Result | Lost] | None = None


class _Worker:
    """One process and the pipe to it; `options` are those of `serve`.

    Attributes:
        slot: what it works on, None if it is free.
        ready: whether it has begun to take tasks.
        began: when it became ready or got its task, whichever was later.
    """

    def __init__(self, work: Callable[[Any], Any], options: Options, method: str) -> None:
        context: Any = multiprocessing.get_context(method)
        self.pipe, far = context.Pipe()
        self.scratch = tempfile.mkdtemp(prefix="bonafide-") if options.sandbox else None
        # The fork server may be older than the last change of the environment.
        environment = clean(os.environ) if options.sandbox else dict(os.environ)
        arguments = (far, work, options, environment, self.scratch)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        far.close()
        self.slot: _Slot[Any, Any] | None = None
        self.ready = False
        self.began = time.monotonic()

    def give(self, slot: _Slot[Any, Any]) -> None:
        self.slot, self.began = slot, time.monotonic()
        try:
            self.pipe.send(slot.task)
        except (BrokenPipeError, OSError):
            pass  # it died; `collect` sees the end of the pipe

    def finish(self, outcome: Any) -> None:
        assert self.slot is not None
        self.slot.outcome = (outcome,)
        self.slot = None

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)


class _Pool:
    """Workers, each replaced when it hangs or dies."""

    def __init__(
        self,
        given: Callable[[Any], Any] | InJson[Any, Any],
        jobs: int,
        seconds: float,
        quiet: bool,
        fork: bool = False,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._workers: list[_Worker] = []
        self._seconds = seconds
        self._read = given.read if isinstance(given, InJson) else None
        self._work = work = given.work if isinstance(given, InJson) else given
        self._options = Options(quiet, self._read is not None, sandbox)
        self._failed_starts = 0
        method = METHOD
        module = (work.func if isinstance(work, partial) else work).__module__
        if fork and METHOD == "forkserver" and threading.active_count() == 1:
            method = "fork"
        elif module.split(".")[0] == "bonafide":
            prepare(module, sandbox)
        try:
            for _ in range(jobs):
                self._workers.append(_Worker(work, self._options, method))
        except BaseException:
            self.stop()
            raise

    def free(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.slot is None]

    def running(self) -> list[_Slot[Any, Any]]:
        return [worker.slot for worker in self._workers if worker.slot]

    def stop(self) -> None:
        while self._workers:
            self._workers.pop().stop()

    def __del__(self) -> None:
        self.stop()  # of a `run` whose results nobody asked for

    def collect(self, patience: float = math.inf) -> None:
        """Wait until a busy worker answers, dies or reaches its deadline, and deal with all such.

        Gives up waiting after `patience` seconds.
        """
        busy = [worker for worker in self._workers if worker.slot]
        left = min(map(self._deadline, busy)) - time.monotonic()
        pipes = [worker.pipe for worker in busy]
        ready = connection.wait(pipes, timeout=min(patience, max(0.0, left)))
        for worker in busy:
            if worker.pipe in ready:
                self._receive(worker)
        for worker in busy:
            if worker.slot and time.monotonic() >= self._deadline(worker):
                if not worker.ready:
                    self._replace(worker)
                else:
                    self._lose(worker, Lost(True, None, time.monotonic() - worker.began))

    def _deadline(self, worker: _Worker) -> float:
        return worker.began + (self._seconds if worker.ready else _START_SECONDS)

    def _receive(self, worker: _Worker) -> None:
        try:
            if self._read is None:
                message = worker.pipe.recv()
            else:
                message = self._understood(worker, worker.pipe.recv_bytes(_LONGEST_ANSWER))
        except InvalidInput:  # a process that was taken over may say anything
            self._lose(worker, Lost(False, None, time.monotonic() - worker.began))
            return
        except (EOFError, OSError):
            worker.process.kill()  # after too long an answer it still lives
            worker.process.join()
            if worker.ready:
                seconds = time.monotonic() - worker.began
                self._lose(worker, Lost(False, worker.process.exitcode, seconds))
            else:
                self._replace(worker)
            return
        if message is None:
            worker.ready, worker.began, self._failed_starts = True, time.monotonic(), 0
            return
        failed, answer = message
        if failed:
            raise RuntimeError(f"a worker raised:\n{answer}")
        worker.finish(answer)

    def _understood(self, worker: _Worker, message: bytes) -> Any:
        """The same as a pickled message says, of one in JSON.

        Raises:
            InvalidInput: it is none.
        """
        try:
            if not worker.ready:
                return json.loads(message)
            failed, answer = json.loads(message)
            if failed and self._options.sandbox:
                raise InvalidInput("a worker raised")  # or says so, to bring this process down
            if failed:
                return True, str(answer)
            assert worker.slot is not None and self._read is not None
            return False, self._read(worker.slot.task, answer)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidInput(f"a worker said what cannot be: {type(error).__name__}") from None

    def _lose(self, worker: _Worker, how: Lost) -> None:
        """Try the input of a worker that hung or died again, or report it."""
        assert worker.slot is not None
        worker.slot.tries += 1
        if worker.slot.tries >= TRIES:
            worker.finish(how)
        self._renew(worker)

    def _replace(self, worker: _Worker) -> None:
        """Try to start a worker again that did not start: that is no fault of its input."""
        self._failed_starts += 1
        if self._failed_starts >= _STARTS:
            raise RuntimeError(
                f"no worker process could be started (exit code {worker.process.exitcode}); a "
                'script that starts some must do so under `if __name__ == "__main__":`'
            )
        self._renew(worker)

    def _renew(self, worker: _Worker) -> None:
        """Put a fresh process in the place of another, with its input if it has one."""
        worker.stop()
        fresh = _Worker(self._work, self._options, METHOD)
        self._workers[self._workers.index(worker)] = fresh
        if worker.slot:
            fresh.give(worker.slot)
            worker.slot = None
