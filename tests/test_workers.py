"""A hang or a crash costs one input after a second try, order is kept, nothing else runs twice."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from bonafide.batch.workers import InJson, Lost, run, stream
from bonafide.errors import InvalidInput


def behave(task: str) -> str:
    if task == "hang":
        time.sleep(60)
    if task == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "bug":
        raise ZeroDivisionError("planted")
    if task.startswith("slow"):
        time.sleep(0.2)
    if task.startswith("log:"):
        with Path(task[4:]).open("a") as log:
            log.write("x")
    if task.startswith(("hang once:", "crash once:")):
        log = Path(task.partition(":")[2])
        first = not log.exists()
        with log.open("a") as file:
            file.write(f"{os.getpid()} ")
        if first:
            behave(task.split()[0])
    if task == "lock":
        with LOCK:
            pass
    if task == "environment":
        return os.environ["BONAFIDE_TEST_WORKERS"]
    return task.upper()


LOCK = threading.Lock()


class Unstartable:
    """A function that no other process can unpickle."""

    def __call__(self, task: str) -> str:
        return task

    def __reduce__(self) -> tuple[Any, ...]:
        return (int, ("no number",))


def test_results_come_in_input_order() -> None:
    tasks = ["slow1", "a", "b", "slow2", "c"] * 3
    assert [result for _, result in run(behave, tasks, 2, 30)] == [t.upper() for t in tasks]


def test_a_hang_is_stopped_and_the_rest_goes_on() -> None:
    results = [result for _, result in run(behave, ["a", "hang", "b", "c"], 2, 0.7)]
    assert results[0] == "A" and results[2:] == ["B", "C"]
    assert isinstance(results[1], Lost) and results[1].timed_out


def test_a_crash_is_told_apart_and_the_rest_goes_on() -> None:
    results = [result for _, result in run(behave, ["a", "crash", "b", "crash"], 1, 30)]
    assert results[0] == "A" and results[2] == "B"
    for lost in (results[1], results[3]):
        assert isinstance(lost, Lost) and not lost.timed_out and lost.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("how", ["hang", "crash"])
def test_what_hung_or_died_is_tried_once_more_in_a_fresh_process(how: str, tmp_path: Path) -> None:
    tasks = ["a", f"{how} once:{tmp_path / 'log'}", "b"]
    results = [result for _, result in run(behave, tasks, 1, 2.0)]
    assert results == [task.upper() for task in tasks]
    first, second = (tmp_path / "log").read_text().split()
    assert first != second


def test_a_stream_tries_once_more(tmp_path: Path) -> None:
    queue = [f"crash once:{tmp_path / 'log'}", "crash", "a"]
    found = dict(
        stream(behave, lambda: queue.pop(0) if queue else None, lambda: not queue, 2, 30, 0.05)
    )
    assert found[f"crash once:{tmp_path / 'log'}"] == f"crash once:{tmp_path / 'log'}".upper()
    assert isinstance(found["crash"], Lost) and found["a"] == "A"


class Planted:
    """What runs code in whoever unpickles it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.path),))


def answer_by_itself(task: str) -> Any:
    """Write an answer past the pool, as a process that was taken over can."""
    if task.startswith("plant:"):
        pipe = next(
            one
            for one in gc.get_objects()
            if isinstance(one, Connection) and one.readable and one.writable
        )
        pipe.send(Planted(task[6:]))
        time.sleep(60)
    if task == "odd":
        return {"no": "string"}
    return task.upper()


def read(task: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput("no string")
    return value + "!"


def test_an_answer_in_json_runs_nothing_here(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    tasks = ["a", f"plant:{planted}", "odd", "b"]
    found = [result for _, result in run(InJson(answer_by_itself, read), tasks, 1, 30)]
    assert found[0] == "A!" and found[3] == "B!"
    for lost in found[1:3]:
        assert isinstance(lost, Lost) and not lost.timed_out and lost.exit_code is None
    assert not planted.exists()


def test_a_lock_that_is_held_here_does_not_hang_a_worker() -> None:
    with LOCK:
        assert [result for _, result in run(behave, ["lock"], 1, 3)] == ["LOCK"]


def test_copies_are_made_of_a_process_with_one_thread_only() -> None:
    """A second thread may hold a lock that its copy would wait for."""
    release = threading.Event()

    def hold() -> None:
        with LOCK:
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert [result for _, result in run(behave, ["lock"], 1, 5, fork=True)] == ["LOCK"]
    finally:
        release.set()
        holder.join()


def test_workers_are_stopped_when_nobody_asks_for_results() -> None:
    before = set(multiprocessing.active_children())
    results = run(behave, ["a"], 2, 30)
    assert len(set(multiprocessing.active_children()) - before) == 2
    del results
    gc.collect()
    assert not set(multiprocessing.active_children()) - before


def test_workers_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("BONAFIDE_TEST_WORKERS", value)
        assert [result for _, result in run(behave, ["environment"], 1, 30)] == [value]


def test_workers_that_cannot_start_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="could be started"):
        list(run(Unstartable(), ["a"], 1, 30))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_hangs_ends_with_its_parent(tmp_path: Path) -> None:
    """Also if the parent was killed, and could not say so."""
    log = tmp_path / "log"
    code = f"from test_workers import *; list(run(note_and_hang, [{str(log)!r}], 1, 600))"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    while not (log.exists() and log.read_text().endswith(".")):
        assert parent.poll() is None
        time.sleep(0.05)
    child = int(log.read_text().rstrip("."))
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child)


def note_and_hang(log: str) -> None:
    Path(log).write_text(f"{os.getpid()}.")
    time.sleep(600)


def alive(process: int) -> bool:
    """Whether it runs: one that has ended may wait for a parent to take note."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_bug_is_an_exception() -> None:
    with pytest.raises(RuntimeError, match="planted"):
        list(run(behave, ["bug"], 1, 30))


def test_each_task_runs_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    list(run(behave, [f"log:{log}"] * 20, 2, 30))
    assert log.read_text() == "x" * 20


def test_tasks_are_consumed_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "a"

    results = run(behave, endless(), 2, 30)
    for _ in range(5):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert taken < 30
