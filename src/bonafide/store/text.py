"""Text from files, as databases can hold it."""

from __future__ import annotations


def storable(text: str) -> str:
    """`text` without NUL, which PostgreSQL refuses, and without halves of surrogate pairs.

    Both come from hostile file names; they are written as their escapes.
    """
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
