"""A real server on a free port with a real worker, and made-up files."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

import httpx
import uvicorn
from fastapi import FastAPI

from bonafide.examination import Settings
from bonafide.media.limits import Limits
from bonafide.server.app import create_app
from bonafide.server.config import Config

SCOPES = {"examine": ("examine",), "read": ("read",), "admin": ("admin",)}
ASKED = ("ela", "generator_metadata")  # one that draws a map, and one that reads what is stated
LIMITS = Limits(file_bytes=2 * 1024**2, pixels=4_000_000, seconds=30.0)


@dataclass(frozen=True)
class Running:
    """A server, and a key for each scope."""

    url: str
    app: FastAPI
    keys: dict[str, str]

    def client(self, scope: str | None = "admin", **options: Any) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=60.0, **options)
        if scope:
            client.headers["authorization"] = f"Bearer {self.keys[scope]}"
        return client


def make_config(folder: Path, **changes: Any) -> Config:
    known: dict[str, Any] = {
        "store": str(folder / "store.db"),
        "spool": folder / "spool",
        "settings": Settings(only=ASKED, limits=LIMITS, threads=1),
    }
    return Config(**known | changes)


def start(app: FastAPI, **options: Any) -> tuple[uvicorn.Server, threading.Thread, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    known: dict[str, Any] = {"access_log": False, "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, **known | options))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.02)
    return server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def run(config: Config) -> Iterator[Running]:
    app = create_app(config)
    store = app.state.service.store
    keys = {name: store.add_key(name, scopes, 0) for name, scopes in SCOPES.items()}
    server, thread, url = start(app)
    yield Running(url, app, keys)
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of this folder."""
    with run(make_config(tmp_path_factory.mktemp("server"), url_fetch=True)) as server:
        yield server


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Running]:
    """A server without a worker: what is handed in waits until the test itself takes it."""
    with run(make_config(tmp_path, workers=0)) as server:
        yield server


@pytest.fixture(scope="session")
def admin(running: Running) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


def picture(seed: int = 0, form: str = "PNG", side: int = 48, **options: Any) -> bytes:
    """A small smooth picture, another one for each seed."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(small).resize((side, side)).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def serve() -> Any:
    """Starts an application; gives the server, its thread and its address."""
    return start


@pytest.fixture(scope="session")
def configure() -> Any:
    """Makes a configuration in a folder."""
    return make_config


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., bytes]:
    return picture


@pytest.fixture
def config_in(tmp_path: Path) -> Callable[..., Config]:
    """A configuration without a worker, in a folder of its own."""
    return lambda **changes: make_config(tmp_path, **{"workers": 0} | changes)
