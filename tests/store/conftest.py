"""Both databases: SQLite, and the PostgreSQL that is started for the tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("rfc8785")

from sqlalchemy import text

from bonafide.store.store import Store


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
def tamper(store: Store) -> Callable[..., None]:
    """A function that does what only somebody who owns the database can do."""

    def execute(statement: str, **values: Any) -> None:
        with store._write() as session:
            if store.postgres:
                session.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
            else:
                for verb in ("update", "delete"):
                    session.execute(text(f"DROP TRIGGER IF EXISTS audit_refuses_{verb}"))
            session.execute(text(statement), values)

    return execute


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
