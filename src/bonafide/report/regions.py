"""The regions of the fused map as a page draws them: outlines, and crops at native zoom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.explain.words import place, tell
from bonafide.report import preview
from bonafide.types import Box, EditedRegion, Edits, Region, ScoreMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CROPS = 6  # regions shown beside each other; each costs up to some 200 kB
CROP = 400  # pixels a side that a crop shows at native zoom
MARGIN = 32  # pixels around a region, so that it can be compared with what surrounds it
_MOST_POINTS = 3000  # of all outlines together


@dataclass(frozen=True)
class Crop:
    """A part of the picture at native zoom; `uri` and `map_uri` are of its size.

    Attributes:
        uri: the pixels.
        map_uri: the fused map over them, "" for none.
        outline: path data in pixels from the left top corner of the crop.
        x, y, width, height: what of the picture is shown.
        shown_width: pixels on the page, less than `width` only where the part is too large.
    """

    uri: str
    map_uri: str
    outline: str
    x: int
    y: int
    width: int
    height: int
    shown_width: int


@dataclass(frozen=True)
class Shown:
    """One region on the page: where, what was done, and how it looks there and elsewhere."""

    place: str
    told: str
    here: Crop
    other: Crop | None


def outlines(values: NDArray[np.float32], width: int, height: int) -> str:
    """SVG path data around all that a map marks.

    Args:
        values: float32 h×w in [0, 1], from `preview.sample`; finer bends cannot be seen.
        width, height: of the picture, in whose pixels the path is.

    Returns:
        Closed polygons of at most `_MOST_POINTS` points together, the longest first.
    """
    rows, columns = values.shape
    marked = (values >= preview.MARKED).astype(np.uint8)
    found, _ = cv2.findContours(marked, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    # Contours run through the centres of pixels.
    scale = np.array([width / columns, height / rows])
    pieces, points = [], 0
    for contour in sorted(found, key=len, reverse=True):
        bends = cv2.approxPolyDP(contour, 1.0, True)
        if len(bends) > _MOST_POINTS - points:  # ragged: only its rough shape
            bends = cv2.approxPolyDP(contour, 16.0, True)
        if len(bends) > _MOST_POINTS - points:
            continue
        points += len(bends)
        corners = (bends[:, 0] + 0.5) * scale
        pieces.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in corners.tolist()) + "Z")
    return "".join(pieces)


def shown(edits: Edits, pixels: NDArray[np.uint8]) -> tuple[Shown, ...]:
    """The largest regions, each beside itself with the map over it, a clone beside its twin."""
    return tuple(
        Shown(
            place(region),
            tell(region),
            _crop(region, pixels, edits.map),
            None if region.other is None else _crop(region.other, pixels, None),
        )
        for region in edits.regions[:MOST_CROPS]
    )


def arrows(edits: Edits) -> tuple[Region, ...]:
    """Pairs of source and target of the clones whose direction is known."""
    return tuple(_directed(edits.regions))


def _directed(regions: tuple[EditedRegion, ...]) -> Iterator[Region]:
    for pair, region in enumerate(regions):
        if region.other is not None and region.other.role == "source":
            other = region.other
            here = (region.x, region.y, region.width, region.height)
            yield Region(*here, None, "target", pair)
            yield Region(other.x, other.y, other.width, other.height, None, "source", pair)


def _crop(
    place: EditedRegion | Region, pixels: NDArray[np.uint8], score_map: ScoreMap | None
) -> Crop:
    height, width = pixels.shape[:2]
    left, top = max(0, place.x - MARGIN), max(0, place.y - MARGIN)
    right = min(width, place.x + place.width + MARGIN)
    bottom = min(height, place.y + place.height + MARGIN)
    picture = preview.picture(np.ascontiguousarray(pixels[top:bottom, left:right]), CROP)
    size = (right - left, bottom - top)
    drawn = outline = ""
    if score_map is not None:
        part = preview.sample(score_map, CROP, Box(left, top, *size))
        drawn = preview.overlay(part).uri
        outline = outlines(part, *size)
    return Crop(picture.uri, drawn, outline, left, top, *size, picture.width)
