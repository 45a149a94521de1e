"""The actors of a batch: as many as the cluster has room for, replaced when they die."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from typing import Any

from bonafide.batch.examiner import Examiner, Order, Ready

STARTS = 5  # failed starts in a row, after which no worker will ever start


class Fleet:
    """Workers by name.

    Args:
        ray: the module, connected.
        order: what each worker is told.
        jobs: how many there are to be; 0 for one per core of the cluster at the time.
    """

    def __init__(self, ray: Any, order: Order, jobs: int) -> None:
        self._ray, self._jobs = ray, jobs
        self._order = ray.put(order)
        self._kind = ray.remote(concurrency_groups={"aside": 1})(Examiner)
        self._actors: dict[str, Any] = {}
        self._ready: dict[str, Ready] = {}
        self._nodes: dict[str, str] = {}
        self._failed = 0

    @property
    def ready(self) -> list[str]:
        """Workers that can be given something."""
        return list(self._ready)

    @property
    def size(self) -> int:
        """Workers that can be given something: how many."""
        return len(self._ready)

    def grow(self) -> Iterator[tuple[str, Any]]:
        """Start workers that are missing; each with the reference of its `ready`.

        With a number of jobs they are asked for at once, so that a cluster that can grows.
        """
        resources = self._ray.cluster_resources()
        wanted = self._jobs or max(1, int(resources.get("CPU", 1)))
        share = _share(resources, wanted)
        for _ in range(wanted - len(self._actors)):
            name = secrets.token_hex(6)
            options = {"num_cpus": 1, "num_gpus": share, "max_restarts": 0, "max_task_retries": 0}
            self._actors[name] = actor = self._kind.options(**options).remote(self._order)
            yield name, actor.ready.remote()

    def welcome(self, worker: str, ready: Ready) -> None:
        """A worker has started."""
        self._ready[worker] = ready
        self._failed = 0

    def holds(self, worker: str) -> bool:
        """Whether a worker is one of these."""
        return worker in self._actors

    def stream(self, worker: str) -> str | None:
        """The stream that a worker writes to."""
        return self._ready[worker].stream

    def call(self, worker: str, what: str, *values: Any) -> Any:
        """Have a worker do something; the reference of its answer."""
        return getattr(self._actors[worker], what).remote(*values)

    def shed(self, worker: str) -> None:
        """Have a worker give up what it has not begun with; its call then ends early."""
        self._actors[worker].shed.options(concurrency_group="aside").remote()

    def lose(self, worker: str) -> bool:
        """Give up a worker for good. Whether what it worked on may be why it died.

        Raises:
            RuntimeError: none can be started.
        """
        actor, ready = self._actors.pop(worker), self._ready.pop(worker, None)
        self._ray.kill(actor)  # it may live on behind a broken connection, and must not
        if ready is None:
            self._failed += 1
            if self._failed >= STARTS and not self._ready:
                raise RuntimeError("no worker can be started on the cluster; see Ray's logs")
            return False
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        return ready.node is None or ready.node in alive


def _share(resources: dict[str, float], workers: int) -> float:
    """The part of a GPU that a worker asks for: none where there is none."""
    gpus = int(resources.get("GPU", 0))
    return 0.0 if not gpus else 1.0 / math.ceil(workers / gpus)
