"""What is committed outlives a kill; what is not leaves no trace."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bonafide.batch import results
from bonafide.batch.job import Outcome
from bonafide.batch.journal import Journal
from bonafide.batch.results import Form
from bonafide.batch.work import Answer, answer_missing, has
from bonafide.errors import InvalidInput
from bonafide.report.to_dict import to_dict
from bonafide.types import Failure


def answer(path: str, content: str | None = None, verdict: str = "inconclusive") -> Answer:
    """What a worker says of a file; the report is cut down to what the journal reads."""
    digest = hashlib.sha256(os.fsencode(content or path))
    failure = Failure(path, path, "none", "none")
    media = {"path": path, "name": path, "sha256": digest.hexdigest(), "bytes": 1, "details": {}}
    record: dict[str, Any] = to_dict(failure) | {
        "status": "ok", "media": media, "verdict": verdict, "verdict_words": verdict,
        "versions": {"bonafide": "0"}, "examined_at": "now",
    }  # fmt: skip
    del record["error"], record["why"]
    return Answer(path, "some stamp", digest.digest(), Outcome(failure, record))


def opened(folder: Path, key: str = "k", form: Form = Form.JSONL) -> Journal:
    return Journal(folder, key, form)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def paths(file: Path) -> list[str]:
    return [line["media"]["path"] for line in lines(file)]


def test_what_was_not_committed_is_cut_off(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.add(answer("/a"))
    journal.commit()
    journal.add(answer("/b"))
    journal.release()
    with (tmp_path / "reports.jsonl").open("a") as file:
        file.write('{"half": ')
    with (tmp_path / "failures.jsonl").open("a") as file:
        file.write('{"half": ')
    journal = opened(tmp_path)
    assert journal.seen("/a") and not journal.seen("/b")
    journal.add(answer("/b"))
    journal.close()
    assert paths(tmp_path / "reports.jsonl") == ["/a", "/b"]
    assert lines(tmp_path / "failures.jsonl") == []


def test_lines_that_were_moved_away_count_as_gone_at_once(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for name in ("/a", "/b", "/c"):
        journal.add(answer(name))
    journal.close()
    (tmp_path / "reports.jsonl").unlink()
    opened(tmp_path).release()  # a kill before the first commit
    with (tmp_path / "reports.jsonl").open("a") as file:  # and one in the middle of it
        file.write('{"half": ' + 9_000 * "x")
    journal = opened(tmp_path)
    journal.add(answer("/d"))
    journal.close()
    assert paths(tmp_path / "reports.jsonl") == ["/d"]


class Place:
    """A store that may lose what was put into it."""

    def __init__(self) -> None:
        self.held = 0

    def __call__(self, outcome: Outcome) -> Outcome:
        self.held += 1
        return outcome

    def again(self, media: Any) -> None:
        pass

    def mark(self) -> str:
        return str(self.held)

    def holds(self, mark: str) -> bool:
        return self.held >= int(mark)


def test_what_a_store_lost_does_not_count_as_done(tmp_path: Path) -> None:
    place = Place()
    journal = Journal(tmp_path, "k", Form.STORE, place)
    journal.add(answer("/a"))
    journal.close()
    Journal(tmp_path, "k", Form.STORE, place).release()
    place.held = 0
    with pytest.raises(InvalidInput, match="lacks reports"):
        Journal(tmp_path, "k", Form.STORE, place)


def test_a_content_is_written_once_and_its_copies_name_it(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.add(answer("/a", "same"))
    journal.add(answer("/b", "same"))
    journal.add(replace(answer("/c", "same"), outcome=None))
    assert has(journal.contents(), hashlib.sha256(b"same").digest())
    assert not has(journal.contents(), hashlib.sha256(b"other").digest())
    journal.close()
    first, *copies = lines(tmp_path / "reports.jsonl")
    assert first["status"] == "ok"
    assert [(copy["status"], copy["same_as"]) for copy in copies] == [("same", "/a")] * 2


def test_a_new_date_alone_adds_no_row(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.add(answer("/a"))
    journal.add(replace(answer("/a"), stamp="touched", outcome=None))
    seen = journal.seen("/a")
    journal.close()
    assert seen and seen.stamp == "touched"
    assert paths(tmp_path / "reports.jsonl") == ["/a"]


def test_another_key_starts_anew(tmp_path: Path) -> None:
    journal = opened(tmp_path, "k")
    journal.add(answer("/a"))
    journal.close()
    journal = opened(tmp_path, "other settings")
    assert journal.seen("/a") is None and len(journal.contents()) == 0
    journal.close()


def test_failures_that_went_away_leave_the_file(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.add(answer_missing("/a"))
    journal.add(answer_missing("/\udcff"))
    journal.close()
    assert [line["why"] for line in lines(tmp_path / "failures.jsonl")] == ["no such file"] * 2
    journal = opened(tmp_path)
    journal.add(answer("/a"))
    journal.close()
    assert paths(tmp_path / "failures.jsonl") == ["/\udcff"]


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(InvalidInput, match="another batch"):
        opened(tmp_path)
    journal.close()
    with pytest.raises(InvalidInput, match="holds results as jsonl"):
        opened(tmp_path, form=Form.PARQUET)


def test_parts_of_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    monkeypatch.setattr(results, "PART_ROWS", 3)
    journal = opened(tmp_path, form=Form.PARQUET)
    for name in "abcd":
        journal.add(answer(f"/{name}\udcff"))
        journal.commit()
    assert (tmp_path / "part-000001.parquet").exists() and (tmp_path / "pending.jsonl").exists()
    journal.release()
    (tmp_path / "part-000002.parquet").write_bytes(b"written, but not committed")
    journal = opened(tmp_path, form=Form.PARQUET)
    journal.add(answer("/e"))
    journal.close()
    rows = [
        row
        for file in sorted(tmp_path.glob("*.parquet"))
        for row in parquet.read_table(file).to_pylist()
    ]
    assert [row["path"][1] for row in rows] == list("abcde")
    assert json.loads(rows[4]["report"])["media"]["path"] == "/e"
    assert not (tmp_path / "pending.jsonl").exists()


def test_rows_that_wait_for_their_part_are_missed(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    journal = opened(tmp_path, form=Form.PARQUET)
    journal.add(answer("/a"))
    journal.commit()
    journal.release()
    (tmp_path / "pending.jsonl").unlink()
    with pytest.raises(InvalidInput, match="is shorter than it was"):
        opened(tmp_path, form=Form.PARQUET)
