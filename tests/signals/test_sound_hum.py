"""Mains hum: found, followed, and its phase jumps where a piece is missing."""

from __future__ import annotations

import numpy as np

from bonafide.signals.sound_breaks import STEP
from bonafide.signals.sound_hum import Hum, HumTracker
from bonafide.signals.speech import RATE
from bonafide.testing.sounds import babble


def followed(samples: np.ndarray) -> Hum:
    tracker = HumTracker()
    for first in range(0, len(samples), 50 * STEP):
        tracker.add(samples[first : first + 50 * STEP].astype(np.float32))
    return tracker.hum()


def spoken(seconds: float, hertz: float, level: float) -> np.ndarray:
    """Speech over noise and hum whose frequency wanders as that of mains does."""
    random = np.random.default_rng(2)
    count = round(seconds * RATE)
    wander = 0.01 * np.sin(np.arange(count) / RATE / 5)
    phase = 2 * np.pi * np.cumsum(hertz + wander) / RATE
    hum = level * (np.sin(2 * phase) + 0.5 * np.sin(phase))
    return 0.3 * babble(seconds)[:count] + random.normal(0, 0.002, count) + hum


def test_hum_is_found_and_goes_on() -> None:
    hum = followed(spoken(30, 59.98, 0.01))
    assert hum.hertz in (60.0, 120.0) and hum.clear > 0.5 and hum.jumps.max() < 6


def test_its_phase_jumps_at_a_cut() -> None:
    sound = spoken(30, 59.98, 0.01)
    at, gone = 14 * RATE, RATE // 2 + round(RATE / 240)  # half a period of 120 Hz more
    hum = followed(np.concatenate([sound[:at], sound[at + gone :]]))
    assert hum.jumps.max() > 8
    assert abs(int(np.argmax(hum.jumps)) - at // STEP) <= 3


def test_where_there_is_no_hum_nothing_jumps() -> None:
    hum = followed(spoken(20, 60.0, 0.0))
    assert hum.clear < 0.1
    silent = followed(np.zeros(20 * RATE))
    assert silent.clear == 0 and not silent.jumps.any()
    assert len(followed(np.zeros(RATE)).jumps) == RATE // STEP
