"""Mistakes that people report: kept, deleted with the report, and made a manifest of."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bonafide.cli.feedback import _TRUTHS
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.store.feedback import TRUTHS
from bonafide.store.store import Store

Record = Callable[..., dict[str, Any]]


def test_the_verb_offers_what_the_store_takes() -> None:
    assert _TRUTHS == TRUTHS


def test_it_is_kept_and_goes_with_its_report(store: Store, record: Record) -> None:
    first, second = (store.put_report(record(number), "key", None) for number in (1, 2))
    store.add_feedback(first, "bona_fide", "I took\0it", consent=True, actor="anna")
    store.add_feedback(second, "manipulated")
    store.add_feedback(first, "ai_generated")
    assert [(one.report, one.truth) for one in store.feedback()] == [
        (first, "bona_fide"),
        (second, "manipulated"),
        (first, "ai_generated"),
    ]
    said = next(store.feedback(first))
    assert (said.actor, said.consent, said.note, said.name) == (
        "anna",
        True,
        "I took\\x00it",
        "picture 1.jpg",
    )
    assert store.check_audit() is None
    head = store.head()
    assert head is not None and (head.action, head.subject) == ("feedback", f"{1:064x}")
    while store.prune(datetime.now(UTC) + timedelta(days=1)).reports:
        pass
    assert list(store.feedback()) == []
    assert store.check_audit() is None


@pytest.mark.parametrize(
    ("report", "truth", "note"),
    [(1, "fine", ""), (9, "bona_fide", ""), (1, "bona_fide", 3000 * "x")],
)
def test_what_cannot_be_kept(
    store: Store, record: Record, report: int, truth: str, note: str
) -> None:
    store.put_report(record(1), "key", None)
    with pytest.raises(InvalidInput):
        store.add_feedback(report, truth, note)


def test_verbs(tmp_path: Path, record: Record) -> None:
    where = ["--store", str(tmp_path / "store.db")]
    store = Store(where[1])
    hashes = []
    for number, where_it_is in ((1, "seen"), (2, "seen"), (3, "gone"), (4, "uploaded")):
        made = record(number)
        content = f"file {number}".encode()
        sha256 = hashlib.sha256(content).hexdigest()
        path = tmp_path / f"{number}.jpg"
        made["media"] |= {"sha256": sha256, "path": str(path)}
        if where_it_is == "seen":
            path.write_bytes(content)
        if where_it_is == "uploaded":
            upload = tmp_path / "spool" / "uploads" / sha256[:2] / sha256
            upload.parent.mkdir(parents=True)
            upload.write_bytes(content)
        store.put_report(made, "key", None)
        hashes.append(sha256)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(bonafide, [*arguments, *where])

    assert (
        run("feedback", hashes[0][:10], "--truth", "manipulated").output == "kept with report 1\n"
    )
    run("feedback", hashes[0][:10], "--truth", "bona_fide", "--consent")
    for sha256 in hashes[1:]:
        run("feedback", sha256, "--truth", "ai_generated")
    assert run("feedback", hashes[0], "--truth", "fine").exit_code == 2
    assert run("feedback", hashes[0], "--truth", "bona_fide", "--id", "9").exit_code == 1
    out = tmp_path / "out" / "mistakes.csv"
    out.parent.mkdir()
    spool = ["--spool", str(tmp_path / "spool")]
    said = run("bench", "feedback", "--out", str(out), *spool)
    assert said.exit_code == 0, said.output
    assert "3 files, 1 left out" in said.stderr and hashes[2][:12] in said.stderr
    rows = list(csv.DictReader(out.open()))
    assert [row["label"] for row in rows] == ["bona_fide", "generated", "generated"]
    assert all((out.parent / row["path"]).is_file() for row in rows)
    assert {row["verdict"] for row in rows} == {"inconclusive"}
    said = run("bench", "feedback", "--out", str(out), "--files", str(tmp_path / "kept"), *spool)
    assert "1 files, 3 left out" in said.stderr
    assert [path.stem for path in (tmp_path / "kept").iterdir()] == [hashes[0]]
