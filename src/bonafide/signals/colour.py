"""Traces that a camera's colour filter array leaves in the three colour channels.

A sensor measures one colour per pixel; the other two are interpolated from neighbours. An
interpolated value lies closer to the mean of its neighbours than a measured one, and where the
measured ones lie repeats every two pixels. Each small block votes for the arrangement it shows.

Sources: A. Popescu, H. Farid, "Exposing Digital Forgeries in Color Filter Array Interpolated
Images", IEEE TSP 2005 (interpolated samples are predictable from their neighbours); C.-H. Choi,
J.-H. Choi, H.-K. Lee, "CFA Pattern Identification of Digital Cameras Using Intermediate Value
Counting", ACM MM&Sec 2011 (green lattice first, then red against blue); Q. Bammey,
R. Grompone von Gioi, J.-M. Morel, IPOL 11, 2021 (blocks as voters of an a-contrario test).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.heavy import scipy
from bonafide.signals.noise import concentrations

VOTER = 8  # side of a voting block in pixels; one JPEG block, so that voters share no block
STRIP = 512


@dataclass(frozen=True)
class LatticeVotes:
    """What each block of `VOTER`×`VOTER` pixels says about the colour filter array.

    Every array is int8 (rows, columns) with values −1, 0 (no opinion) and 1.

    Attributes:
        green: 1 where green seems measured at pixels with x + y odd, −1 at x + y even.
        red_even: for the pixels with x + y even: 1 where red seems measured at even x and blue
            at odd x, −1 the other way round. Means something where `green` is 1.
        red_odd: for the pixels with x + y odd: 1 where red seems measured at odd x (even y).
            Means something where `green` is −1.
    """

    green: NDArray[np.int8]
    red_even: NDArray[np.int8]
    red_odd: NDArray[np.int8]


def lattice_votes(pixels: NDArray[np.uint8]) -> LatticeVotes:
    """Let every block vote for where green, red and blue were measured.

    Args:
        pixels: uint8 H×W×3 RGB in [0, 255].

    Returns:
        Votes of shape (H // 8, W // 8); empty when a side is under 8 pixels.
    """
    rows, columns = pixels.shape[0] // VOTER, pixels.shape[1] // VOTER
    votes = np.zeros((3, rows, columns), np.int8)
    if rows and columns:
        for first in range(0, rows, STRIP // VOTER):
            last = min(first + STRIP // VOTER, rows)
            votes[:, first:last] = _strip_votes(pixels, first * VOTER, last * VOTER, columns)
    return LatticeVotes(*votes)


def contrary_windows(
    votes: NDArray[np.int8], families: int = 1, log10_threshold: float = -3.0
) -> NDArray[np.float32]:
    """Mark blocks in square windows that vote against the majority more than chance allows.

    Background model: each vote is the toss of a fair coin, independent of the others. (Where
    the lattice is visible a vote is more likely to agree, so the bound is kept with room.) Every
    square of 4 blocks and more is tested, see `noise.concentrations`.

    Args:
        votes: int8 (rows, columns) in {−1, 0, 1}; 1 agrees with the picture.
        families: how many such searches are made on one picture.
        log10_threshold: mark windows whose log10 number of false alarms is below this.

    Returns:
        float32 (rows, columns): −log10 of the number of false alarms of the strongest window
        over each marked block, at most 300; 0 where nothing is marked. Within a window only
        blocks are marked around which most votes are contrary.
    """
    strength = concentrations(
        (votes < 0).astype(np.float64),
        (votes != 0).astype(np.float64),
        0.5,
        families,
        log10_threshold,
        smallest=4,
    )
    if strength.any():
        locally = scipy.ndimage.uniform_filter(votes.astype(np.float32), size=5, mode="nearest")
        strength[scipy.ndimage.binary_opening(locally < 0, np.ones((3, 3))) == 0] = 0.0
    return strength


def _strip_votes(
    pixels: NDArray[np.uint8], top: int, bottom: int, columns: int
) -> NDArray[np.int8]:
    width = columns * VOTER
    rows = np.clip(np.arange(top - 1, bottom + 1), 0, pixels.shape[0] - 1)
    # One row or column beyond the voters on each side; mirrored at the border, where the
    # residual then keeps the parity of its pixel.
    rows[0] = rows[2] if top == 0 else top - 1
    rows[-1] = bottom if bottom < pixels.shape[0] else bottom - 2
    strip = pixels[rows].astype(np.int16)
    edge = (
        strip[:, width : width + 1] if pixels.shape[1] > width else strip[:, width - 2 : width - 1]
    )
    strip = np.concatenate([strip[:, 1:2], strip[:, :width], edge], axis=1)

    green = np.ascontiguousarray(strip[..., 1])
    cross = green[1:-1, :-2] + green[1:-1, 2:] + green[:-2, 1:-1] + green[2:, 1:-1]
    departure = np.abs(4 * green[1:-1, 1:-1] - cross)
    red_over_blue = _diagonal_departure(strip[..., 0]) - _diagonal_departure(strip[..., 2])
    del strip, cross

    def site(values: NDArray[np.int16], y: int, x: int) -> NDArray[np.int16]:
        return values[y::2, x::2]

    # 16 pixels of each parity per block at most 1020 apart: the sums need 32 bits.
    even = site(departure, 0, 0).astype(np.int32) + site(departure, 1, 1)
    odd = site(departure, 0, 1).astype(np.int32) + site(departure, 1, 0)
    balances = (
        odd - even,  # green is measured where it departs more from its neighbours
        site(red_over_blue, 0, 0).astype(np.int32) - site(red_over_blue, 1, 1),
        site(red_over_blue, 0, 1).astype(np.int32) - site(red_over_blue, 1, 0),
    )
    return np.stack([np.sign(_block_sums(b, VOTER // 2)) for b in balances]).astype(np.int8)


def _diagonal_departure(channel: NDArray[np.int16]) -> NDArray[np.int16]:
    centre = np.ascontiguousarray(channel)
    corners = centre[:-2, :-2] + centre[:-2, 2:] + centre[2:, :-2] + centre[2:, 2:]
    departure: NDArray[np.int16] = np.abs(4 * centre[1:-1, 1:-1] - corners)
    return departure


def _block_sums(values: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    # Adding strided slices is several times faster than a sum over reshaped axes.
    down = values[::side].copy()
    for offset in range(1, side):
        down += values[offset::side]
    across = down[:, ::side].copy()
    for offset in range(1, side):
        across += down[:, offset::side]
    return across
