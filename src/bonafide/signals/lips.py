"""How well the opening of a mouth follows the sound, and by how much one is late.

An open mouth is dark inside and full of contrast, and a voice is loud while it is open. Both are
measured 25 times per second, freed of what changes slowly, and correlated at offsets up to 0.6 s.

Source: the idea of reading synchrony from a correlation over offsets is that of J. Hershey and
J. Movellan, "Audio Vision: Using Audio-Visual Synchrony to Locate Sounds", NIPS 1999.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.speech import RATE, mel_filters

FPS = 25.0
STEP = 1 / FPS  # seconds from one offset to the next
MOST = 15  # steps that are tried on both sides: 0.6 s
_HOP, _WINDOW, _BANDS = 160, 400, 26  # samples, samples, mel bands
_RANGES = ((2, 8), (6, 14), (12, 20), (3, 20))  # of bands: low, middle, high, all of a voice
_SLOW = 25  # frames over which what changes slowly is averaged away
_ROWS, _COLUMNS = slice(18, 40), slice(10, 38)  # of a crop of 48 pixels: the lips
_DARK = 80  # darkest pixels of them

Floats = NDArray[np.float64]


def opening(crops: NDArray[np.uint8]) -> Floats:
    """How far a mouth is open, in two ways.

    Args:
        crops: n×48×48, grey, from the nose to the chin.

    Returns:
        float64 (n, 2): how much darker the darkest pixels are than the mean, and the contrast.
    """
    lips = crops[:, _ROWS, _COLUMNS].reshape(len(crops), -1).astype(np.float64) / 255
    darkest = np.partition(lips, _DARK, axis=1)[:, :_DARK]
    return np.stack([lips.mean(1) - darkest.mean(1), lips.std(1)], axis=1)


def loudness(samples: NDArray[np.float32]) -> Floats:
    """Logarithm of the power of four ranges of a voice, averaged over 50 ms.

    Args:
        samples: float32 (n,), 16,000 per second.

    Returns:
        float64 (frames, 4), 100 per second.
    """
    padded = np.pad(samples, _WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2
    bands = np.log(power @ mel_filters(_BANDS, _WINDOW).T + 1e-7)
    found = np.stack([bands[:, first:last].mean(1) for first, last in _RANGES], axis=1)
    return np.stack([np.convolve(one, np.ones(5) / 5, "same") for one in found.T], axis=1)


def agreement(
    times: Floats, mouth: Floats, loud: Floats, start: float, offset: float = 0.0
) -> Floats:
    """Correlation of mouth and sound at each offset.

    Args:
        times: (n,) seconds of the frames of the mouth.
        mouth: as `opening` returns it.
        loud: as `loudness` returns it.
        start: seconds of the first sample.
        offset: seconds that are added to all offsets.

    Returns:
        float64 (2 × `MOST` + 1,) in [-1, 1]; the middle one is `offset`; later ones mean that the
        sound comes later than the mouth.
    """
    known = _standard(mouth)
    at = start + np.arange(len(loud)) * _HOP / RATE
    found = np.zeros(2 * MOST + 1)
    for number in range(len(found)):
        when = times + offset + (number - MOST) * STEP
        heard = _standard(np.stack([np.interp(when, at, one) for one in loud.T], axis=1))
        found[number] = float((known.T @ heard).mean()) / len(times)
    return found


def local(
    times: Floats, mouth: Floats, loud: Floats, start: float, offset: float, frames: int = 50
) -> Floats:
    """Correlation at one offset within so many frames around each frame, (n,) in [-1, 1]."""
    at = start + np.arange(len(loud)) * _HOP / RATE
    heard = np.stack([np.interp(times + offset, at, one) for one in loud.T], axis=1)
    one, two = _standard(mouth).mean(1), _standard(heard).mean(1)
    window = np.ones(min(frames, len(times)))

    def around(values: Floats) -> Floats:
        return np.convolve(values, window, "same")

    spread = np.sqrt(around(one**2) * around(two**2))
    return np.asarray(around(one * two) / np.maximum(spread, 1e-9))


def peak(curve: Floats) -> tuple[float, float]:
    """Offset of the largest value in seconds, by a parabola through it, and that value."""
    best = int(np.argmax(curve))
    offset = (best - MOST) * STEP
    if 0 < best < len(curve) - 1:
        before, top, after = curve[best - 1 : best + 2]
        bend = before - 2 * top + after
        if bend < 0:
            offset += STEP * float(np.clip((before - after) / (2 * bend), -0.5, 0.5))
    return float(offset), float(curve[best])


def _standard(values: Floats) -> Floats:
    """Columns without what changes slowly, of mean 0 and deviation 1."""
    width = min(_SLOW, len(values) // 2 * 2 - 1)
    if width < 3:
        return np.zeros_like(values)
    padded = np.pad(values, ((width // 2, width // 2), (0, 0)), "edge")
    slow = np.stack([np.convolve(one, np.ones(width) / width, "valid") for one in padded.T], 1)
    fast = values - slow[: len(values)]
    fast = fast - fast.mean(0)
    return np.asarray(fast / np.maximum(fast.std(0), 1e-9))
