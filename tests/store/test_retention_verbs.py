"""Deleting from the command line: what is said, and what is left."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")

from click.testing import CliRunner, Result

from bonafide.cli.main import bonafide
from bonafide.server.spool import Spool
from bonafide.store.rows import JobFile
from bonafide.store.store import Store

Record = Callable[..., dict[str, Any]]
FIRST, SECOND = f"{1:064x}", f"{2:064x}"


@pytest.fixture
def place(tmp_path: Path, record: Record) -> tuple[Store, Spool, Callable[..., Result]]:
    """A store, its spool, and a function that runs a verb on both."""
    store, spool = Store(str(tmp_path / "store.db")), Spool(tmp_path / "spool")
    for number, owner in ((1, "desk"), (2, "door")):
        report = store.put_report(record(number), "key", None, owner)
        spool.write_page(report, "<section></section>")
        path = spool.upload(f"{number:064x}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
        os.utime(spool.page(report), (0, 0))
    where = ["--store", str(tmp_path / "store.db")]

    def run(*arguments: str, spooled: bool = True) -> Result:
        more = ["--spool", str(tmp_path / "spool")] if spooled else []
        return CliRunner().invoke(bonafide, ["store", *arguments, *more, *where])

    return store, spool, run


Place = tuple[Store, Spool, Callable[..., Result]]


def test_prune(place: Place) -> None:
    store, spool, run = place
    assert run("prune", "--older-than", "0d").exit_code == 2
    said = run("prune", "--older-than", "0d", "--reports", "--dry-run").output
    assert said == "2 reports would be deleted; nothing was\n"
    assert "0 reports" in run("prune", "--older-than", "1d", "--reports").output
    said = run("prune", "--older-than", "1d", "--media").output
    assert said == "deleted: 0 reports, 0 jobs, 2 uploads, 2 pages\n"
    assert len(store.history()) == 2
    spool.write_page(1, "<section></section>")
    said = run("prune", "--older-than", "0d", "--reports").output
    assert said == "deleted: 2 reports, 0 jobs, 0 uploads, 0 pages\n"
    assert store.history() == [] and not spool.page(1).exists()
    assert store.check_audit() is None


def test_hold_and_erase(place: Place) -> None:
    store, spool, run = place
    said = run("hold", FIRST, "--why", "case 17", spooled=False)
    assert said.output == f"{FIRST} is held\n"
    assert "already" in run("hold", FIRST, "--why", "x", spooled=False).output
    assert "case 17" in run("holds", spooled=False).output
    run("prune", "--older-than", "0d", "--reports", "--media")
    assert [row.sha256 for row in store.history()] == [FIRST]
    assert spool.upload(FIRST).exists() and spool.page(1).exists()
    assert not spool.upload(SECOND).exists() and not spool.page(2).exists()
    assert run("erase", FIRST, "--why", "asked").exit_code == 1
    said = run("hold", FIRST, "--release", "--why", "closed", spooled=False)
    assert said.output == f"{FIRST} is no longer held\n"
    said = run("erase", FIRST, "--why", "asked")
    assert said.exit_code == 0, said.output
    assert store.history() == []
    assert not spool.upload(FIRST).exists() and not spool.page(1).exists()
    assert run("check", spooled=False).output.startswith("nothing was changed")


def test_erase_an_owner(place: Place) -> None:
    store, _, run = place
    store.add_job([JobFile("a", "x"), JobFile("b", "y")], {}, "desk")
    assert run("erase", "--why", "x").exit_code == 2
    assert store.claim("worker", 60.0) is not None
    said = run("erase", "--owner", "desk", "--why", "contract ended")
    assert said.exit_code == 1
    assert said.stdout == "erased: 1 reports, 0 jobs, 1 files\n"
    assert "1 files are being examined" in said.stderr
    store.release("worker", tried=False)
    said = run("erase", "--owner", "desk", "--why", "contract ended")
    assert said.exit_code == 0 and said.output == "erased: 0 reports, 1 jobs, 0 files\n"
    assert [row.actor for row in store.history()] == ["door"]
