"""Where the user's files lie, and how a file is written: atomically, never in part."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bonafide.errors import InvalidInput


def user_data(name: str) -> Path:
    """A file or folder in the platform's place for a user's data; it need not exist."""
    import platformdirs

    return platformdirs.user_data_path("bonafide", appauthor=False) / name


def user_folder(variable: str, name: str) -> Path:
    """The folder that an environment variable names, else the user's folder of a name."""
    named = os.environ.get(variable)
    return Path(named) if named else user_data(name)


def file_stem(name: str, owner: str) -> str:
    """The name of a file, without its ending, for something that the user named.

    Args:
        name: as the user gave it.
        owner: whose name it is, such as "a camera", for the message.

    Raises:
        InvalidInput: the name has no letter or digit, is too long, or cannot be printed.
    """
    found = re.sub(r"[^\w]+", "-", name.casefold()).strip("-_")
    if not found or len(name) > 60 or not name.isprintable():
        raise InvalidInput(
            f"{owner}'s name has 1 to 60 printable characters, one a letter or digit"
        )
    return found


def cards_in(folder: Path, most: int) -> list[Path]:
    """The JSON files of a folder that need not exist, by name, at most `most`."""
    return sorted(folder.glob("*.json"))[:most] if folder.is_dir() else []


def checksums(files: Iterable[Path]) -> dict[str, str]:
    """Name without ending → hexadecimal SHA-256; files that cannot be read are left out."""
    found = {}
    for path in files:
        try:
            found[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            continue
    return found


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
