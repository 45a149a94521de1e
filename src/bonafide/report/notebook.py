"""A report inside a notebook: its page in a frame, apart from the notebook's own styles."""

from __future__ import annotations

import html

from bonafide.errors import InvalidInput
from bonafide.report.html import page_of, render_section
from bonafide.report.original import find_media
from bonafide.types import Report

_HEIGHT = 720  # pixels
_LONGEST = 1000  # of the picture; it is stored in the notebook


def framed(report: Report) -> str:
    """HTML of a frame that holds the whole page of a report.

    The picture or the frames are shown as long as the file is where it was, unchanged.
    """
    facts = {"path": report.media.path, "sha256": report.media.sha256}
    try:
        media, _ = find_media(facts, None)
    except InvalidInput:
        media = None
    page = page_of(render_section(report, media, _LONGEST), report.media.name)
    # Scripts of the page may run, but the page is of no origin and cannot reach the notebook.
    return (
        f'<iframe title="bonafide report" sandbox="allow-scripts" width="100%" '
        f'height="{_HEIGHT}" style="border:1px solid #8888" srcdoc="{html.escape(page)}"></iframe>'
    )
