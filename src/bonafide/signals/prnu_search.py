"""Where a picture lies on a camera's fingerprint: turned, scaled, cropped, within bounds.

What is tried, the likeliest first: the whole sensor; the whole sensor scaled down; a crop along one
axis, scaled down by what the other axis tells; and, where asked for, a crop anywhere at full size
and at round scales. Each in the two turns that fit the picture's format. The middle of the picture
is tried first; the whole is compared only where the middle gives reason to.

Source: M. Goljan, J. Fridrich, "Camera Identification from Cropped and Scaled Images", SPIE 6819,
2008. Ours scales the fingerprint down instead of the picture up, and tries fewer scales.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.prnu import (
    Peak,
    aligned,
    locate,
    log10_false_match,
    resized,
    weighted_residual,
)
from bonafide.signals.residual import HALO

if TYPE_CHECKING:
    from numpy.typing import NDArray

CENTRE = 2048  # pixels a side of the middle that is tried first
LEAST_SCALE = 0.25  # smaller pictures keep too little of a pattern
ROUND_SCALES = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 2 / 3, 0.65, 0.6, 0.55, 0.5)
MATCH_PCE = 60.0  # Goljan, Fridrich, Filler 2009
MATCH_LOG10_RATE = -6.0  # log10 of the largest chance of a false match
_TRIMMED = 16  # pixels that a lossless turn of a JPEG may cost a side
_HOPEFUL = -2.0  # log10 of that chance in the middle, up to which the whole is compared


class Probe:
    """A picture that is compared with fingerprints; what all of them need is computed once.

    Args:
        luma: float32 H×W in [0, 255], not changed.
    """

    def __init__(self, luma: NDArray[np.float32]) -> None:
        self.luma = luma
        height, width = luma.shape
        self.top = max(0, (height - CENTRE) // 2)
        self.left = max(0, (width - CENTRE) // 2)

    @cached_property
    def centre(self) -> NDArray[np.float32]:
        """`weighted_residual` of the middle, which begins at (`top`, `left`)."""
        if not self.top and not self.left:
            return self.whole
        upper, before = min(self.top, HALO), min(self.left, HALO)
        part = self.luma[
            self.top - upper : self.top + CENTRE + HALO,
            self.left - before : self.left + CENTRE + HALO,
        ]
        found = weighted_residual(np.ascontiguousarray(part))
        return found[upper : upper + CENTRE, before : before + CENTRE]

    @cached_property
    def whole(self) -> NDArray[np.float32]:
        """`weighted_residual` of the picture."""
        return weighted_residual(self.luma)


@dataclass(frozen=True)
class Placement:
    """The best agreement that was found, and where.

    Attributes:
        pce: of the whole picture, or of its middle where that gave no reason to go on.
        turns: quarter turns, counter-clockwise, of the fingerprint.
        scale: of the turned fingerprint, at most 1.
        top, left: of the picture on it, pixels of the scaled fingerprint.
        cropped: whether the picture is a part of it.
        pattern: float32 H×W, the part that the picture lies on; None where the whole was not
            compared.
    """

    pce: float
    turns: int
    scale: float
    top: int
    left: int
    cropped: bool
    pattern: NDArray[np.float32] | None = None


def is_match(pce: float, trials: int) -> bool:
    """Whether an agreement is a match, after so many trials."""
    return pce >= MATCH_PCE and log10_false_match(pce, trials) <= MATCH_LOG10_RATE


def find(
    probe: Probe, pattern: NDArray[np.float32], thorough: bool = False
) -> tuple[Placement | None, int]:
    """The best place of a picture on a fingerprint.

    Args:
        probe: the picture.
        pattern: float32 H×W, of unit variance.
        thorough: whether crops anywhere are tried.

    Returns:
        The best placement, None where the picture cannot be a part of it; and how many were tried.
    """
    best: Placement | None = None
    trials = 0
    for turns, scaled, scale, rows, columns in _candidates(probe, pattern, thorough):
        peak = _try(probe, scaled, rows, columns)
        trials += peak.shifts
        height, width = probe.luma.shape
        top, left = peak.top - probe.top, peak.left - probe.left
        cropped = scaled.shape != (height, width)
        inside = 0 <= top <= scaled.shape[0] - height and 0 <= left <= scaled.shape[1] - width
        found = Placement(peak.pce, turns, scale, top, left, cropped)
        if inside and log10_false_match(peak.pce, peak.shifts) <= _HOPEFUL:
            there = np.ascontiguousarray(scaled[top : top + height, left : left + width])
            pce = aligned(probe.whole, there, 0).pce
            if pce >= peak.pce:
                found = Placement(pce, turns, scale, top, left, cropped, there)
        if best is None or found.pce > best.pce:
            best = found
        if is_match(best.pce, trials):
            break
    return best, trials


Range = tuple[int, int]  # first and last place of the picture's first row, or column


def _candidates(
    probe: Probe, pattern: NDArray[np.float32], thorough: bool
) -> Iterator[tuple[int, NDArray[np.float32], float, Range, Range]]:
    """Turns, scaled fingerprint, its scale, and where on it the picture may begin."""
    height, width = probe.luma.shape
    standing = height > width
    likely = (0, 2) if (pattern.shape[0] > pattern.shape[1]) == standing else (1, 3)
    rows, columns = pattern.shape if likely[0] == 0 else pattern.shape[::-1]
    spare = rows - height, columns - width
    if min(spare) >= 0 and max(spare) < _TRIMMED:
        for turned, turns in _turned(pattern, likely, rows, columns):
            for top in sorted({0, spare[0]}):
                for left in sorted({0, spare[1]}):
                    yield turns, turned, 1.0, (top, top), (left, left)
    size, scale = _scaled_down(height, width, rows, columns)
    if size is not None:
        for turned, turns in _turned(pattern, likely, *size):
            yield turns, turned, scale, (0, size[0] - height), (0, size[1] - width)
    if not thorough:
        return
    for scale in (1.0, *ROUND_SCALES):
        size = round(rows * scale), round(columns * scale)
        if size[0] > height and size[1] > width:
            for turned, turns in _turned(pattern, likely, *size):
                yield turns, turned, scale, (0, size[0] - height), (0, size[1] - width)


def _scaled_down(
    height: int, width: int, rows: int, columns: int
) -> tuple[tuple[int, int] | None, float]:
    """Size and scale of the fingerprint for a picture that is as wide, or as high, as it."""
    down, across = height / rows, width / columns
    scale = max(down, across)
    if not LEAST_SCALE <= scale <= 1 or (height, width) == (rows, columns):
        return None, 1.0
    # Rounded to whole pixels, both axes of a picture that was merely scaled agree.
    if abs(height - rows * across) <= 1 or abs(width - columns * down) <= 1:
        return ((height, width), scale) if scale < 0.995 else (None, 1.0)
    if down >= across:
        return (height, max(width, round(columns * down))), scale
    return (max(height, round(rows * across)), width), scale


def _turned(
    pattern: NDArray[np.float32], likely: tuple[int, int], rows: int, columns: int
) -> Iterator[tuple[NDArray[np.float32], int]]:
    """The fingerprint at a size, in the likely turns."""
    size = (rows, columns) if likely[0] == 0 else (columns, rows)
    smaller = resized(pattern, *size)
    for turns in likely:
        yield np.rot90(smaller, turns), turns


def _try(probe: Probe, scaled: NDArray[np.float32], rows: Range, columns: Range) -> Peak:
    """The best place of the picture's middle, in pixels of the scaled fingerprint."""
    height, width = probe.centre.shape
    top, left = rows[0] + probe.top, columns[0] + probe.left
    tall, wide = height + rows[1] - rows[0], width + columns[1] - columns[0]
    part = scaled[top : top + tall, left : left + wide]
    if part.shape == probe.centre.shape:
        peak = aligned(probe.centre, part, 0)
    else:
        peak = locate(probe.centre, part)
    return Peak(peak.pce, top + peak.top, left + peak.left, peak.shifts)


def describe(found: Placement) -> str:
    """How the picture lies on the sensor, in words."""
    told = []
    if found.scale < 1:
        told.append(f"scaled to {100 * found.scale:.1f} %")
    if found.cropped:
        told.append("cropped")
    if found.turns:
        told.append(f"turned by {90 * found.turns}°")
    return " and ".join(told) if told else "whole, at full size"
