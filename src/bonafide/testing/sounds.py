"""Sounds that tests make on the spot: a machine that babbles, tones, noise, silence."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
# First three formants of five vowels, Hz: G. Peterson and H. Barney, JASA 24, 1952 (men).
_VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480),
           (570, 840, 2410))  # fmt: skip


def babble(seconds: float = 6.0, seed: int = 0, pitch: float = 110.0) -> NDArray[np.float32]:
    """Syllables of vowels and hisses that a detector of speech takes for speech.

    Returns:
        float32 (n,) in [-1, 1], 16,000 per second.
    """
    from scipy.signal import lfilter

    random = np.random.default_rng(seed)
    parts: list[NDArray[np.float64]] = []
    length, phase = 0, 0.0
    before = np.array(_VOWELS[0], float)
    while length < seconds * RATE:
        count = int(random.uniform(0.14, 0.26) * RATE)
        hertz = pitch * np.exp(np.cumsum(random.normal(0, 0.0004, count)) + random.normal(0, 0.08))
        phases = phase + np.cumsum(hertz) / RATE
        pulses = np.diff(np.floor(phases), prepend=np.floor(phase))
        phase = float(phases[-1])
        source = lfilter([1.0], [1.0, -0.96], pulses) + random.normal(0, 0.01, count)
        after = np.array(_VOWELS[random.integers(len(_VOWELS))]) * random.uniform(0.95, 1.05)
        voiced = np.zeros(count)
        for step in range(4):  # formants glide from vowel to vowel
            part = slice(step * count // 4, (step + 1) * count // 4)
            piece = source[part]
            for formant, width in zip(
                before + (after - before) * step / 3, (80, 100, 140), strict=True
            ):
                radius = np.exp(-np.pi * width / RATE)
                angle = 2 * np.pi * formant / RATE
                piece = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], piece)
            voiced[part] = piece
        voiced *= np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 0.5
        before = after
        hiss = lfilter(
            [1, -0.95], [1.0], random.normal(0, 1, int(random.uniform(0.03, 0.09) * RATE))
        )
        hiss *= 0.05 * np.hanning(len(hiss))
        parts += [hiss, 0.5 * voiced / max(np.abs(voiced).max(), 1e-9)]
        if random.random() < 0.12:
            parts.append(random.normal(0, 0.0005, int(random.uniform(0.1, 0.5) * RATE)))
        length = sum(map(len, parts))
    return np.concatenate(parts)[: int(seconds * RATE)].astype(np.float32)


def wav(samples: NDArray[np.float32], rate: int = RATE) -> bytes:
    """A WAV file of 16-bit samples.

    Args:
        samples: float32 (n,), or (n, channels), in [-1, 1].
        rate: samples per second.
    """
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()
