"""Connect to SQLite or PostgreSQL so that both behave alike, and bring the tables up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    InterfaceError,
    OperationalError,
    StatementError,
)
from sqlalchemy.orm import Session

from bonafide.errors import InvalidInput, MissingExtra, StoreUnavailable
from bonafide.files import user_data
from bonafide.telemetry import traces

BUSY_SECONDS = 30  # a writer waits this long for another one on SQLite
_MIGRATIONS = Path(__file__).parent / "migrations"
# What SQLite's errors begin with where no row is at fault.
_AWAY = tuple(
    f"SQLITE_{name}" for name in ("BUSY", "CANTOPEN", "FULL", "IOERR", "LOCKED", "READONLY")
)
_FLUSH = "flush"  # what a session notes that must wait for the disk
_CHAIN, _SCHEMA = 0x626F6E61, 0x66696465  # names of PostgreSQL's advisory locks


def address(url: str | None) -> URL:
    """The database that the user means.

    Args:
        url: a URL, the path of an SQLite file, or None for the file in the user's data folder.

    Raises:
        InvalidInput: it is neither.
        MissingExtra: PostgreSQL's driver is not installed.
    """
    if not url:
        return URL.create("sqlite", database=str(user_data("bonafide.db")))
    if "://" not in url:
        return URL.create("sqlite", database=str(Path(url).absolute()))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # not shown: it may hold a password
        raise InvalidInput("the address of the store is not a valid URL") from None
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise InvalidInput("a store on SQLite needs a file: sqlite:////folder/file.db")
        return parsed
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise InvalidInput(
            f"the store can be on SQLite or PostgreSQL, not on {parsed.get_backend_name()}"
        )
    if find_spec("psycopg") is None:
        raise MissingExtra("postgres", "a store on PostgreSQL")
    return parsed.set(drivername="postgresql+psycopg")


class Unreadable(InvalidInput):
    """A table is missing, or a row holds what no bonafide wrote."""


class Database:
    """An engine, with transactions that read and transactions that write.

    Args:
        url: see `address`.
        migrate: whether to bring the tables up to date.

    Raises:
        InvalidInput: there is no such database, or a newer bonafide made its tables.
    """

    def __init__(self, url: str | None = None, *, migrate: bool = True) -> None:
        self.url = address(url)
        self._engine = _engine(self.url)
        self._writing = self._engine.execution_options(writes=True)
        if migrate:
            self._migrate()

    @property
    def shown(self) -> str:
        """The address, without a password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def postgres(self) -> bool:
        """Whether this is PostgreSQL, and not SQLite."""
        return self.url.get_backend_name() == "postgresql"

    def close(self) -> None:
        """Close every connection; the next use opens new ones (also for a child after a fork)."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Session]:
        """A transaction that reads.

        Raises:
            StoreUnavailable: the database is away.
            Unreadable: something that is asked for is damaged.
        """
        with self._reading(), Session(self._engine) as session:
            yield session

    @contextmanager
    def _snapshot(self) -> Iterator[Session]:
        """A transaction that goes on seeing the store as it was when it began."""
        with Session(self._engine) as session:
            if self.postgres:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (StatementError, ValueError, TypeError, RecursionError) as error:
            if _is_away(error):
                raise self._away(error) from error
            raise Unreadable(
                f"the store {self.shown} contains a row that cannot be read; "
                "`bonafide store check` names it"
            ) from error

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """A transaction that writes, and its span where there is a trace.

        Raises:
            StoreUnavailable: the database is away.
        """
        try:
            with (
                traces.part("store write", {"db.system.name": self.url.get_backend_name()}),
                Session(self._writing) as session,
                session.begin(),
            ):
                yield session
            if session.info.get(_FLUSH):
                self._flush()
        except StatementError as error:
            if _is_away(error):
                raise self._away(error) from error
            raise

    def _away(self, error: Exception) -> StoreUnavailable:
        why = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return StoreUnavailable(f"the store {self.shown} cannot be used: {why}")

    def _now(self, session: Session) -> datetime:
        """The database's clock where there are several hosts, since theirs differ."""
        if self.postgres:
            moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
            return moment.astimezone(UTC)
        return datetime.now(UTC)

    def _lock_chain(self, session: Session) -> None:
        """One appends to the audit trail at a time; SQLite has one writer anyway."""
        if self.postgres:
            # The lock is held until the commit returns. So this one does not wait for the disk;
            # `_flush` does, when others may append already.
            later = func.set_config("synchronous_commit", "off", True)
            session.execute(select(later, func.pg_advisory_xact_lock(_CHAIN)))
            session.info[_FLUSH] = True

    def _flush(self) -> None:
        """Wait until all that was committed so far is on the disk, together with others who wait.

        A commit flushes PostgreSQL's log up to itself, and so everything before.
        """
        with self._engine.begin() as connection:
            connection.execute(select(func.pg_logical_emit_message(True, "bonafide", "")))

    def _migrate(self) -> None:
        try:
            with self._engine.connect() as connection:
                if is_current(connection):
                    return
            with self._writing.begin() as connection:
                if self.postgres:  # of several hosts that start together, one migrates
                    connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA)))
                if not is_current(connection):
                    upgrade(connection)
        except OperationalError as error:
            why = str(error.orig).strip().splitlines()[0]
            raise InvalidInput(f"the store {self.shown} cannot be opened: {why}") from None
        except DatabaseError as error:
            why = str(error.orig).strip().splitlines()[0]
            raise InvalidInput(f"{self.shown} is not a store of bonafide: {why}") from None


def is_current(connection: Connection) -> bool:
    """Whether the tables are those of this version.

    Raises:
        InvalidInput: they are those of a newer one.
    """
    script = ScriptDirectory.from_config(_config(connection))
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {one.revision for one in script.walk_revisions()}:
        raise InvalidInput(
            f"a newer version of bonafide made this store (revision {found}): update bonafide"
        )
    return found == script.get_current_head()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up to a revision, inside the transaction of `connection`."""
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Bring the tables back to an earlier revision, inside the transaction of `connection`."""
    command.downgrade(_config(connection), revision)


def _is_away(error: Exception) -> bool:
    """Whether the database cannot be used at all, rather than holds something odd."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorname", "").startswith(_AWAY)
    return True


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True)
    assert url.database is not None
    folder = Path(url.database).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidInput(
            f"the store's folder {folder} cannot be made: {error.strerror}"
        ) from None
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"the store's folder {folder} cannot be written to")
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # else the driver begins transactions of its own
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that began by reading could not be let wait for it."""
    writes = connection.get_execution_options().get("writes", False)
    connection.execute(text("BEGIN IMMEDIATE" if writes else "BEGIN"))
