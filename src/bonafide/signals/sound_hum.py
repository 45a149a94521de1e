"""Mains hum, and where its phase jumps.

Current of 50 or 60 Hz hums in what it feeds, at its harmonics. The phase of that hum runs on with
the clock. Where sound was taken out or put in, it goes on at another phase.

Each harmonic is shifted to zero and averaged over 0.2 s, a value each 96 ms. Where it stands out
of what lies beside it, its mean over some seconds before a moment, turned by the frequency that
both sides show, is compared with the mean after it.

Source: D. P. Nicolalde Rodríguez, J. A. Apolinário, L. W. P. Biscainho, "Audio Authenticity:
Detecting ENF Discontinuity With High Precision Phase Analysis", IEEE TIFS 5(3), 2010 (the idea).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.sound_breaks import STEP
from bonafide.signals.speech import RATE

MAINS = (50.0, 60.0)  # Hz
HARMONICS = (1, 2, 3, 4)
SIDE = 3.0  # seconds on either side
CLEAR = 4.0  # power of the mean over the power beside it, from which a side holds hum
_LOUD = 1.5  # times the median size, to which moments in which somebody speaks are limited
_DRIFT = 0.01  # share by which mains frequency differs from its nominal value, at most
_LONG = 16.0  # seconds over which the frequency is looked for

Floats = NDArray[np.float32]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Hum:
    """Phase of the hum along time.

    Attributes:
        hertz: harmonic that is clearest, Hz; 0.0 where there is no hum.
        clear: share of the moments at which both sides hold hum, in [0, 1].
        jumps: float32 (moments,), each `STEP` samples: size of the phase jump over its standard
            deviation, the root mean square over harmonics that are clear; 0 where there are none.
        degrees: float32 (moments,): size of the phase jump of the clearest harmonic.
    """

    hertz: float
    clear: float
    jumps: Floats
    degrees: Floats


class HumTracker:
    """Follows hum through a recording that is given in pieces of whole moments.

    What is kept grows by 1.4 kB per second of sound.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._parts: list[NDArray[np.complex64]] = []
        self._count = 0
        self._last = np.zeros(STEP)

    def add(self, samples: Floats) -> None:
        """Samples that follow those given before, float32 (n,); what is left over is dropped."""
        moments = len(samples) // STEP
        if not moments:
            return
        blocks = samples[: moments * STEP].astype(np.float64).reshape(moments, STEP)
        parts = np.hstack([np.vstack([self._last, blocks[:-1]]), blocks])
        self._last = blocks[-1]
        parts = parts * np.hanning(2 * STEP)
        firsts = (self._count + np.arange(moments)) * STEP / RATE
        found = np.empty((moments, len(_tones())), np.complex64)
        for column, hertz in enumerate(_tones()):
            within = np.exp(-2j * np.pi * hertz * np.arange(2 * STEP) / RATE)
            found[:, column] = parts @ within * np.exp(-2j * np.pi * hertz * firsts) / STEP
        self._parts.append(found)
        self._count += moments

    def hum(self) -> Hum:
        """What was found; to be asked at the end."""
        nothing = np.zeros(self._count, np.float32)
        if self._count * STEP < 2 * SIDE * RATE:
            return Hum(0.0, 0.0, nothing, nothing)
        series = np.concatenate(self._parts).astype(np.complex128)
        best, loudest = Hum(0.0, 0.0, nothing, nothing), 0.0
        for mains in range(len(MAINS)):
            columns = range(mains * len(HARMONICS), (mains + 1) * len(HARMONICS))
            tones = [_compare(series[:, one], _tones()[one]) for one in columns]
            squares = np.zeros(self._count)
            counts = np.zeros(self._count)
            for tone in tones:
                squares += np.where(tone.clear, tone.jumps**2, 0)
                counts += tone.clear
            shares = [float(tone.clear.mean()) for tone in tones]
            first = int(np.argmax(shares))
            # Strong hum at 60 Hz shows at 50 Hz too, weaker.
            power = sum(tone.power for tone in tones)
            if power > loudest and shares[first] > 0:
                loudest = power
                jumps = np.sqrt(squares / np.maximum(counts, 1))
                degrees = np.where(tones[first].clear, tones[first].degrees, 0)
                hertz = _tones()[columns[first]]
                best = Hum(hertz, shares[first], _float(jumps), _float(degrees))
        return best


@dataclass(frozen=True)
class _Tone:
    clear: NDArray[np.bool_]
    jumps: NDArray[np.float64]
    degrees: NDArray[np.float64]
    power: float  # its mean where it is clear, times the share of time in which it is


def _compare(values: Complexes, hertz: float) -> _Tone:
    """One harmonic: is it there on both sides of each moment, and does its phase go on?"""
    size = np.abs(values)
    limit = _LOUD * float(np.median(size)) + 1e-12
    values = values * np.minimum(1, limit / np.maximum(size, 1e-12))
    values = values * np.exp(-1j * _phase(values, hertz))
    side = round(SIDE * RATE / STEP)
    half = side // 2
    sums = np.r_[0, np.cumsum(values)]
    powers = np.r_[0, np.cumsum(np.abs(values) ** 2)]
    count = len(values)
    at = np.arange(count)
    inside = (at >= side) & (at + side <= count)
    place = np.clip(at, side, max(side, count - side))

    def mean(first: int, last: int) -> Complexes:
        return np.asarray((sums[place + last] - sums[place + first]) / (last - first))

    before, after = mean(-side, 0), mean(0, side)
    beside = []
    for first, last, whole in ((-side, 0, before), (0, side, after)):
        power = (powers[place + last] - powers[place + first]) / (last - first)
        beside.append(np.maximum(power - np.abs(whole) ** 2, 1e-18) / (last - first))
    ratios = [np.abs(one) ** 2 / rest for one, rest in zip((before, after), beside, strict=True)]
    clear = inside & (np.minimum(*ratios) >= CLEAR * np.sqrt(side))
    # Halves of a side are `half` moments apart, the middles of both sides `side`.
    turn = mean(-half, 0) * np.conj(mean(-side, -half)) + mean(half, side) * np.conj(mean(0, half))
    slope = np.angle(turn) / half
    jump = np.angle(after * np.conj(before) * np.exp(-1j * slope * side))
    noise = 0.5 / np.maximum(ratios[0], 1e-9) + 0.5 / np.maximum(ratios[1], 1e-9)
    spread = np.sqrt(noise * (1 + 4))  # the slopes are uncertain too
    power = float((np.abs(after) ** 2 * clear).mean())
    size = np.abs(jump)
    return _Tone(clear, size / np.maximum(spread, 0.02), np.degrees(size), power)


def _phase(values: Complexes, hertz: float) -> NDArray[np.float64]:
    """Phase of the frequency at which the tone is found, stretch by stretch of `_LONG` seconds."""
    rate = RATE / STEP
    length = round(_LONG * rate)
    grid = np.linspace(-_DRIFT * hertz, _DRIFT * hertz, 81)
    frequency = np.empty(len(values))
    for first in range(0, len(values), length):
        part = values[max(0, min(first, len(values) - length)) : first + length]
        times = np.arange(len(part)) / rate
        found = np.abs(np.exp(-2j * np.pi * grid[:, None] * times) @ part)
        frequency[first : first + length] = grid[int(np.argmax(found))]
    return np.asarray(2 * np.pi * np.cumsum(frequency) / rate, np.float64)


def _tones() -> list[float]:
    return [mains * harmonic for mains in MAINS for harmonic in HARMONICS]


def _float(values: NDArray[np.float64]) -> Floats:
    return np.asarray(values, np.float32)
