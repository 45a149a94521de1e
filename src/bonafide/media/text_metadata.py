"""Text out of metadata, which anybody may have written: decoded, bounded, never interpreted."""

from __future__ import annotations


def clean(value: object, size: int = 300) -> str:
    """Text out of a file, made printable, on one line, and bounded."""
    text = value if isinstance(value, str) else ""
    text = "".join(c if c.isprintable() else " " for c in text[: 4 * size])
    return " ".join(text.split())[:size]


def quote(value: object, size: int = 80) -> str:
    """`clean` text in curly quotes that it cannot close, for use inside a sentence."""
    return "“" + clean(value, size).replace("“", "'").replace("”", "'") + "”"
