"""What a training is given: a manifest, WebDataset shards, or a saved Hugging Face data set.

A shard is an uncompressed tar whose members belong together by their name up to the first dot, as
WebDataset has it: `0001.jpg` with `0001.json` (an object whose texts and numbers become columns,
`label` among them) or `0001.cls` (the label alone), and `0001.mask.png` where edits are marked. A
saved data set is a folder that `datasets.Dataset.save_to_disk` wrote, with one column of pictures.
Each is turned into the rows of a manifest, and pictures are read from where they lie.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonafide.bench.manifest import read_table
from bonafide.errors import InvalidInput
from bonafide.train.decoded import Index
from bonafide.train.places import (
    Member,
    OnDisk,
    Place,
    Row,
    datasets_library,
    open_saved,
    stamp_of,
)

PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "avif")
MASK = "mask.png"
_LARGEST_NOTE = 1 << 20  # bytes of a .json or .cls


@dataclass(frozen=True)
class Table:
    """Labelled pictures.

    Attributes:
        name: of what was opened.
        rows: as of a manifest; `path` and `mask` name places.
        folder: that paths of a manifest are relative to.
        sha256: hexadecimal, of the manifest, or of the names, sizes and rows of the rest.
        places: path → where it lies, of shards and data sets; empty for a manifest.
    """

    name: str
    rows: list[dict[str, str]]
    folder: Path
    sha256: str
    places: Mapping[str, Place]

    def place(self, path: str | Path) -> Place:
        """Where the bytes of a path of a row lie."""
        return self.places.get(str(path)) or OnDisk(self.folder / path)


def open_table(where: Path, cache: Path) -> Table:
    """Open what a training is given.

    Args:
        where: a manifest (CSV, Parquet), a .tar, a folder of .tar files, or a saved data set.
        cache: folder in which the members of shards are remembered.

    Raises:
        InvalidInput: it cannot be read, or holds no picture.
        MissingExtra: what reads it is not installed.
    """
    if where.suffix == ".tar":
        return _shards(where, [where], cache)
    if where.is_dir():
        if shards := sorted(where.glob("*.tar")):
            return _shards(where, shards, cache)
        if (where / "state.json").is_file() or (where / "dataset_dict.json").is_file():
            return _saved(where)
        raise InvalidInput(f"{where} holds neither .tar files nor a saved data set")
    rows = read_table(where)
    digest = hashlib.sha256(where.read_bytes()).hexdigest()
    return Table(where.name, rows, where.parent, digest, {})


def _shards(where: Path, shards: Sequence[Path], cache: Path) -> Table:
    index = Index(cache)
    rows: list[dict[str, str]] = []
    places: dict[str, Place] = {}
    sizes = []
    for shard in shards:
        for found in _members(shard, index):
            row = dict(found["row"])
            for column, (name, offset, size) in found["members"].items():
                row[column] = f"{shard.name}/{name}"
                places[row[column]] = Member(shard, offset, size)
                sizes.append(size)
            rows.append(row)
    if not rows:
        raise InvalidInput(f"{where} holds no picture with a name that ends in {PICTURES}")
    digest = hashlib.sha256(json.dumps([rows, sizes]).encode()).hexdigest()
    return Table(where.name, rows, where if where.is_dir() else where.parent, digest, places)


def _members(shard: Path, index: Index) -> list[dict[str, Any]]:
    """What a shard holds, from the index where it has not changed."""
    try:
        stamp = f"shard|{stamp_of(shard)}"
        if known := index.find([stamp]):
            listed: list[dict[str, Any]] = known[stamp]["samples"]
            return listed
        listed = list(_read_shard(shard))
    except (OSError, tarfile.TarError, ValueError) as error:
        raise InvalidInput(f"shard {shard} cannot be read: {error}") from None
    index.add({stamp: {"samples": listed}})
    return listed


def _read_shard(shard: Path) -> Iterator[dict[str, Any]]:
    """Samples in their order; one that holds no picture is passed over.

    Raises:
        ValueError: a note is no JSON object, or too large.
    """
    samples: dict[str, dict[str, Any]] = {}
    with tarfile.open(shard, "r:") as tar:
        for member in tar:
            if not member.isfile():
                continue
            folder, _, base = member.name.rpartition("/")
            stem, _, ending = base.partition(".")
            sample = samples.setdefault(f"{folder}/{stem}", {"row": {}, "members": {}})
            ending = ending.lower()
            place = (member.name, member.offset_data, member.size)
            if ending in PICTURES:
                sample["members"]["path"] = place
            elif ending == MASK:
                sample["members"]["mask"] = place
            elif ending in ("json", "cls"):
                if member.size > _LARGEST_NOTE:
                    raise ValueError(f"{member.name} has more than {_LARGEST_NOTE} bytes")
                held = tar.extractfile(member)
                text = held.read().decode("utf-8") if held else ""
                alone = {"label": text.strip()}
                sample["row"] |= _columns(text, member.name) if ending == "json" else alone
    yield from (sample for sample in samples.values() if "path" in sample["members"])


def _columns(text: str, name: str) -> dict[str, str]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no JSON object")
    return {key: str(value) for key, value in found.items() if isinstance(value, str | int | float)}


def _saved(folder: Path) -> Table:
    library = datasets_library()
    if (folder / "dataset_dict.json").is_file():
        parts = sorted(path.parent.name for path in folder.glob("*/state.json"))
        raise InvalidInput(f"{folder} holds several splits; name one: {', '.join(parts)}")
    try:
        features = library.load_from_disk(str(folder)).features
    except Exception as error:  # the library raises nearly anything
        raise InvalidInput(f"data set {folder} cannot be opened: {error}") from None
    pictures = [name for name, kind in features.items() if isinstance(kind, library.Image)]
    if len(pictures) != 1:
        raise InvalidInput(f"data set {folder} needs one column of pictures, not {pictures}")
    (column,) = pictures
    notes = open_saved(folder, column).remove_columns(pictures)
    named = {name: kind for name, kind in features.items() if isinstance(kind, library.ClassLabel)}
    rows, places = [], {}
    for number, values in enumerate(notes):
        row = {
            name: named[name].int2str(value) if name in named else str(value)
            for name, value in values.items()
            if isinstance(value, str | int | float)
        }
        row["path"] = f"{folder.name}/{number}"
        places[row["path"]] = Row(folder, column, number)
        rows.append(row)
    if not rows:
        raise InvalidInput(f"data set {folder} has no rows")
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return Table(folder.name, rows, folder, digest, places)
