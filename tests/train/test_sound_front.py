"""First layers of networks for sound: what each band passes, against SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import sound_toys
from scipy.fft import dct

from bonafide.train import sound_front

torch.set_num_threads(1)


def test_power_is_that_of_a_fourier_transform() -> None:
    sound = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    found = sound_front.Power(512, 320, 160)(torch.from_numpy(sound)[None])[0].numpy()
    assert found.shape == (257, 26)
    padded = np.pad(sound, 256, "reflect")
    window = np.zeros(512)
    window[96:416] = np.hanning(321)[:-1]
    wanted = np.abs(np.fft.rfft(padded[1600:2112] * window)) ** 2
    np.testing.assert_allclose(found[:, 10], wanted, rtol=1e-3, atol=1e-2)


def test_bands_are_equally_spaced_and_overlap_by_halves() -> None:
    filters = sound_front.linear_filters(20, 512).numpy()
    peaks = (filters @ np.arange(257)) / filters.sum(1)
    np.testing.assert_allclose(np.diff(peaks), 256 / 21, rtol=0.02)
    inside = filters.sum(0)[14:242]
    np.testing.assert_allclose(inside, 1, atol=1e-4)  # rising and falling sides add up


def test_lfcc_are_cosine_transforms_of_log_bands_and_their_slopes() -> None:
    front = sound_front.Lfcc(20)
    sound = torch.from_numpy(np.random.default_rng(1).standard_normal(8000).astype(np.float32))
    found = front(sound[None])[0].numpy()
    assert found.shape == (60, 51)
    bands = (front.filters @ front.power(sound[None]))[0].clamp_min(1e-8).log().numpy()
    np.testing.assert_allclose(found[:20], dct(bands, axis=0, norm="ortho"), atol=2e-4)
    steps = np.arange(-2, 3)
    slope = (found[:20, 8:13] * steps).sum(1) / 10
    np.testing.assert_allclose(found[20:40, 10], slope, atol=1e-5)


@pytest.mark.parametrize("number", [2, 10, 18])
def test_a_sinc_filter_passes_its_band_alone(number: int) -> None:
    front = sound_front.Sinc(20, 1025)
    low, high = front.edges[number : number + 2]
    power = []
    for hertz in (low * 0.6, (low + high) / 2, min(7_900.0, high * 1.4)):
        sound = torch.from_numpy(sound_toys.tone(hertz, 6000))[None]
        power.append(float(front(sound)[0, number].square().mean()))
    below, inside, above = power
    assert inside > 0.2 and below < 1e-3 * inside and (above < 1e-3 * inside or high > 7_000)


def test_filters_together_pass_everything_once() -> None:
    front = sound_front.Sinc(20, 1025)
    response = np.abs(np.fft.rfft(front.kernels[:, 0].sum(0).numpy(), 4096))
    inside = response[64:1900]
    np.testing.assert_allclose(inside, 1, atol=0.05)


def test_log_mel_follows_loudness() -> None:
    front = sound_front.LogMel()
    sound = torch.from_numpy(sound_toys.tone(440.0, 4000))[None]
    one, tenth = front(sound)[0], front(0.1 * sound)[0]
    assert one.shape == (80, 26)
    band = int(one[:, 12].argmax())
    assert float(one[band, 12] - tenth[band, 12]) == pytest.approx(np.log(100) / 6, abs=1e-3)
