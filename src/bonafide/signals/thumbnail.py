"""Does a thumbnail show the same picture, the whole of it, or more than there is now?

Thumbnails are made with the picture and often survive an edit. They may be letterboxed, cut to
another aspect ratio, turned, toned otherwise and heavily compressed; none of that may count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_DARK = 16.0  # 8-bit levels: a letterbox bar, after JPEG
_FLAT = 4.0  # 8-bit levels: below this spread a picture has no content to compare
_SIDE = 96  # pixels: longer side at which both are compared
_SCALES = np.geomspace(0.3, 0.95, 16)


@dataclass(frozen=True)
class Comparison:
    """How a thumbnail relates to its picture.

    Attributes:
        correlation: best Pearson correlation over turns, letterboxing and centre crops, [-1, 1].
        crop_correlation: best correlation of the whole picture with a part of the thumbnail.
        crop_scale: size of that part relative to the thumbnail, (0, 1].
    """

    correlation: float
    crop_correlation: float
    crop_scale: float


def compare(luma: NDArray[np.float32], thumbnail: NDArray[np.float32]) -> Comparison | None:
    """Compare a picture with its thumbnail.

    Args:
        luma: float32 H×W in [0, 255].
        thumbnail: float32 h×w in [0, 255].

    Returns:
        The comparison, or None where either has too little content.
    """
    small = _shrink(luma, _SIDE)
    views = [_shrink(view, _SIDE) for view in _without_bars(thumbnail)]
    if min(small.shape) < 8 or float(small.std()) < _FLAT:
        return None
    views = [view for view in views if min(view.shape) >= 8 and float(view.std()) >= _FLAT]
    if not views:
        return None
    best, part, part_scale = -1.0, -1.0, 1.0
    for turned in _turns(small):
        for view in views:
            best = max(best, *(_correlation(fitted, view) for fitted in _fits(turned, view.shape)))
            correlation, scale = _best_part(turned, view)
            if correlation > part:
                part, part_scale = correlation, scale
    return Comparison(best, part, part_scale)


def _turns(array: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The picture as it is, and turned by quarters: editors turn one and forget the other."""
    for quarters in range(4):
        yield np.ascontiguousarray(np.rot90(array, quarters))


def _fits(array: NDArray[np.float32], shape: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """`array` brought to `shape` (h, w): by a centre crop, and stretched."""
    height, width = shape
    scale = max(height / array.shape[0], width / array.shape[1])
    rows = min(array.shape[0], max(1, round(height / scale)))
    columns = min(array.shape[1], max(1, round(width / scale)))
    top, left = (array.shape[0] - rows) // 2, (array.shape[1] - columns) // 2
    yield _resize(array[top : top + rows, left : left + columns], width, height)
    aspect = (array.shape[1] / array.shape[0]) / (width / height)
    if 0.8 < aspect < 1.25:  # stretching further would let anything fit
        yield _resize(array, width, height)


def _best_part(array: NDArray[np.float32], view: NDArray[np.float32]) -> tuple[float, float]:
    """Best correlation of the whole `array` with a smaller part of `view`, and its scale."""
    best, best_scale = -1.0, 1.0
    height, width = view.shape
    for scale in _SCALES:
        fit = scale * min(height / array.shape[0], width / array.shape[1])
        rows, columns = round(array.shape[0] * fit), round(array.shape[1] * fit)
        if min(rows, columns) < 20:  # smaller templates fit somewhere by chance
            continue
        template = _resize(array, columns, rows)
        if float(template.std()) < _FLAT:
            continue
        match = float(cv2.matchTemplate(view, template, cv2.TM_CCOEFF_NORMED).max())
        if np.isfinite(match) and match > best:
            best, best_scale = match, float(max(rows / height, columns / width))
    return best, best_scale


def _without_bars(thumbnail: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The thumbnail as it is, and without dark bars at opposite edges."""
    views = [thumbnail]
    for axis in (0, 1):
        dark = thumbnail.max(axis=1 - axis) < _DARK
        length = dark.size
        first = int(np.argmin(dark)) if not dark.all() else length
        last = int(np.argmin(dark[::-1])) if not dark.all() else length
        if 0 < first + last < length // 2:
            kept = slice(first, length - last)
            views.append(thumbnail[kept] if axis == 0 else thumbnail[:, kept])
    return views


def _shrink(array: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    scale = side / max(array.shape)
    if scale >= 1:
        return np.ascontiguousarray(array, np.float32)
    height, width = (max(1, round(length * scale)) for length in array.shape)
    return _resize(array, width, height)


def _resize(array: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    larger = width > array.shape[1] or height > array.shape[0]
    how = cv2.INTER_LINEAR if larger else cv2.INTER_AREA
    resized = cv2.resize(np.ascontiguousarray(array), (width, height), interpolation=how)
    return np.asarray(resized, np.float32)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / scale if scale > 0 else 0.0
