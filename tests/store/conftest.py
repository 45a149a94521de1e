"""Both databases: SQLite, and a PostgreSQL that is started for the tests and thrown away."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("rfc8785")

from bonafide.store.store import Store


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _memory() -> Path | None:
    """A file system in memory, where there is enough of it: a database a test is a lot of disk."""
    folder = Path("/dev/shm")
    roomy = folder.is_dir() and shutil.disk_usage(folder).free > 4 * 1024**3
    return folder if roomy else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a fresh PostgreSQL server, ending before the name of a database."""
    pytest.importorskip("psycopg")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    # The server refuses to run as root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="bonafide-postgres-", dir=_memory()))
    if user:
        shutil.chown(folder, **user)

    def call(*arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, timeout=120, cwd=folder, **user)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")
    call(str(binaries / "initdb"), "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "-N")
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
        "-c fsync=off -c max_connections=60 -c shared_buffers=16MB"
    )
    control = str(binaries / "pg_ctl")
    call(control, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://tests@127.0.0.1:{port}/"
    finally:
        call(control, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """The name of a database in which the tables are, to be copied."""
    _execute(postgres, "CREATE DATABASE template_store")
    Store(f"{postgres}template_store").close()
    return "template_store"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store of its own, with tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return new_database(request, template=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return new_database(request, template=False)


def new_database(request: pytest.FixtureRequest, template: bool) -> str:
    server: str = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex}"
    copy = f" TEMPLATE {request.getfixturevalue('template')}" if template else ""
    _execute(server, f"CREATE DATABASE {name}{copy}")
    return server + name


def _execute(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store(url)
    yield opened
    opened.close()


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """A function that makes a report as `to_dict` writes it, as far as the store reads it."""
    return _record


def _record(number: int = 1, **changes: Any) -> dict[str, Any]:
    name = changes.pop("name", f"picture {number}.jpg")
    media = {
        "path": f"/folder/{name}",
        "name": name,
        "sha256": f"{number:064x}",
        "bytes": 1000 + number,
        "kind": "image",
        "width": 640,
        "height": 480,
        "format": "JPEG",
        "details": {"subsampling": "4:2:0"},
    }
    return {
        "schema": 1,
        "media": media,
        "status": "ok",
        "verdict": "inconclusive",
        "findings": [{"detector": "ela", "score": 0.1 + number, "facts": {"tiny": 1e-7}}],
        "versions": {"bonafide": "0.1.0"},
    } | changes
