"""What the readers of data set layouts share: walking a folder, and naming what is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bonafide.bench.samples import Sample

PICTURES = frozenset(
    (".avif", ".bmp", ".gif", ".heic", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff",
     ".webp")
)  # fmt: skip
VIDEOS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"))

REAL = frozenset(
    ("0_real", "real", "reals", "bona_fide", "bonafide", "authentic", "nature", "original",
     "originals", "genuine", "live")
)  # fmt: skip
FAKE = frozenset(
    ("1_fake", "fake", "fakes", "ai", "generated", "synthetic", "tampered", "forged", "manipulated")
)
SPLITS = {
    "train": "train",
    "training": "train",
    "train2017": "train",
    "val": "calibrate",
    "valid": "calibrate",
    "validation": "calibrate",
    "dev": "calibrate",
    "devel": "calibrate",
    "test": "test",
    "testing": "test",
    "val2017": "test",
}


@dataclass(frozen=True)
class Layout:
    """The folders and names in which a public set ships.

    Attributes:
        name: as given to `bonafide bench index --layout`.
        title: of the set, with its year.
        tree: what the folder must hold, in one line.
        question: what its labels answer, a value of `bonafide.types.Question`.
        read: folder → samples, whose paths are relative to the folder; None where a file tells
            that it is no sample. Order does not matter.
    """

    name: str
    title: str
    tree: str
    question: str
    read: Callable[[Path], Iterable[Sample]]


def files(folder: Path, suffixes: Collection[str] = PICTURES) -> Iterator[PurePosixPath]:
    """Files below `folder` by their endings, relative and in order; hidden ones are skipped."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        relative = PurePosixPath(Path(place).relative_to(folder).as_posix())
        for name in sorted(names):
            if PurePosixPath(name).suffix.lower() in suffixes and not name.startswith("."):
                yield relative / name


def folders_of(path: PurePosixPath) -> tuple[str, ...]:
    """The names of the folders above a file, outermost first."""
    return path.parts[:-1]


def find(parts: Sequence[str], names: Collection[str]) -> int:
    """Index of the last part whose lower-case name is among `names`, -1 if there is none."""
    hits = [index for index, part in enumerate(parts) if part.lower() in names]
    return hits[-1] if hits else -1


def split_of(parts: Sequence[str]) -> str:
    """What the folders say of training and testing, "" if nothing."""
    index = find(parts, SPLITS)
    return SPLITS[parts[index].lower()] if index >= 0 else ""


def real_or_fake(parts: Sequence[str]) -> bool | None:
    """Whether the innermost telling folder says fake (True), real (False), or nothing (None)."""
    fake, real = find(parts, FAKE), find(parts, REAL)
    return None if fake == real else fake > real


class Groups:
    """Names that belong together, joined pair by pair."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def join(self, names: Sequence[str]) -> None:
        """Put all of `names` into one group."""
        for name in names[1:]:
            first, second = sorted((self.of(names[0]), self.of(name)))
            self._parent[second] = first

    def of(self, name: str) -> str:
        """The group of a name: the alphabetically first of those joined with it."""
        while self._parent.get(name, name) != name:
            name = self._parent[name]
        return name
