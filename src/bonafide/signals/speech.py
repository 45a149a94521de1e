"""Sound as networks for speech read it: band limit, mel filters, log-mel spectrum."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 16_000  # samples per second
HIGHEST = 7_000.0  # Hz that are kept: above it files differ by how they were made and sent
WINDOW, HOP = 400, 160  # samples: 25 and 10 ms
BANDS = 80
_EDGE = 250.0  # Hz over which the band limit falls

Floats = NDArray[np.float32]


@lru_cache(maxsize=8)
def mel_filters(bands: int = BANDS, length: int = WINDOW, rate: int = RATE) -> Floats:
    """Triangles, equally spaced on the mel scale, each of unit area.

    The scale is linear below 1 kHz and logarithmic above: M. Slaney, "Auditory Toolbox", 1998.

    Args:
        bands: how many.
        length: of the Fourier transform, samples.
        rate: samples per second.

    Returns:
        float32 bands × (length / 2 + 1), read-only.
    """
    knee, step = 15.0, np.log(6.4) / 27.0  # 1 kHz is 15 mel; 27 mel are a factor of 6.4
    top = rate / 2
    highest = knee + np.log(top / 1000) / step if top >= 1000 else top * 0.015
    mel = np.linspace(0.0, highest, bands + 2)
    hertz = np.where(mel < knee, mel / 0.015, 1000.0 * np.exp((mel - knee) * step))
    bins = np.fft.rfftfreq(length, 1 / rate)
    rising = (bins - hertz[:-2, None]) / np.diff(hertz)[:-1, None]
    falling = (hertz[2:, None] - bins) / np.diff(hertz)[1:, None]
    area = 2.0 / (hertz[2:] - hertz[:-2])[:, None]
    filters: Floats = (np.maximum(0, np.minimum(rising, falling)) * area).astype(np.float32)
    filters.flags.writeable = False
    return filters


def band_limited(samples: Floats, highest: float = HIGHEST) -> Floats:
    """The same sound without what lies above a frequency.

    Args:
        samples: float32 (n,), `RATE` per second.
        highest: Hz.
    """
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    spectrum *= np.clip((highest + _EDGE - hertz) / _EDGE, 0, 1)
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def log_mel(samples: Floats) -> Floats:
    """The spectrum that Whisper reads: decades, cut off 8 below the largest, shifted and scaled.

    Source: A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.

    Args:
        samples: float32 (n,), `RATE` per second, at least 201 of them.

    Returns:
        float32 80 × (n // 160).
    """
    padded = np.pad(samples, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(samples) // HOP]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    mel = np.log10(np.maximum(mel_filters() @ power.T.astype(np.float32), 1e-10))
    mel = np.maximum(mel, mel.max() - 8.0)
    return np.asarray((mel + 4.0) / 4.0, np.float32)
