"""How a calibration lies on disk: JSON with a line for each detector and each calibration file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bonafide.evidence.calibration import load_calibration
from bonafide.files import atomic_write
from bonafide.networks import runtime


def write(table: dict[str, Any], path: str | Path | None = None) -> Path:
    """Write a table, which appears whole or not at all, and check that it can be used.

    Args:
        table: from one of the functions above.
        path: by default one named by its detectors in the user's data folder.
    """
    target = Path(path) if path else _home() / f"{'-'.join(table['detectors'])}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as partial:
        partial.write_text(dumps(table), encoding="utf-8")
    load_calibration(str(target))
    return target


def added(table: Mapping[str, Any], into: str | Path) -> dict[str, Any]:
    """A table laid over that of a file, whose other questions and detectors stay as they are.

    Args:
        table: from one of the functions above.
        into: a calibration.

    Raises:
        InvalidInput: `into` is no calibration.
    """
    load_calibration(str(into))
    known: dict[str, Any] = json.loads(Path(into).read_text("utf-8"))
    questions = {
        name: {"source": table["source"], **entry} for name, entry in table["questions"].items()
    }
    scores_of = {**known.get("scores_of", {}), **table.get("scores_of", {})}
    return {
        **known,
        "detectors": {**known["detectors"], **table["detectors"]},
        "questions": {**known["questions"], **questions},
        **({"scores_of": scores_of} if scores_of else {}),
    }


def dumps(table: Mapping[str, Any]) -> str:
    """The table as JSON, with a line for each detector and each calibration file."""
    lines = []
    for name, value in table.items():
        if name == "detectors":
            text = _block(f"{_key(one)}{_json(entry)}" for one, entry in value.items())
        elif name == "questions":
            text = _block(f"{_key(one)}{_question(entry)}" for one, entry in value.items())
        else:
            text = _json(value)
        lines.append(f"{_key(name)}{text}")
    return _block(lines) + "\n"


def _question(entry: Mapping[str, Any]) -> str:
    files = ",\n".join(_json(row) for row in entry["files"])
    head = [f"{_key(name)}{_json(value)}" for name, value in entry.items() if name != "files"]
    return _block([*head, f"{_key('files')}[\n{files}\n]"])


def _block(lines: Iterable[str]) -> str:
    return "{\n" + ",\n".join(lines) + "\n}"


def _key(name: str) -> str:
    return f"{json.dumps(name)}:"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _home() -> Path:
    return runtime.user_folder().parent / "calibrations"
