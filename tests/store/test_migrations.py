"""Stores made by every earlier version are brought up to date, and nothing in them is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from bonafide.errors import InvalidInput
from bonafide.store import database, open_store
from bonafide.store.database import Database, address
from bonafide.store.models import Base
from bonafide.store.store import Store

SCRIPTS = ScriptDirectory(str(Path(database.__file__).parent / "migrations"))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]  # oldest first


def differences(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "include_object": _is_in_models}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, Base.metadata))


def _is_in_models(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
    """Indexes of trigrams are there on PostgreSQL only, and only if the extension may be made."""
    return kind != "index" or not str(name).endswith("_trigrams")


def test_the_revisions_are_one_line() -> None:
    assert SCRIPTS.get_heads() == [REVISIONS[-1]]
    assert SCRIPTS.get_bases() == [REVISIONS[0]]


def test_migrated_tables_are_those_of_the_models(empty_url: str) -> None:
    store = Store(empty_url)
    with store._engine.connect() as connection:
        assert differences(connection) == []
        if store.postgres:
            made = {str(one["name"]) for one in inspect(connection).get_indexes("names")}
            assert {"ix_names_name_trigrams", "ix_names_path_trigrams"} <= made
    store.close()


def test_files_that_wait_keep_their_order(empty_url: str) -> None:
    before = Database(empty_url, migrate=False)
    moment = "2026-11-21 12:00:00" + ("+00:00" if before.postgres else ".000000")
    with before._writing.begin() as connection:
        database.upgrade(connection, "0001")
        for job, count in (("a", 3), ("b", 1)):
            connection.execute(
                text(
                    "INSERT INTO jobs (id, owner, settings, webhook_attempts, created_at) "
                    f"VALUES ('{job}', 'anna', '{{}}', 0, '{moment}')"
                )
            )
            for position in range(count):
                connection.execute(
                    text(
                        "INSERT INTO job_files (job_id, position, name, path, state, attempts) "
                        f"VALUES ('{job}', {position}, '{job}{position}', 'x', 'queued', 0)"
                    )
                )
    before.close()
    after = Store(empty_url)
    taken = [file.name for _ in range(4) if (file := after.claim("worker", 60.0))]
    assert taken == ["a0", "b0", "a1", "a2"]
    after.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_can_be_upgraded_from(empty_url: str, revision: str) -> None:
    before = Database(empty_url, migrate=False)
    with before._writing.begin() as connection:
        database.upgrade(connection, revision)
        connection.execute(
            text(
                "INSERT INTO jobs (id, owner, settings, webhook_attempts, created_at) "
                "VALUES ('old', 'anna', '{}', 0, '2026-11-21 12:00:00+00:00')"
                if before.postgres
                else "INSERT INTO jobs (id, owner, settings, webhook_attempts, created_at) "
                "VALUES ('old', 'anna', '{}', 0, '2026-11-21 12:00:00.000000')"
            )
        )
    before.close()
    after = Store(empty_url)
    with after._engine.connect() as connection:
        assert differences(connection) == []
    (job,) = after.jobs()
    assert (job.id, job.owner, job.created_at.isoformat()) == (
        "old",
        "anna",
        "2026-11-21T12:00:00+00:00",
    )
    after.record("anna", "look", "x")
    with pytest.raises(DatabaseError, match="append-only"), after._write() as session:
        session.execute(text("UPDATE audit SET actor = 'x'"))
    after.close()


def test_up_and_down_again_step_by_step(empty_url: str) -> None:
    found = Database(empty_url, migrate=False)
    for steps in (REVISIONS, REVISIONS):  # a second time, since the first must leave nothing
        for revision in steps:
            with found._writing.begin() as connection:
                database.upgrade(connection, revision)
        for revision in ["base", *steps[:-1]][::-1]:
            with found._writing.begin() as connection:
                database.downgrade(connection, revision)
        with found._engine.connect() as connection:
            assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    found.close()


def test_a_store_of_a_newer_version_is_refused(url: str) -> None:
    store = Store(url)
    with store._write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(InvalidInput, match="newer version of bonafide"):
        Store(url)


def test_many_that_open_an_empty_store_at_once(empty_url: str) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(6)

    def open_it(number: int) -> None:
        try:
            start.wait()
            store = Store(empty_url)
            store.record("anna", "look", str(number))
            store.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    store = Store(empty_url)
    assert len(list(store.audit())) == 6
    store.close()


def test_an_old_store_works_unchanged_after_reopening(
    url: str, record: Callable[..., dict[str, Any]]
) -> None:
    first = Store(url)
    number = first.put_report(record(), "key", 3)
    first.close()
    second = Store(url)
    assert second.report(number) == record()
    second.close()


class TestAddresses:
    def test_nothing_means_the_users_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "data"))
        monkeypatch.setenv("HOME", str(tmp_path / "data"))
        monkeypatch.delenv("BONAFIDE_STORE", raising=False)
        store = open_store()
        assert store.url.database is not None
        assert Path(store.url.database).is_file()
        assert tmp_path in Path(store.url.database).parents

    def test_the_environment_names_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BONAFIDE_STORE", str(tmp_path / "mine.db"))
        open_store().close()
        assert (tmp_path / "mine.db").is_file()

    def test_a_password_is_not_shown(self) -> None:
        found = address("postgresql://me:secret@host/name")
        assert "secret" not in str(found)

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("mysql://host/name", "not on mysql"),
            ("sqlite://", "needs a file"),
            ("sqlite:///:memory:", "needs a file"),
            ("://:secret@", "not a valid URL"),
            ("postgresql://h:port:secret/x", "not a valid URL"),
        ],
    )
    def test_other_addresses_are_refused(self, url: str, message: str) -> None:
        with pytest.raises(InvalidInput, match=message) as caught:
            address(url)
        assert "secret" not in str(caught.value)

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "x.db").write_text("not a database " * 100)
        with pytest.raises(InvalidInput, match=r"not a store|cannot be opened"):
            Store(str(tmp_path / "x.db"))

    def test_a_server_that_does_not_answer(self) -> None:
        pytest.importorskip("psycopg")
        with pytest.raises(InvalidInput, match="cannot be opened"):
            Store("postgresql://tests:secret@127.0.0.1:1/x")
