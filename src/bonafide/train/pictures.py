"""Pictures decoded once, through `bonafide.media`, and kept as arrays on disk by checksum.

Large photographs cannot be decoded anew in every epoch. Nothing is resized: of a picture larger
than `LARGEST` pixels a side, one window at native size is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.batch import workers
from bonafide.bench.masks import marked
from bonafide.errors import MediaError
from bonafide.files import atomic_write
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.signals.jpeg import estimate_quality
from bonafide.train.augment import SUBSAMPLINGS, Pixels

LARGEST = 1024  # pixels a side that are kept of a picture


@dataclass(frozen=True)
class History:
    """How a JPEG was saved: the nearest libjpeg quality, and its chroma subsampling."""

    quality: int
    subsampling: str


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes:
        name: path as the manifest gives it.
        positive: whether it is synthetic.
        source: the unit that is drawn and reported by.
        group: the unit that is held out.
        array: where its pixels lie, uint8 H×W×3 RGB, as `numpy.save` writes them.
        history: None for what was no JPEG.
        left, top: place of the array in the upright picture, pixels.
        mask: where a bool array H×W lies that marks edited pixels; None for a picture without.
    """

    name: str
    positive: bool
    source: str
    group: str
    array: Path
    history: History | None = None
    left: int = 0
    top: int = 0
    mask: Path | None = None

    def pixels(self) -> Pixels:
        """uint8 H×W×3 RGB, mapped from disk and read-only."""
        pixels: Pixels = np.load(self.array, mmap_mode="r", allow_pickle=False)
        return pixels


@dataclass(frozen=True)
class Wanted:
    """A picture still to be decoded.

    Attributes:
        file: where it lies.
        name, positive, source, group: as those of `Picture`.
        cache: folder of decoded pictures.
        window: (left, top, size) of what is wanted, None for the whole.
        mask: a picture that marks what was edited, as `marks` says (`bonafide.bench.masks`).
    """

    file: Path
    name: str
    positive: bool
    source: str
    group: str
    cache: Path
    window: tuple[int, int, int] | None = None
    mask: Path | None = None
    marks: str = "white"


def decode(
    wanted: Sequence[Wanted],
    jobs: int,
    left_out: dict[str, str],
    progress: Callable[[int, int], None] | None,
) -> list[Picture | None]:
    """One picture, or None, for each that is wanted; what fails is noted in `left_out`.

    Args:
        wanted: pictures to decode, unless the cache holds them.
        jobs: processes; 0 for one per core.
        left_out: name → why a picture cannot be used; added to.
        progress: called with the numbers of files read and of all files.
    """
    for folder in {one.cache for one in wanted}:
        folder.mkdir(parents=True, exist_ok=True)
    limits = Limits()
    found: list[Picture | None] = []
    for one, outcome in workers.run(_read, wanted, jobs or os.cpu_count() or 1, limits.seconds):
        if isinstance(outcome, workers.Lost):
            outcome = "reading it took too long" if outcome.timed_out else "reading it crashed"
        if isinstance(outcome, str):
            left_out[one.name] = outcome
        found.append(None if isinstance(outcome, str) else outcome)
        if progress is not None:
            progress(len(found), len(wanted))
    return found


def _read(wanted: Wanted) -> Picture | str:
    """Decode a picture into the cache unless it is there; a sentence says why it cannot be."""
    try:
        data = wanted.file.read_bytes()
        limits = Limits()
        limits.check(wanted.name, "file_bytes", len(data))
        image = Image(data, wanted.name, limits=limits)
        left, top, width, height = _place(image, wanted.window)
        target = wanted.cache / f"{image.sha256}-{left}-{top}-{width}x{height}.npy"
        rows, columns = slice(top, top + height), slice(left, left + width)
        if not target.exists():
            _keep(target, image.pixels[rows, columns])
        mask = _mask(wanted, image, rows, columns, target) if wanted.mask else None
    except MediaError as error:
        return error.why
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)
    return Picture(
        wanted.name,
        wanted.positive,
        wanted.source,
        wanted.group,
        target,
        _history(image),
        left,
        top,
        mask,
    )


def _mask(wanted: Wanted, image: Image, rows: slice, columns: slice, beside: Path) -> Path:
    """Keep the same window of the mask; two masks of one picture are kept apart.

    Raises:
        ValueError: it is not as large as the picture.
    """
    assert wanted.mask is not None
    mask = Image(wanted.mask.read_bytes(), wanted.mask.name, limits=Limits())
    if (mask.width, mask.height) != (image.width, image.height):
        raise ValueError(
            f"its mask has {mask.width}×{mask.height} pixels, not those of the picture"
        )
    target = beside.with_suffix(f".{mask.sha256[:16]}-{wanted.marks}.npy")
    if not target.exists():
        _keep(target, marked(mask.pixels, wanted.marks)[rows, columns])
    return target


def _keep(target: Path, values: NDArray[Any]) -> None:
    with atomic_write(target) as partial, partial.open("wb") as stream:
        np.save(stream, values)


def _place(image: Image, window: tuple[int, int, int] | None) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is kept.

    Raises:
        ValueError: the window is not inside the picture.
    """
    if window:
        left, top, size = window
        if min(left, top) < 0 or left + size > image.width or top + size > image.height:
            raise ValueError(f"no {size}×{size} pixels lie at ({left}, {top}) in it")
        return left, top, size, size
    width, height = min(image.width, LARGEST), min(image.height, LARGEST)
    random = np.random.default_rng(int(image.sha256[:16], 16))
    left = int(random.integers(image.width - width + 1))
    top = int(random.integers(image.height - height + 1))
    return left, top, width, height


def _history(image: Image) -> History | None:
    if image.jpeg is None or not image.jpeg.quantisation:
        return None
    quality = estimate_quality(image.jpeg.quantisation[0]).quality
    subsampling = image.jpeg.subsampling
    return History(quality, subsampling if subsampling in SUBSAMPLINGS else SUBSAMPLINGS[0])
