"""Write a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to; what lies there becomes `path` at the end, unless something is raised.

    What is no file, such as /dev/stdout, is written to as it is.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()  # a link goes on pointing at the file
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # others may write it too
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
