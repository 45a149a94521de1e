"""What may happen to speech on its way, alike for both classes.

Every operation is a function of float32 samples in [-1, 1], 16,000 per second, and a random
generator; it returns as many samples. The order is that of a recording: a room, a microphone's
noise, a band, a codec.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

from bonafide.signals.speech import RATE, band_limited
from bonafide.train.augment import Chain, Step

Sound = NDArray[np.float32]
Random = np.random.Generator

CUTS = (3_400.0, 4_000.0, 5_000.0, 5_500.0, 6_000.0, 7_000.0)  # Hz: telephones, 8 to 16 kHz
# Encoder, container, samples per second, bit rates.
CODECS: tuple[tuple[str, str, int, tuple[int, ...]], ...] = (
    ("libopus", "ogg", 48_000, (12_000, 16_000, 24_000, 32_000, 64_000)),
    ("libmp3lame", "mp3", 16_000, (24_000, 32_000, 48_000, 64_000)),
    ("libmp3lame", "mp3", 44_100, (48_000, 64_000, 96_000, 128_000)),
    ("aac", "adts", 44_100, (32_000, 48_000, 64_000, 96_000)),
    ("pcm_mulaw", "wav", 8_000, (0,)),
    ("pcm_alaw", "wav", 8_000, (0,)),
    ("libopencore_amrnb", "amr", 8_000, (4_750, 7_400, 12_200)),
    ("g722", "wav", 16_000, (0,)),
    ("adpcm_g726", "wav", 8_000, (32_000,)),
)


def encoded(samples: Sound, codec: str, container: str, rate: int, bits: int) -> Sound:
    """The same sound after a codec; its delay shifts it by some milliseconds.

    Args:
        samples: float32 (n,).
        codec, container: by their names in FFmpeg.
        rate: samples per second that are encoded.
        bits: per second; 0 where the codec has but one rate.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate, layout="mono")
        if bits:
            stream.bit_rate = bits
        context = stream.codec_context
        given = av.AudioFrame.from_ndarray(_integers(samples)[None], format="s16", layout="mono")
        given.sample_rate = RATE
        given.time_base = Fraction(1, RATE)
        context.open()
        resampler = av.AudioResampler(
            context.format.name, "mono", rate, frame_size=context.frame_size or None
        )
        for frame in (*resampler.resample(given), *resampler.resample(None)):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    back = av.AudioResampler("flt", "mono", RATE)
    parts: list[Sound] = []
    form = "aac" if container == "adts" else container
    with av.open(file, "r", format=form) as source:
        frames: Iterator[Any] = source.decode(audio=0)
        coming = chain(chain.from_iterable(map(back.resample, frames)), back.resample(None))
        parts += [np.asarray(one.to_ndarray(), np.float32).ravel() for one in coming]
    return _of_length(np.concatenate(parts) if parts else samples, len(samples))


def coded(samples: Sound, random: Random) -> Sound:
    """One codec of `CODECS`."""
    codec, container, rate, bits = CODECS[random.integers(len(CODECS))]
    return encoded(samples, codec, container, rate, int(random.choice(bits)))


def narrowed(samples: Sound, random: Random) -> Sound:
    """A smaller band; narrow ones sometimes without what lies below 300 Hz, as telephones."""
    cut = float(random.choice(CUTS))
    low = random.random() < 0.5
    return telephone(samples, cut) if low and cut < 4_500 else band_limited(samples, cut)


def telephone(samples: Sound, highest: float = 3_400.0) -> Sound:
    """300 Hz to `highest`."""
    passed = sosfilt(butter(4, 300.0, "highpass", fs=RATE, output="sos"), samples)
    return band_limited(np.asarray(passed, np.float32), highest)


def noisy(samples: Sound, random: Random) -> Sound:
    """Noise of a random slope (white to brown), 8 to 35 dB below the sound."""
    slope, below = random.uniform(0, 2), random.uniform(8, 35)
    spectrum = np.fft.rfft(random.standard_normal(len(samples)))
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    noise = np.fft.irfft(spectrum / np.maximum(hertz, 50.0) ** (slope / 2), len(samples))
    wanted = np.sqrt(np.mean(samples**2)) * 10 ** (-below / 20)
    return np.asarray(samples + noise * wanted / max(float(noise.std()), 1e-12), np.float32)


def in_room(samples: Sound, random: Random) -> Sound:
    """Reverberation: decaying noise of 0.1 to 0.6 s after the direct sound."""
    seconds, share = random.uniform(0.1, 0.6), random.uniform(0.05, 0.5)
    times = np.arange(int(seconds * RATE)) / RATE
    tail = random.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    tail[: int(0.003 * RATE)] = 0
    tail *= share / max(float(np.sqrt(np.sum(tail**2))), 1e-12)
    tail[0] = 1.0
    return np.asarray(fftconvolve(samples, tail)[: len(samples)], np.float32)


def clipped(samples: Sound, random: Random) -> Sound:
    """Overdriven by 3 to 12 dB."""
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-6)
    gain = 10 ** (random.uniform(3, 12) / 20) / peak
    return np.asarray(np.clip(samples * gain, -1, 1) * 0.8, np.float32)


def telephone_opus(samples: Sound) -> Sound:
    """A telephone's band, then Opus at 16 kbit/s: what a voice message over a call goes through."""
    return encoded(telephone(samples), "libopus", "ogg", 48_000, 16_000)


WAY: Chain[Sound] = Chain(
    (
        Step("room", 0.25, in_room),
        Step("noise", 0.4, noisy),
        Step("overdriven", 0.05, clipped),
        Step("band", 0.5, narrowed),
        Step("codec", 0.75, coded),
        Step("codec again", 0.2, coded),
    )
)


def levelled(samples: Sound, peak: float = 0.7) -> Sound:
    """The same sound with its largest sample at `peak`."""
    return samples * np.float32(peak / max(float(np.abs(samples).max(initial=0.0)), 1e-6))


def _integers(samples: Sound) -> NDArray[np.int16]:
    return np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def _of_length(samples: Sound, length: int) -> Sound:
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).astype(np.float32)
