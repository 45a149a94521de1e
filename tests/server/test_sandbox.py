"""A decoder that was taken over: what it tries is denied, and the batch goes on.

The decoder is a detector that a plugin brings, run by a real `bonafide worker`. The name of the
file says what it tries.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bonafide.batch import sandbox
from bonafide.batch.sandbox import Level, Sandbox
from bonafide.errors import InvalidInput
from bonafide.server.service import Service
from bonafide.server.worker import outcome_of, sandbox_of
from bonafide.store.rows import Job, JobFile

Make = Callable[..., bytes]
WISH = {"profile": "triage", "stability": False, "owner": "desk"}
SECRET = "the-password-of-the-database"
strict = pytest.mark.skipif(bool(sandbox.missing()), reason=f"needs {sandbox.missing()}")

PLUGIN = '''
"""Tries what it must not.

What it looks for
    Secrets.

Why it works
    It does not.

When it fails
    Always.

How to read it
    Each fact says how one attempt ended.

Reference
    None.
"""

import ctypes
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from bonafide.types import Card, Measurement, Needs, Profile, Question

CARD = Card(
    id="taken_over", version="1", question=Question.EDITED, title="Taken over", needs=Needs(),
    profile=Profile.TRIAGE,
    facts={name: name for name in (
        "environment", "own environment", "parent environment", "parent command", "file",
        "store", "write", "spool", "socket", "unix socket", "connect", "fork", "program",
        "kill", "parent memory", "chmod", "memory", "thread", "scratch",
    )},
    paper="An example, 2026", limits="Means nothing.",
)


def _read(path):
    return lambda: Path(path).read_bytes()[:1] and f"read {path}"


def _environment():
    found = [name for name, value in os.environ.items() if "SECRET" in name or "STORE" in name]
    return "none" if not found else f"found {found}"


def _fork():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


def _memory():
    held = []
    while len(held) < 4096:
        held.append(bytearray(64 << 20))
    return "filled"


def _thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    thread.join()
    return f"{len(done)} ran"


def _scratch():
    import tempfile
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
    return "written"


def _parent_memory():
    with open(f"/proc/{os.getppid()}/mem", "rb") as file:
        return f"opened {file}"


class Detector:
    def measure(self, ctx):
        name = ctx.media.name
        if name.startswith("crash"):
            os.abort()
        if name.startswith("lie"):
            import json
            from multiprocessing.connection import Connection
            import gc
            pipe = [one for one in gc.get_objects() if isinstance(one, Connection)
                    and one.writable and one.readable][0]
            if name == "lie pickle":
                import pickle
                pipe.send_bytes(pickle.dumps(Path("/")))
            if name == "lie long":
                pipe.send_bytes(b"[" * 100_000)
            if name == "lie other":
                media = {"name": name, "path": None, "sha256": "0" * 64}
                record = {"status": "failed", "media": media, "error": "x", "why": "y"}
                pipe.send_bytes(json.dumps([False, {"record": record, "section": "", "looks": None}]
                                           ).encode())
            import time
            time.sleep(60)
        secret, store, spool = os.environ["XDG_TEST"].split(";")
        facts = {}
        for what, attempt in {
            "environment": _environment,
            "own environment": lambda: "SECRET" in Path("/proc/self/environ").read_text()
                and "found" or "none",
            "parent environment": _read(f"/proc/{os.getppid()}/environ"),
            "parent command": _read(f"/proc/{os.getppid()}/cmdline"),
            "file": _read(secret),
            "store": _read(store),
            "spool": _read(Path(spool) / "secret"),
            "write": lambda: Path(spool, "uploads", "planted").write_text("x"),
            "socket": lambda: socket.socket(),
            "unix socket": lambda: socket.socket(socket.AF_UNIX),
            "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
            "fork": _fork,
            "program": lambda: subprocess.run(["/bin/true"]),
            "kill": lambda: os.kill(os.getppid(), 0),
            "parent memory": _parent_memory,
            "chmod": lambda: os.chmod(os.environ["TMPDIR"], 0o777),
            "memory": _memory,
            "thread": _thread,
            "scratch": _scratch,
        }.items():
            try:
                facts[what] = f"DONE: {attempt()}"
            except MemoryError:
                facts[what] = "denied: no memory"
            except OSError as error:
                facts[what] = f"denied: {error.strerror}"
        return [Measurement(score=0.0, summary="Tried.", facts=facts)]
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder in which the package of the detector is installed."""
    folder = tmp_path / "installed"
    (folder / "taken_over-1.dist-info").mkdir(parents=True)
    (folder / "taken_over.py").write_text(PLUGIN)
    (folder / "taken_over-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: taken_over\nVersion: 1\n"
    )
    (folder / "taken_over-1.dist-info" / "entry_points.txt").write_text(
        "[bonafide.detectors]\ntaken_over = taken_over\n"
    )
    return folder


@pytest.fixture
def service(config_in: Any) -> Iterator[Service]:
    service = Service(config_in())
    (service.config.spool / "secret").write_text(SECRET)
    yield service
    service.store.close()


def examined(service: Service, plugin: Path, names: list[str], make: Make, *options: str) -> Job:
    """A job of pictures with these names, after a worker with the plugin took them."""
    kept = [service.spool.keep(io.BytesIO(make(seed))) for seed in range(len(names))]
    files = [JobFile(name, one.sha256, one.sha256) for name, one in zip(names, kept, strict=True)]
    id_ = service.store.add_job(files, WISH, "desk")
    store, spool = str(service.config.store), str(service.config.spool)
    secret = plugin.parent / "private.txt"
    secret.write_text(SECRET)
    paths = [str(plugin), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "BONAFIDE_STORE": store,
        "BONAFIDE_SECRET": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "XDG_TEST": f"{secret};{store};{spool}",
    }
    command = [sys.executable, "-m", "bonafide", "worker", "--spool", spool, *options]
    worker = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    try:
        while (job := service.store.job(id_)) and not job.finished_at:
            assert worker.poll() is None, worker.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        worker.terminate()
        _, said = worker.communicate(timeout=60)
    assert "Traceback" not in said, said
    assert "sandbox" in said
    assert job is not None
    return job


def facts(service: Service, file: JobFile) -> dict[str, str]:
    assert file.report_id is not None, file
    record = service.record(file.report_id)
    (found,) = [one for one in record["findings"] if one["detector"] == "taken_over"]
    assert found["status"] == "ok", found
    return dict(found["parts"][0]["facts"])


@strict
def test_what_a_decoder_tries_is_denied_and_the_batch_goes_on(
    service: Service, plugin: Path, make_picture: Make
) -> None:
    names = ["tries", "crash", "lie pickle", "lie long", "lie other", "last"]
    job = examined(
        service,
        plugin,
        names,
        make_picture,
        "--sandbox",
        "strict",
        "--max-seconds",
        "45",
        "--memory-limit",
        "4",
    )
    by_name = {file.name: file for file in job.files}
    for name in ("tries", "last"):
        found = facts(service, by_name[name])
        allowed = {what for what, how in found.items() if not how.startswith("denied")}
        assert allowed == {"environment", "own environment", "thread", "scratch"}, found
        assert found["environment"] == found["own environment"] == "DONE: none"
        assert found["thread"] == "DONE: 1 ran"
    for name in names[1:-1]:
        failure = by_name[name].failure
        assert failure is not None and failure["error"] == "DecodeError", (name, failure)
    assert not (service.config.spool / "uploads" / "planted").exists()


def test_a_process_alone_still_has_no_secrets_and_bounded_memory(
    service: Service, plugin: Path, make_picture: Make
) -> None:
    job = examined(
        service, plugin, ["tries"], make_picture, "--sandbox", "process", "--memory-limit", "4"
    )
    found = facts(service, job.files[0])
    assert found["environment"] == "DONE: none"
    assert found["memory"] == "denied: no memory"
    if sys.platform.startswith("linux"):
        assert found["own environment"] == "DONE: none"


def test_the_variables_that_a_decoder_gets_are_listed() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "PGPASSWORD": "x", "BONAFIDE_STORE": "y", "A_TOKEN": ""}
    assert sandbox.clean(given) == {"PATH": "/bin", "LC_ALL": "C"}


def test_strict_is_refused_where_it_cannot_be_kept(
    config_in: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sandbox, "missing", lambda: ["Landlock in the kernel"])
    with pytest.raises(InvalidInput, match="strict needs Landlock"):
        sandbox_of(config_in(sandbox=Level.STRICT))
    assert sandbox_of(config_in()).level is Level.PROCESS
    assert "strict needs Landlock" in sandbox.description(sandbox_of(config_in()))
    monkeypatch.setattr(sandbox, "missing", list)
    assert sandbox_of(config_in()).level is Level.STRICT
    exposed = config_in(store=str(tmp_path / "spool" / "uploads" / "store.db"))
    with pytest.raises(InvalidInput, match="cannot keep"):
        sandbox_of(exposed)


def test_off_says_so() -> None:
    assert "without bounds" in sandbox.description(Sandbox(Level.OFF))


def test_what_a_process_says_is_believed_of_its_own_file_only() -> None:
    class Task:
        file = JobFile("a.png", "0" * 64, "0" * 64)

    task: Any = Task()
    media = {"name": "a.png", "path": None, "sha256": "0" * 64}
    record = {"status": "failed", "media": media, "error": "DecodeError", "why": "it is damaged"}
    values = {"record": record, "section": "", "looks": None}
    assert outcome_of(task, values).record == record
    for odd in (
        {"media": media | {"sha256": "1" * 64}},
        {"media": media | {"name": "b.png"}},
        {"media": media | {"path": "/etc/passwd"}},
        {"status": "ok"},
        {"why": ["x"]},
        {"media": []},
    ):
        with pytest.raises(InvalidInput):
            outcome_of(task, values | {"record": record | odd})
    for odd in ({"section": 1}, {"looks": -1}, {"looks": 1 << 64}, {"looks": True}):
        with pytest.raises(InvalidInput):
            outcome_of(task, values | odd)
    for nothing in (None, [], "x", 1, {}):
        with pytest.raises(InvalidInput):
            outcome_of(task, nothing)
