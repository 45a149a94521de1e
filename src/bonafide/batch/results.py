"""The files that results are written to: appended lines, and Parquet parts made of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from bonafide.errors import InvalidInput, MissingExtra
from bonafide.files import atomic_write

PART_ROWS = 2_000  # of a Parquet part; a report is some 10 KB of text before compression
_WHOLE = ("width", "height", "bytes")
_REAL = ("synthetic", "edited", "face_forged")
COLUMNS = (
    "path", "name", "sha256", "verdict", *_REAL, "format", *_WHOLE, "examined_at", "tool",
    "same_as", "report",
)  # fmt: skip


class Form(StrEnum):
    """How results are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    STORE = "store"  # not here: into the store, one by one


class Results:
    """Results in a folder, of which `size` bytes of lines and `parts` parts count.

    What lies behind them is from a commit that a kill cut short, and is removed.

    Raises:
        InvalidInput: lines that counted are gone.
        MissingExtra: Parquet is asked for and pyarrow is not installed.
    """

    def __init__(self, folder: Path, form: Form, parts: int, size: int) -> None:
        self.form, self.parts, self.size = form, parts, size
        self._folder = folder
        self._lines = folder / ("reports.jsonl" if form is Form.JSONL else "pending.jsonl")
        self._pending = 0
        if form is Form.PARQUET:
            _need_pyarrow()
            for name in (self._part(parts + 1), *folder.glob(".part-*.partial")):
                name.unlink(missing_ok=True)
        if form is not Form.STORE:
            self._restore()

    def append(self, records: list[dict[str, Any]]) -> tuple[int, int]:
        """Write records and return what counts now: parts, and bytes of lines.

        It must be remembered before `cut` is called.
        """
        if records and self.form is not Form.STORE:
            with self._lines.open("ab") as file:
                for record in records:
                    file.write(json.dumps(record, ensure_ascii=True).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self.size = file.tell()
            self._pending += len(records)
        if self.form is Form.PARQUET and self._pending >= PART_ROWS:
            return self.finish()
        return self.parts, self.size

    def finish(self) -> tuple[int, int]:
        """Turn waiting lines into a Parquet part; return as `append` does."""
        if self.form is Form.PARQUET and self._pending:
            write_part(self._lines, self._part(self.parts + 1))
            self.parts, self.size, self._pending = self.parts + 1, 0, 0
        return self.parts, self.size

    def cut(self) -> None:
        """Drop the lines that do not count: those that are in a part now."""
        if self.form is Form.PARQUET and not self.size and self._lines.exists():
            self._lines.unlink()

    def _restore(self) -> None:
        there = self._lines.stat().st_size if self._lines.exists() else 0
        # Lines for the user may have been moved away as a whole; those for a part may not.
        if there < self.size and (there or self.form is Form.PARQUET):
            raise InvalidInput(
                f"{self._lines} is shorter than it was: lines that were written are missing"
            )
        self.size = min(there, self.size)
        if there:
            os.truncate(self._lines, self.size)
            with self._lines.open("rb") as file:
                self._pending = sum(1 for _ in file)

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:06}.parquet"


def write_part(lines: Path, path: Path, size: int | None = None) -> None:
    """Write the first `size` bytes of a file of lines, or all, as Parquet; durable and atomic.

    Raises:
        InvalidInput: the file is shorter.
    """
    import pyarrow
    from pyarrow import parquet

    kinds = dict.fromkeys(_WHOLE, pyarrow.int64()) | dict.fromkeys(_REAL, pyarrow.float64())
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])
    try:
        data = lines.read_bytes()
    except FileNotFoundError:
        data = b""
    if len(data) < (size or 0):
        raise InvalidInput(f"{lines} is shorter than it was: lines that were written are missing")
    rows = [_row(line) for line in data[:size].splitlines()]
    table = pyarrow.Table.from_pylist(rows, schema)
    with atomic_write(path, durable=True) as partial:
        parquet.write_table(table, partial, compression="zstd")


def _row(line: bytes) -> dict[str, Any]:
    """The columns of one line; `report` is the line itself, None for a copy of another file."""
    record = json.loads(line)
    known = (
        record["media"] | record["probabilities"] | record | {"tool": _tool(record), "report": None}
    )
    if "same_as" not in record:
        known["report"] = line.decode().rstrip("\n")
    return {name: _text(known.get(name)) for name in COLUMNS}


def _tool(record: Mapping[str, Any]) -> str | None:
    versions: Mapping[str, str] = record.get("versions", {})
    return versions.get("bonafide")


def _text(value: Any) -> Any:
    """Halves of surrogate pairs, from file names, are no text to Parquet."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtra("bench", "writing Parquet (--jsonl needs nothing more)") from None
