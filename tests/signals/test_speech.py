"""Spectra of speech, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from bonafide.signals.speech import BANDS, RATE, band_limited, log_mel, mel_filters


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def test_filters_have_unit_area_and_rise_with_frequency() -> None:
    filters = mel_filters(40, 2048)
    assert filters.shape == (40, 1025)
    area = filters.sum(1) * RATE / 2048
    assert area[5:] == pytest.approx(np.ones(35), abs=0.15)
    assert (np.diff(filters.argmax(1)) > 0).all()


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    spectrum = log_mel(tone(hertz))
    assert spectrum.shape == (BANDS, 100)
    band = int(spectrum.mean(1).argmax())
    bins = np.fft.rfftfreq(400, 1 / RATE)
    assert abs(bins[mel_filters()[band].argmax()] - hertz) < 0.1 * hertz


def test_loudness_shifts_the_whole_spectrum() -> None:
    sound = tone(500) + 0.1 * np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    loud, soft = log_mel(sound), log_mel(0.01 * sound)
    assert np.abs((loud - loud.max()) - (soft - soft.max())).max() < 1e-3


def test_the_band_limit_keeps_what_is_below() -> None:
    low, high = tone(3000), tone(7600)
    kept = band_limited(low + high)
    assert np.abs(kept - low)[100:-100].max() < 0.02
    assert np.abs(band_limited(high))[100:-100].max() < 0.02
