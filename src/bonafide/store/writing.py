"""Stored reports as files for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from bonafide.errors import MissingExtra
from bonafide.store.rows import Row
from bonafide.types import ACCUSATIONS

_QUESTIONS = tuple(question.value for question in ACCUSATIONS.values())
COLUMNS = (
    "id", "sha256", "name", "path", "verdict", *_QUESTIONS, "format",
    "width", "height", "bytes", "stored_at", "actor", "tool", "key",
)  # fmt: skip
_PAGE = 1_000  # reports in one row group
_ACTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet reads what begins so as a formula

Pairs = Iterable[tuple[Row, dict[str, Any]]]


def write_text(rows: Pairs, file: TextIO, as_csv: bool) -> int:
    """Write JSON Lines, or CSV that no spreadsheet takes for formulas; return how many."""
    count = 0
    table = csv.writer(file) if as_csv else None
    if table:
        table.writerow(COLUMNS)
    for row, record in rows:
        count += 1
        if table:
            table.writerow([_cell(value) for value in _values(row, record).values()])
        else:
            file.write(json.dumps(record, ensure_ascii=True) + "\n")
    return count


def write_parquet(rows: Pairs, path: Path) -> int:
    """Write Parquet: `COLUMNS`, and the report as JSON text in `report`; return how many.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise MissingExtra("bench", "writing Parquet") from None
    whole, real = pyarrow.int64(), pyarrow.float64()
    kinds = {"id": whole, "width": whole, "height": whole, "bytes": whole}
    kinds |= dict.fromkeys(_QUESTIONS, real)
    kinds |= {"stored_at": pyarrow.timestamp("us", tz="UTC")}
    schema = pyarrow.schema(
        [(name, kinds.get(name, pyarrow.string())) for name in (*COLUMNS, "report")]
    )
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for page in _pages(rows):
            count += len(page)
            file.write_table(pyarrow.Table.from_pylist(page, schema))
    return count


def _pages(rows: Pairs) -> Iterator[list[dict[str, Any]]]:
    page: list[dict[str, Any]] = []
    for row, record in rows:
        page.append(_values(row, record) | {"report": json.dumps(record, ensure_ascii=True)})
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _values(row: Row, record: dict[str, Any]) -> dict[str, Any]:
    known = vars(row) | record.get("probabilities", {})
    return {name: known.get(name) for name in COLUMNS}


def _cell(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str) and value.startswith(_ACTS):
        return f"'{value}"
    return value
