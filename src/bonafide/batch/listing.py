"""Listings in pieces that several machines of a cluster work on at a time.

A piece is a folder, here or behind an address, without the folders below it, or a group of rows
of a Parquet file. Other lists are read where the batch runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from bonafide.batch import names
from bonafide.errors import InvalidInput, SourceError
from bonafide.media import remote, source
from bonafide.media.limits import Limits

PAGE = 5_000  # names that are told at a time


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a listing.

    Attributes:
        place: a folder, or a file, or an address of either.
        depth: of folders that may lie below it.
        column, group: of a Parquet file, else None.
    """

    place: str
    depth: int
    column: str | None = None
    group: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Names, and pieces that came up beside them."""

    names: list[str]
    pieces: list[Piece]


def start(given: Iterable[str], column: str, limits: Limits) -> Iterator[Piece | str]:
    """Pieces and names that stand for what the user gives; as `names.expand`.

    Raises:
        InvalidInput, MissingExtra: as `names.expand`.
    """
    for name in given:
        if name.startswith("@") and not os.path.lexists(name):
            file = name[1:]
            if file.lower().endswith(".parquet"):
                for group in range(names.groups(file)):
                    yield Piece(file, 0, column, group)
            else:
                yield from names.listed(file, column)
        elif _is_listed(name) or source.is_folder(name):
            yield Piece(name, limits.nesting)
        else:
            yield from source.expand([name], limits)


def _is_listed(name: str) -> bool:
    """Whether a name is an address that may stand for others."""
    return remote.is_url(name) and not name.lower().startswith(("http://", "https://"))


def pages(piece: Piece, without: str | None) -> Iterator[Page]:
    """What a piece holds, some names at a time.

    Args:
        piece: of a listing.
        without: a folder that is passed over.

    Raises:
        InvalidInput: it cannot be listed or read.
        MissingExtra: that needs a package that is not installed.
    """
    if piece.column is not None:
        found: Iterator[str | Piece] = iter(
            names.group_rows(piece.place, piece.column, piece.group)
        )
    elif remote.is_url(piece.place):
        found = _remote(piece)
    else:
        found = _folder(piece, os.path.realpath(without) if without else "")
    while some := list(islice(found, PAGE)):
        yield Page(
            [one for one in some if isinstance(one, str)],
            [one for one in some if isinstance(one, Piece)],
        )


def _folder(piece: Piece, without: str) -> Iterator[str | Piece]:
    entries = source.open_folder(piece.place, piece.depth)
    if entries is None:
        yield piece.place
        return
    with entries as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if source.is_folder(entry):
                if os.path.realpath(entry.path) != without:
                    yield Piece(entry.path, piece.depth - 1)
            elif source.is_named(entry):
                yield entry.path


def _remote(piece: Piece) -> Iterator[str | Piece]:
    try:
        for place, is_folder in remote.entries(piece.place, piece.depth):
            yield Piece(place, piece.depth - 1) if is_folder else place
    except SourceError as error:
        raise InvalidInput(str(error)) from error


class Lister:
    """Lists pieces one after the other, a page for each call; an actor of the cluster."""

    def __init__(self, without: str | None) -> None:
        self._without = without
        self._pages: Iterator[Page] = iter(())

    def more(self, piece: Piece | None) -> Page | InvalidInput | None:
        """The next page, of another piece if one is given; None at its end."""
        if piece is not None:
            self._pages = pages(piece, self._without)
        try:
            return next(self._pages, None)
        except InvalidInput as error:
            return error
