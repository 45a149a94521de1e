"""Shifts by which parts of a picture repeat other parts, found by correlating tiles with the whole.

Keypoints say little where a picture is smooth. A plain shift needs none: fine detail, brought to
equal strength everywhere, is nearly white, so a copied part correlates with its original in one
sharp peak even where only grain repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.copies import Proposal
from bonafide.signals.heavy import cv2, scipy
from bonafide.signals.likeness import detail

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 64  # side of the correlated tiles, in pixels
STEP = 48  # between neighbouring tiles, in pixels
MOST_TILES = 80
NEAR = 20  # shorter shifts, in pixels, are what every texture does to itself
PEAKS = 2  # peaks taken from one tile
STRENGTH = 6.0  # least height of a peak, in standard deviations of the tile's correlation
SAME = 1  # shifts that differ by at most this much, in pixels, are one
LIKENESS = 0.5  # local correlation from which a pixel supports a shift
EMPTY = 0.2  # mean energy of normalised detail under which a tile shows nothing


@dataclass
class _Group:
    """Peaks of neighbouring tiles that agree on a shift."""

    down: int
    right: int
    strength: float = 0.0
    corners: list[tuple[int, int]] = field(default_factory=list)


def shift_proposals(luma: NDArray[np.float32], most: int = 6) -> list[Proposal]:
    """Shifts that many pixels of a tile obey, strongest first.

    Args:
        luma: float32 H×W in [0, 255], at least 64 on each side.
        most: proposals returned.
    """
    white = _whitened(luma)
    side = max(TILE, int(np.sqrt(luma.size / MOST_TILES) / STEP * TILE))
    groups = _group(_peaks(white, side), side)
    proposals = [_proposal(white, group, side) for group in groups[:most]]
    return [proposal for proposal in proposals if proposal is not None]


def _whitened(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    fine = detail(luma)
    energy = cv2.blur(fine * fine, (15, 15))
    return np.asarray(np.clip(fine / np.sqrt(energy + 1), -3, 3), np.float32)


def _peaks(white: NDArray[np.float32], side: int) -> list[tuple[float, int, int, int, int]]:
    """(strength, top, left, down, right) of the best shifts of every tile, strongest first.

    A shift and its opposite join the same two places, so a tile is correlated only with what lies
    beside it or below.
    """
    height, width = white.shape
    step = side * STEP // TILE
    tops, lefts = (
        sorted({max(0, min(start, length - side)) for start in range(0, length, step)})
        for length in (height, width)
    )
    found = []
    for top in tops:
        start = max(0, top - side // 4)
        band = _Band(white[start:])
        for left in lefts:
            tile = white[top : top + side, left : left + side]
            if float((tile * tile).mean()) >= EMPTY:
                peaks = _tile_peaks(band.likeness(tile), top - start, left)
                found += [(strength, top, left, *shift) for strength, shift in peaks]
    return sorted(found, key=lambda peak: (-peak[0], *peak[1:]))


class _Band:
    """A band of the picture (float32 h×w), with its spectrum, to correlate tiles with."""

    def __init__(self, white: NDArray[np.float32]) -> None:
        self.shape = white.shape
        self.size = tuple(scipy.fft.next_fast_len(length, True) for length in white.shape)
        self.spectrum = scipy.fft.rfft2(white, self.size)

    def likeness(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 h×w: sum of products with `tile` when its corner lies at each pixel.

        The correlation is circular: where the tile juts out of the band, values of the opposite
        edge add noise, as any other values do.
        """
        rows, columns = self.size
        # The rows below the tile are empty, so they need no transform of their own.
        across = scipy.fft.rfft(tile, columns, axis=1)
        spectrum = scipy.fft.fft(across, rows, axis=0, overwrite_x=True)
        np.conjugate(spectrum, out=spectrum)
        spectrum *= self.spectrum
        likeness = scipy.fft.irfft2(spectrum, self.size, overwrite_x=True)
        return np.ascontiguousarray(likeness[: self.shape[0], : self.shape[1]])


def _tile_peaks(
    likeness: NDArray[np.float32], top: int, left: int
) -> list[tuple[float, tuple[int, int]]]:
    """(strength, (down, right)) of the best shifts of the tile at `top` and `left`."""
    spread = 1.4826 * float(np.median(np.abs(likeness[::7, ::7]))) + 1e-6
    _forget(likeness, top, left, NEAR)
    found = []
    for _ in range(PEAKS):
        _, value, _, (x, y) = cv2.minMaxLoc(likeness)
        # Rounded, so that equal peaks keep their order whatever the last digits are.
        strength = round(value / spread, 2)
        if strength < STRENGTH:
            break
        found.append((strength, (y - top, x - left)))
        _forget(likeness, y, x, 3)
    return found


def _forget(likeness: NDArray[np.float32], y: int, x: int, reach: int) -> None:
    likeness[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = 0


def _group(peaks: list[tuple[float, int, int, int, int]], side: int) -> list[_Group]:
    groups: list[_Group] = []
    for strength, top, left, down, right in peaks:
        # A shift and its opposite are the same pair of places, seen from either end.
        ends = ((top, left, down, right), (top + down, left + right, -down, -right))
        group = next((g for g in groups for end in ends if _fits(g, end, side)), None)
        if group is None:
            group = _Group(down, right)
            groups.append(group)
        group.strength += strength
        group.corners.append(next((end[:2] for end in ends if _alike(group, end)), ends[0][:2]))
    return sorted(groups, key=lambda group: -group.strength)


def _alike(group: _Group, end: tuple[int, int, int, int]) -> bool:
    return abs(group.down - end[2]) <= SAME and abs(group.right - end[3]) <= SAME


def _fits(group: _Group, end: tuple[int, int, int, int], side: int) -> bool:
    return _alike(group, end) and any(
        max(abs(end[0] - top), abs(end[1] - left)) <= 2 * side for top, left in group.corners
    )


def _proposal(white: NDArray[np.float32], group: _Group, side: int) -> Proposal | None:
    """The group's shift with the pixels around its tiles that obey it."""
    height, width = white.shape
    corners = np.array(group.corners)
    top, left = np.maximum(corners.min(axis=0), (-min(group.down, 0), -min(group.right, 0)))
    low = (height - max(group.down, 0), width - max(group.right, 0))
    bottom, right = np.minimum(corners.max(axis=0) + side, low)
    if bottom - top < 8 or right - left < 8:
        return None
    here = white[top:bottom, left:right]
    there = white[top + group.down : bottom + group.down, left + group.right : right + group.right]
    energies = _mean(here * here) * _mean(there * there)
    y, x = np.nonzero((_mean(here * there) > LIKENESS * np.sqrt(energies + 0.05))[::3, ::3])
    if len(y) < 6:
        return None
    points = np.stack([3 * x + left, 3 * y + top], axis=1).astype(np.float32)
    return Proposal(np.array([[1.0, 0.0, group.right], [0.0, 1.0, group.down]]), points)


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (11, 11)), np.float32)
