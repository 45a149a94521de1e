"""A comparison as one self-contained page, with the parts of the examination report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from bonafide import __version__
from bonafide.comparison.registration import scaling
from bonafide.comparison.result import Change, Comparison
from bonafide.comparison.warp import Warp
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import noop
from bonafide.media.image import Image
from bonafide.report import comparison_words, preview, templates, wording
from bonafide.report.comparison_map import heatmap
from bonafide.types import Region

MOST_CROPS = 12
_LONGEST = 1400
_CROP = 360
_THUMBNAIL = 700


@dataclass(frozen=True)
class _Crop:
    """One changed region before and after, at native zoom where that fits."""

    number: int
    before: str
    after: str
    width: int
    height: int
    text: str


@dataclass(frozen=True)
class _Side:
    """One of the pictures with the boxes of what changed in it."""

    title: str
    name: str
    uri: str
    width: int
    height: int
    boxes: tuple[tuple[int, Region], ...]


@dataclass(frozen=True)
class _Stage:
    """The reference laid over the suspect."""

    width: int
    height: int
    shown_width: int
    suspect: str
    reference: str
    overlay: str
    boxes: tuple[tuple[int, Region], ...]


def render_page(comparison: Comparison, reference: Image, suspect: Image) -> str:
    """Render the page.

    Args:
        comparison: of the two.
        reference, suspect: the pictures, as decoded for it.

    Raises:
        DecodeError: the pixels of one of them are damaged.
    """
    environment = _environment()
    base = environment.get_template("template.html").module
    own = environment.get_template("comparison.html").module
    numbered = list(enumerate(comparison.changes, 1))
    warp = None
    if comparison.homographies:
        matrix = np.array(comparison.homographies[0]).reshape(3, 3)
        warp = Warp(reference.pixels, matrix, (suspect.width, suspect.height))
    body = own.section(  # type: ignore[attr-defined]
        comparison=comparison,
        words=comparison_words.RELATIONS[comparison.relation],
        tone=comparison_words.TONES[comparison.relation],
        caveats=comparison_words.caveats(comparison),
        stage=_stage(comparison, suspect, warp),
        sides=_sides(comparison, reference, suspect),
        crops=[]
        if warp is None
        else [_crop(n, c, suspect, warp) for n, c in numbered[:MOST_CROPS]],
        measurements=comparison_words.measurements(comparison.evidence),
        area=comparison_words.area,
        icon=base.icon,  # type: ignore[attr-defined]
    )
    head = base.head(_("Two pictures compared"), [], [])  # type: ignore[attr-defined]
    return f"{str(head).strip()}\n{str(body).strip()}\n{str(base.tail()).strip()}\n"  # type: ignore[attr-defined]


def _environment() -> Environment:
    folder = Path(__file__).parent
    environment = templates.environment(folder)
    style, script = (
        "".join(
            (folder / f"{name}.{kind}").read_text("utf-8") for name in ("template", "comparison")
        ).replace("\r\n", "\n")
        for kind in ("css", "js")
    )
    environment.globals.update(
        say=wording,
        version=__version__,
        ramp=[f"#{r:02x}{g:02x}{b:02x}" for r, g, b in preview.colours(9).tolist()],
        style=Markup(style),
        script=Markup(script),
        policy=templates.policy(style, script),
        labels=(),  # icons beyond those that the template draws; a comparison needs none
        drawn_icons=(),
    )
    return environment


def _stage(comparison: Comparison, suspect: Image, warp: Warp | None) -> _Stage | None:
    if warp is None:
        return None
    size = preview.fit(suspect.width, suspect.height, _LONGEST)
    shrink = scaling(size[0] / suspect.width, size[1] / suspect.height)
    laid, _ = Warp(warp.pixels, shrink @ warp.homography, size).whole()
    overlay = ""
    heat = heatmap(comparison)
    if heat is not None:
        overlay = preview.overlay(preview.shrink(heat, size[1], size[0])).uri
    enlarge = max(1, 400 // max(size))
    return _Stage(
        suspect.width,
        suspect.height,
        size[0] * enlarge,
        preview.picture(suspect.pixels, _LONGEST).uri,
        preview.picture(laid, _LONGEST).uri,
        overlay,
        _boxes(comparison, of_reference=False),
    )


def _boxes(comparison: Comparison, of_reference: bool) -> tuple[tuple[int, Region], ...]:
    boxes = []
    for index, change in enumerate(comparison.changes[:MOST_CROPS], 1):
        box = change.reference if of_reference else change.suspect
        if box is not None:
            boxes.append((index, box))
    return tuple(boxes)


def _sides(comparison: Comparison, reference: Image, suspect: Image) -> tuple[_Side, _Side]:
    first, second = (
        _Side(
            title,
            media.name,
            preview.picture(media.pixels, _THUMBNAIL).uri,
            media.width,
            media.height,
            _boxes(comparison, of_reference),
        )
        for title, media, of_reference in (
            (noop("Reference"), reference, True),
            (noop("Suspect"), suspect, False),
        )
    )
    return first, second


def _crop(index: int, change: Change, suspect: Image, warp: Warp) -> _Crop:
    box = change.suspect
    pad = max(8, round(0.15 * max(box.width, box.height)))
    left, top = max(0, box.x - pad), max(0, box.y - pad)
    right = min(suspect.width, box.x + box.width + pad)
    bottom = min(suspect.height, box.y + box.height + pad)
    own = suspect.pixels[top:bottom, left:right]
    # A region as large as the picture is warped at the size that is shown.
    size = preview.fit(right - left, bottom - top, _CROP)
    back = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
    shrink = scaling(size[0] / (right - left), size[1] / (bottom - top))
    before, _ = Warp(warp.pixels, shrink @ back @ warp.homography, size).whole()
    enlarge = max(1, 160 // max(size))
    return _Crop(
        index,
        preview.picture(before, _CROP).uri,
        preview.picture(np.ascontiguousarray(own), _CROP).uri,
        size[0] * enlarge,
        size[1] * enlarge,
        comparison_words.change(change),
    )
