"""The audit trail is only ever added to, and says where it was tampered with."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from bonafide.store.audit import GENESIS, seal
from bonafide.store.rows import Entry
from bonafide.store.store import Store

Record = Callable[..., dict[str, Any]]
Tamper = Callable[..., None]


def fill(store: Store, record: Record) -> list[Entry]:
    for number in range(1, 5):
        store.record("anna", "look", f"subject {number}", {"number": number, "share": 0.1})
        store.put_report(record(number), "key", None)
    return list(store.audit())


def test_entries_are_numbered_and_chained(store: Store, record: Record) -> None:
    entries = fill(store, record)
    assert [entry.number for entry in entries] == list(range(1, 9))
    assert [entry.previous for entry in entries] == [GENESIS, *(one.hash for one in entries[:-1])]
    assert [entry.action for entry in entries[:2]] == ["look", "report"]
    assert store.check_audit() is None
    assert store.check_audit(head=(8, entries[-1].hash)) is None
    assert [entry.number for entry in store.audit(after=6)] == [7, 8]


def test_an_empty_trail_is_whole(store: Store) -> None:
    assert store.check_audit() is None


def test_the_hash_can_be_computed_by_anybody(store: Store) -> None:
    entry = store.record("anna", "look", "x", {"b": 1, "a": "ä"})
    form = (
        f'{{"action":"look","actor":"anna","at":"{entry.at}","detail":{{"a":"ä","b":1}},'
        f'"number":1,"subject":"x"}}'
    )
    assert entry.hash == hashlib.sha256(f"{GENESIS}\n{form}".encode()).hexdigest()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET actor = 'x'", "DELETE FROM audit WHERE number = 2", "TRUNCATE audit"],
)
def test_the_database_refuses_changes(store: Store, record: Record, statement: str) -> None:
    if statement.startswith("TRUNCATE") and not store.postgres:
        pytest.skip("SQLite has no TRUNCATE")
    fill(store, record)
    with pytest.raises(DatabaseError, match="append-only"), store._write() as session:
        session.execute(text(statement))
    assert store.check_audit() is None


@pytest.mark.parametrize(
    "column", ["at", "actor", "action", "subject", "detail", "previous", "hash"]
)
def test_a_changed_column_is_found(
    store: Store, record: Record, column: str, tamper: Tamper
) -> None:
    fill(store, record)
    new = json.dumps({"number": 4}) if column == "detail" else "f" * 40
    cast = "CAST(:new AS JSON)" if column == "detail" and store.postgres else ":new"
    tamper(f"UPDATE audit SET {column} = {cast} WHERE number = 5", new=new)
    broken = store.check_audit()
    assert broken is not None
    assert broken.row == "audit 5"


def test_a_removed_entry_is_found(store: Store, record: Record, tamper: Tamper) -> None:
    fill(store, record)
    tamper("DELETE FROM audit WHERE number = 3")
    broken = store.check_audit()
    assert broken is not None
    assert (broken.row, broken.why) == ("audit 3", "This entry is missing.")


def test_a_resealed_entry_breaks_the_next_link(
    store: Store, record: Record, tamper: Tamper
) -> None:
    changed = fill(store, record)[2]
    values = vars(changed) | {"actor": "mallory"}
    tamper(
        "UPDATE audit SET actor = 'mallory', hash = :hash WHERE number = 3",
        hash=seal(Entry(**values)),
    )
    broken = store.check_audit()
    assert broken is not None
    assert broken.row == "audit 4"


def test_a_trail_cut_at_its_end_differs_from_a_noted_head(
    store: Store, record: Record, tamper: Tamper
) -> None:
    entries = fill(store, record)
    store.record("anna", "look", "last")
    tamper("DELETE FROM audit WHERE number = 9")
    assert store.check_audit() is None
    head = (9, "0" * 64)
    broken = store.check_audit(head)
    assert broken is not None
    assert broken.row == "audit 9"
    broken = store.check_audit((7, entries[7].hash))
    assert broken is not None
    assert broken.row == "audit 7"


def test_a_changed_report_is_found(store: Store, record: Record, tamper: Tamper) -> None:
    fill(store, record)
    changed = json.dumps(record(2, verdict="no_trace_found"))
    tamper("UPDATE reports SET record = :record WHERE id = 2", record=changed)
    broken = store.check_audit()
    assert broken is not None
    assert broken.row == "report 2"


def test_the_columns_beside_a_report_are_compared_too(
    store: Store, record: Record, tamper: Tamper
) -> None:
    fill(store, record)
    tamper("UPDATE reports SET verdict = 'authenticated' WHERE id = 3")
    broken = store.check_audit()
    assert broken is not None
    assert broken.row == "report 3"


def test_a_report_moved_to_another_file_is_found(
    store: Store, record: Record, tamper: Tamper
) -> None:
    fill(store, record)
    tamper("UPDATE media SET sha256 = :other WHERE id = 4", other="e" * 64)
    broken = store.check_audit()
    assert broken is not None
    assert broken.row == "report 4"


def test_removed_and_smuggled_reports_are_found(
    store: Store, record: Record, tamper: Tamper
) -> None:
    fill(store, record)
    tamper("DELETE FROM reports WHERE id = 4")
    broken = store.check_audit()
    assert broken is not None
    assert (broken.row, broken.why) == ("report 4", "It was removed.")


def test_a_smuggled_report_is_found(store: Store, record: Record, tamper: Tamper) -> None:
    fill(store, record)
    columns = "media_id, name, path, verdict, tool, actor, stored_at, record"
    tamper(
        f"INSERT INTO reports (id, key, {columns}) "
        f"SELECT 99, 'other', {columns} FROM reports WHERE id = 1",
    )
    broken = store.check_audit()
    assert broken is not None
    assert broken.row == "report 99"


def test_many_writers_make_one_chain(url: str) -> None:
    errors: list[BaseException] = []

    def write(name: str) -> None:
        own = Store(url)
        try:
            for number in range(12):
                own.record(name, "look", str(number))
        except BaseException as error:
            errors.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=write, args=(f"writer {n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    store = Store(url)
    assert [entry.number for entry in store.audit()] == list(range(1, 61))
    assert store.check_audit() is None
    store.close()
