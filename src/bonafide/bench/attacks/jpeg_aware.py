"""The same search with the picture handed in as JPEG: only what survives the save is kept.

Each candidate is scored after a real encode, at the quality in which the file will be handed in,
so that rounding by the encoder is part of the search.
"""

from __future__ import annotations

from bonafide.bench.attacks.low_frequency import LowFrequency

ATTACK = LowFrequency(
    "Low frequencies, scored after a save at JPEG 75",
    "C. Guo et al., ICML 2019, through an encoder as in R. Shin and D. Song, JPEG-resistant "
    "Adversarial Images, 2017",
    "scores",
    costly=True,
    quality=75,
)
