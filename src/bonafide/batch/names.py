"""From what the user gives (folders, patterns, lists, tables, addresses) to single names."""

from __future__ import annotations

import codecs
import csv
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from bonafide.errors import InvalidInput, MissingExtra, SourceError
from bonafide.media import remote, source
from bonafide.media.limits import Limits

_ROWS = 4_096  # of a Parquet file that are held at a time
_LINE = 64 * 1024  # bytes that one line of a list may have


def expand(
    given: Iterable[str],
    column: str,
    limits: Limits,
    ordered: bool = False,
    without: str | None = None,
) -> Iterator[str]:
    """Yield the files that `given` stands for.

    A folder, here or behind an address such as s3://bucket/folder, stands for every file below it
    that is not hidden; a pattern for what it matches; @FILE for the names in a list, see `listed`;
    anything else for itself, so that a missing file is reported as such.

    Args:
        given: what the user names.
        column: of tables.
        limits: of which `nesting` bounds the depth of folders; deeper ones are yielded themselves.
        ordered: sort each folder, for which its names are held in memory.
        without: a folder that is passed over, such as the one that results are written to.

    Raises:
        InvalidInput: a list cannot be read, or an address cannot be listed.
        MissingExtra: an address or a Parquet list needs a package that is not installed.
    """
    for name in given:
        if name.startswith("@") and not os.path.lexists(name):
            yield from listed(name[1:], column)
        elif remote.is_url(name) and not name.lower().startswith(("http://", "https://")):
            try:
                yield from remote.expand(name, limits.nesting)
            except SourceError as error:
                raise InvalidInput(str(error)) from error
        elif not ordered and source.is_folder(name):
            yield from _walk(name, limits.nesting, os.path.realpath(without) if without else "")
        else:
            yield from source.expand([name], limits)


def _walk(folder: str, depth: int, without: str) -> Iterator[str]:
    """As `source.expand`, in the order of the file system: a folder may hold a million files."""
    entries = source.open_folder(folder, depth)
    if entries is None:
        yield folder
        return
    folders = []
    with entries as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if source.is_folder(entry):
                folders.append(entry.path)
            elif source.is_named(entry):
                yield entry.path
    for below in folders:
        if os.path.realpath(below) != without:
            yield from _walk(below, depth - 1, without)


def listed(file: str, column: str) -> Iterator[str]:
    """Yield the names in a list: one a line, or the column of a table in CSV or Parquet.

    Args:
        file: its path or address; what ends in .csv or .parquet is a table; "-" is standard input.
        column: of the table. Relative names in a table start from the table's folder, those in a
            list of lines from the current one, as each is written by other programs.

    Raises:
        InvalidInput: it cannot be read, or has no such column.
        MissingExtra: it needs a package that is not installed.
    """
    kind = Path(file).suffix.lower()
    with _readable(file), _opened(file) as stream:
        if kind == ".parquet":
            rows = _parquet(stream, file, column)
        elif kind == ".csv":
            rows = _csv(stream, file, column)
        else:
            rows = _lines(stream, file)
        for name in rows:
            yield _beside(file, name) if kind in (".csv", ".parquet") else name


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        # A thread reads, and may do so when the program ends; Python must not wait for its lock.
        with os.fdopen(os.dup(sys.stdin.fileno()), "rb") as stream:
            yield stream
        return
    if remote.is_url(file):
        system, path = remote.open_system(file)
        with system.open(path, "rb") as stream:
            yield stream
        return
    with Path(file).open("rb") as stream:
        yield stream


def _lines(stream: IO[bytes], file: str) -> Iterator[str]:
    mark = codecs.BOM_UTF8
    while line := stream.readline(_LINE):
        if len(line) == _LINE:
            raise InvalidInput(
                f"the list {file} has a line of {_LINE} bytes or more, so it is no list of files"
            )
        name = os.fsdecode(line.removeprefix(mark).removesuffix(b"\n").removesuffix(b"\r"))
        mark = b""  # only what comes first is one
        if name:
            yield name


def _csv(stream: IO[bytes], file: str, column: str) -> Iterator[str]:
    text = (os.fsdecode(line) for line in iter(lambda: stream.readline(_LINE), b""))
    first = next(text, "").removeprefix("\ufeff").removeprefix("\udcef\udcbb\udcbf")
    rows = csv.DictReader(chain([first], text))
    try:
        if column not in (rows.fieldnames or ()):
            raise _no_column(file, column, rows.fieldnames or ())
        yield from (row[column] for row in rows if row[column])
    except csv.Error as error:
        raise InvalidInput(f"{file}, line {rows.line_num}: {error}") from error


def groups(file: str) -> int:
    """How many groups of rows a Parquet file has.

    Raises:
        InvalidInput: it cannot be read.
        MissingExtra: it needs a package that is not installed.
    """
    with _readable(file), _opened(file) as stream:
        return int(_table(stream, file).num_row_groups)


def group_rows(file: str, column: str, group: int) -> Iterator[str]:
    """Names in one group of rows of a Parquet file.

    Raises:
        InvalidInput, MissingExtra: as `listed`.
    """
    with _readable(file), _opened(file) as stream:
        for name in _parquet(stream, file, column, [group]):
            yield _beside(file, name)


@contextmanager
def _readable(file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SourceError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"the list {file} cannot be read: {why}") from error


def _table(stream: IO[bytes], file: str) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise MissingExtra("bench", "reading Parquet") from None
    try:
        return parquet.ParquetFile(stream)
    except pyarrow.ArrowException as error:
        raise InvalidInput(f"{file} is not a readable Parquet file: {error}") from error


def _parquet(
    stream: IO[bytes], file: str, column: str, chosen: list[int] | None = None
) -> Iterator[str]:
    table = _table(stream, file)
    import pyarrow

    try:
        if column not in table.schema_arrow.names:
            raise _no_column(file, column, table.schema_arrow.names)
        for rows in table.iter_batches(_ROWS, row_groups=chosen, columns=[column]):
            names = rows.column(0).to_pylist()
            if not all(isinstance(name, str | bytes | None) for name in names):
                raise InvalidInput(f"{file}: the column {column!r} does not hold text")
            yield from (os.fsdecode(name) for name in names if name)
    except pyarrow.ArrowException as error:
        raise InvalidInput(f"{file} is not a readable Parquet file: {error}") from error


def _beside(file: str, name: str) -> str:
    if file == "-" or remote.is_url(name) or Path(name).is_absolute():
        return name
    if remote.is_url(file):
        return f"{file.rpartition('/')[0]}/{name}"
    return str(Path(file).parent / name)


def _no_column(file: str, column: str, there: Iterable[Any]) -> InvalidInput:
    columns = ", ".join(map(str, list(there)[:20]))
    return InvalidInput(f"{file} has no column {column!r}: name one of {columns} with --column")
