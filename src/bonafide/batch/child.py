"""The process of a pool: it waits for tasks, works on each, and answers.

It comes from a fork server, a zygote that has imported what is needed and holds nothing else; where
fork is unsafe (macOS) or unknown (Windows) it is a new interpreter. What it may do is taken away
before it sees the first task.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection
from typing import Any

from bonafide.batch.sandbox import Level, Sandbox, begin_task, clean, enter

# On macOS system libraries do not survive a fork, not even that of a fork server.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"


@dataclass(frozen=True)
class Options:
    """How workers of one pool run: whether they are quiet, answer in JSON, and what they may do."""

    quiet: bool
    as_json: bool
    sandbox: Sandbox | None


@cache
def prepare(module: str, sandbox: Sandbox | None = None) -> None:
    """Have the fork server, if there is one, import a module of bonafide while the caller goes on.

    A worker then starts in milliseconds. A server that runs already stays as it is, so that only
    the first call in a process has an effect. With a sandbox, the server and whatever comes from it
    never have the secrets among the variables of this process.
    """
    if METHOD != "forkserver":
        return
    from multiprocessing import forkserver

    wanted = [module]
    if sandbox is not None and sandbox.level is Level.STRICT:
        wanted += ["landlock", "pyseccomp"]
    forkserver.set_forkserver_preload(wanted)
    kept = dict(os.environ)
    try:
        if sandbox is not None:
            _set_environment(clean(kept))
        forkserver.ensure_running()
    finally:
        _set_environment(kept)


def serve(
    pipe: connection.Connection,
    work: Callable[[Any], Any],
    options: Options,
    environment: Mapping[str, str],
    scratch: str | None,
) -> None:
    """Work on tasks from a pipe until it ends.

    Args:
        pipe: brings tasks, pickled by the parent, and takes answers: None first, when this is
            ready; then, for each task, whether `work` raised, with its result or the traceback.
        work: what to do with a task.
        options: of the pool.
        environment: the variables of this process.
        scratch: where it may write if it is in a sandbox.
    """
    import signal
    import traceback

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    if options.quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
    _set_environment(environment)
    if options.sandbox:
        assert scratch is not None
        parent = multiprocessing.parent_process()
        assert parent is not None
        enter(options.sandbox, scratch, (pipe.fileno(), int(parent.sentinel)))
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(message: Any) -> None:
        if options.as_json:
            pipe.send_bytes(json.dumps(message).encode())
        else:
            pipe.send(message)

    tell(None)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        if options.sandbox:
            begin_task(options.sandbox)
        try:
            answer = (False, work(task))
        except Exception:
            answer = (True, traceback.format_exc())
        tell(answer)


def _end_with_parent() -> None:
    """End this process, whatever it is at, when the process that started it is gone."""
    parent, number = multiprocessing.parent_process(), os.getppid()
    assert parent is not None
    # Forked siblings hold the pipe open whose end `join` waits for; their parent's number tells.
    while parent.is_alive() and os.getppid() == number:
        parent.join(1.0)
    os._exit(1)


def _set_environment(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
