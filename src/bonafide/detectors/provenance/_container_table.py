"""Who writes files in this way: the table that ships, built by `tools/container_table.py`.

An entry counts files and sources per key. Files that were made with a known program are certain,
but other programs that use the same library may write alike, so that the library is named. Files
that were found name a program or a camera in EXIF, which anybody may have kept or written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bonafide.detectors.provenance._container_form import (
    LEVELS,
    boxes_keys,
    jpeg_keys,
    png_keys,
    short,
    webp_keys,
)
from bonafide.media.boxes import read_boxes
from bonafide.media.chunks import read_png_writing, webp_chunks
from bonafide.media.jpeg_writing import read_writing
from bonafide.media.media import Media

FILE = Path(__file__).with_name("containers.json")
_AGREE = 0.9  # share of sources that must name the same camera or program
_FEWEST_FILES, _FEWEST_SOURCES = 3, 2
_FEWEST_OF_MAKER = 4  # cameras of different makers often write alike
CAMERA = "a camera"


@dataclass(frozen=True)
class Entry:
    """How often one writer wrote files with a key.

    Attributes:
        writer: program or maker of cameras.
        library: that the writer encodes with, for files that were made with it to build the
            table; "" for files that were found.
        files, sources: how many of each.
    """

    writer: str
    library: str
    files: int
    sources: int


Table = Mapping[str, Sequence[Entry]]


@dataclass(frozen=True)
class Named:
    """What the table says of a file.

    Attributes:
        by: the library, program or camera that writes so.
        programs: programs that wrote exactly so when the table was built; () where the file was
            only compared widely, or by files that were found.
        level: how closely it was compared, one of `LEVELS`.
        files, sources: of the table with this key.
        made: whether those were made with known programs, not found.
    """

    by: str
    programs: tuple[str, ...]
    level: str
    files: int
    sources: int
    made: bool


@cache
def table() -> Table:
    """The table that ships."""
    stored = json.loads(FILE.read_text("utf-8"))
    writers = stored["writers"]
    return {
        key: tuple(Entry(*writers[who], *counts) for who, *counts in rows)
        for key, rows in stored["keys"].items()
    }


def keys_of(media: Media) -> dict[str, str]:
    """Level → key of a file; {} where its container is not read."""
    data = media.image.data if media.image else b""
    if media.format == "JPEG":
        jpeg = read_writing(data)
        return jpeg_keys(jpeg) if jpeg else {}
    if media.format == "PNG":
        png = read_png_writing(data)
        return png_keys(png) if png else {}
    if media.format == "WEBP":
        return webp_keys(webp_chunks(data))
    if media.format in ("HEIC", "AVIF"):  # films name their programs themselves
        with media.open() as stream:
            return boxes_keys(read_boxes(stream, media.size))
    return {}


def named(keys: Mapping[str, str], entries: Table) -> Named | None:
    """Who writes files with these keys, by the closest key that tells; None where none does."""
    for level in LEVELS:
        if level in keys:
            rows = entries.get(f"{level[0]}{short(keys[level])}", ())
            found = [row for row in rows if not row.library]
            answer = _of_made(rows, keys, level) or _of_found(found, keys, level)
            if answer or len({row.library for row in rows} - {""}) > 1:
                return answer
    return None


def _of_made(rows: Sequence[Entry], keys: Mapping[str, str], level: str) -> Named | None:
    made = [row for row in rows if row.library]
    libraries = {row.library for row in made}
    if len(libraries) != 1:
        return None
    # A JFIF header is written by programs, not by cameras: where there is one, programs kept the
    # EXIF. Without it cameras may write the same, since some use the same library.
    kind, *_ = keys["whole"].split("|")
    if (
        kind == "jpeg"
        and "JFIF" not in keys["whole"]
        and (level != "whole" or len(made) < len(rows))
    ):
        return None
    exact = level == "whole"
    return Named(
        libraries.pop(),
        tuple(dict.fromkeys(row.writer for row in made)) if exact else (),
        level,
        sum(row.files for row in made),
        max(row.sources for row in made),
        True,
    )


def _of_found(rows: Sequence[Entry], keys: Mapping[str, str], level: str) -> Named | None:
    """The writer that nearly all files found name, or "a camera" where nearly all name some."""
    fits = "Exif" in keys["whole"] and "JFIF" not in keys["whole"]  # as cameras write
    sources = sum(row.sources for row in rows)
    cameras = [row for row in rows if row.writer.startswith(CAMERA)]
    best = max(rows, key=lambda row: (row.sources, row.files), default=None)
    groups = [([best], best.writer)] if best else []
    groups.append((cameras, CAMERA))
    for group, name in groups:
        files, count = sum(row.files for row in group), sum(row.sources for row in group)
        fewest = _FEWEST_OF_MAKER if name.startswith(f"{CAMERA} by") else _FEWEST_SOURCES
        if name.startswith(CAMERA) and not fits:
            continue
        if files >= _FEWEST_FILES and count >= max(fewest, _AGREE * sources):
            return Named(name, (), level, files, count, False)
    return None
