"""Traces of a screen or a print before the camera that need no training.

What it looks for
    A fine regular grid over most of the picture; light that comes and goes in rows; large glare;
    and sharpness that is the same everywhere.

Why it works
    A screen is a grid of pixels and a print is a grid of dots. Photographed, the grid is sampled by
    another grid, the sensor, and both beat: moiré. It covers the whole surface, also where the
    picture on it is smooth, with one period. A sensor that is read row by row sees the lamp or the
    screen go brighter and darker: bands. Glass and glossy paper reflect a lamp as one large white
    patch, where skin has small points. A flat surface is in focus as a whole, a room is not.

When it fails
    On good screens and prints, at a distance, and after shrinking or strong compression, nothing of
    this is left. Fabric, tiles, meshes and other regular surfaces that fill a picture show a grid
    of their own. Strong tilt lets the period drift from tile to tile, so that no line is
    common.

How to read it
    A grid or bands are said to be there when chance would hardly give them; otherwise the sentence
    says that there are none, which clears nothing. Glare and sharpness are numbers for an
    examiner. The score is the share of the picture that shows the grid. It is not calibrated and
    does not vote.

Reference
    D. Wen, H. Han, A. K. Jain, "Face Spoof Detection with Image Distortion Analysis", IEEE TIFS
    10(4), 2015; D. C. Garcia, R. L. de Queiroz, "Face-Spoofing 2D-Detection Based on Moiré-Pattern
    Analysis", IEEE TIFS 10(4), 2015; A. Desolneux, L. Moisan, J.-M. Morel, "From Gestalt Theory to
    Image Analysis", 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bonafide.media.context import Context
from bonafide.signals.acontrario import log10_false_alarms
from bonafide.signals.heavy import cv2
from bonafide.signals.lattice import upright_map
from bonafide.signals.spectrum import (
    frequencies,
    near_fractions,
    periodogram,
    prominence,
    tile_origins,
)
from bonafide.types import (
    Card,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Profile,
    Question,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 128
CELL = 16  # pixels of a map cell

CARD = Card(
    id="screen_cues",
    version="1",
    question=Question.SPOOFED,
    title="Grid, bands, glare and flat focus",
    needs=Needs(min_side=2 * TILE),
    profile=Profile.THOROUGH,
    cost=0.3,
    outlines=False,
    facts={
        "tiles": "tiles of 128×128 pixels that were analysed [count]",
        "grid_share": "share of the tiles that show the most common line of the spectrum [0 to 1]",
        "grid_period": "period of that line [pixels]",
        "grid_log10_false_alarms": "log10 of how many lines as common chance would give "
        "[log10 count]",
        "bands": "how far the strongest period of the light of rows, common to all parts of the "
        "width, stands above its surroundings [ratio of power]",
        "band_period": "that period [pixels]",
        "band_depth": "swing of the light along it [percent of the mean]",
        "glare": "largest patch of white without colour [percent of the picture]",
        "focus_spread": "sharpness of the sharpest tenth of the textured tiles over that of the "
        "softest tenth; near 1 where all is in one focus [ratio]",
    },
    erased_by=("jpeg", "scale"),
    paper="D. Wen et al., IEEE TIFS 10(4), 2015; D. C. Garcia and R. L. de Queiroz, IEEE TIFS "
    "10(4), 2015",
    limits="Measured on made attacks alone, five pictures each as PNG, JPEG 90 and 75: a simulated "
    "screen is told in 45 of 45, a chain of a photographed screen in 15 of 15, dots of a print in "
    "24 of 30, bands of 4 % in 9 of 30. Nothing was told of 16 untouched photographs in the same "
    "three forms, among them bricks, grass and coins; that few bound the rate of false grids at "
    "one in six. Real screens, prints and regular fabric were not measured.",
)

_LOWEST = 0.125  # cycles per pixel; below it lie bricks, tiles and shading
_STRONG = 6.0  # prominence of a line in a tile; chance gives it to 1 in 400
_LEAST_SHARE = 0.5  # of the tiles, for a grid to be told
_MOST_ALARMS = -6.0
_STRIPS = 8  # parts of the width whose rows are compared
_FEWEST_BANDS = 6  # over the height; fewer are shading
_LEAST_BANDS = 10.0  # ratio of power
_DEPTHS = (0.4, 10.0)  # percent; content that repeats goes deeper
_AGREED = 0.8  # share of the power that has one phase in all strips
_WHITE = 250  # of the darkest channel


@dataclass(frozen=True)
class _Grid:
    """The most common line: share of tiles, period, log10 of false alarms, strength per tile."""

    tiles: int
    share: float
    period: float
    alarms: float
    marked: NDArray[np.float32]


class Detector:
    """Lines that most tiles share, periods that all strips share, glare, spread of sharpness.

    Args:
        max_tiles: tiles are spread further apart, up to side by side, to stay under this number.
    """

    def __init__(self, max_tiles: int = 300) -> None:
        self.max_tiles = max_tiles

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement, of the whole picture, with a map of the grid where it is told."""
        media = ctx.image
        luma = media.luma
        if min(luma.shape) < 2 * TILE:
            return NotApplicable(f"it needs {2 * TILE} pixels on each side")
        grid = _grid(luma, self.max_tiles)
        bands, band_period, depth = _bands(luma)
        glare, focus = _glare(media.pixels), _focus_spread(luma)
        has_grid = grid.share >= _LEAST_SHARE and grid.alarms <= _MOST_ALARMS
        has_bands = bands >= _LEAST_BANDS and _DEPTHS[0] <= depth <= _DEPTHS[1]
        maps = (upright_map(media, grid.marked, CELL),) if has_grid else ()
        return [
            Measurement(
                score=round(grid.share if has_grid else 0.0, 4),
                summary=_summary(grid, has_grid, has_bands, band_period, depth),
                maps=maps,
                facts={
                    "tiles": grid.tiles,
                    "grid_share": round(grid.share, 3),
                    "grid_period": round(grid.period, 2),
                    "grid_log10_false_alarms": round(grid.alarms, 1),
                    "bands": round(bands, 1),
                    "band_period": round(band_period, 1),
                    "band_depth": round(depth, 2),
                    "glare": round(glare, 3),
                    "focus_spread": round(focus, 2),
                },
            )
        ]


def _summary(grid: _Grid, has_grid: bool, has_bands: bool, band_period: float, depth: float) -> str:
    if has_grid:
        return (
            f"{100 * grid.share:.0f} % of the picture shows a grid that repeats every "
            f"{grid.period:.1f} pixels, as the pixels of a screen or the dots of a print leave it."
        )
    if has_bands:
        return (
            f"The light of the rows rises and falls by {depth:.1f} % every {band_period:.0f} "
            "pixels over the whole width, as a screen or a lamp leaves it."
        )
    return "Neither a grid nor bands stand out; that does not show that the face is live."


def _grid(luma: NDArray[np.float32], max_tiles: int) -> _Grid:
    height, width = luma.shape
    step = TILE // 2
    while step < TILE and (height // step) * (width // step) > max_tiles:
        step += TILE // 8
    rows, columns = tile_origins(height, TILE, step), tile_origins(width, TILE, step)
    every = max(1, math.ceil(math.sqrt(len(rows) * len(columns) / max_tiles)))
    rows, columns = rows[::every], columns[::every]
    vertical, horizontal = frequencies(TILE)
    kept = (np.hypot(vertical, horizontal) >= _LOWEST) & ~near_fractions(TILE, 8)
    # A line of a tilted screen lies in a neighbouring bin in the next tile.
    near = np.ones((3, 3), np.uint8)
    lines = np.zeros((len(rows), len(columns), *kept.shape), np.float16)
    used = np.zeros((len(rows), len(columns)), bool)
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            residual = _residual(luma[y : y + TILE, x : x + TILE])
            power = periodogram(residual)
            if float(power.mean()) < 1e-3:  # flat
                continue
            used[i, j] = True
            strength = np.minimum(prominence(power), np.float32(6e4)) * kept
            lines[i, j] = cv2.dilate(strength, near)
    count = int(used.sum())
    if count < 4:
        return _Grid(count, 0.0, 0.0, 0.0, np.zeros((1, 1), np.float32))
    shares = (lines > _STRONG).sum((0, 1), dtype=np.int64)
    total = lines.sum((0, 1), dtype=np.float64)
    # Of lines that as many tiles show, the strongest: the others are its multiples.
    place = np.unravel_index(int((shares + total / (total.max() + 1)).argmax()), shares.shape)
    found = int(shares[place])
    # Tiles overlap: a quarter of them is independent where the step is half a tile.
    apart = (step / TILE) ** 2 if every == 1 else 1.0
    strengths = lines[:, :, place[0], place[1]].astype(np.float64)
    # Half of the tiles are at least as strong as the median: few tiles with strong lines count.
    middle = float(np.median(strengths[used]))
    log10_tests = math.log10(2 * kept.sum())
    alarms = min(
        log10_false_alarms(
            log10_tests, share * apart, count * apart, min(0.99, 9 * math.exp(-min(at, 60.0)))
        )
        for share, at in ((found, _STRONG), (count / 2, middle))
    )
    frequency = math.hypot(vertical[place[0], 0], horizontal[0, place[1]])
    marked = _spread(strengths > _STRONG, rows, columns, (height, width))
    return _Grid(count, found / count, 1 / frequency, alarms, marked)


def _residual(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a blur removes, over its local strength, so that smooth parts count like busy ones."""
    residual = tile - cv2.GaussianBlur(tile, (0, 0), 2.0)
    scale = cv2.blur(np.abs(residual), (15, 15)) + np.float32(0.3)
    result: NDArray[np.float32] = residual / scale
    return result


def _spread(
    hits: NDArray[np.bool_],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Share of the tiles over each cell that show the line."""
    size = tuple(-(-side // CELL) for side in shape)
    total, shown = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            area = np.s_[y // CELL : -(-(y + TILE) // CELL), x // CELL : -(-(x + TILE) // CELL)]
            total[area] += 1
            shown[area] += hits[i, j]
    result: NDArray[np.float32] = np.divide(shown, np.maximum(total, np.float32(1)))
    return result


def _bands(luma: NDArray[np.float32]) -> tuple[float, float, float]:
    """Ratio of power, period [pixels] and swing [percent] of what all strips' rows share."""
    height = len(luma)
    strips = np.stack(
        [np.log(part.mean(1) + 1) for part in np.array_split(luma.astype(np.float64), _STRIPS, 1)]
    )
    # Edges of content are large and rare, bands small and everywhere.
    steps: NDArray[np.float64] = np.diff(strips, axis=1)
    limit: NDArray[np.float64] = 3 * np.median(np.abs(steps), axis=1, keepdims=True) + 1e-9
    window = np.hanning(height - 1)
    spectra = np.fft.rfft(np.clip(steps, -limit, limit) * window, axis=1)
    # What has one phase in all strips adds up; the rest averages out.
    common = np.abs(spectra.mean(0)) ** 2
    each = (np.abs(spectra) ** 2).mean(0)
    last = height // 6
    places = np.arange(_FEWEST_BANDS, last)
    around = [np.median(common[max(1, k - 12) : k + 13]) for k in places]
    agreed = common[places] > _AGREED * (each[places] + 1e-12)
    above = np.where(agreed, common[places] / (np.array(around) + 1e-12), 0.0)
    best = int(above.argmax())
    place = int(places[best])
    # A step is the swing times 2 sin(π / period).
    steepness = 2 * math.sin(math.pi * place / height)
    swing = 4 * math.sqrt(float(common[place])) / window.sum() / steepness
    return float(above[best]), height / place, 100 * float(swing)


def _glare(pixels: NDArray[np.uint8]) -> float:
    """Largest connected patch that is white in all channels, percent of the picture."""
    darkest = pixels.min(2) if pixels.ndim == 3 else pixels
    white = cv2.morphologyEx(
        (darkest >= _WHITE).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )
    count, _, stats, _ = cv2.connectedComponentsWithStats(white)
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
    return float(100 * largest / white.size)


def _focus_spread(luma: NDArray[np.float32]) -> float:
    """Ratio of the sharpness of the sharpest and the softest tenth of the textured tiles.

    Sharpness is the energy of the Laplacian over that of the gradient, so that contrast does not
    count.
    """
    side = 32
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    fine = np.square(cv2.Laplacian(luma, cv2.CV_32F, ksize=3))
    coarse = np.square(across) + np.square(down)
    size = (luma.shape[1] // side, luma.shape[0] // side)
    energies = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (fine, coarse)]
    textured = energies[1] > 400
    if int(textured.sum()) < 10:
        return 1.0
    ratios = np.sqrt(energies[0][textured] / energies[1][textured])
    low, high = np.percentile(ratios, (10, 90))
    return float(high / max(low, 1e-6))
