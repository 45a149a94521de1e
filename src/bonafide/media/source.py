"""From what a user names (path, folder, glob, address, bytes, stream) to `Media`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, cast

from bonafide.errors import SourceError, UnsupportedFormat
from bonafide.media import remote, sources
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.media.sniffing import sniff as sniff
from bonafide.media.sources import HEAD, BytesSource, PathSource, SpooledSource, in_memory
from bonafide.questions import Kind

Source = str | os.PathLike[str] | bytes | BinaryIO | sources.Source
"""What a user may give: a path or address, bytes, a binary stream, or an opened source."""


def open_media(source: Source, name: str | None = None, limits: Limits | None = None) -> Media:
    """Open one file.

    Pictures and documents are read into memory; of videos and sound only the header is read.

    Args:
        source: a path or address, the bytes themselves, a binary stream, or an opened source.
        name: how to call it in reports; defaults to the file name, or "bytes".
        limits: bounds on its size; the defaults of `Limits` otherwise.

    Raises:
        MediaError: the file is missing, empty, too large, damaged or of another kind; see
            `bonafide.errors` for the subclasses.
    """
    limits = limits or Limits()
    name = name or name_of(source)
    opened = open_source(source, name, limits)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    with opened.open() as stream:
        head = stream.read(HEAD)
    if not head:
        raise SourceError(name, "the file is empty")
    kind, format = sniff(head)  # noqa: A001
    if kind in (Kind.VIDEO, Kind.AUDIO):
        from bonafide.media.tracks import read_tracks

        tracks = read_tracks(opened, name, format, limits)
        kinds = {track.kind for track in tracks}
        # A container of videos may hold sound alone, and one of sound a video.
        kind = Kind.VIDEO if Kind.VIDEO in kinds else Kind.AUDIO if kinds else kind
        return Media(opened, name, path, format, kind, tracks, limits)
    if kind is Kind.DOCUMENT:
        return Media(opened, name, path, format, kind, (), limits)
    if format:
        raise UnsupportedFormat(name, f"{format} files are not examined")
    from bonafide.media.image import Image

    assert isinstance(opened, BytesSource)
    media = Media.of_image(Image(opened.data, name, path, limits))
    media.source = opened  # whose checksum may be known already
    return media


def open_source(
    source: Source, name: str | None = None, limits: Limits | None = None
) -> sources.Source:
    """The bytes of one file, where they can be read again; pictures and documents in memory.

    Args:
        source: as for `open_media`.
        name: how to call it in messages.
        limits: bounds on its size.

    Raises:
        SourceError: it is not there, not a file, or cannot be read.
        LimitExceeded: it is larger than `limits` allow; no more than the first bytes are read then.
        MissingExtra: reading this address needs a package that is not installed.
    """
    limits = limits or Limits()
    name = name or name_of(source)
    if isinstance(source, bytes):
        return in_memory(BytesSource(source, name), name, limits)
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if remote.is_url(path):
            with remote.opened(path) as (stream, size):
                return in_memory(SpooledSource(stream, name, limits, size), name, limits)
        return in_memory(PathSource(path, name), name, limits)
    if hasattr(source, "open"):
        return in_memory(cast("sources.Source", source), name, limits)
    return in_memory(SpooledSource(source, name, limits), name, limits)


def name_of(source: Source) -> str:
    """How to call a file that was given without a name."""
    if isinstance(source, bytes):
        return "bytes"
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    return str(getattr(source, "name", "stream"))


def expand(names: Iterable[str], limits: Limits | None = None) -> Iterator[str]:
    """Yield the files that `names` stand for, in a stable order.

    A folder stands for every file below it that is not hidden, sorted by path; a pattern with
    wildcards for what it matches; "-" and anything else for itself, so that a missing file is
    reported as such rather than dropped.
    """
    limits = limits or Limits()
    for name in names:
        if name == "-":
            yield name
        elif is_folder(name):
            yield from _walk(name, limits.nesting)
        elif glob.has_magic(name) and not os.path.lexists(name):
            matches = sorted(glob.glob(name, recursive=True))
            for match in matches or [name]:
                if is_folder(match):
                    yield from _walk(match, limits.nesting)
                else:
                    yield match
        else:
            yield name


def _walk(folder: str, depth: int) -> Iterator[str]:
    entries = open_folder(folder, depth)
    if entries is None:
        yield folder
        return
    with entries as found:
        ordered = sorted(found, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if is_folder(entry):
            yield from _walk(entry.path, depth - 1)
        elif is_named(entry):
            yield entry.path


def is_folder(place: str | os.DirEntry[str]) -> bool:
    """Whether there is a folder; of an entry of a folder, one that is no link. Never raises."""
    if isinstance(place, str):
        return os.path.isdir(place)  # noqa: PTH112, the other raises where it may not look
    try:
        return place.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_named(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or something that cannot be told, which is to be reported."""
    try:
        return entry.is_file()
    except OSError:  # links in a circle, or into what may not be read
        return True


def open_folder(
    folder: str, depth: int
) -> AbstractContextManager[Iterator[os.DirEntry[str]]] | None:
    """The entries of a folder; None if it may not be read, or `depth` is below 0.

    Such a folder is to be yielded in place of its files, so that it is reported, not dropped.
    """
    if depth < 0:
        return None
    try:
        return os.scandir(folder)
    except OSError:
        return None
