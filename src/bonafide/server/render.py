"""Pages from what the spool and the store keep of a report."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from bonafide.report import html
from bonafide.report.from_dict import from_dict
from bonafide.server.spool import Spool

_THUMBNAIL = re.compile(r'data-thumbnail="data:(image/[a-z]+);base64,([A-Za-z0-9+/=]*)"')
_OPENING = 65536  # characters of a section in which its opening tag ends


@dataclass(frozen=True)
class Picture:
    """Encoded bytes and their media type."""

    data: bytes
    mime: str


def section(spool: Spool, report: int) -> str | None:
    """The rendered section of a report, None where it is no longer kept."""
    try:
        return spool.page(report).read_text("utf-8")
    except FileNotFoundError:
        return None


def brief(record: dict[str, Any]) -> str:
    """A section without pictures, from the record alone."""
    return html.render_section(from_dict(record), None)


def standalone(spool: Spool, report: int, record: dict[str, Any]) -> str:
    """The page that `bonafide scan --html` would have written."""
    return html.page_of(section(spool, report) or brief(record), record["media"]["name"])


def thumbnail(spool: Spool, report: int) -> Picture | None:
    """The small picture of a report, None where there is none or it is no longer kept."""
    try:
        with spool.page(report).open(encoding="utf-8") as file:
            opening = file.read(_OPENING)
    except FileNotFoundError:
        return None
    found = _THUMBNAIL.search(opening.partition(">")[0])
    return Picture(base64.b64decode(found[2]), found[1]) if found else None
