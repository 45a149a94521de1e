"""What moved into shards is known as before, whatever cuts the move short."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from bonafide.batch import progress
from bonafide.batch.entries import Entry
from bonafide.batch.progress import Progress
from bonafide.batch.work import Seen
from bonafide.errors import InvalidInput

COUNT = 300


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def failure(path: str) -> str:
    return json.dumps({"media": {"path": path}})


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Progress:
    """300 names and contents, which do not all fit into the recent ones."""
    monkeypatch.setattr(progress, "MOVE_ROWS", 100)
    monkeypatch.setattr(progress, "_PIECE", 30)
    opened = Progress(tmp_path, "k")
    fill(opened)
    return opened


def fill(opened: Progress) -> None:
    for number in range(COUNT):
        opened.begin()
        bad = failure(f"/{number}") if number % 50 == 0 else None
        verdict, summary = None if bad else "v", f"summary {number}"
        opened.put([Entry(f"/{number}", "s", digest(number), verdict, bad, summary)])
        if number % 10 == 9:
            opened.commit()
            opened.move_if_many()


def check(opened: Progress) -> None:
    for number in range(COUNT):
        verdict = None if number % 50 == 0 else "v"
        assert opened.seen([f"/{number}"]) == {f"/{number}": Seen("s", digest(number), verdict)}
        known = {digest(number): (b"/%d" % number, f"summary {number}")}
        assert opened.known([digest(number), digest(-1)]) == known
    assert len(opened.seen([f"/{number}" for number in range(2 * COUNT)])) == COUNT
    assert len(opened.known([digest(number) for number in range(2 * COUNT)])) == COUNT
    assert [bytes(one) for one in opened.contents()] == sorted(
        digest(number).rstrip(b"\0") for number in range(COUNT)
    )
    assert len(list(opened.failures())) == COUNT // 50


def test_all_is_known_and_spread(moved: Progress, tmp_path: Path) -> None:
    check(moved)
    sizes = []
    for shard in sorted((tmp_path / "progress").glob("*.sqlite")):
        sizes += list(sqlite3.connect(shard).execute("SELECT count(*) FROM names"))
    assert len(sizes) == progress.SHARDS and sum(size for (size,) in sizes) == COUNT
    assert min(sizes)[0] > 0
    moved.close()
    check(Progress(tmp_path, "k"))
    assert Progress(tmp_path, "another").seen(["/1"]) == {}


@pytest.mark.parametrize("where", ["_move_names", "_move_contents"])
def test_a_move_that_is_cut_short_loses_and_doubles_nothing(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Progress(tmp_path, "k")
    fill(opened)
    monkeypatch.setattr(progress, "MOVE_ROWS", 100)
    monkeypatch.setattr(progress, "_PIECE", 30)
    before, calls = getattr(Progress, where), []

    def move(self: Progress, rows: list[progress.Row]) -> None:
        before(self, rows)
        calls.append(rows)
        if len(calls) == 3:  # the third piece is in the shards, and still in the other
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, where, move)
    with pytest.raises(KeyboardInterrupt):
        opened.move_if_many()
    opened.close()
    opened = Progress(tmp_path, "k")
    check(opened)
    opened._recent = COUNT
    opened.move_if_many()
    check(opened)
    said = 0
    for shard in (tmp_path / "progress").glob("*.sqlite"):
        said += sqlite3.connect(shard).execute("SELECT count(*) FROM said").fetchone()[0]
    assert said == COUNT


def test_what_is_recent_counts_before_what_moved(moved: Progress) -> None:
    moved.begin()
    moved.put([Entry("/50", "later", digest(50), "v", None, None)])  # it failed before
    moved.put_stamp("/100", "touched")
    moved.commit()
    assert moved.seen(["/50"]) == {"/50": Seen("later", digest(50), "v")}
    assert moved.seen(["/100"]) == {"/100": Seen("touched", digest(100), None)}
    assert len(list(moved.failures())) == COUNT // 50 - 1


def test_a_folder_of_a_newer_version_is_refused(moved: Progress, tmp_path: Path) -> None:
    assert moved.meta("schema") == progress.SCHEMA
    moved.tell(schema=progress.SCHEMA + 1)
    moved.close()
    with pytest.raises(InvalidInput, match="newer version"):
        Progress(tmp_path, "k")
