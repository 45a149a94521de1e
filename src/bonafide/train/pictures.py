"""Pictures decoded once, through `bonafide.media`, and kept as arrays on disk by checksum.

Large photographs cannot be decoded anew in every epoch, nor hashed anew at every start: what a
source was decoded to is remembered (`bonafide.train.decoded`) until its size or time changes.
Nothing is resized: of a picture larger than `LARGEST` pixels a side, one window at native size is
kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
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
from bonafide.train.decoded import Index
from bonafide.train.places import Place

LARGEST = 1024  # pixels a side that are kept of a picture
_NOTED_AT_ONCE = 500  # pictures


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
        place: where it lies.
        name, positive, source, group: as those of `Picture`.
        cache: folder of decoded pictures.
        window: (left, top, size) of what is wanted, None for the whole.
        mask: a picture that marks what was edited, as `marks` says (`bonafide.bench.masks`).
    """

    place: Place
    name: str
    positive: bool
    source: str
    group: str
    cache: Path
    window: tuple[int, int, int] | None = None
    mask: Place | None = None
    marks: str = "white"


def decode(
    wanted: Sequence[Wanted],
    jobs: int,
    left_out: dict[str, str],
    progress: Callable[[int, int], None] | None,
    read: Callable[[Wanted], Picture | str] | None = None,
) -> list[Picture | None]:
    """One picture, or None, for each that is wanted; what fails is noted in `left_out`.

    Args:
        wanted: pictures to decode, unless the cache holds them.
        jobs: processes; 0 for one per core.
        left_out: name → why a picture cannot be used; added to.
        progress: called with the numbers of files read and of all files.
        read: what decodes a file into the cache, or says why it cannot be; a function of a module.
            None for one that reads pictures.
    """
    indices = {folder: Index(folder) for folder in {one.cache for one in wanted}}
    stamps = [_stamp(one, left_out, read.__name__ if read else "") for one in wanted]
    found = _remembered(wanted, stamps, indices)
    missing = [
        number for number, stamp in enumerate(stamps) if stamp is not None and found[number] is None
    ]
    done = len(wanted) - len(missing)
    if progress is not None:
        progress(done, len(wanted))
    fresh: dict[Path, dict[str, dict[str, Any]]] = {folder: {} for folder in indices}
    work = workers.run(
        read or _read,
        [wanted[number] for number in missing],
        jobs or os.cpu_count() or 1,
        Limits().seconds,
    )
    for number, (one, outcome) in zip(missing, work, strict=True):
        if isinstance(outcome, workers.Lost):
            outcome = "reading it took too long" if outcome.timed_out else "reading it crashed"
        if isinstance(outcome, str):
            left_out[one.name] = outcome
        else:
            found[number] = outcome
            fresh[one.cache][str(stamps[number])] = _note(outcome)
            if len(fresh[one.cache]) >= _NOTED_AT_ONCE:
                indices[one.cache].add(fresh[one.cache])
                fresh[one.cache].clear()
        done += 1
        if progress is not None:
            progress(done, len(wanted))
    for folder, notes in fresh.items():
        indices[folder].add(notes)
    return found


def _stamp(wanted: Wanted, left_out: dict[str, str], reader: str) -> str | None:
    """What the arrays of a picture depend on; None for a picture that is not there."""
    try:
        mask = wanted.mask.stamp() if wanted.mask else ""
        parts = (wanted.place.stamp(), str(wanted.window), mask, wanted.marks, str(LARGEST))
        return "|".join((*parts, reader) if reader else parts)
    except OSError as error:
        left_out[wanted.name] = f"it cannot be read: {error.strerror}"
        return None


def _remembered(
    wanted: Sequence[Wanted], stamps: Sequence[str | None], indices: Mapping[Path, Index]
) -> list[Picture | None]:
    """The pictures that the caches hold."""
    known: dict[tuple[Path, str], dict[str, Any]] = {}
    for folder, index in indices.items():
        asked = [
            stamp
            for one, stamp in zip(wanted, stamps, strict=True)
            if one.cache == folder and stamp is not None
        ]
        known |= {(folder, stamp): note for stamp, note in index.find(asked).items()}
    return [
        _picture(one, note) if stamp and (note := known.get((one.cache, stamp))) else None
        for one, stamp in zip(wanted, stamps, strict=True)
    ]


def _note(picture: Picture) -> dict[str, Any]:
    return {
        "array": picture.array.name,
        "history": picture.history and [picture.history.quality, picture.history.subsampling],
        "place": [picture.left, picture.top],
        "mask": picture.mask and picture.mask.name,
    }


def _picture(wanted: Wanted, note: Mapping[str, Any]) -> Picture | None:
    """The picture that was noted, unless its arrays have gone."""
    array = wanted.cache / note["array"]
    mask = wanted.cache / note["mask"] if note["mask"] else None
    if not array.exists() or (mask is not None and not mask.exists()):
        return None
    history = History(*note["history"]) if note["history"] else None
    left, top = note["place"]
    return Picture(
        wanted.name, wanted.positive, wanted.source, wanted.group, array, history, left, top, mask
    )


def _read(wanted: Wanted) -> Picture | str:
    """Decode a picture into the cache unless it is there; a sentence says why it cannot be."""
    try:
        data = wanted.place.read()
        limits = Limits()
        limits.check(wanted.name, "file_bytes", len(data))
        image = Image(data, wanted.name, limits=limits)
        left, top, width, height = _place(image, wanted.window)
        target = wanted.cache / f"{image.sha256}-{left}-{top}-{width}x{height}.npy"
        rows, columns = slice(top, top + height), slice(left, left + width)
        if not target.exists():
            keep(target, image.pixels[rows, columns])
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
    mask = Image(wanted.mask.read(), f"the mask of {wanted.name}", limits=Limits())
    if (mask.width, mask.height) != (image.width, image.height):
        raise ValueError(
            f"its mask has {mask.width}×{mask.height} pixels, not those of the picture"
        )
    target = beside.with_suffix(f".{mask.sha256[:16]}-{wanted.marks}.npy")
    if not target.exists():
        keep(target, marked(mask.pixels, wanted.marks)[rows, columns])
    return target


def keep(target: Path, values: NDArray[Any]) -> None:
    """Write an array; the file appears whole or not at all."""
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
