"""What happens to speech on its way: length kept, band cut, equal for equal chance."""

from __future__ import annotations

import numpy as np
import pytest

from bonafide.signals.speech import RATE
from bonafide.testing.sounds import babble
from bonafide.train.augment_sound import CODECS, WAY, encoded, levelled, telephone, telephone_opus


@pytest.mark.parametrize("codec", CODECS, ids=lambda one: f"{one[0]}-{one[2]}")
def test_codecs_keep_length_and_what_is_said(codec: tuple[str, str, int, tuple[int, ...]]) -> None:
    sound = levelled(babble(2))
    name, container, rate, bits = codec
    back = encoded(sound, name, container, rate, bits[-1])
    assert back.shape == sound.shape and back.dtype == np.float32

    def envelope(samples: np.ndarray) -> np.ndarray:
        return np.abs(samples).reshape(-1, 800).mean(1)

    both = np.correlate(envelope(sound) - envelope(sound).mean(), envelope(back), "full")
    assert (
        np.corrcoef(envelope(sound), np.roll(envelope(back), int(both.argmax()) - 39))[0, 1] > 0.6
    )
    assert np.abs(back - sound).max() > 1e-4


def test_the_telephone_has_its_band() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    power = np.abs(np.fft.rfft(telephone(noise))) ** 2
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    inside = power[(hertz > 500) & (hertz < 3000)].mean()
    assert power[hertz < 150].mean() < 0.01 * inside
    assert power[hertz > 3800].mean() < 0.01 * inside
    assert telephone_opus(noise).shape == noise.shape


def test_the_way_is_the_same_for_the_same_chance() -> None:
    sound = babble(2)
    one, other = (WAY(sound, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, other)
    assert all(
        np.isfinite(WAY(sound, np.random.default_rng(seed))).all() and sound.any()
        for seed in range(12)
    )
