"""How a calibration lies on disk: JSON with a line for each detector and each calibration file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from bonafide.evidence.calibration import load_calibration
from bonafide.evidence.reference import HEAD, IMAGES
from bonafide.files import atomic_write, user_data


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


def added(
    table: Mapping[str, Any], into: str | Path, dropped: Collection[str] = ()
) -> dict[str, Any]:
    """A table put into that of a file, whose other questions and detectors stay as they are.

    Entries of the same detector are replaced. Of a question that both have, the files of those
    kinds of media are replaced that the new table has files of, and the others kept, since each
    kind is fitted on its own. All else stays as it is.

    Args:
        table: from one of the functions above.
        into: a calibration.
        dropped: ids of detectors that are taken out, with what they said.

    Raises:
        InvalidInput: `into` is no calibration.
    """
    load_calibration(str(into))
    base: dict[str, Any] = json.loads(Path(into).read_text("utf-8"))
    found = {name: value for name, value in base.items() if name not in ("detectors", "questions")}
    questions = dict(base["questions"])
    for name, own in table["questions"].items():
        own = {**own, "source": own.get("source") or table["source"]}
        questions[name] = _joined(questions[name], own, dropped) if name in questions else own
    entries = {**base["detectors"], **table["detectors"]}
    entries = {name: entry for name, entry in entries.items() if name not in dropped}
    if "scores_of" in table:
        found["scores_of"] = {**base.get("scores_of", {}), **table["scores_of"]}
    return {**found, "detectors": entries, "questions": questions}


def _joined(
    base: Mapping[str, Any], own: Mapping[str, Any], dropped: Collection[str]
) -> dict[str, Any]:
    """The files of a question, those of the new table's kinds of media replaced."""
    head = len(HEAD)
    container, hits = HEAD.index("container"), HEAD.index("hits")
    replaced = {_kind(row[container]) for row in own["files"]}
    kept = [row for row in base["files"] if _kind(row[container]) not in replaced]
    old, new = list(base["columns"][head:]), list(own["columns"][head:])
    used = [
        name for number, name in enumerate(old)
        if name not in dropped
        and (name in new or any(row[head + number] is not None for row in kept))
    ]  # fmt: skip
    columns = used + [name for name in new if name not in used]

    def row_of(row: list[Any], names: list[str]) -> list[Any]:
        said = dict(zip(names, row[head:], strict=True))
        first = row[:head]
        first[hits] = sum(
            1 << columns.index(name)
            for number, name in enumerate(names)
            if row[hits] >> number & 1 and name in columns
        )
        return [*first, *(said.get(name) for name in columns)]

    weights = {**base["weights"], **own["weights"]}
    return {
        **(base if kept else own),
        "source": "; ".join((own["source"], *_counted(kept))),
        "columns": [*HEAD, *columns],
        "weights": {name: weight for name, weight in weights.items() if name in columns},
        "files": [row_of(row, old) for row in kept] + [row_of(row, new) for row in own["files"]],
    }


def _counted(rows: Iterable[list[Any]]) -> list[str]:
    """How many files of each kind of media there are, in words."""
    container, altered = HEAD.index("container"), HEAD.index("altered")
    counts = Counter((_kind(row[container]), bool(row[altered])) for row in rows)
    return [
        f"{kind}: {counts[kind, False]} bona fide and {counts[kind, True]} altered files"
        for kind in sorted({kind for kind, _ in counts})
    ]


def _kind(container: str) -> str:
    return "image" if container in IMAGES else container


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
    return user_data("calibrations")
