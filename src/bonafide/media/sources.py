"""Where bytes are: a path, memory, or a temporary file that a stream was copied to.

A source can be opened many times, from several threads, and is never held in memory as a whole
unless it was given so.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from bonafide.errors import SourceError
from bonafide.media.lazy import lazy
from bonafide.media.limits import Limits
from bonafide.media.sniffing import sniff
from bonafide.questions import Kind

HEAD = 65_536  # bytes from which the kind of a file is told
_PIECE = 1024**2  # bytes read at a time
_BUFFER = 65_536
_IN_MEMORY = 16 * 1024**2  # bytes of a stream that are kept without a temporary file


class Source(Protocol):
    """Bytes that can be read again and again."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of all bytes.

        Raises:
            SourceError: they cannot be read.
        """
        ...

    def open(self) -> BinaryIO:
        """A seekable stream of its own, at the first byte.

        Raises:
            SourceError: they cannot be read.
        """
        ...


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str = "bytes") -> None:
        self.data = data
        self.name = name

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    @lazy
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of all bytes."""
        return hashlib.sha256(self.data).hexdigest()

    def open(self) -> BinaryIO:
        """A stream over the bytes, which are not copied."""
        return io.BytesIO(self.data)


class PathSource:
    """A file on this machine.

    A file that changes after it was first looked at is refused, so that one report never speaks
    of two contents.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Look at the file without reading it.

        Raises:
            SourceError: it is not there, or is not a file.
        """
        self.path = os.fspath(path)
        self.name = name or Path(self.path).name
        try:
            found = os.stat(self.path)  # noqa: PTH116, text in any encoding
        except FileNotFoundError:
            raise SourceError(self.name, "no such file") from None
        except (OSError, ValueError) as error:
            raise _unreadable(self.name, error) from error
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(self.name, _no_file(self.path, found.st_mode))
        self.size = found.st_size
        self._stamp = _stamp(found)

    @lazy
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file, read piece by piece.

        Raises:
            SourceError: it cannot be read, or has changed.
        """
        digest = hashlib.sha256()
        try:
            with self.open() as stream:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return digest.hexdigest()

    def open(self) -> BinaryIO:
        """A stream of its own.

        Raises:
            SourceError: it cannot be read, or has changed.
        """
        try:
            stream = Path(self.path).open("rb")  # noqa: SIM115, the caller closes it
        except (OSError, ValueError) as error:
            raise _unreadable(self.name, error) from error
        if _stamp(os.fstat(stream.fileno())) != self._stamp:
            stream.close()
            raise SourceError(self.name, "the file changed while it was examined")
        return stream

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in vars(self).items() if not key.endswith("_lock")}


class SpooledSource:
    """What came through a stream: kept in memory while it is small, else in a temporary file."""

    def __init__(
        self, stream: BinaryIO, name: str, limits: Limits, size: int | None = None
    ) -> None:
        """Copy a stream; of one that is too long, only the first bytes are read.

        Args:
            stream: at its beginning.
            name: how to call it in messages.
            limits: bounds on its size.
            size: its length in bytes where that is known before.

        Raises:
            LimitExceeded: the stream is longer than its kind of file may be.
            SourceError: it cannot be read.
        """
        self.name = name
        self.size = 0
        self._guard = threading.Lock()
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115, ends with this
        digest = hashlib.sha256()
        try:
            piece = _read_head(stream)
            limit = size_limit(piece)
            allowed = int(getattr(limits, limit))
            limits.check(name, limit, size or 0)
            while piece:
                self.size += len(piece)
                limits.check(name, limit, self.size)
                digest.update(piece)
                self._file.write(piece)
                piece = stream.read(min(_PIECE, allowed + 1 - self.size))
        except (OSError, ValueError) as error:
            raise _unreadable(name, error) from error
        self.sha256 = digest.hexdigest()

    def open(self) -> BinaryIO:
        """A stream of its own over the shared file."""
        raw = _Window(self, self._file, self._guard)
        return cast("BinaryIO", io.BufferedReader(raw, _BUFFER))


class _Window(io.RawIOBase):
    """A position of its own in a file that several readers share."""

    def __init__(self, owner: SpooledSource, file: IO[bytes], guard: threading.Lock) -> None:
        self._owner = owner  # whose end would close the file
        self._file = file
        self._guard = guard
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_CUR: self._position, os.SEEK_END: self._owner.size}.get(whence, 0)
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        with self._guard:
            self._file.seek(self._position)
            found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)


def size_limit(head: bytes) -> str:
    """Which of `Limits` bounds the size of a file that begins with `head`."""
    kind, _ = sniff(head)
    return "media_bytes" if kind in (Kind.VIDEO, Kind.AUDIO) else "file_bytes"


def in_memory(source: Source, name: str, limits: Limits) -> Source:
    """A source that is read only once: pictures and documents are taken into memory.

    Raises:
        SourceError: it cannot be read.
        LimitExceeded: it is larger than its kind of file may be; nothing more is read then.
    """
    try:
        with source.open() as stream:
            limit = size_limit(stream.read(HEAD))
            limits.check(name, limit, source.size)
            if limit == "media_bytes" or isinstance(source, BytesSource):
                return source
            stream.seek(0)
            return BytesSource(stream.read(limits.file_bytes + 1), name)
    except OSError as error:
        raise _unreadable(name, error) from error


def _read_head(stream: BinaryIO) -> bytes:
    """The first `HEAD` bytes; a pipe gives less than it is asked for."""
    head = b""
    while len(head) < HEAD and (piece := stream.read(HEAD - len(head))):
        head += piece
    return head


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(name: str, error: Exception) -> SourceError:
    reason = getattr(error, "strerror", None) or str(error)
    return SourceError(name, f"it cannot be read: {reason}")


def _no_file(path: str, mode: int) -> str:
    if not stat.S_ISDIR(mode):
        return "this is a device or a pipe, not a file"
    if not os.access(path, os.R_OK | os.X_OK):
        return "this folder may not be read"
    return "this is a folder"
