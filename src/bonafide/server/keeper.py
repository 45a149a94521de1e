"""Keeps the built-in worker alive beside the web process."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
from multiprocessing.context import SpawnProcess

from fastapi.concurrency import run_in_threadpool

from bonafide.server import worker
from bonafide.server.config import Config
from bonafide.server.service import Service

_log = logging.getLogger("bonafide.server")
_LOOK_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_PATIENCE = worker.PATIENCE + 5.0  # seconds to end by itself


class WorkerKeeper:
    """Starts the worker, and starts it anew when it dies."""

    def __init__(self, config: Config, service: Service) -> None:
        self.config, self.service = config, service
        self.process: SpawnProcess | None = None

    async def run(self) -> None:
        """Until cancelled."""
        pause = 1.0
        while True:
            self.process = await run_in_threadpool(self._start)
            self.service.worker_alive = True
            loop = asyncio.get_running_loop()
            began = loop.time()
            while self.process.is_alive():
                await asyncio.sleep(_LOOK_SECONDS)
            self.service.worker_alive = False
            self.service.metrics.workers.inc()
            _log.error("the worker died", extra={"exit_code": self.process.exitcode})
            await run_in_threadpool(self._release, self.process.pid)
            lived_long = loop.time() - began > _LONGEST_PAUSE
            pause = 1.0 if lived_long else min(_LONGEST_PAUSE, 2 * pause)
            await asyncio.sleep(pause)

    def stop(self) -> None:
        """End the worker; it puts back what it had not finished."""
        if self.process is None or not self.process.is_alive():
            return
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            self._release(self.process.pid)

    def _release(self, process: int | None) -> None:
        try:
            self.service.store.release(worker.name_of(process or 0), tried=True)
        except Exception:  # the store may be what killed it; then the lease brings its files back
            _log.exception("the files of a dead worker wait for the end of its lease")

    def _start(self) -> SpawnProcess:
        # A fresh interpreter: the web process has threads, which a fork does not survive.
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=worker.main, args=(self.config, os.getpid()))
        process.start()
        return process
