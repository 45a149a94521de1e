"""Standard input as something that a worker process can read."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bonafide.media.limits import Limits
    from bonafide.media.sources import PathSource

_PIECE = 1024**2  # bytes


def read_stdin(limits: Limits) -> bytes | PathSource:
    """All of standard input: bytes of a picture or document, a temporary file of anything else.

    At most one byte more than the limit of its kind of file is read, so that opening it fails for
    what is longer. The temporary file is deleted when the program ends.
    """
    from bonafide.media.sources import HEAD, PathSource, size_limit

    stream = sys.stdin.buffer
    head = stream.read(HEAD)
    limit = size_limit(head)
    left = int(getattr(limits, limit)) + 1 - len(head)
    if limit == "file_bytes":
        return head + stream.read(max(0, left))
    handle, path = tempfile.mkstemp(prefix="bonafide-")
    atexit.register(Path(path).unlink, missing_ok=True)
    with os.fdopen(handle, "wb") as file:
        file.write(head)
        while left > 0 and (piece := stream.read(min(_PIECE, left))):
            file.write(piece)
            left -= len(piece)
    return PathSource(path, "stdin")
