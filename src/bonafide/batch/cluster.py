"""Spread a batch over a cluster with Ray Data."""

from __future__ import annotations

import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

from bonafide.batch import workers
from bonafide.batch.run import Engine
from bonafide.batch.work import Answer, Contents, Task, answer_lost, shared
from bonafide.errors import BonafideError, InvalidInput, MissingExtra
from bonafide.examination import Settings, key

WINDOW = 10_000  # names that are on their way at a time; actors start anew for each window
BLOCK = 8  # names an actor takes at a time: what a kill costs, and what evens out the load
IDLE_SECONDS = 0.2
REACH_SECONDS = 10.0  # to answer a first call
# Less than a core each: the actors wait for the processes that do the work, and if they claimed
# every core, Ray could not start the tasks that feed them.
_CORES = 0.5


def engine(address: str, jobs: int = 0) -> Engine:
    """The cluster at an address.

    Args:
        address: "auto" for one that runs on or is known to this machine, "local" to start one here
            for this batch, or "host:port" of its head, or "ray://host:port".
        jobs: actors, each with one process that examines; 0 for one per core of the cluster.

    Raises:
        MissingExtra: Ray is not installed.
        InvalidInput: there is no cluster at the address.
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
        import ray
    except ModuleNotFoundError:
        raise MissingExtra("cluster", "--ray") from None

    def spread(
        tasks: Iterator[Task | None],
        contents: Contents,
        settings: Settings,
        idle: Callable[[], None],
    ) -> Iterator[Answer]:
        _connect(ray, address)
        try:
            count = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
            known = ray.put(contents)
            given = _given(tasks, idle)
            while window := list(islice(given, WINDOW)):
                blocks = _examined(ray, window, known, settings, count)
                for block in _waited_for(blocks, idle):
                    yield from block
        finally:
            ray.shutdown()

    return spread


def _given(tasks: Iterator[Task | None], idle: Callable[[], None]) -> Iterator[Task]:
    for task in tasks:
        if task is None:
            idle()
        else:
            yield task


def _connect(ray: Any, address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host:  # Ray itself would go on trying for a long time
            socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise InvalidInput(f"no Ray cluster at {address!r}: {why}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _examined(
    ray: Any, window: list[Task], known: Any, settings: Settings, count: int
) -> Iterator[list[Answer]]:
    """Blocks of answers as they come.

    Raises:
        InvalidInput: a machine of the cluster would examine otherwise than this one.
    """
    packed = [{"task": pickle.dumps(task)} for task in window]
    blocks = -(-len(packed) // BLOCK)
    answered = ray.data.from_items(packed, override_num_blocks=blocks).map_batches(
        Examiner,
        fn_constructor_args=(known, settings, key(settings)),
        batch_size=BLOCK,
        batch_format="numpy",
        concurrency=min(count, blocks),
        num_cpus=_CORES,
    )
    for batch in answered.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
        answers = [pickle.loads(answer) for answer in batch["answer"]]
        if None in answers:
            raise InvalidInput(
                "a machine of the cluster differs from this one in the version of bonafide, in its "
                "networks, in the trust list or in the calibration: install the same on both"
            )
        yield answers


def _waited_for(blocks: Iterator[list[Answer]], idle: Callable[[], None]) -> Iterator[list[Answer]]:
    """The same blocks; `idle` is called while there is none, so that none waits to be committed."""
    ahead = ThreadPoolExecutor(1)
    try:
        while True:
            block = ahead.submit(next, blocks, None)
            while not wait([block], IDLE_SECONDS).done:
                idle()
            if (found := block.result()) is None:
                return
            yield found
    finally:
        ahead.shutdown(wait=False)


class Examiner:
    """An actor of the cluster, with a process of its own that a hostile file may bring down.

    Args:
        known: reference to the contents that need no examination.
        settings: the same for all.
        expected: key of the examination on the machine that started the batch.
    """

    def __init__(self, known: Any, settings: Settings, expected: str) -> None:
        import ray

        try:
            self._like = key(settings) == expected
        except (BonafideError, OSError):  # a list or a calibration is missing here
            self._like = False
        contents = ray.get(known) if isinstance(known, ray.ObjectRef) else known
        self._queue: deque[Task] = deque()
        self._shared = shared(contents)  # kept, or its temporary file would go
        self._results = workers.stream(
            self._shared.__enter__()[0],
            lambda: self._queue.popleft() if self._queue else None,
            lambda: False,
            jobs=1,
            seconds=settings.limits.seconds,
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Examine a block of pickled tasks; pickled answers come back, None if it may not.

        Other versions, networks or lists would give other results.
        """
        if not self._like:
            return {"answer": [pickle.dumps(None)] * len(batch["task"])}
        tasks = [pickle.loads(task) for task in batch["task"]]
        self._queue.extend(tasks)
        answers = []
        for _ in tasks:
            task, result = next(self._results)
            if isinstance(result, workers.Lost):
                result = answer_lost(task, result)
            answers.append(result)
        return {"answer": [pickle.dumps(answer) for answer in answers]}
