"""What a cut leaves in sound: another background, a jump of the wave, an empty stretch.

All functions take float32 samples (n,) in [-1, 1], `RATE` per second, of one piece of a recording,
and describe moments that lie `STEP` samples apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.speech import RATE, mel_filters

HOP, WINDOW = 256, 512  # samples: 16 and 32 ms
STEP = 6 * HOP  # samples between moments: 96 ms
BANDS = 24
SIDE = 8.0  # seconds of sound that are compared on both sides, at most
LEAST = 3.0  # seconds that there must be on both sides
QUIET = 0.05  # share of frames that are taken for the background
_FLOOR = 1e-9  # power under which 16 bits hold nothing
_SILENT = -89.0  # mean level of a frame in dB up to which it is digital silence, no background
_ORDER = 16  # of the linear prediction
_BLOCK = 400  # samples that are predicted by one filter

Floats = NDArray[np.float32]


def bands(samples: Floats) -> Floats:
    """Power by band and time, in dB, averaged over 48 ms.

    Returns:
        float32 (frames, `BANDS`), a frame each `HOP` samples.
    """
    if len(samples) < WINDOW:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    found = power.astype(np.float32) @ mel_filters(BANDS, WINDOW).T
    padded = np.pad(found, ((1, 1), (0, 0)), "edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return np.asarray(10 * np.log10(smooth + _FLOOR), np.float32)


class Breaks:
    """Colours and jumps of a recording that is given piece by piece.

    What is kept grows by 6 kB per second of sound.
    """

    PIECE = 100 * STEP
    """Samples of each piece but the last."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._levels: list[Floats] = []
        self._jumps: list[Floats] = []
        self._last: Floats | None = None

    def add(self, samples: Floats) -> None:
        """Samples that follow those given before."""
        before = samples[: WINDOW - HOP][::-1] if self._last is None else self._last
        self._levels.append(bands(np.concatenate([before, samples])))
        self._jumps.append(jumps(samples))
        self._last = samples[HOP - WINDOW :]

    def colours(self) -> Floats:
        """See `colours`."""
        return colours(np.concatenate(self._levels)) if self._levels else np.zeros(0, np.float32)

    def jumps(self) -> Floats:
        """See `jumps`."""
        return np.concatenate(self._jumps) if self._jumps else np.zeros(0, np.float32)


def colours(levels: Floats) -> Floats:
    """How much the colour of the background changes at each moment.

    The background of a side is, in each band, the level that a twentieth of its frames stay below.

    Args:
        levels: as `bands` returns them.

    Returns:
        float32 (moments,): root mean square over bands of what the background after a moment
        differs from that before, beyond its mean level, dB; 0 within `LEAST` of an end.
    """
    step, length, least = STEP // HOP, round(SIDE * RATE / HOP), round(LEAST * RATE / HOP)
    count = len(levels) // step
    found = np.zeros(count, np.float32)
    for moment in range(-(-least // step), count - -(-least // step)):
        at = moment * step + step // 2
        sides = (levels[max(0, at - length) : at], levels[at : at + length])
        heard = [side[side.mean(1) > _SILENT] for side in sides]
        if min(map(len, heard)) >= least // 2:
            found[moment] = float(np.std(_background(heard[1]) - _background(heard[0])))
    return found


def _background(levels: Floats) -> Floats:
    kept = max(0, round(QUIET * len(levels)) - 1)
    return np.asarray(np.partition(levels, kept, axis=0)[kept])


def jumps(samples: Floats) -> Floats:
    """How far one sample stands out of what linear prediction leaves, at each moment.

    Returns:
        float32 (moments,): natural logarithm of the largest residual over the largest one that lies
        2 to 25 ms away, the largest value within the moment.
    """
    blocks = len(samples) // _BLOCK
    count = len(samples) // STEP
    if blocks < 3 or not count:
        return np.zeros(count, np.float32)
    residual = np.abs(_residual(samples))
    cell = RATE // 1000
    cells = residual[: len(residual) // cell * cell].reshape(-1, cell).max(1)
    padded = np.pad(cells, 26, "edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, 53)
    around = np.maximum(views[:, :25].max(1), views[:, 28:].max(1))
    ratio = np.log((cells + 1e-5) / (around + 1e-5))
    ratio[:30] = ratio[-30:] = 0
    per = STEP // cell
    ratio = np.pad(ratio, (0, max(0, count * per - len(ratio))))[: count * per]
    return np.asarray(ratio.reshape(count, per).max(1), np.float32)


def _residual(samples: Floats) -> Floats:
    """What a filter of order 16, fitted to each 25 ms and its neighbours, does not predict."""
    blocks = len(samples) // _BLOCK
    padded = np.pad(samples[: blocks * _BLOCK], (_BLOCK, _BLOCK))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 3 * _BLOCK)[::_BLOCK]
    spectrum = np.abs(np.fft.rfft(frames * _hann(), 4 * _BLOCK, axis=1)) ** 2
    lags = np.fft.irfft(spectrum, axis=1)[:, : _ORDER + 1]
    lags[:, 0] = lags[:, 0] * 1.0001 + 1e-7
    taps = _levinson(lags)
    own = np.pad(samples[: blocks * _BLOCK], (_ORDER, 0))
    views = np.lib.stride_tricks.sliding_window_view(own, _ORDER + 1)
    parts = views.reshape(blocks, _BLOCK, _ORDER + 1)
    return np.asarray(np.einsum("bnk,bk->bn", parts, taps[:, ::-1]).ravel(), np.float32)


@lru_cache(maxsize=1)
def _hann() -> Floats:
    return np.hanning(3 * _BLOCK).astype(np.float32)


def _levinson(lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prediction filters of autocorrelations (n, order + 1): (n, order + 1), the first tap 1."""
    count, order = lags.shape[0], lags.shape[1] - 1
    taps = np.zeros((count, order + 1))
    taps[:, 0] = 1
    error = lags[:, 0].copy()
    for step in range(1, order + 1):
        reflected = -np.einsum("nk,nk->n", taps[:, :step], lags[:, step:0:-1]) / error
        taps[:, 1 : step + 1] += reflected[:, None] * taps[:, step - 1 :: -1][:, :step]
        error *= np.maximum(1 - reflected**2, 1e-9)
    return taps
