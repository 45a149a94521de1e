"""Spectra of tiles, and how far a line stands above its surroundings."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.signals.heavy import cv2, scipy

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The mean of log E for E exponentially distributed with mean 1 is minus Euler's constant.
_EULER = 0.5772157


def tile_origins(length: int, tile: int, step: int) -> NDArray[np.intp]:
    """First pixels of tiles that cover [0, length) at most `step` apart, the last one flush.

    Args:
        length: pixels along one side, at least `tile`.
        tile: side of a tile.
        step: largest distance between neighbours, at most `tile`.
    """
    count = -(-(length - tile) // step) + 1
    return np.linspace(0, length - tile, count).round().astype(np.intp)


def periodogram(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power spectrum of a square tile under a Hann window, its mean removed.

    Args:
        tile: float32 n×n.

    Returns:
        float32 n×(n // 2 + 1), rows in the order of `frequencies`; units of the tile squared.
    """
    centred = tile - tile.mean()
    centred *= _window(*tile.shape)
    parts = scipy.fft.rfft2(centred, overwrite_x=True).view(np.float32)
    np.square(parts, out=parts)
    power: NDArray[np.float32] = parts[:, 0::2] + parts[:, 1::2]
    return power


@cache
def _window(height: int, width: int) -> NDArray[np.float32]:
    window: NDArray[np.float32] = cv2.createHanningWindow((width, height), cv2.CV_32F)
    window.flags.writeable = False
    return window


def frequencies(size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vertical (n×1) and horizontal (1×n//2+1) frequencies of `periodogram`, cycles per pixel."""
    return np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]


def prominence(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power over its expected value, taken from the surroundings of each frequency.

    The expectation is a geometric mean (so that lines hardly raise it) over a square and over
    a horizontal and a vertical strip, whichever is largest (so that the ridges that edges and
    windows leave along the axes are no lines). For a texture with a smooth spectrum the result
    is exponentially distributed with mean at most 1, hence P[value > x] ≤ exp(-x).

    Args:
        power: float32 n×(n // 2 + 1) from `periodogram`.

    Returns:
        float32 of the same shape, at least 0.
    """
    log = power + np.float32(1e-9)
    np.log(log, out=log)
    margin = min(12, power.shape[1] - 1)
    # Rows are periodic; a real picture's spectrum is nearly even across the vertical axis.
    padded = np.vstack([log[-margin:], log, log[:margin]])
    padded = cv2.copyMakeBorder(padded, 0, 0, margin, margin, cv2.BORDER_REFLECT_101)
    level = cv2.blur(padded, (13, 13))
    np.maximum(level, cv2.blur(padded, (1, 25)), out=level)
    np.maximum(level, cv2.blur(padded, (25, 1)), out=level)
    log -= level[margin : margin + power.shape[0], margin : margin + power.shape[1]]
    log -= np.float32(_EULER)
    np.minimum(log, np.float32(80), out=log)
    result: NDArray[np.float32] = np.exp(log, out=log)
    return result


def near_fractions(size: int, denominator: int, bins: float = 1.6) -> NDArray[np.bool_]:
    """Where both frequencies lie within `bins` of multiples of 1/denominator.

    Args:
        size: side n of the tile.
        denominator: 8 for the lines that JPEG blocks leave.
        bins: half width in bins of 1/n.

    Returns:
        bool n×(n // 2 + 1).
    """
    vertical, horizontal = (
        np.abs(f * denominator - np.round(f * denominator)) / denominator < bins / size
        for f in frequencies(size)
    )
    mask: NDArray[np.bool_] = vertical & horizontal
    return mask


def fraction_lines(size: int, denominator: int, axes: bool) -> NDArray[np.bool_]:
    """Bins at multiples of 1/denominator that are not multiples of twice that.

    Args:
        size: side n of the tile, a multiple of `denominator`.
        denominator: a power of two, at least 2.
        axes: whether to give the bins on the two axes (zero frequency in one direction) or the
            bins off them.

    Returns:
        bool n×(n // 2 + 1).
    """
    spacing = size // denominator
    vertical, horizontal = (np.abs(np.round(f * size)).astype(int) for f in frequencies(size))
    on = (vertical % spacing == 0) & (horizontal % spacing == 0)
    if denominator > 2:
        coarse = 2 * spacing
        on &= ~((vertical % coarse == 0) & (horizontal % coarse == 0))
    on &= ((vertical == 0) | (horizontal == 0)) == axes
    mask: NDArray[np.bool_] = on & (vertical + horizontal > 0)
    return mask


def crossed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Prominence that a frequency shares with the one at a right angle to it.

    Scaling and turning act alike in both directions, so that their lines come in such pairs;
    most regular textures (railings, bricks, fabric) repeat differently in the two directions.

    Args:
        values: float32 n×(n // 2 + 1) from `prominence`.

    Returns:
        float32 of the same shape, twice the lesser of the two values: both exceed x / 2 with
        probability at most exp(-x), so that the result obeys the same bound as `prominence`.
    """
    result: NDArray[np.float32] = values.ravel()[_partners(values.shape[0])]
    np.minimum(values, result, out=result)
    result *= 2
    return result


@cache
def _partners(size: int) -> NDArray[np.intp]:
    """Flat place in n×(n // 2 + 1) of the frequency at a right angle to each frequency."""
    rows = np.fft.fftfreq(size, 1 / size).round().astype(int)[:, None]
    columns = np.arange(size // 2 + 1)[None, :]
    # (v, h) turned by 90° is (h, -v), or its mirror image (-h, v), whichever is stored.
    turned = np.where(rows <= 0, columns, -columns) % size
    places: NDArray[np.intp] = turned * (size // 2 + 1) + np.abs(rows)
    places.flags.writeable = False
    return places


def radial_profile(power: NDArray[np.floating], rings: int) -> NDArray[np.float64]:
    """Mean power on rings of equal width from 0 to 1/2 cycle per pixel.

    Args:
        power: n×(n // 2 + 1) from `periodogram` or a mean of several.
        rings: how many.

    Returns:
        float64 (rings,), units of `power`; corners beyond 1/2 are left out.

    Source: R. Durall, M. Keuper, J. Keuper, "Watch your Up-Convolution", CVPR 2020, section 3.1.
    """
    radius = np.hypot(*frequencies(power.shape[0]))
    index = np.minimum((radius * 2 * rings).astype(int), rings)
    total = np.bincount(index.ravel(), power.ravel().astype(np.float64), rings + 1)
    count = np.bincount(index.ravel(), minlength=rings + 1)
    return total[:rings] / np.maximum(count[:rings], 1)
