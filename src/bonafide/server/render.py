"""Pages from what the spool and the store keep of a report."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from bonafide.languages.current import current
from bonafide.report import html, templates
from bonafide.report.from_dict import from_dict
from bonafide.server.spool import Spool

OPENING = 65536  # characters of a section in which its opening tag ends
_SIGNS = {
    b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF": "image/webp",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """Encoded bytes and their media type."""

    data: bytes
    mime: str


def section(spool: Spool, report: int) -> str | None:
    """The rendered section of a report in the language in use, None where it is no longer kept."""
    try:
        kept = spool.page(report).read_text("utf-8")
    except FileNotFoundError:
        return None
    return templates.resolved(kept, current())


def brief(record: dict[str, Any]) -> str:
    """A section without pictures, from the record alone."""
    return html.render_section(from_dict(record), None)


def standalone(spool: Spool, report: int, record: dict[str, Any]) -> str:
    """The page that `bonafide scan --html` would have written."""
    return html.page_of(section(spool, report) or brief(record), record["media"]["name"])


def thumbnail(spool: Spool, report: int) -> Picture | None:
    """The small picture of a report, None where there is none or it is no longer kept."""
    if not spool.page(report).exists():
        return None
    try:
        data = spool.thumbnail(report).read_bytes()
    except FileNotFoundError:  # of a page that an earlier version wrote
        try:
            with spool.page(report).open(encoding="utf-8") as file:
                data = thumbnail_of(file.read(OPENING))
        except FileNotFoundError:
            return None
    mime = next((mime for sign, mime in _SIGNS.items() if data.startswith(sign)), None)
    return Picture(data, mime) if mime else None


def thumbnail_of(section: str) -> bytes:
    """The small picture that a rendered section carries for the index, empty where there is none.

    Args:
        section: its beginning at least, up to the end of its opening tag.
    """
    parser = _Opening()
    parser.feed(section)
    head, _, data = (parser.thumbnail or "").partition(";base64,")
    try:
        return base64.b64decode(data, validate=True) if head.startswith("data:image/") else b""
    except ValueError:
        return b""


class _Opening(HTMLParser):
    """Reads one attribute of the first element."""

    thumbnail: str | None = None
    _seen = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at the first element and at no other."""
        if not self._seen:
            self._seen, self.thumbnail = True, dict(attrs).get("data-thumbnail")
