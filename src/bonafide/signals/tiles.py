"""Cut a picture into tiles of native resolution that cover every pixel, and paste maps back.

Nothing is resized: what a network reads are the pixels as they are. Tiles are views of the picture
until they are cut, so memory does not grow with it; only the pasted map is as large as it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRIP = 512


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture, in pixels; 0-based, and smaller than asked where the picture is.

    Attributes:
        top, left: of its first pixel.
        height, width: at least 1.
    """

    top: int
    left: int
    height: int
    width: int


def grid(height: int, width: int, side: int, overlap: int = 0) -> tuple[Tile, ...]:
    """Squares that cover every pixel of a picture, row by row; the last of a row is flush.

    Args:
        height, width: of the picture, at least 1.
        side: of the squares.
        overlap: least number of pixels that neighbours share, in [0, side).
    """
    return tuple(
        Tile(top, left, min(side, height), min(side, width))
        for top in _offsets(height, side, overlap)
        for left in _offsets(width, side, overlap)
    )


def spread(tiles: Sequence[Tile], most: int) -> tuple[Tile, ...]:
    """At most `most` of the tiles, evenly spread over the picture, in their order.

    Args:
        tiles: as `grid` returns them.
        most: at least 1.
    """
    if len(tiles) <= most:
        return tuple(tiles)
    # Every k-th tile of a grid of k columns would be one column; steps of the golden section
    # visit rows and columns alike.
    golden = (5**0.5 - 1) / 2
    order = sorted(range(len(tiles)), key=lambda index: (0.5 + index * golden) % 1)
    return tuple(tiles[index] for index in sorted(order[:most]))


def covered(tiles: Sequence[Tile], height: int, width: int) -> float:
    """Share of the picture's pixels that lie in at least one tile, in [0, 1]."""
    seen = np.zeros((height, width), bool)
    for tile in tiles:
        seen[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = True
    return float(seen.mean())


def cut(pixels: NDArray[np.uint8], tiles: Sequence[Tile], side: int) -> NDArray[np.float32]:
    """The pixels of some tiles, as networks read them.

    Args:
        pixels: uint8 H×W×3.
        tiles: N of them, inside the picture.
        side: to which a smaller tile is continued by reflection.

    Returns:
        float32 N×3×side×side in [0, 1].
    """
    batch = np.empty((len(tiles), 3, side, side), np.float32)
    for place, tile in zip(batch, tiles, strict=True):
        piece = pixels[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
        missing = ((0, side - tile.height), (0, side - tile.width), (0, 0))
        if any(after for _, after in missing):
            piece = np.pad(piece, missing, mode="reflect")
        np.divide(piece.transpose(2, 0, 1), np.float32(255), out=place)
    return batch


class Mosaic:
    """The map of a whole picture, put together from the maps of the tiles of its `grid`."""

    def __init__(self, height: int, width: int, side: int, overlap: int = 0) -> None:
        """Take the arguments that `grid` took."""
        self._side = side
        self._sum = np.zeros((height, width), np.float32)
        # A grid is a product of rows and columns, and so is the number of tiles over a pixel.
        self._rows = _counts(height, side, overlap)
        self._columns = _counts(width, side, overlap)

    def paste(self, tile: Tile, values: NDArray[np.float32]) -> None:
        """Add one tile's map, float32 h×w, stretched linearly over the tile's square."""
        stretched = cv2.resize(values, (self._side, self._side), interpolation=cv2.INTER_LINEAR)[
            : tile.height, : tile.width
        ]
        rows = slice(tile.top, tile.top + tile.height)
        self._sum[rows, tile.left : tile.left + tile.width] += stretched

    def mean(self) -> NDArray[np.float32]:
        """float32 H×W: at each pixel, the mean over the tiles that cover it; ends the mosaic."""
        for top in range(0, len(self._sum), _STRIP):  # strips keep the divisor small
            rows = slice(top, top + _STRIP)
            self._sum[rows] /= self._rows[rows, None] * self._columns
        return self._sum


def _offsets(length: int, side: int, overlap: int) -> list[int]:
    last = max(0, length - side)
    return [*range(0, last, side - overlap), last]


def _counts(length: int, side: int, overlap: int) -> NDArray[np.float32]:
    counts = np.zeros(length, np.float32)
    for offset in _offsets(length, side, overlap):
        counts[offset : offset + side] += 1
    return counts
