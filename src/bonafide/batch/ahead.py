"""Names that are listed once, ahead of their use, and kept on disk until then.

So the total is known as soon as the listing ends, and memory does not grow with it.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from bonafide.errors import InvalidInput

HELD = 4_096  # names in memory; further ones are on disk
_PIECE = 1 << 16  # bytes that are read at a time
_END = b"\0"  # no path or address can hold it


class Ahead:
    """A listing in a thread of its own.

    Args:
        names: to list; what they raise is raised where they are used.
        folder: where a temporary file is made.
        pause: seconds without a name after which None is yielded.
    """

    def __init__(self, names: Iterable[str], folder: Path, pause: float) -> None:
        self._names, self._folder, self._pause = names, folder, pause
        self._held: deque[str] = deque()
        self._changed = threading.Condition()
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed with its thread
        self._written = self._read = 0  # bytes
        self._rest = b""  # the beginning of a name
        self._found, self._ended = 0, False
        self._error: BaseException | None = None

    @property
    def total(self) -> int | None:
        """How many names there are, None until all are listed."""
        return self._found if self._ended else None

    def __iter__(self) -> Iterator[str | None]:
        """Names in their order, and None whenever the next one is slow to come.

        Raises:
            InvalidInput: they cannot be kept on disk; or what the listing raised.
        """
        threading.Thread(target=self._list, daemon=True).start()
        while True:
            with self._changed:
                if not self._held and self._read < self._written:
                    self._fetch()
                if not self._held and not self._ended:
                    self._changed.wait(self._pause)
                some = list(self._held)
                self._held.clear()
                over = self._ended and not some and self._read == self._written
            yield from some
            if over:
                if self._error:
                    raise self._error
                return
            if not some and not self._ended:
                yield None

    def _list(self) -> None:
        try:
            for name in self._names:
                with self._changed:
                    self._keep(name)
                    self._changed.notify()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _keep(self, name: str) -> None:
        self._found += 1
        if self._read == self._written and len(self._held) < HELD:
            self._held.append(name)
            return
        try:
            self._file.seek(self._written)
            self._written += self._file.write(os.fsencode(name) + _END)
        except OSError as error:
            raise InvalidInput(f"names cannot be kept in {self._folder}: {error}") from error

    def _fetch(self) -> None:
        self._file.seek(self._read)
        piece = self._file.read(min(_PIECE, self._written - self._read))
        self._read += len(piece)
        *names, self._rest = (self._rest + piece).split(_END)
        self._held.extend(map(os.fsdecode, names))
        if self._read == self._written:  # whole names were written, so no rest is left
            self._file.truncate(0)
            self._read = self._written = 0
