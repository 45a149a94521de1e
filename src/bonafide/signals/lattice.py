"""Maps on lattices: from what a detector computed to a `ScoreMap` of the upright picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bonafide.media.image import Image
from bonafide.regions import Region, ScoreMap
from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray


def upright_map(
    image: Image, values: NDArray[np.float32], cell: int, left: int = 0, top: int = 0
) -> ScoreMap:
    """A map of the upright picture from values in stored orientation.

    Args:
        image: the picture.
        values: float32 h×w in [0, 1], stored orientation.
        cell: pixels a side of one value.
        left, top: where the first cell begins in the stored picture, pixels; the rim before it,
            and what lies behind the last cell, is taken as zero.
    """
    swapped = image.orientation >= 5
    width, height = (image.height, image.width) if swapped else (image.width, image.height)
    before = (-(-max(top, 0) // cell), -(-max(left, 0) // cell))
    left, top = left - before[1] * cell, top - before[0] * cell
    rows, columns = values.shape[0] + before[0], values.shape[1] + before[1]
    after = (
        max(0, -(-(height - top - rows * cell) // cell)),
        max(0, -(-(width - left - columns * cell) // cell)),
    )
    if any(before) or any(after):
        values = np.pad(values, tuple(zip(before, after, strict=True)))
    rows, columns = values.shape
    if swapped:
        left, top, width, height, rows, columns = top, left, height, width, columns, rows
    if image.orientation in (2, 3, 6, 7):
        left = width - (left + columns * cell)
    if image.orientation in (3, 4, 7, 8):
        top = height - (top + rows * cell)
    upright = np.asarray(image.orient(values), np.float32)
    return ScoreMap(upright, cell, width, height, left, top)


def sampled_map(heatmap: NDArray[np.float32] | NDArray[np.bool_], cell: int) -> ScoreMap:
    """A map at the picture's size, reduced to the value at the middle of each cell.

    Args:
        heatmap: float32 H×W in [0, 1], or bool, upright.
        cell: pixels a side of one value.
    """
    height, width = heatmap.shape
    rows, columns = (
        np.minimum(np.arange(-(-length // cell)) * cell + cell // 2, length - 1)
        for length in (height, width)
    )
    values = np.ascontiguousarray(heatmap[np.ix_(rows, columns)], np.float32)
    return ScoreMap(values, cell, width, height)


def marked_regions(found: ScoreMap, score: float, at_most: int = 20) -> tuple[Region, ...]:
    """Rectangles around the connected parts of a map at 0.5 and more, largest first."""
    count, _, boxes, _ = cv2.connectedComponentsWithStats(
        (found.values >= 0.5).astype(np.uint8), connectivity=8
    )
    order = sorted(range(1, count), key=lambda label: -int(boxes[label, 4]))[:at_most]
    result = []
    for label in order:
        x, y, width, height = (int(value) * found.cell for value in boxes[label, :4])
        x, y = x + found.left, y + found.top
        left, top = max(0, x), max(0, y)
        right, bottom = min(found.width, x + width), min(found.height, y + height)
        if left < right and top < bottom:
            result.append(Region(left, top, right - left, bottom - top, score))
    return tuple(result)
