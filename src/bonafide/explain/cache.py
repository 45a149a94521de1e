"""Answers of models by the content of the request, so that the same is not asked and paid twice.

One JSON file per answer in the user's cache folder. `BONAFIDE_EXPLAIN_CACHE` names another folder,
or is "off".
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from bonafide.explain.endpoint import Reply
from bonafide.files import atomic_write


def folder() -> Path | None:
    """Where answers are kept, None if they are not."""
    named = os.environ.get("BONAFIDE_EXPLAIN_CACHE", "")
    if named.lower() == "off":
        return None
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("bonafide") / "explain"


class Cache:
    """Answers in a folder; without one it holds nothing.

    Args:
        place: the folder, made at the first answer; None for no cache.
    """

    def __init__(self, place: Path | None) -> None:
        self.place = place

    def key(self, **request: Any) -> str:
        """The name of a request: the SHA-256 of everything that decides its answer."""
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def get(self, key: str) -> Reply | None:
        """A kept answer; None if there is none that can be read."""
        if self.place is None:
            return None
        try:
            kept = json.loads((self.place / f"{key}.json").read_text("utf-8"))
            return Reply(
                str(kept["text"]),
                int(kept["tokens_in"]),
                int(kept["tokens_out"]),
                bool(kept["cut"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, reply: Reply) -> None:
        """Keep an answer; a full or read-only disk is no reason to fail."""
        if self.place is None:
            return
        try:
            self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_write(self.place / f"{key}.json") as draft:
                draft.write_text(json.dumps(vars(reply)), "utf-8")
        except OSError:
            pass
