"""Where the user's files lie, and how a file is written: atomically, never in part."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def user_data(name: str) -> Path:
    """A file or folder in the platform's place for a user's data; it need not exist."""
    import platformdirs

    return platformdirs.user_data_path("bonafide", appauthor=False) / name


@contextmanager
def atomic_write(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path; what is written there replaces `path` unless something is raised.

    What is no file, such as /dev/stdout, is written to as it is.

    Args:
        path: to write; its folder exists.
        durable: whether the content is on disk when this returns, also after a power failure.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()  # a link goes on pointing at the file
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        if durable:
            _flush(partial, os.O_RDWR)
        partial.replace(path)
        if durable:
            flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def flush(folder: Path) -> None:
    """Have the names of files in a folder outlive a power failure."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _flush(folder, os.O_RDONLY)


def _flush(path: Path, mode: int) -> None:
    number = os.open(path, mode)
    try:
        os.fsync(number)
    finally:
        os.close(number)
