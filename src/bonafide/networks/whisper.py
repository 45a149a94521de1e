"""The encoder of Whisper, first blocks: features of speech that a detector reads.

It sees stretches of 4 s at 16 kHz, limited to 7 kHz, as a log-mel spectrum that does not depend on
the loudness.

Source: A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023
(weights: OpenAI, MIT licence). `bonafide.train.speech_networks` makes the file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import runtime
from bonafide.signals.speech import HOP, RATE, band_limited, log_mel

NETWORK = "whisper_tiny"
SECONDS = 4.0
SAMPLES = int(SECONDS * RATE)
FRAMES = SAMPLES // HOP  # of the spectrum
POSITIONS = FRAMES // 2  # of the network's outputs
BLOCKS = 3
LEVEL = 0.1  # root mean square of what is read, of full scale
LAYERS = tuple(f"layer{block}" for block in range(1, BLOCKS + 1))


def spectrum_view(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the network reads of a stretch of sound.

    Args:
        samples: float32 (64000,), 4 s at 16 kHz.

    Returns:
        float32 80×400.
    """
    sound = band_limited(samples)
    return log_mel(sound * np.float32(LEVEL / max(float(np.sqrt(np.mean(sound**2))), 1e-6)))


def features_of(sounds: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean over time of the network's features, of stretches of speech.

    Args:
        sounds: float32 (n,) each, at most 4 s at 16 kHz; a shorter one is continued by silence,
            of which nothing is counted.

    Returns:
        float32 N×L×D: the mean of the D features after each of `LAYERS`.

    Raises:
        WeightsError: the network cannot be opened.
    """
    views = [
        spectrum_view(np.pad(one, (0, max(0, SAMPLES - len(one))))[:SAMPLES]) for one in sounds
    ]
    found = runtime.session(NETWORK).run(only=LAYERS, spectrum=np.stack(views))
    rows = []
    for number, sound in enumerate(sounds):
        count = max(1, min(POSITIONS, len(sound) // (2 * HOP)))
        rows.append([found[layer][number, :count].mean(0) for layer in LAYERS])
    return np.array(rows, np.float32)
