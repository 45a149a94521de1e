"""The durable artefact of a run: a journal while it goes on, one Parquet table when it is done.

A folder holds `journal.jsonl` (one line per file and degradation, flushed as it comes),
`scores.parquet` (one row per file, degradation and detector) and `run.json`. Everything that a
report says is computed from `scores.parquet`, whose own metadata repeats `run.json`, so that the
table can travel alone.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bonafide.bench.samples import Fold
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.files import atomic_write

JOURNAL, TABLE, ABOUT, AUDIT = "journal.jsonl", "scores.parquet", "run.json", "audit.json"

# Column → kind, in the order of the table; what is not known is null.
COLUMNS: Mapping[str, str] = {
    "sample": "int64",
    "path": "string",
    "group": "string",
    "cluster": "string",
    "pool": "string",
    "generator": "string",
    "label": "string",
    "positive": "bool_",
    "split": "string",
    "fold": "string",
    "sha256": "string",
    "mask_sha256": "string",
    "degradation": "string",
    "detector": "string",
    "version": "string",
    "status": "string",
    "why": "string",
    "score": "float64",
    "probability": "float64",
    "marked_share": "float64",
    "tp": "int64",
    "fp": "int64",
    "fn": "int64",
    "tn": "int64",
    "pixel_auc": "float64",
    "seconds": "float64",
    "megapixels": "float64",
    "notes": "string",
}

Key = tuple[str, str, str, str, str]
Row = dict[str, Any]


@dataclass(frozen=True)
class Scores:
    """A table of scores, read back.

    Attributes:
        about: what `run.json` says.
        columns: column name → values, one per row.
        folds: how the samples were set apart, by sample number.
    """

    about: Mapping[str, Any]
    columns: Mapping[str, list[Any]]
    folds: tuple[Fold, ...]

    def __len__(self) -> int:
        return len(self.columns["path"])


def key(row: Mapping[str, Any]) -> Key:
    """What a score depends on: bytes of file and mask, degradation, detector and its version.

    A file that could not be read has no bytes and goes by its path.
    """
    return (
        row["sha256"] or f"path:{row['path']}",
        row["mask_sha256"],
        row["degradation"],
        row["detector"],
        row["version"],
    )


def read_journal(folder: Path) -> Iterator[Row]:
    """Rows of the journal; a last line that a kill cut short is left out."""
    path = folder / JOURNAL
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            record = json.loads(line)
            said = record.pop("said")
            for one in said:
                yield {**record, **one}


@contextmanager
def open_journal(folder: Path) -> Iterator[IO[bytes]]:
    """The journal for appending, after a clean end of line, held by one process only.

    Raises:
        InvalidInput: another process is writing to the same folder.
    """
    with (folder / "lock").open("a") as lock:
        _hold(lock, folder)
        path = folder / JOURNAL
        if path.exists():
            whole = path.read_bytes()
            end = whole.rfind(b"\n") + 1
            if end < len(whole):
                with path.open("r+b") as torn:
                    torn.truncate(end)
        with path.open("ab") as journal:
            yield journal


def append(journal: IO[bytes], record: Mapping[str, Any]) -> None:
    """Write one line so that it survives the death of this process."""
    journal.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    journal.flush()


def write_table(folder: Path, about: Mapping[str, Any], rows: Sequence[Row]) -> Path:
    """Write `scores.parquet`, which appears whole or not at all.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    pyarrow, parquet = _pyarrow()
    schema = pyarrow.schema(
        [(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()],
        metadata={"bonafide": json.dumps(about, ensure_ascii=False, sort_keys=True)},
    )
    columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
    with atomic_write(folder / TABLE) as partial:
        parquet.write_table(pyarrow.table(columns, schema=schema), partial, compression="zstd")
    return folder / TABLE


def read_table(place: str | os.PathLike[str]) -> Scores:
    """Read a table, given its path or its folder.

    Raises:
        InvalidInput: there is none, or it is not one of ours.
        MissingExtra: pyarrow is not installed.
    """
    path = Path(place)
    path = path / TABLE if path.is_dir() else path
    if not path.is_file():
        unfinished = (path.parent / JOURNAL).exists()
        hint = "; the run is not finished, start it again to go on" if unfinished else ""
        raise InvalidInput(f"{path}: there are no scores{hint}")
    pyarrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    about = (table.schema.metadata or {}).get(b"bonafide")
    if about is None or not set(COLUMNS) <= set(table.column_names):
        raise InvalidInput(f"{path} was not written by bonafide bench")
    known = json.loads(about)
    columns = {name: table.column(name).to_pylist() for name in COLUMNS}
    return Scores(known, columns, tuple(_unpack(fold) for fold in known["folds"]))


def rows_of(scores: Scores) -> Iterator[Row]:
    """The rows of a table as dictionaries."""
    names = list(COLUMNS)
    for values in zip(*(scores.columns[name] for name in names), strict=True):
        yield dict(zip(names, values, strict=True))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, which appears whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as partial:
        partial.write_text(text + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        InvalidInput: it is damaged.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None


def need_parquet() -> None:
    """Say at once, and not after hours of scoring, that the table cannot be written.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    _pyarrow()


def pack(folds: Iterable[Fold], samples: int) -> list[dict[str, Any]]:
    """Folds as JSON values: one bit per sample, since twenty folds of lists would be long."""
    return [
        {
            "name": fold.name,
            "samples": samples,
            "calibrate": _bits(fold.calibrate, samples),
            "test": _bits(fold.test, samples),
        }
        for fold in folds
    ]


def _unpack(packed: Mapping[str, Any]) -> Fold:
    parts = [_indices(packed[part], packed["samples"]) for part in ("calibrate", "test")]
    return Fold(packed["name"], parts[0], parts[1])


def _bits(indices: Iterable[int], samples: int) -> str:
    flags = np.zeros(samples, np.bool_)
    flags[list(indices)] = True
    return base64.b64encode(np.packbits(flags).tobytes()).decode("ascii")


def _indices(text: str, samples: int) -> tuple[int, ...]:
    flags = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=samples)
    return tuple(np.flatnonzero(flags).tolist())


def _hold(lock: IO[str], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        return
    try:
        # Of the POSIX kind, which forked workers do not inherit: after a kill they may live on for
        # a moment, and must not keep the next run out.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InvalidInput(f"another run is writing to {folder}") from None


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("bench", "the table of scores") from None
    return pyarrow, parquet
