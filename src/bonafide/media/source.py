"""From what a user names (path, folder, glob, bytes, stream) to `Media`."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from bonafide.errors import SourceError, UnsupportedFormat
from bonafide.media import remote
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.video import Video
from bonafide.types import Kind, Media

# Brands of ISO base media files that hold pictures.
_STILL_BRANDS = (
    b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
)  # fmt: skip

Source = str | os.PathLike[str] | bytes | BinaryIO


class Document(Media):
    """A file that can carry content credentials but no pixels that bonafide reads."""

    kind = Kind.DOCUMENT


def open_media(source: Source, name: str | None = None, limits: Limits | None = None) -> Media:
    """Open one file.

    Args:
        source: a path, the bytes themselves, or a binary stream.
        name: how to call it in reports; defaults to the file name, or "bytes".
        limits: bounds on its size; the defaults of `Limits` otherwise.

    Returns:
        An `Image`, a `Video`, or a `Document` (SVG, PDF).

    Raises:
        MediaError: the file is missing, empty, too large, damaged or of another kind; see
            `bonafide.errors` for the subclasses.
    """
    limits = limits or Limits()
    path: str | None = None
    if isinstance(source, bytes):
        data = source
        name = name or "bytes"
    elif isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        name = name or Path(path).name
        data = read_path(path, limits)
    else:
        name = name or str(getattr(source, "name", "stream"))
        data = source.read(limits.file_bytes + 1)
    limits.check(name, "file_bytes", len(data))
    if not data:
        raise SourceError(name, "the file is empty")
    kind, format = sniff(data)  # noqa: A001
    if kind is Kind.VIDEO:
        return Video(data, name, path, limits, format)
    if kind is Kind.DOCUMENT:
        return Document(data, name, path, format)
    if format:
        raise UnsupportedFormat(name, f"{format} files are not examined")
    return Image(data, name, path, limits)


def sniff(data: bytes) -> tuple[Kind, str]:
    """Tell kind and container from the first bytes; names are never trusted.

    Returns:
        The kind, and the container where it is not for the picture decoders to say.
    """
    head = data[:1024]
    if head[4:8] == b"ftyp":
        if head[8:12] in _STILL_BRANDS:
            return Kind.IMAGE, ""
        return Kind.VIDEO, "MOV" if head[8:12] == b"qt  " else "MP4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"styp") and head[:2] == b"\x00\x00":
        return Kind.VIDEO, "MP4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return Kind.VIDEO, "WEBM" if b"webm" in head[:64] else "MKV"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Kind.VIDEO, "AVI"
    if head[:5] == b"%PDF-":
        return Kind.DOCUMENT, "PDF"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in data[:65536].lower():
        return Kind.DOCUMENT, "SVG"
    return Kind.IMAGE, ""


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


def read_path(path: str, limits: Limits) -> bytes:
    """The bytes of a local file, or of one behind an address such as s3://bucket/key.

    Raises:
        SourceError: it is not there, not a file, or cannot be read.
        LimitExceeded: it is larger than `limits` allow; nothing is read then.
        MissingExtra: reading this address needs a package that is not installed.
    """
    name = Path(path).name
    if remote.is_url(path):
        return remote.read(path, limits)
    try:
        if not Path(path).is_file():
            raise SourceError(name, _no_file(path))
        limits.check(name, "file_bytes", Path(path).stat().st_size)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(name, f"it cannot be read: {reason}") from error


def _no_file(path: str) -> str:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116, text in any encoding
    except FileNotFoundError:
        return "no such file"
    if not stat.S_ISDIR(mode):
        return "this is a device or a pipe, not a file"
    if not os.access(path, os.R_OK | os.X_OK):
        return "this folder may not be read"
    return "this is a folder"
