"""Parts of a picture that were enlarged, shrunk or turned while the rest was not.

What it looks for
    A periodic pattern in how well each pixel is predicted by its neighbours, present in one
    region and absent from the rest of the picture.

Why it works
    A pasted object is nearly always scaled or turned to fit. Interpolation computes new pixels
    from old ones with weights that repeat periodically, so that predictability repeats too and
    shows as sharp lines in the spectrum of a tile. The strength of a line is compared with what
    the surrounding frequencies lead one to expect, with a bound on chance hits over all tiles
    and frequencies.

When it fails
    JPEG compression after the edit, at any usual quality, erases the lines; enlargement by two
    or by four thirds coincides with the lines of JPEG blocks, which are left out; parts smaller
    than a tile (128 or 256 pixels) leave too little, and so does shrinking by much. Fine regular
    texture, such as fabric or a screen, can imitate it and is checked for, not always with success.

How to read it
    A marked region has been interpolated and comparable parts elsewhere have not. A picture
    that was resized as a whole is ordinary and is only noted.

Reference
    A. C. Popescu and H. Farid, "Exposing Digital Forgeries by Detecting Traces of Resampling",
    IEEE Transactions on Signal Processing 53(2), 2005; M. Kirchner, "Fast and Reliable Resampling
    Detection by Spectral Analysis of Fixed Linear Predictor Residue", MM&Sec 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bonafide.media.context import Context
from bonafide.signals.acontrario import log10_false_alarms
from bonafide.signals.heavy import scipy
from bonafide.signals.lattice import marked_regions
from bonafide.signals.resample import predictability, prediction_error
from bonafide.signals.spectrum import (
    crossed,
    frequencies,
    near_fractions,
    periodogram,
    prominence,
    tile_origins,
)
from bonafide.types import (
    Card,
    Fact,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
    ScoreMap,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARD = Card(
    id="resampling",
    version="2",
    question=Question.EDITED,
    title="Local resampling",
    needs=Needs(min_side=192),
    facts={
        "tile": "side of the square tiles that were analysed [pixels]",
        "tiles": "tiles with enough texture to be analysed [count]",
        "tiles_marked": "tiles that show a period which the rest does not show [count]",
        "period": "period of the strongest local line [pixels]",
        "log10_false_alarms": "log10 of how many lines as strong chance would give in a picture of "
        "this size [log10 count]",
        "global_period": "period that the picture shows as a whole, 0 if none [pixels]",
    },
    erased_by=("jpeg", "scale"),
    paper="A. C. Popescu and H. Farid, IEEE TSP 53(2), 2005; M. Kirchner, MM&Sec 2008",
    limits="Erased by JPEG: of 55 planted patches (11 photographs; enlarged by 1.1, 1.3, 1.7, "
    "shrunk to 0.9, turned by 15°) 44 are found in lossless files, 13 after JPEG 97 and 2 after "
    "JPEG 90; found ones are outlined roughly (pixel F1 about 0.6). Says almost nothing about "
    "edits found on the web: image AUC 0.48 on 75 edited and 46 authentic pictures, mostly JPEG. "
    "False regions on 0 of those 46 and on 1 of 200 other bona fide pictures. "
    "Only scaling that is equal in both directions, and turning, are looked for.",
)

_LOWEST_FREQUENCY = 0.08  # below it, texture and shading dominate
_FLAT = 0.2  # mean prediction error under which rounding to whole levels dominates


@dataclass(frozen=True)
class _Tiles:
    """Tile corners (n, 2) as y, x; mean error (n,); prominence (n, size, size // 2 + 1)."""

    size: int
    corners: NDArray[np.intp]
    levels: NDArray[np.float32]
    lines: NDArray[np.float16]


@dataclass(frozen=True)
class _Line:
    """One local line: its bin, tile numbers, and log10 of the number of false alarms."""

    bin: tuple[int, int]
    tiles: NDArray[np.intp]
    log10_false_alarms: float


CELL = 8  # pixels of a map cell


class Detector:
    """Spectral lines of the predictability map, tile by tile.

    Args:
        max_log10_false_alarms: bound for a line to count.
        max_tiles: tiles are spread further apart, up to side by side, to stay under this number.
    """

    def __init__(self, max_log10_false_alarms: float = -2.0, max_tiles: int = 400) -> None:
        self.max_log10_false_alarms = max_log10_false_alarms
        self.max_tiles = max_tiles

    def measure(self, ctx: Context) -> Measured:
        """Return a finding that marks tiles with a period of their own."""
        media = ctx.image
        luma = media.luma
        side = min(luma.shape)
        if side < 128:
            return NotApplicable("it needs 128 pixels on each side")
        tiles = _analyse(luma, 256 if side >= 768 else 128, self.max_tiles)
        if len(tiles.levels) < 6:
            return NotApplicable("too few parts of the picture have texture to compare")
        shared = _global_line(tiles)
        lines, best = self._local_lines(luma, tiles, shared)
        global_period = round(_period(tiles.size, *shared), 2) if shared else 0.0
        return _finding(luma.shape, tiles, lines, best, global_period)

    def _local_lines(
        self, luma: NDArray[np.float32], tiles: _Tiles, shared: tuple[int, int] | None
    ) -> tuple[list[_Line], float]:
        """Local lines other than `shared`, and the least log10 false alarms of any line."""
        count, rows, columns = tiles.lines.shape
        log10_tests = math.log10(count * rows * columns)
        flat = tiles.lines.reshape(count, -1)
        peaks = flat.max(axis=1).astype(np.float64)
        best = log10_tests
        lines: list[_Line] = []
        tried = np.zeros((rows, columns), bool)
        if shared:
            _mark_tried(tried, *shared)
        for tile in np.argsort(-peaks)[:40]:
            alarms = float(log10_tests - peaks[tile] / math.log(10))
            if alarms > self.max_log10_false_alarms:
                best = min(best, alarms)
                break
            place = np.unravel_index(int(flat[tile].argmax()), (rows, columns))
            row, column = int(place[0]), int(place[1])
            if tried[row, column] or len(lines) == 4:
                continue
            inside = _is_local(tiles, row, column)
            if inside is None:
                _mark_tried(tried, row, column)
            if inside is None or _is_texture(luma, tiles, int(tile), row, column):
                best = min(best, 0.0)  # a line that is explained away counts neither way
                continue
            _mark_tried(tried, row, column)
            lines.append(_Line((row, column), inside, alarms))
            best = min(best, alarms)
        return lines, best


def _analyse(luma: NDArray[np.float32], size: int, max_tiles: int) -> _Tiles:
    """Prominence of every line in every tile that has texture."""
    height, width = luma.shape
    step = size // 2
    while step < size and (height // step) * (width // step) > max_tiles:
        step += size // 8
    excluded = near_fractions(size, 8)
    vertical, horizontal = frequencies(size)
    excluded |= np.hypot(vertical, horizontal) < _LOWEST_FREQUENCY
    kept = (~excluded).astype(np.float32)
    corners: list[tuple[int, int]] = []
    levels: list[float] = []
    rows, columns = tile_origins(height, size, step), tile_origins(width, size, step)
    lines = np.empty((len(rows) * len(columns), size, size // 2 + 1), np.float16)
    bands = predictability(luma, (int(y) for y in rows), size)
    for y, (error, predictable) in zip(rows, bands, strict=True):
        for x in columns:
            level = float(np.median(error[::8, x : x + size : 8]))
            if level < _FLAT:
                continue
            values = crossed(prominence(periodogram(predictable[:, x : x + size])))
            np.minimum(values, np.float32(6e4), out=values)
            values *= kept
            lines[len(corners)] = values
            corners.append((int(y), int(x)))
            levels.append(level)
    return _Tiles(
        size,
        np.array(corners, np.intp).reshape(-1, 2),
        np.array(levels, np.float32),
        lines[: len(corners)],
    )


def _around(tiles: _Tiles, row: int, column: int) -> NDArray[np.float64]:
    """Prominence of a line in every tile; the bin where it peaks may differ by one."""
    size = tiles.size
    rows = np.arange(row - 1, row + 2) % size
    columns = slice(max(0, column - 1), column + 2)
    patches = tiles.lines[:, rows, columns].reshape(len(tiles.lines), -1).astype(np.float64)
    values: NDArray[np.float64] = patches.max(axis=1)
    return values


def _is_local(tiles: _Tiles, row: int, column: int) -> NDArray[np.intp] | None:
    """Tiles that show the line, or None if comparable tiles elsewhere show it a little too."""
    values = _around(tiles, row, column)
    # Nine bins are looked at in each tile; a tenth of a false tile is let in per picture.
    inside = values > math.log(9 * len(values) / 0.1)
    if not inside.any():
        return None
    distance = np.abs(tiles.corners[:, None] - tiles.corners[inside][None]).max(axis=2).min(axis=1)
    comparable = tiles.levels > 0.5 * float(np.median(tiles.levels[inside]))
    outside = (distance >= tiles.size) & comparable
    count = int(outside.sum())
    if count < 4:
        return None
    # The sum of exponentials is a gamma variable; tiles overlap, so half of them count.
    exact = tiles.lines[outside, row, column].astype(float)
    effective = max(1.0, count / 2)
    if scipy.special.gammaincc(effective, exact.mean() * effective) < 1e-2:
        return None
    return np.flatnonzero(inside)


def _is_texture(luma: NDArray[np.float32], tiles: _Tiles, tile: int, row: int, column: int) -> bool:
    """Whether a regular texture, whose own spectrum has lines, explains the line.

    A texture of frequency g makes the magnitude of its error repeat with g and 2 g; interpolation
    makes the error's strength periodic, and leaves no line in the error itself.
    """
    size = tiles.size
    y, x = tiles.corners[tile]
    own = prominence(periodogram(prediction_error(luma[y : y + size, x : x + size])))
    signed_row = row if row < size / 2 else row - size
    places: list[tuple[float, float]] = [(signed_row, column)]
    places += [
        (signed_row / 2 + rows, column / 2 + columns)
        for rows in (0, size / 2)
        for columns in (0, size / 2)
    ]
    for vertical, horizontal in places:
        if horizontal > size / 2:  # the other half of the plane mirrors this one
            vertical, horizontal = -vertical, size - horizontal
        near_rows = np.arange(math.floor(vertical) - 1, math.ceil(vertical) + 2) % size
        first, last = max(0, math.floor(horizontal) - 1), math.ceil(horizontal) + 2
        patch = own[near_rows, first:last]
        if patch.max(initial=0.0) > math.log(5 * patch.size / 1e-3):
            return True
    return False


def _mark_tried(tried: NDArray[np.bool_], row: int, column: int) -> None:
    rows = np.arange(row - 2, row + 3) % tried.shape[0]
    tried[rows, max(0, column - 2) : column + 3] = True


def _global_line(tiles: _Tiles) -> tuple[int, int] | None:
    """Bin of a line that at least half of the tiles show, or None."""
    count = len(tiles.lines)
    shares = (tiles.lines > 3).sum(axis=0)
    place = np.unravel_index(int(shares.argmax()), shares.shape)
    share = int(shares[place])
    alarms = log10_false_alarms(math.log10(shares.size), share, count, math.exp(-3))
    return (int(place[0]), int(place[1])) if share >= count / 2 and alarms < -3 else None


def _period(size: int, row: int, column: int) -> float:
    vertical, horizontal = frequencies(size)
    return float(1 / max(math.hypot(vertical[row, 0], horizontal[0, column]), 1 / size))


def _finding(
    shape: tuple[int, ...],
    tiles: _Tiles,
    lines: list[_Line],
    best: float,
    global_period: float,
) -> list[Measurement]:
    rows, columns = (-(-side // CELL) for side in shape)
    cells = np.zeros((rows, columns), np.float32)
    marked = sorted({int(tile) for line in lines for tile in line.tiles})
    quarter = tiles.size // 4
    for tile in marked:
        y, x = tiles.corners[tile]
        # The window weighs the middle of a tile; its rim belongs to the neighbours.
        top = 0 if y == 0 else y + quarter
        left = 0 if x == 0 else x + quarter
        bottom = shape[0] if y + tiles.size >= shape[0] else y + tiles.size - quarter
        right = shape[1] if x + tiles.size >= shape[1] else x + tiles.size - quarter
        cells[round(top / CELL) : -(-bottom // CELL), round(left / CELL) : -(-right // CELL)] = 1.0
    found = ScoreMap(cells, CELL, shape[1], shape[0])
    facts: dict[str, Fact] = {
        "tile": tiles.size,
        "tiles": len(tiles.levels),
        "tiles_marked": len(marked),
        "log10_false_alarms": round(float(best), 2),
        "global_period": global_period,
    }
    if lines:
        period = round(_period(tiles.size, *lines[0].bin), 2)
        facts["period"] = period
        summary = (
            f"{len(marked)} of {len(tiles.levels)} tiles show a repetition every {period} pixels, "
            "as enlarging or turning leaves it, which the rest of the picture does not show."
        )
    elif global_period:
        summary = (
            f"The picture as a whole repeats every {global_period} pixels, as after an ordinary "
            "resize; no part stands out."
        )
    else:
        summary = "No part of the picture shows a trace of enlarging or turning of its own."
    return [
        Measurement(
            score=round(float(min(-best, 300.0)), 3) + 0.0,
            maps=(found,),
            regions=marked_regions(found, round(min(float(-best), 300.0), 3)),
            facts=facts,
            summary=summary,
        )
    ]
