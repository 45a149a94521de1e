"""Files on disk, named by their content, and pages rendered from them.

No name that a client sends ever becomes part of a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastapi.concurrency import run_in_threadpool
from filelock import FileLock

from bonafide.files import atomic_write

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PIECE = 1 << 20
_LOCK = ".lock"
_SMALL = ".thumbnail"  # goes with its page, and is not counted


@dataclass(frozen=True)
class Kept:
    """A file in the spool: hexadecimal SHA-256 and size in bytes."""

    sha256: str
    bytes: int


class TooLarge(Exception):
    """More bytes came than were allowed."""


class Spool:
    """The folder of one service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads, self.pages = folder / "uploads", folder / "pages"
        for part in (folder, self.uploads, self.pages):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)

    def upload(self, sha256: str) -> Path:
        """Where the file with this hash is.

        Raises:
            ValueError: it is no hash.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"not a SHA-256: {sha256!r}")
        return self.uploads / sha256[:2] / sha256

    def page(self, report: int) -> Path:
        """Where the rendered section of a report is."""
        return self.pages / f"{report // 1000:06d}" / f"{report}.html"

    def keep(self, source: BinaryIO) -> Kept:
        """Copy a file into the spool."""
        return _Draft(self).fill(iter(lambda: source.read(_PIECE), b""))

    async def keep_stream(self, pieces: AsyncIterator[bytes], most: int) -> Kept:
        """Copy a stream into the spool.

        Raises:
            TooLarge: it has more than `most` bytes.
        """
        draft = _Draft(self)
        try:
            async for piece in pieces:
                if draft.bytes + len(piece) > most:
                    raise TooLarge
                await run_in_threadpool(draft.write, piece)
            return draft.finish()
        except BaseException:
            draft.drop()
            raise

    def thumbnail(self, report: int) -> Path:
        """Where the small picture of a report is."""
        return self.page(report).with_suffix(_SMALL)

    def write_page(self, report: int, section: str, thumbnail: bytes = b"") -> None:
        """Keep the rendered section of a report and its small picture.

        A reader never sees half of one.
        """
        path = self.page(report)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        with _locked(path.parent):
            if thumbnail:  # first, since a page without it looks as one of an earlier version
                _write(self.thumbnail(report), thumbnail)
            _write(path, section.encode())

    def beat(self, host: str) -> None:
        """Leave a sign that a worker of a host lives."""
        path = self._life(host)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.touch(0o600)

    def silence(self, host: str) -> float | None:
        """Seconds since a worker of a host last left a sign; None if none ever did."""
        try:
            return max(0.0, time.time() - self._life(host).stat().st_mtime)
        except FileNotFoundError:
            return None

    def _life(self, host: str) -> Path:
        return self.folder / "workers" / hashlib.sha256(host.encode()).hexdigest()[:32]

    def free(self) -> int:
        """Bytes that still fit."""
        return shutil.disk_usage(self.folder).free

    def remove(self, files: Collection[str], reports: Collection[int]) -> int:
        """Delete uploads by their hash, and pages by the number of their report; how many."""
        count = 0
        pages = [*map(self.page, reports), *map(self.thumbnail, reports)]
        for path in (*map(self.upload, files), *pages):
            if path.exists():
                with _locked(path.parent):
                    path.unlink(missing_ok=True)
                count += path.suffix != _SMALL
        return count

    def sweep(
        self,
        uploads: float,
        pages: float,
        files: Collection[str] = (),
        reports: Collection[int] = (),
    ) -> tuple[int, int]:
        """Delete what is older than it may be.

        Args:
            uploads: seconds for which uploads are kept.
            pages: seconds for which pages are kept.
            files: hashes of uploads that stay, whatever their age.
            reports: numbers of those whose pages stay.

        Returns:
            How many uploads and how many pages were deleted.
        """
        now = time.time()
        kept = {self.page(report).name for report in reports}
        kept |= {self.thumbnail(report).name for report in reports}
        return (
            _sweep(self.uploads, now - uploads, set(files)),
            _sweep(self.pages, now - pages, kept),
        )

    def due(self, seconds: float) -> bool:
        """Whether `seconds` went by since this last said so, to any process that shares the spool.

        The folder need not be walked by each of them.
        """
        mark = self.folder / "swept"
        with _locked(self.folder):
            try:
                if time.time() - mark.stat().st_mtime < seconds:
                    return False
            except FileNotFoundError:
                pass
            mark.touch(0o600)
        return True


class _Draft:
    """A file that gets its name when its content is known."""

    def __init__(self, spool: Spool) -> None:
        self.spool, self.bytes, self.digest = spool, 0, hashlib.sha256()
        handle, path = tempfile.mkstemp(dir=spool.uploads, suffix=".part")
        self.file, self.path = os.fdopen(handle, "wb"), Path(path)

    def fill(self, pieces: Iterator[bytes]) -> Kept:
        try:
            for piece in pieces:
                self.write(piece)
            return self.finish()
        except BaseException:
            self.drop()
            raise

    def write(self, piece: bytes) -> None:
        self.file.write(piece)
        self.digest.update(piece)
        self.bytes += len(piece)

    def finish(self) -> Kept:
        self.file.close()
        kept = Kept(self.digest.hexdigest(), self.bytes)
        target = self.spool.upload(kept.sha256)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        with _locked(target.parent):
            self.path.replace(target)  # the same bytes again: their time on disk begins anew
        return kept

    def drop(self) -> None:
        self.file.close()
        self.path.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    with atomic_write(path) as partial:
        partial.touch(0o600)
        partial.write_bytes(data)


def _locked(folder: Path) -> FileLock:
    """Held by whoever puts a file into a folder, and by whoever deletes what is old there.

    Else a file could be replaced by a fresh one between the look at its age and its end.
    """
    return FileLock(folder / _LOCK, mode=0o600)


def _sweep(folder: Path, moment: float, kept: set[str]) -> int:
    """Delete files below a folder that are older than a moment; how many they were.

    Those whose names are in `kept` stay.
    """
    count = 0
    for below, _, names in os.walk(folder):
        place = Path(below)
        wanted = (name for name in names if name != _LOCK and name not in kept)
        old = [name for name in wanted if _is_older(place / name, moment)]
        if not old:
            continue
        with _locked(place):
            for name in old:
                if _is_older(place / name, moment):  # still
                    (place / name).unlink(missing_ok=True)
                    count += not name.endswith(_SMALL)
    return count


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False  # another host swept it
