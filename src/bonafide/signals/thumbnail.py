"""Does a thumbnail show the same picture, the whole of it, or more than there is now?

Thumbnails are made with the picture and often survive an edit. They may be letterboxed, cut to
another aspect ratio, turned, toned otherwise and heavily compressed; none of that may count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.heavy import cv2

_DARK = 16.0  # 8-bit levels: a letterbox bar, after JPEG
_FLAT = 4.0  # 8-bit levels: below this spread a picture has no content to compare
_SIDE = 96  # pixels: longer side at which both are compared
_CHANGED = 25.0  # 8-bit levels: mean over 5×5 that a change of content exceeds, tone and JPEG not
_PART = 0.005  # share of the picture: smaller differences are misfits along edges
_SCALES = np.geomspace(0.3, 0.95, 16)


@dataclass(frozen=True)
class Comparison:
    """How a thumbnail relates to its picture.

    Attributes:
        correlation: best Pearson correlation over turns, letterboxing and centre crops, [-1, 1].
        crop_correlation: best correlation of the whole picture with a part of the thumbnail.
        crop_scale: size of that part relative to the thumbnail, (0, 1].
        changed: bool h×w, the picture in small: where it differs from the thumbnail after a
            linear change of tone; means nothing where `correlation` is low.
    """

    correlation: float
    crop_correlation: float
    crop_scale: float
    changed: NDArray[np.bool_] = field(compare=False, repr=False)


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
    best, part, part_scale = -2.0, -1.0, 1.0
    changed = np.zeros(small.shape, bool)
    winner = None
    for quarters, turned in enumerate(_turns(small)):
        for view in views:
            for fitted, box in _fits(turned, view.shape):
                correlation = _correlation(fitted, view)
                if correlation > best:
                    best, winner = correlation, (quarters, turned.shape, fitted, box, view)
            correlation, scale = _best_part(turned, view)
            if correlation > part:
                part, part_scale = correlation, scale
    if winner is not None:
        quarters, shape, fitted, (top, left, rows, columns), view = winner
        mask = _changed(fitted, view).astype(np.uint8)
        placed = np.zeros(shape, np.uint8)
        placed[top : top + rows, left : left + columns] = cv2.resize(
            mask, (columns, rows), interpolation=cv2.INTER_NEAREST
        )
        changed = np.rot90(placed, -quarters) > 0
    return Comparison(best, part, part_scale, changed)


def _changed(picture: NDArray[np.float32], thumbnail: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where two aligned pictures of equal shape differ by more than tone, noise and misfit."""
    first = cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.float64)
    second = cv2.GaussianBlur(thumbnail, (0, 0), 1.5).astype(np.float64)
    residual = second - first
    for _ in range(20):  # redescending weights, so that a changed part has no say
        weights = 1 / (1 + (residual / 2) ** 2)
        total = float(weights.sum())
        x, y = float((weights * first).sum()) / total, float((weights * second).sum()) / total
        variance = float((weights * (first - x) ** 2).sum())
        covariance = float((weights * (first - x) * (second - y)).sum())
        slope = covariance / variance if variance > 0 else 1.0
        residual = second - y - slope * (first - x)
    spread = 1.4826 * float(np.median(np.abs(residual))) + 1.0
    smooth = np.abs(cv2.blur(residual, (5, 5)))
    mask = (smooth > max(_CHANGED, 6 * spread)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    kept = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= _PART * mask.size) + 1
    return np.isin(labels, kept)


def _turns(array: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The picture as it is, and turned by quarters: editors turn one and forget the other."""
    for quarters in range(4):
        yield np.ascontiguousarray(np.rot90(array, quarters))


def _fits(
    array: NDArray[np.float32], shape: tuple[int, ...]
) -> Iterator[tuple[NDArray[np.float32], tuple[int, int, int, int]]]:
    """`array` brought to `shape` (h, w) by a centre crop and by stretching.

    Yields:
        The result, and the part of `array` that it shows: top, left, rows, columns.
    """
    height, width = shape
    scale = max(height / array.shape[0], width / array.shape[1])
    rows = min(array.shape[0], max(1, round(height / scale)))
    columns = min(array.shape[1], max(1, round(width / scale)))
    top, left = (array.shape[0] - rows) // 2, (array.shape[1] - columns) // 2
    part = array[top : top + rows, left : left + columns]
    yield _resize(part, width, height), (top, left, rows, columns)
    aspect = (array.shape[1] / array.shape[0]) / (width / height)
    if 0.8 < aspect < 1.25:  # stretching further would let anything fit
        yield _resize(array, width, height), (0, 0, array.shape[0], array.shape[1])


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
