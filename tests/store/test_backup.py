"""A store that was backed up while others wrote is whole after it was restored."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import absent
from tests.store.conftest import new_database

from bonafide.store.store import Store

Make = Callable[..., dict[str, Any]]


def back_up(url: str, file: Path) -> None:
    """As docs/store.md says."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as source:
            source.backup(sqlite3.connect(file))
        return
    program = shutil.which("pg_dump")
    if program is None:
        absent("postgresql", "pg_dump is not installed")
    command = [str(program), "--format=custom", f"--file={file}", url]
    subprocess.run(command, check=True, capture_output=True, text=True)


def restore(file: Path, url: str) -> None:
    if url.startswith("sqlite"):
        shutil.copy(file, url.removeprefix("sqlite:///"))
        return
    program = shutil.which("pg_restore")
    assert program is not None
    command = [program, "--no-owner", "--exit-on-error", f"--dbname={url}", str(file)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def test_backup_under_writes_and_restore(
    store: Store, url: str, record: Make, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fresh = f"sqlite:///{tmp_path / 'restored.db'}"
    if store.postgres:
        fresh = new_database(request, template=False)
    for number in range(40):
        store.put_report(record(number), "a" * 64, number, "desk")
    store.add_key("desk", ("read",), 0)
    stop = threading.Event()

    def write() -> None:
        number = 40
        while not stop.is_set():
            store.put_report(record(number), "a" * 64, number, "desk")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        back_up(url, tmp_path / "backup")
    finally:
        stop.set()
        writer.join()
    restore(tmp_path / "backup", fresh)
    restored = Store(fresh)
    assert restored.check_audit() is None
    rows = restored.history(limit=1000)
    assert len(rows) >= 40 and restored.report(rows[-1].id) == store.report(rows[-1].id)
    assert [key.name for key in list(restored.keys())] == ["desk"]
    # It goes on where it was: numbers and the chain.
    restored.put_report(record(10**6), "a" * 64, 1, "desk")
    assert restored.check_audit() is None
    restored.close()
