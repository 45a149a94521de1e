"""A report at the end of a notebook's cell."""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import replace
from pathlib import Path

from bonafide.media.image import Image
from bonafide.types import Report


def page(report: Report) -> str:
    frame = r'<iframe title="bonafide report" sandbox="allow-scripts".* srcdoc="([^"]*)"></iframe>'
    found = re.fullmatch(frame, report._repr_html_(), re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def test_it_shows_its_page_in_a_frame_of_its_own(hostile: Report) -> None:
    shown = page(hostile)
    assert shown.lstrip().startswith("<!DOCTYPE html>")
    assert hostile.verdict.caveat in shown
    assert "<figure" not in shown  # the file has no place from which it could be read
    assert shown.count("<script") == 1


def test_the_picture_is_shown_where_the_file_is_unchanged(
    report: Report, image: Image, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(image.data)
    assert hashlib.sha256(image.data).hexdigest() == report.media.sha256
    there = replace(report, media=replace(report.media, path=str(path)))
    assert "<figure" in page(there)
    path.write_bytes(image.data + b"x")
    assert "<figure" not in page(there)
