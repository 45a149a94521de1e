"""A batch examines each content once, whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonafide import Settings
from bonafide.batch import work, workers
from bonafide.batch.job import Job, Outcome, perform
from bonafide.batch.names import expand
from bonafide.batch.results import Form
from bonafide.batch.run import Tally, local, run

COUNT = 16
SETTINGS = Settings(only=("ela", "noise_level"))
ReadLines = Callable[[Path], list[dict[str, Any]]]


def batch(pictures: Path, out: Path, form: Form = Form.JSONL) -> Tally:
    names = expand([str(pictures)], "path", SETTINGS.limits)
    return run(names, SETTINGS, out, form, local(2))


def test_a_rerun_examines_what_changed(
    pictures: Path, tmp_path: Path, read_lines: ReadLines
) -> None:
    out = tmp_path / "out"
    first = batch(pictures, out)
    assert (first.names, first.failed, first.known) == (COUNT, 1, 0)
    reports = read_lines(out / "reports.jsonl")
    assert sum(report["status"] == "ok" for report in reports) == COUNT - 2
    assert [report["status"] for report in reports].count("same") == 1
    (failure,) = read_lines(out / "failures.jsonl")
    assert failure["media"]["name"] == "damaged.png" and failure["why"]

    (pictures / "02.png").rename(pictures / "moved.png")
    (pictures / "03.png").write_bytes((pictures / "damaged.png").read_bytes()[:500])
    os.utime(pictures / "04.png")
    again = batch(pictures, out)
    # The moved one is a copy of what is known, the touched one is as it was; both are read.
    assert (again.examined, again.copies, again.known) == (1, 2, COUNT - 3)
    assert len(read_lines(out / "reports.jsonl")) == COUNT
    assert len(read_lines(out / "failures.jsonl")) == 2


def test_copies_within_a_run_are_examined_once(
    pictures: Path, tmp_path: Path, read_lines: ReadLines
) -> None:
    for name in range(12):
        (pictures / f"again{name}.png").write_bytes((pictures / "05.png").read_bytes())
        (pictures / f"half{name}.png").write_bytes((pictures / "damaged.png").read_bytes())
    tally = batch(pictures, tmp_path / "out")
    # Of the damaged ones each is a failure, of which one was examined.
    assert (tally.examined, tally.names) == (COUNT - 1, COUNT + 24)
    reports = read_lines(tmp_path / "out" / "reports.jsonl")
    assert sum(report["status"] == "ok" for report in reports) == COUNT - 2
    assert len(read_lines(tmp_path / "out" / "failures.jsonl")) == 13


def test_copies_of_what_kills_its_process_are_tried_themselves(
    pictures: Path, tmp_path: Path, read_lines: ReadLines
) -> None:
    def engine(tasks: Iterator[work.Task | None], *_: Any) -> Iterator[work.Answer]:
        """The first name dies at both tries; the second finds that its content is taken."""
        first, second = next(tasks), next(tasks)
        assert first and second
        yield work.Answer(second.path, "stamp", b"x" * 32, None)
        lost = work.answer_lost(first, workers.Lost(False, -signal.SIGKILL, 1.0))
        yield replace(lost, dropped=(b"x" * 32,))
        again = next(task for task in tasks if task)
        assert again.path == second.path
        yield work.perform(again, np.empty(0, work.DIGEST))
        assert list(tasks) == []

    names = [str(pictures / "00.png"), str(pictures / "copy.png")]
    tally = run(names, SETTINGS, tmp_path / "out", Form.JSONL, engine)
    assert (tally.names, tally.failed, tally.examined) == (2, 1, 2)
    (report,) = read_lines(tmp_path / "out" / "reports.jsonl")
    assert report["media"]["name"] == "copy.png"


def test_names_are_listed_once_and_counted_meanwhile(pictures: Path, tmp_path: Path) -> None:
    listed, totals = [], []

    def names() -> Iterator[str]:
        for path in sorted(pictures.iterdir()):
            listed.append(path)
            yield str(path)

    tally = run(
        names(), SETTINGS, tmp_path / "out", Form.JSONL, local(1),
        watch=lambda tally: totals.append(tally.total),
    )  # fmt: skip
    assert len(listed) == COUNT and tally.total == COUNT
    assert COUNT in totals[:-1]  # it was known before the end


def test_kill_at_any_moment(pictures: Path, tmp_path: Path, read_lines: ReadLines) -> None:
    out, results = tmp_path / "out", tmp_path / "out" / "reports.jsonl"
    command = [sys.executable, "-m", "bonafide", "scan", pictures, "--out", out, "--jsonl"]
    arguments = ["--only", ",".join(SETTINGS.only), "--jobs", "2", "--quiet"]
    process = subprocess.Popen([*command, *arguments])
    while process.poll() is None and not (results.exists() and results.stat().st_size):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert b"\n" in results.read_bytes()

    tally = batch(pictures, out)
    everything = read_lines(results) + read_lines(out / "failures.jsonl")
    found = [record["media"]["path"] for record in everything]
    assert sorted(found) == sorted(str(path) for path in pictures.iterdir())
    assert tally.names == COUNT
    assert batch(pictures, out).known == COUNT


def test_no_bug_stops_a_batch(
    pictures: Path, tmp_path: Path, read_lines: ReadLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def examine(job: Job) -> Outcome:
        if job.name == "02.png":
            raise MemoryError("no memory left")
        return perform(job)

    def here(
        tasks: Iterator[work.Task | None], contents: work.Contents, *_: Any
    ) -> Iterator[work.Answer]:
        return (work.perform(task, contents) for task in tasks if task)

    monkeypatch.setattr(work, "examine_job", examine)
    out = tmp_path / "out"
    names = [str(path) for path in sorted(pictures.iterdir())]
    assert run(names, SETTINGS, out, Form.JSONL, here).failed == 2
    failures = {line["media"]["name"]: line for line in read_lines(out / "failures.jsonl")}
    assert failures["02.png"]["error"] == "InternalError"
    assert "no memory left" in failures["02.png"]["why"]
    monkeypatch.undo()
    assert batch(pictures, out).failed == 1  # such a failure is tried again, a damaged file is not


def test_a_killed_process_is_no_verdict_on_the_file(pictures: Path) -> None:
    task = work.Task(str(pictures / "00.png"), None, SETTINGS, False)
    for number in (signal.SIGKILL, signal.SIGTERM):
        killed = work.answer_lost(task, workers.Lost(False, -number, 1.0))
        assert killed.stamp is None and killed.outcome
        assert "was killed" in killed.outcome.record["why"]
    crashed = work.answer_lost(task, workers.Lost(False, -signal.SIGSEGV, 1.0))
    assert crashed.stamp is not None


def test_the_store_knows_every_name(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from bonafide.cli.report_sink import Keeper
    from bonafide.store import open_store

    store, out = open_store(str(tmp_path / "store.db")), tmp_path / "out"
    keeper = Keeper(store, None, SETTINGS, quiet=True)
    names = [str(pictures / name) for name in ("00.png", "copy.png", "damaged.png")]
    run(names, SETTINGS, out, Form.STORE, local(1), hashed=True, keep=keeper)
    (row,) = store.history()
    assert store.history(text="00.png") == store.history(text="copy.png") == [row]
    assert store.check_audit() is None and store.looks(row.sha256) is not None
    store.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_list_that_is_written_meanwhile(
    pictures: Path, tmp_path: Path, read_lines: ReadLines
) -> None:
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "bonafide", "scan", "--list", pipe, "--out", out, "--jsonl"]
    process = subprocess.Popen(
        [*command, "--only", "ela"], stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    pipe.write_text("".join(f"{path}\n" for path in sorted(pictures.iterdir())))
    said = process.communicate()[1]
    assert process.returncode == 1
    assert f"{COUNT} files" in said and "1 failed" in said
    lines = read_lines(out / "reports.jsonl") + read_lines(out / "failures.jsonl")
    assert len(lines) == COUNT


def test_a_list_that_stalls_holds_nothing_back(
    pictures: Path, tmp_path: Path, read_lines: ReadLines
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bonafide", "scan", "--list", "-", "--out", out, "--jsonl"]
    # Jobs that a shell puts into the background ignore Ctrl-C, and so would what they start.
    process = subprocess.Popen(
        [*command, "--only", "ela"],
        stdin=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin
    process.stdin.write(f"{pictures / '00.png'}\n".encode())
    process.stdin.flush()
    results, deadline = out / "reports.jsonl", time.monotonic() + 60
    while not (results.exists() and results.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(read_lines(results)) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


def test_the_store_a_batch_went_into_is_known_again(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    command = [sys.executable, "-m", "bonafide", "scan", str(pictures / "00.png")]
    command += ["--only", "ela", "--out", str(tmp_path / "out"), "--store"]

    def scan(store: str) -> str:
        return subprocess.run(
            [*command, str(tmp_path / store)], capture_output=True, text=True
        ).stderr

    assert "1 examined" in scan("a.db") and "1 unchanged since the last run" in scan("a.db")
    assert "lacks reports" in scan("b.db")


def test_other_settings_are_another_batch(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = [str(pictures / "00.png"), str(pictures / "missing.png")]
    out = tmp_path / "out"
    assert run(names, SETTINGS, out, Form.PARQUET, local(1)).failed == 1
    other = replace(SETTINGS, only=("ela",))
    assert run(names, other, out, Form.PARQUET, local(1)).examined == 2
    rows = [
        row
        for part in sorted(out.glob("*.parquet"))
        for row in parquet.read_table(part).to_pylist()
    ]
    assert [row["name"] for row in rows] == ["00.png", "00.png"]
    assert rows[0]["verdict"] and rows[0]["report"] and rows[0]["width"] == 64


_MANY = """
import resource, sys
from pathlib import Path
from bonafide import Settings
from bonafide.batch.results import Form
from bonafide.batch.run import local, run

folder, count = Path(sys.argv[1]), int(sys.argv[2])
names = (f"{folder}/absent/{number:07}.png" for number in range(count))
tally = run(names, Settings(only=("ela",)), folder / "out", Form.JSONL, local(1))
assert tally.failed == count, tally
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_names(tmp_path: Path) -> None:
    """BONAFIDE_NAMES=1000000 takes a minute; the default shows the same on fewer."""
    many = int(os.environ.get("BONAFIDE_NAMES", "200000"))
    used = []
    for count in (2_000, many):
        folder = tmp_path / str(count)
        command = [sys.executable, "-c", _MANY, str(folder), str(count)]
        used.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    assert used[1] - used[0] < 24 * 1024, f"{used} KiB"  # SQLite's cache and buffered rows
