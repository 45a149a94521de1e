"""Where the bytes of a picture lie: a file, a member of a tar, a row of a saved data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from bonafide.errors import InvalidInput, MissingExtra


class Place(Protocol):
    """Bytes that can be read in any process."""

    def read(self) -> bytes:
        """All of them.

        Raises:
            OSError: they cannot be read.
        """
        ...

    def stamp(self) -> str:
        """Text that changes when the bytes do, without reading them.

        Raises:
            OSError: there is nothing.
        """
        ...


@dataclass(frozen=True)
class OnDisk:
    """A file."""

    path: Path

    def read(self) -> bytes:
        """All bytes of the file."""
        return self.path.read_bytes()

    def stamp(self) -> str:
        """Its path, size and time."""
        return stamp_of(self.path)


@dataclass(frozen=True)
class Member:
    """A file inside of a tar that is not compressed.

    Attributes:
        tar: the shard.
        offset: of the first byte in it.
        size: bytes.
    """

    tar: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """The member's bytes alone."""
        with self.tar.open("rb") as stream:
            stream.seek(self.offset)
            data = stream.read(self.size)
        if len(data) < self.size:
            raise OSError(f"{self.tar.name} ends before it")
        return data

    def stamp(self) -> str:
        """The shard's stamp and the offset."""
        return f"{stamp_of(self.tar)}|{self.offset}"


@dataclass(frozen=True)
class Row:
    """A picture in a data set that was written by `datasets.Dataset.save_to_disk`.

    Attributes:
        folder: of the data set.
        column: that holds pictures.
        index: of the row.
    """

    folder: Path
    column: str
    index: int

    def read(self) -> bytes:
        """The encoded picture as it was put in."""
        held: Mapping[str, Any] = open_saved(self.folder, self.column)[self.index][self.column]
        data = held["bytes"]
        return Path(held["path"]).read_bytes() if data is None else bytes(data)

    def stamp(self) -> str:
        """The stamp of the data set's state, and the row."""
        return f"{stamp_of(self.folder / 'state.json')}|{self.column}|{self.index}"


def stamp_of(path: Path) -> str:
    """Path, size and time of change of a file."""
    about = path.stat()
    return f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}"


@lru_cache(maxsize=4)
def open_saved(folder: Path, column: str) -> Any:
    """A saved data set whose pictures are not decoded; opened once in a process.

    Raises:
        InvalidInput: it cannot be opened.
        MissingExtra: datasets is not installed.
    """
    library = datasets_library()
    try:
        saved = library.load_from_disk(str(folder))
        return saved.cast_column(column, library.Image(decode=False))
    except Exception as error:  # the library raises nearly anything
        raise InvalidInput(f"data set {folder} cannot be opened: {error}") from None


def datasets_library() -> Any:
    """The package datasets.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "reading a saved data set") from None
    return datasets
