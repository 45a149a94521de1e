"""Bona fide pictures from a manifest or a folder, spread over their sources, cut at native size.

Nothing here resizes or re-saves: a crop holds the pixels that the decoder gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.bench.manifest import read_table
from bonafide.bench.protocol import load_protocol
from bonafide.errors import InvalidInput, MediaError
from bonafide.media.image import Image

Pixels = NDArray[np.uint8]

_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"))
_GRID = 8  # pixels between the block borders of a JPEG


@dataclass(frozen=True)
class Original:
    """One bona fide picture.

    Attributes:
        path: where it lies.
        name: its path relative to the manifest's folder, or to the folder that was searched.
        source: pictures of one source are alike; the manifest's `source`, or its group, or the
            folder that the picture lies in.
    """

    path: Path
    name: str
    source: str


def find(where: Path, protocol: str = "generated-normalised") -> list[Original]:
    """Bona fide pictures of a manifest (CSV, Parquet), or all pictures below a folder.

    Args:
        where: the manifest or the folder.
        protocol: says which labels mean bona fide, and which column names the group.

    Raises:
        InvalidInput: there is none, or the manifest cannot be read.
    """
    if where.is_dir():
        files = sorted(path for path in where.rglob("*") if path.suffix.lower() in _ENDINGS)
        found = [
            Original(path, path.relative_to(where).as_posix(), path.parent.name) for path in files
        ]
    else:
        rules = load_protocol(protocol)
        groups = ("source", *rules.columns.get("group", ("group",)))
        found = [
            Original(
                where.parent / row["path"],
                row["path"],
                next((row[name] for name in groups if row.get(name)), ""),
            )
            for row in read_table(where)
            if row.get("path") and rules.is_positive(row.get("label", "")) is False
        ]
    if not found:
        raise InvalidInput(f"{where} lists no bona fide picture")
    return found


def spread(originals: Sequence[Original], per_source: int, seed: int) -> list[Original]:
    """At most `per_source` pictures of each source, drawn and ordered by `seed`."""
    by_source: dict[str, list[Original]] = defaultdict(list)
    for original in originals:
        by_source[original.source].append(original)
    random = np.random.default_rng(seed)
    chosen = [
        group[index]
        for _, group in sorted(by_source.items())
        for index in random.permutation(len(group))[:per_source]
    ]
    return [chosen[index] for index in random.permutation(len(chosen))]


@dataclass(frozen=True)
class Crop:
    """A square of an original.

    Attributes:
        original: where it comes from.
        left, top: of its corner in the upright picture, pixels.
        pixels: uint8 size×size×3 RGB.
    """

    original: Original
    left: int
    top: int
    pixels: Pixels


def cut(original: Original, size: int, seed: int, on_grid: float = 0.5) -> Crop | None:
    """A square at native resolution whose place depends on the picture's name and `seed` alone.

    Args:
        original: the picture.
        size: side, pixels.
        seed: of the place.
        on_grid: probability that the corner lies on the picture's 8×8 JPEG grid, which begins at
            (0, 0) of a picture that is stored upright. A network that sees both cannot take the
            phase of the grid for a trace.

    Returns:
        The crop, or None for a picture with a side below `size`.

    Raises:
        MediaError: the picture cannot be read.
    """
    pixels = Image(_read(original), original.name).pixels
    height, width = pixels.shape[:2]
    if min(height, width) < size:
        return None
    random = np.random.default_rng([seed, *original.name.encode()])
    step = _GRID if random.random() < on_grid else 1
    left, top = (step * int(random.integers((room - size) // step + 1)) for room in (width, height))
    return Crop(original, left, top, pixels[top : top + size, left : left + size].copy())


def _read(original: Original) -> bytes:
    try:
        return original.path.read_bytes()
    except OSError as error:
        raise MediaError(original.name, f"it cannot be read: {error.strerror}") from None
