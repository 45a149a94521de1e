"""JPEG grid origin: parts of the picture whose 8×8 compression grid starts elsewhere.

What it looks for
    Connected parts whose JPEG blocks begin at another place than those of the rest, a part that
    carries a JPEG grid in a picture that otherwise has none, and, in pictures that are not JPEG
    files now, a part that lacks the grid of the rest.

Why it works
    JPEG sets many coefficients of each 8×8 block to zero. Read at the right origin the zeros
    are there, one pixel aside they are gone, so every pixel can vote for an origin. Something
    pasted or copied within the picture keeps its own grid, and lands on the grid of the rest
    by luck only once in 64 times.

When it fails
    When the last save was coarser than the one before, since it writes its own grid over
    everything; after resizing, rotation or blur of the pasted part; on parts of less than
    about 30×30 pixels; on flat or saturated areas, where all origins look alike. A picture that
    was cropped and saved again as a whole shows two grids everywhere; when the second grid is
    found all over the picture it is reported as history and not marked.

How to read it
    The number of false alarms says how often chance alone would give as good a region in one
    picture: 1e-6 is once in a million. A main grid away from (0, 0) says that the picture was
    cropped after it had been a JPEG, which is no forgery by itself.

Reference
    T. Nikoukhah, J. Anger, M. Colom, J.-M. Morel, R. Grompone von Gioi, "ZERO: a Local JPEG
    Grid Origin Detector Based on the Number of DCT Zeros and its Applications in Image
    Forensics", Image Processing On Line 11, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.signals import jpeg
from bonafide.signals.acontrario import log10_false_alarms
from bonafide.signals.heavy import cv2
from bonafide.signals.jpeg import GRID_VOTES
from bonafide.signals.lattice import upright_map
from bonafide.types import (
    Card,
    EditKind,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
    Region,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="jpeg_grid",
    version="2",
    question=Question.EDITED,
    title="Origin of the JPEG grid",
    needs=Needs(min_side=64),
    facts={
        "main_origin": "column and row where the grid of most of the picture starts, null if no "
        "grid was found [pixels, 0–7]",
        "main_log10_false_alarms": "log10 of the number of false alarms of that grid; below 0 is "
        "meaningful [log10 count]",
        "cropped_after_jpeg": "whether the main grid starts away from (0, 0) [yes/no]",
        "second_grid": "origin of a grid that is found all over the picture beside the main one, "
        "null if none [pixels, 0–7]",
        "several_grids": "whether parts with other grids fill most of the picture, as after "
        "resizing or turning it [yes/no]",
        "voting_share": "share of pixels that could vote for one origin [0–1]",
        "foreign_regions": "parts with another origin: place and size, origin [pixels] (null: the "
        "grid is missing), number of false alarms [log10 count]",
        "foreign_share": "share of the picture that these parts cover [0–1]",
    },
    erased_by=("jpeg", "scale"),
    paper="T. Nikoukhah et al., ZERO, IPOL 11, 2021",
    limits="Blind once the last save was as coarse as the one before: it marked 3 of 75 edited "
    "pictures, most of them re-saved JPEG files, and 0 of 300 untouched ones that were not seen "
    "while it was designed. Needs parts of about 30×30 pixels; says nothing on flat or saturated "
    "areas.",
)

CELL = 8  # regions are grown on cells of 8×8 pixels
_MISSING = 64  # stands for "no grid" beside the 64 origins
LEAST_PRESENT = 0.1  # a grid that more pixels of a part vote for is not missing there
MOST = 0.6  # parts that fill more of the picture are its history, not foreign to it
ACTIVE = 8  # votes of 64 that make a cell part of a region


@dataclass(frozen=True)
class _Part:
    origin: int
    log10_false_alarms: float
    box: tuple[int, int, int, int]  # x, y, width, height in cells
    cells: NDArray[np.bool_]  # inside the box


class Detector:
    """Votes for grid origins by zero coefficients, validated a contrario.

    Args:
        log10_bound: a region counts below this log10 number of false alarms; −2 is one in a
            hundred pictures.
    """

    def __init__(self, log10_bound: float = -2.0) -> None:
        self.log10_bound = log10_bound

    def measure(self, ctx: Context) -> Measured:
        """Return the score (−log10 false alarms of the best foreign part), its map and facts."""
        media = ctx.image
        if min(media.width, media.height) < 2 * CELL:
            return NotApplicable("the picture is too small to hold a grid of 8×8 blocks")
        luma = media.stored_luma
        votes = ctx.get(GRID_VOTES)
        totals = jpeg.vote_totals(votes)
        valid = int(totals.sum())
        if valid == 0:
            return NotApplicable("the picture is too flat to show a compression grid")
        log10_tests = 2 * math.log10(64 * luma.size)
        main = int(np.argmax(totals))
        main_alarms = log10_false_alarms(log10_tests, totals[main] // 64, luma.size / 64, 1 / 64)
        histogram = _cell_votes(votes)
        if main_alarms < 0 and main != 0 and _is_local(histogram[..., main], main, log10_tests):
            main_alarms = 0.0
        known = main if main_alarms < 0 else (0 if media.format == "JPEG" else -1)
        parts = [
            part
            for origin in range(64)
            if origin != known and totals[origin] >= 640
            for part in _grow(histogram[..., origin], origin, log10_tests)
        ]
        # The save that made a JPEG file left its own grid everywhere; only an older or a former
        # grid can be missing from a part.
        if main_alarms < 0 and (main != 0 or media.format != "JPEG"):
            parts += [
                part
                for part in _grow(_cells_without(votes, luma, main), _MISSING, log10_tests)
                if _share(histogram[..., main], part) < LEAST_PRESENT
            ]
        second = _everywhere(parts, histogram.shape[:2])
        parts = [part for part in parts if part.origin != second]
        parts.sort(key=lambda part: part.log10_false_alarms)
        best = parts[0].log10_false_alarms if parts else 0.0
        found = [part for part in parts if part.log10_false_alarms < self.log10_bound]
        marked = np.zeros(histogram.shape[:2], np.float32)
        regions = []
        for part in reversed(found):
            box = self._mark(marked, part, luma.shape)
            regions.append(_upright(media, box, -part.log10_false_alarms))
        regions = regions[::-1][:20]
        share = float((marked >= 0.5).mean())
        several = share > MOST
        if several:  # resized or turned as a whole: there is no rest for a part to differ from
            marked[...] = 0
            regions, found, best, share = [], [], 0.0, 0.0
        facts: dict[str, Any] = {
            "main_origin": [main % 8, main // 8] if main_alarms < 0 else None,
            "main_log10_false_alarms": round(max(float(main_alarms), -300.0), 2),
            "cropped_after_jpeg": bool(main_alarms < 0 and main != 0),
            "second_grid": None if second in (-1, _MISSING) else [second % 8, second // 8],
            "several_grids": several,
            "voting_share": round(valid / luma.size, 4),
            "foreign_regions": [
                {
                    "x": region.x,
                    "y": region.y,
                    "width": region.width,
                    "height": region.height,
                    "origin": None
                    if part.origin == _MISSING
                    else [part.origin % 8, part.origin // 8],
                    "log10_false_alarms": round(max(part.log10_false_alarms, -300.0), 2),
                }
                for region, part in zip(regions, found, strict=False)
            ],
            "foreign_share": round(share, 4),
        }
        return [
            Measurement(
                score=round(min(max(0.0, -best), 300.0), 3),
                maps=(upright_map(media, marked, CELL),),
                kind=_kind(found),
                regions=tuple(regions),
                facts=facts,
                summary=_summary(facts, media.format == "JPEG"),
            )
        ]

    @staticmethod
    def _mark(
        marked: NDArray[np.float32], part: _Part, shape: tuple[int, ...]
    ) -> tuple[int, int, int, int]:
        """Draw a part into the map of cells; return its box in pixels."""
        x, y, width, height = part.box
        cells = part.cells.astype(np.float32) * (
            0.5 + 0.5 * min(max(-part.log10_false_alarms, 0.0) / 30.0, 1.0)
        )
        area = marked[y : y + height, x : x + width]
        np.maximum(area, cells[: area.shape[0], : area.shape[1]], out=area)
        left, top = CELL * x, CELL * y
        return (
            left,
            top,
            min(CELL * width, shape[1] - left),
            min(CELL * height, shape[0] - top),
        )


def _kind(found: list[_Part]) -> EditKind:
    """A splice, where every marked part has a grid of its own."""
    own = bool(found) and all(part.origin != _MISSING for part in found)
    return EditKind.SPLICE if own else EditKind.UNKNOWN


def _cell_votes(votes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Votes per cell and origin, uint8 rows×columns×64; the last cells may be partial."""
    rows, columns = -(-votes.shape[0] // CELL), -(-votes.shape[1] // CELL)
    result = np.zeros((rows, columns, 64), np.uint8)
    column_of = np.arange(votes.shape[1]) // CELL * 256
    for row in range(rows):
        strip = votes[CELL * row : CELL * row + CELL].astype(np.int64) + column_of
        counts = np.bincount(strip.ravel(), minlength=columns * 256).reshape(columns, 256)
        result[row] = counts[:, :64]
    return result


def _cells_without(
    votes: NDArray[np.uint8], luma: NDArray[np.float32], main: int
) -> NDArray[np.uint8]:
    """Per cell, the pixels that do not vote for the main grid but would after one fine save.

    The fine save tells a part that lacks the grid from one whose content cannot show any.

    Source:
        Nikoukhah et al., ZERO, IPOL 2021, section on missing grids.
    """
    origin = (main % 8, main // 8)
    blocks = jpeg.block_dct(luma, origin)
    table = jpeg.standard_table(99).astype(np.float32)
    for row in blocks:
        row /= table
        np.rint(row, out=row)
        row *= table
    resaved = luma.copy()
    rows, columns = 8 * blocks.shape[0], 8 * blocks.shape[1]
    inside = resaved[origin[1] : origin[1] + rows, origin[0] : origin[0] + columns]
    inside[...] = np.clip(np.rint(jpeg.inverse_block_dct(blocks)), 0, 255)
    gained = (jpeg.grid_votes(resaved) == main) & (votes != main)
    height, width = -(-luma.shape[0] // CELL), -(-luma.shape[1] // CELL)
    padded = np.zeros((height * CELL, width * CELL), np.uint8)
    padded[: luma.shape[0], : luma.shape[1]] = gained
    cells: NDArray[np.uint8] = padded.reshape(height, CELL, width, CELL).sum(
        axis=(1, 3), dtype=np.uint8
    )
    return cells


def _grow(votes: NDArray[np.uint8], origin: int, log10_tests: float) -> list[_Part]:
    """Connected parts that vote for `origin`, with a meaningful number of votes."""
    active = votes >= ACTIVE
    # Cells at distance two still join, as the text of a page or a face has flat gaps.
    joined = cv2.dilate(active.view(np.uint8), np.ones((3, 3), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return []
    sums = np.bincount(labels.ravel(), weights=(votes * active).ravel(), minlength=count)
    parts = []
    for label in range(1, count):
        blocks = float(sums[label]) // 64
        x, y, width, height = (int(value) for value in boxes[label, :4])
        side = CELL * max(width, height)
        alarms = log10_false_alarms(log10_tests, blocks, max(side * side / 64, blocks), 1 / 64)
        if alarms < 0:
            inside = (slice(y, y + height), slice(x, x + width))
            cells = (labels[inside] == label) & (joined[inside] > 0)
            closed = cv2.morphologyEx(
                np.pad(cells & active[inside], 2).view(np.uint8),
                cv2.MORPH_CLOSE,
                np.ones((5, 5), np.uint8),
            )[2:-2, 2:-2]
            parts.append(_Part(origin, alarms, (x, y, width, height), closed > 0))
    return parts


def _share(votes: NDArray[np.uint8], part: _Part) -> float:
    """Share of the pixels of a part that cast these votes."""
    x, y, width, height = part.box
    inside = votes[y : y + height, x : x + width][part.cells]
    return float(inside.sum()) / max(64 * inside.size, 1)


def _is_local(votes: NDArray[np.uint8], origin: int, log10_tests: float) -> bool:
    """Whether a grid is meaningful in some parts and absent from the larger rest."""
    rest = votes.copy()
    covered = 0
    for part in _grow(votes, origin, log10_tests):
        x, y, width, height = part.box
        rest[y : y + height, x : x + width] = 0
        covered += width * height
    free = votes.size - covered
    if covered == 0 or free < 0.5 * votes.size:
        return False
    return log10_false_alarms(log10_tests, float(rest.sum()) // 64, free, 1 / 64) >= 0


def _everywhere(parts: list[_Part], shape: tuple[int, int]) -> int:
    """The origin whose parts lie all over the picture, −1 if none does."""
    for origin in sorted({part.origin for part in parts}):
        own = [part for part in parts if part.origin == origin]
        left = min(part.box[0] for part in own)
        top = min(part.box[1] for part in own)
        right = max(part.box[0] + part.box[2] for part in own)
        bottom = max(part.box[1] + part.box[3] for part in own)
        if (right - left) * (bottom - top) > MOST * shape[0] * shape[1]:
            return origin
    return -1


def _upright(media: Image, box: tuple[int, int, int, int], score: float) -> Region:
    """A box of the stored picture as a region of the upright one."""
    x, y, width, height = box
    orientation = media.orientation
    if orientation >= 5:
        x, y, width, height = y, x, height, width
    if orientation in (2, 3, 6, 7):
        x = media.width - x - width
    if orientation in (3, 4, 7, 8):
        y = media.height - y - height
    return Region(x, y, width, height, round(min(score, 300.0), 2))


def _summary(facts: Mapping[str, Any], is_jpeg: bool) -> str:
    origin = facts["main_origin"]
    found = facts["foreign_regions"]
    if found and origin is not None:
        worst = found[0]["log10_false_alarms"]
        parts = "1 part" if len(found) == 1 else f"{len(found)} parts"
        return (
            f"{parts} of the picture do not follow the JPEG grid of the rest; chance alone would "
            f"give so clear a part about 10^{worst:.0f} times per picture."
        )
    if found:
        return (
            f"The picture as a whole shows no JPEG grid, but {len(found)} of its parts do, as if "
            "they came from a JPEG file."
        )
    if facts["several_grids"]:
        return "Several JPEG grids fill the picture, as after resizing or turning it as a whole."
    if origin is None:
        return "No JPEG grid was found, neither in the whole picture nor in a part."
    if facts["cropped_after_jpeg"]:
        return (
            f"One JPEG grid runs through the picture; it starts at column {origin[0]}, row "
            f"{origin[1]}, so the picture was cropped after it had been a JPEG."
        )
    if is_jpeg:
        return "One JPEG grid runs through the picture, where the file says it should."
    return "One JPEG grid runs through the picture, which was therefore a JPEG once."
