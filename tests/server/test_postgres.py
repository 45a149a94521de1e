"""A service over several processes: PostgreSQL between the web process and `bonafide worker`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bonafide.server.app import create_app

SCOPES = ("examine", "read")


@pytest.fixture(scope="module")
def spread(
    postgres: str, tmp_path_factory: pytest.TempPathFactory, serve: Any, configure: Any
) -> Iterator[httpx.Client]:
    """A client of a web process without a worker; the worker is a command of its own."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(f"{postgres}postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE service")
    folder: Path = tmp_path_factory.mktemp("spread")
    config = configure(folder, store=f"{postgres}service", workers=0)
    app = create_app(config)
    secret = app.state.service.store.add_key("desk", SCOPES, 0)
    server, thread, url = serve(app)
    command = [sys.executable, "-m", "bonafide", "worker"]
    where = ["--store", config.store, "--spool", str(config.spool)]
    worker = subprocess.Popen([*command, *where], stderr=subprocess.PIPE, text=True)
    with httpx.Client(base_url=url, timeout=120.0) as client:
        client.headers["authorization"] = f"Bearer {secret}"
        yield client
    worker.terminate()
    _, said = worker.communicate(timeout=60)
    server.should_exit = True
    thread.join(20)
    assert worker.returncode == 0 and "Traceback" not in said, said


def test_another_process_examines_what_this_one_took(
    spread: httpx.Client, make_picture: Callable[..., bytes]
) -> None:
    files = {"file": ("desk photo.png", make_picture(1))}
    answer = spread.post("/v1/examine", files=files, params={"profile": "triage", "wait": 60})
    if answer.status_code == 202:  # it takes long to start on a machine that has much to do
        where = answer.headers["location"]
        with spread.stream("GET", f"{where}/events") as events:
            assert "event: end" in events.read().decode()
        (file,) = spread.get(where).json()["files"]
        where = file["report"]
    else:
        where = answer.headers["content-location"]
    assert spread.get(where).json()["media"]["name"] == "desk photo.png"
    (row,) = spread.get("/v1/reports", params={"text": "DESK"}).json()["reports"]
    assert row["href"] == where and row["actor"] == "desk"
    assert "desk photo.png" in spread.get("/history").text


@pytest.mark.parametrize(
    "path", ["/history?verdict=%00", "/history?text=%00", "/v1/reports?text=a%00b&limit=1"]
)
def test_what_postgresql_cannot_hold_is_searched_for_in_vain(
    spread: httpx.Client, path: str
) -> None:
    assert spread.get(path).status_code == 200


def test_a_name_with_a_zero_in_it_is_kept(spread: httpx.Client) -> None:
    head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a\0b.png"\r\n\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = spread.post("/v1/jobs", content=head + b"nothing\r\n--x--\r\n", headers=kind)
    assert answer.status_code == 202, answer.text
    where = answer.headers["location"]
    with spread.stream("GET", f"{where}/events") as events:
        events.read()
    (file,) = spread.get(where).json()["files"]
    assert file["name"] == "a\\x00b.png" and file["failure"]["status"] == 415
