"""A fit is put into a table, and what it does not touch stays."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from bonafide.bench import calibration_file
from bonafide.evidence.reference import HEAD


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of these tests are too small to be used."""
    monkeypatch.setattr(calibration_file, "load_calibration", lambda path: None)


def merged(base: dict[str, Any], table: dict[str, Any], *dropped: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "base.json"
        file.write_text(json.dumps(base))
        return calibration_file.added(table, file, dropped)


def row(source: str, container: str, hits: int, *said: float | None) -> list[Any]:
    return [source, 0, "", container, 1.0, hits, *said]


BASE: dict[str, Any] = {
    "schema": 2,
    "source": "old",
    "detectors": {"a": {"version": "1"}, "b": {"version": "1"}, "c": {"version": "1"}},
    "questions": {
        "synthetic": {
            "columns": [*HEAD, "a", "b"],
            "weights": {"a": 0.5, "b": 0.6},
            "files": [row("s", "jpeg", 1, 0.1, None), row("t", "video", 2, None, 0.2)],
        },
        "edited": {"columns": [*HEAD, "c"], "weights": {"c": 1.0}, "files": []},
    },
}


def test_files_of_one_kind_are_replaced_and_the_others_kept() -> None:
    table = {
        "source": "new",
        "detectors": {"d": {"version": "2"}},
        "questions": {
            "synthetic": {
                "columns": [*HEAD, "d"],
                "weights": {"d": 0.9},
                "files": [row("u", "video", 1, 0.7)],
            }
        },
    }
    found = merged(BASE, table)
    question = found["questions"]["synthetic"]
    assert question["columns"] == [*HEAD, "a", "d"] and question["weights"] == {"a": 0.5, "d": 0.9}
    assert question["files"] == [row("s", "jpeg", 1, 0.1, None), row("u", "video", 2, None, 0.7)]
    assert found["questions"]["edited"] == BASE["questions"]["edited"]
    assert set(found["detectors"]) == {"a", "b", "c", "d"} and found["source"] == "old"


def test_a_new_question_says_what_it_was_fitted_on() -> None:
    own = {"columns": [*HEAD, "f"], "weights": {"f": 1.0}, "files": [row("x", "jpeg", 0, 0.3)]}
    table = {"source": "faces", "detectors": {}, "questions": {"face_forged": own}}
    found = merged(BASE, table)
    assert found["questions"]["face_forged"]["source"] == "faces"
    assert found["questions"]["synthetic"] == BASE["questions"]["synthetic"]


def test_a_detector_can_be_taken_out() -> None:
    own = {"columns": [*HEAD, "d"], "weights": {"d": 1.0}, "files": [row("u", "video", 1, 0.7)]}
    table = {"source": "new", "detectors": {"d": {}}, "questions": {"synthetic": own}}
    question = merged(BASE, table, "a")["questions"]["synthetic"]
    assert question["columns"] == [*HEAD, "d"] and question["weights"] == {"d": 1.0}
    assert question["files"] == [row("s", "jpeg", 0, None), row("u", "video", 1, 0.7)]
