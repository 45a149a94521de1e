"""The filter bank of MP3: 32 bands of equal width, then 18 lines of each band in every granule.

With the window of the standard the bank is orthogonal to within 0.1 %, so that a line is as large
as what it stands for, and rounding of samples to 16 bits gives every line the same noise.

Source: ISO/IEC 11172-3, table D.1 (the window, in units of 2^-16) and clause 2.4.3.4 (windows and
butterflies of the transform).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BANDS, LINES = 32, 18
GRANULE = BANDS * LINES  # samples from one granule to the next
TAPS = 512
SPAN = (2 * LINES - 1) * BANDS + TAPS  # samples that one granule is computed from

Floats = NDArray[np.float32]

# The first half of the window, without the turned signs of the table, and its middle.
_HALF = """
0 -1 -1 -1 -1 -1 -1 -2 -2 -2 -2 -3 -3 -4 -4 -5 -5 -6 -7 -7 -8 -9 -10 -11 -13 -14 -16 -17 -19 -21
-24 -26 -29 -31 -35 -38 -41 -45 -49 -53 -58 -63 -68 -73 -79 -85 -91 -97 -104 -111 -117 -125 -132
-139 -147 -154 -161 -169 -176 -183 -190 -196 -202 -208 -213 -218 -222 -225 -227 -228 -228 -227 -224
-221 -215 -208 -200 -189 -177 -163 -146 -127 -106 -83 -57 -29 2 36 72 111 153 197 244 294 347 401
459 519 581 645 711 779 848 919 991 1064 1137 1210 1283 1356 1428 1498 1567 1634 1698 1759 1817
1870 1919 1962 2001 2032 2057 2075 2085 2087 2080 2063 2037 2000 1952 1893 1822 1739 1644 1535 1414
1280 1131 970 794 605 402 185 -45 -288 -545 -814 -1095 -1388 -1692 -2006 -2330 -2663 -3004 -3351
-3705 -4063 -4425 -4788 -5153 -5517 -5879 -6237 -6589 -6935 -7271 -7597 -7910 -8209 -8491 -8755
-8998 -9219 -9416 -9585 -9727 -9838 -9916 -9959 -9966 -9935 -9863 -9750 -9592 -9389 -9139 -8840
-8492 -8092 -7640 -7134 -6574 -5959 -5288 -4561 -3776 -2935 -2037 -1082 -70 998 2122 3300 4533 5818
7154 8540 9975 11455 12980 14548 16155 17799 19478 21189 22929 24694 26482 28289 30112 31947 33791
35640 37489 39336 41176 43006 44821 46617 48390 50137 51853 53534 55178 56778 58333 59838 61289
62684 64019 65290 66494 67629 68692 69679 70590 71420 72169 72835 73415 73908 74313 74630 74856
74992 75038
"""
# Of the butterflies between neighbouring bands: c of the standard, lowest first.
_TURNS = (-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037)


def bands(samples: Floats, slots: int) -> Floats:
    """What each band holds, a value each 32 samples.

    Args:
        samples: float32 (n,), n at least 32·(slots - 1) + 512.
        slots: how many values of each band.

    Returns:
        float32 (slots, 32), from low to high frequencies.
    """
    views = np.lib.stride_tricks.sliding_window_view(samples, TAPS)[::BANDS][:slots]
    return np.asarray(views @ _analysis(), np.float32)


def lines(slots: Floats, every: int = 1) -> Floats:
    """Lines of the long granules that begin at each slot, or at each `every`-th.

    Args:
        slots: float32 (n, 32) as `bands` returns them.
        every: slots from one granule to the next that is asked for.

    Returns:
        float32 (ceil((n - 35) / every), 576), from low to high frequencies in each band; odd bands
        are mirrored, as in the standard.
    """
    views = np.lib.stride_tricks.sliding_window_view(slots, 2 * LINES, axis=0)[::every]
    found = np.empty((len(views), BANDS, LINES), np.float32)
    even, odd = _transforms()
    found[:, ::2] = views[:, ::2] @ even
    found[:, 1::2] = views[:, 1::2] @ odd
    cosine, sine = _turns()
    low, high = found[:, :-1, :-9:-1].copy(), found[:, 1:, :8].copy()
    found[:, :-1, :-9:-1] = low * cosine + high * sine
    found[:, 1:, :8] = high * cosine - low * sine
    return found.reshape(len(found), GRANULE)


@lru_cache(maxsize=1)
def _analysis() -> Floats:
    """(512, 32): samples in the order of time → bands."""
    half = np.array(_HALF.split(), np.float64)
    window = np.r_[half, half[255:0:-1]]
    tap, band = np.arange(TAPS)[:, None], np.arange(BANDS)
    found = window[:, None] * np.cos((2 * band + 1) * (tap - 16) * np.pi / 64)
    # Together the bands pass every frequency with a gain of 32, as decimation by 32 asks for.
    gain = (np.abs(np.fft.fft(found, axis=0)) ** 2).sum(1).mean()
    return np.asarray(found[::-1] * np.sqrt(BANDS / gain), np.float32)


@lru_cache(maxsize=1)
def _transforms() -> tuple[Floats, Floats]:
    """(36, 18) for even and for odd bands; those of odd bands turn every second slot."""
    time, line = np.arange(2 * LINES)[:, None], np.arange(LINES)
    found = np.cos(np.pi / 72 * (2 * time + 1 + LINES) * (2 * line + 1))
    found *= np.sin(np.pi / 36 * (time + 0.5)) * np.sqrt(2 / LINES)
    return found.astype(np.float32), (found * (-1.0) ** time).astype(np.float32)


@lru_cache(maxsize=1)
def _turns() -> tuple[Floats, Floats]:
    turn = np.array(_TURNS)
    cosine = 1 / np.sqrt(1 + turn**2)
    return cosine.astype(np.float32), (turn * cosine).astype(np.float32)
