"""What differs from the trail, or cannot even be read, is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bonafide.custody.canonical import digest
from bonafide.store import checks
from bonafide.store.database import Unreadable
from bonafide.store.rows import Broken
from bonafide.store.store import Store

Record = Callable[..., dict[str, Any]]
Tamper = Callable[..., None]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def filled(store: Store, record: Record, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of four reports and three keys, one of them revoked, read in pages of two."""
    monkeypatch.setattr(checks, "_PAGE", 2)
    for number in range(1, 5):
        store.put_report(record(number), "key", None)
    for name in ("desk", "door", "wall"):
        store.add_key(name, ["read"], 5)
    store.revoke("door")
    assert store.check_audit() is None
    return store


def row(store: Store) -> str:
    """The row that is named."""
    broken = store.check_audit()
    assert broken is not None
    return broken.row


def test_a_report_is_told_of_once(filled: Store, record: Record, tamper: Tamper) -> None:
    forged = record(2, verdict="authenticated")
    tamper(
        "UPDATE reports SET record = :record, verdict = 'authenticated' WHERE id = 2",
        record=json.dumps(forged),
    )
    head = filled.head()
    assert head is not None
    detail = {"id": 2, "key": "key", "record": digest(forged)}
    filled.record("cli", "report", forged["media"]["sha256"], detail)
    broken = filled.check_audit((head.number, head.hash))
    assert broken is not None
    assert broken.row == f"audit {head.number + 1}"


@pytest.mark.parametrize("column", ["name", "path", "verdict", "tool", "actor", "key"])
def test_columns_of_a_report(filled: Store, column: str, tamper: Tamper) -> None:
    tamper(f"UPDATE reports SET {column} = 'forged' WHERE id = 3")
    assert row(filled) == "report 3"


@pytest.mark.parametrize(
    ("table", "column", "named"),
    [
        ("reports", "stored_at", "report 3"),
        ("media", "first_seen", "report 3"),
        ("keys", "created_at", "key wall"),
        ("keys", "revoked_at", "key wall"),
    ],
)
def test_moments(filled: Store, table: str, column: str, named: str, tamper: Tamper) -> None:
    forged = LONG_AGO if filled.postgres else LONG_AGO.replace(tzinfo=None).isoformat(" ")
    tamper(f"UPDATE {table} SET {column} = :forged WHERE id = 3", forged=forged)
    assert row(filled) == named


def test_moments_of_earlier_versions_lie_a_little_apart(filled: Store, tamper: Tamper) -> None:
    for table, column in (("reports", "stored_at"), ("keys", "created_at")):
        with filled._write() as session:
            moment = session.execute(text(f"SELECT {column} FROM {table} WHERE id = 1")).scalar()
        earlier = datetime.fromisoformat(str(moment)) - timedelta(milliseconds=300)
        value = earlier if filled.postgres else earlier.isoformat(" ")
        tamper(f"UPDATE {table} SET {column} = :value WHERE id = 1", value=value)
    assert filled.check_audit() is None


@pytest.mark.parametrize(
    "change",
    ["bytes = 1", "kind = 'video'", "format = 'PNG'", "width = NULL", "height = 1"],
)
def test_facts_of_a_file(filled: Store, change: str, tamper: Tamper) -> None:
    tamper(f"UPDATE media SET {change} WHERE id = 4")
    assert row(filled) == "report 4"


def test_a_later_report_may_say_more_of_its_file(filled: Store, record: Record) -> None:
    again = record(1)
    again["media"]["details"] = {"subsampling": "4:2:0", "progressive": False}
    filled.put_report(again, "another key", None)
    assert filled.check_audit() is None


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE keys SET revoked_at = NULL", "key door"),
        ("UPDATE keys SET scopes = '[\"admin\"]' WHERE id = 3", "key wall"),
        ("UPDATE keys SET rate = 0 WHERE id = 1", "key desk"),
        ("UPDATE keys SET digest = 'another secret' WHERE id = 2", "key door"),
        ("UPDATE keys SET name = 'gate' WHERE id = 1", "key gate"),
        ("DELETE FROM keys WHERE id = 2", "key door"),
        (
            "INSERT INTO keys (id, name, digest, scopes, rate, created_at) "
            "SELECT -1, 'x', 'x', scopes, rate, created_at FROM keys WHERE id = 1",
            "key x",
        ),
    ],
)
def test_keys(filled: Store, statement: str, named: str, tamper: Tamper) -> None:
    tamper(statement)
    assert row(filled) == named


def test_keys_of_earlier_versions_are_told_without_their_digest(
    store: Store, tamper: Tamper
) -> None:
    store.add_key("desk", ["read"], 5)
    (entry,) = store.audit()
    tamper("DELETE FROM audit")
    told = {name: entry.detail[name] for name in ("scopes", "rate")}
    store.record(entry.actor, entry.action, entry.subject, told)
    assert store.check_audit() is None


@pytest.mark.parametrize(("action", "subject"), [("add key", "desk"), ("revoke key", "door")])
def test_keys_are_added_and_revoked_once(filled: Store, action: str, subject: str) -> None:
    entry = filled.record("cli", action, subject, {"scopes": ["read"], "rate": 5})
    assert row(filled) == f"audit {entry.number}"


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("report", "record = '{'"),
        ("report", "record = '[1]'"),
        ("report", "record = '5'"),
        ("report", "record = '{\"share\": NaN}'"),
        ("report", "record = x'ff'"),
        ("report", "record = CAST(x'22ff22' AS TEXT)"),
        ("report", "stored_at = 'nonsense'"),
        ("report", "stored_at = 5"),
        ("report", "name = CAST(x'ff' AS TEXT)"),
        ("report", "name = x'ff'"),
        ("key", "scopes = '{'"),
        ("key", "name = CAST(x'ff' AS TEXT)"),
        ("key", "created_at = 'nonsense'"),
        ("audit", "detail = '{'"),
        ("audit", "detail = '[]'"),
        ("audit", "actor = CAST(x'ff' AS TEXT)"),
        ("audit", "actor = x'ff'"),
    ],
)
def test_what_cannot_be_read_is_named(
    filled: Store, table: str, change: str, tamper: Tamper
) -> None:
    if filled.postgres:
        pytest.skip("PostgreSQL refuses such values")
    where = "audit WHERE number" if table == "audit" else f"{table}s WHERE id"
    tamper(f"UPDATE {where.replace(' ', f' SET {change} ', 1)} = 3")
    assert row(filled) == f"{table} 3"


@pytest.mark.parametrize("value", ["infinity", "0044-03-15 BC"])
def test_moments_that_only_postgresql_knows(filled: Store, value: str, tamper: Tamper) -> None:
    if not filled.postgres:
        pytest.skip("SQLite has no such moments")
    tamper(f"UPDATE reports SET stored_at = '{value}' WHERE id = 3")
    assert filled.check_audit() == Broken("report 3", "It cannot be read.")
    with pytest.raises(Unreadable, match="store check"):
        filled.history()


@pytest.mark.parametrize("detail", [{}, {"id": "x", "key": "", "record": ""}, {"id": None}])
def test_a_sealed_entry_that_tells_nothing(filled: Store, detail: dict[str, Any]) -> None:
    entry = filled.record("cli", "report", "x", detail)
    assert filled.check_audit() == Broken(f"audit {entry.number}", "It cannot be read.")


@pytest.mark.parametrize("table", ["reports", "keys", "audit"])
def test_a_table_that_is_gone_is_named(filled: Store, table: str, tamper: Tamper) -> None:
    tamper(f"DROP TABLE {table}{' CASCADE' if filled.postgres else ''}")
    assert filled.check_audit() == Broken(f"table {table}", "It cannot be read.")


def test_a_report_below_the_first_is_found(filled: Store, tamper: Tamper) -> None:
    columns = "media_id, name, path, verdict, tool, actor, stored_at, record"
    tamper(
        f"INSERT INTO reports (id, key, {columns}) "
        f"SELECT -1, 'other', {columns} FROM reports WHERE id = 1",
    )
    assert row(filled) == "report -1"
