"""MP3 as a codec whose frames leave a grid: see `frame_grid`.

A granule of MP3 is 576 samples. Long granules alone are looked at: they are most of speech.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonafide.signals import mp3_bank
from bonafide.signals.frame_grid import NOTHING, Codec, Floats
from bonafide.signals.mp3_bank import BANDS, GRANULE, LINES, SPAN

_LINES = slice(12, 340)  # that are looked at: above hum, below the usual cut


class Mp3(Codec):
    """Granules of 576 samples, of which every one is computed from 1,632."""

    name = "MP3"
    frame = GRANULE
    searched = 14
    segment = 16
    shapes = 1

    def all_offsets(self, held: Floats, shape: int) -> NDArray[np.float64]:
        """See `Codec.all_offsets`."""
        slots = (self.searched + 1) * LINES + LINES - 1
        levels = np.empty(GRANULE)
        for first in range(BANDS):
            bands = mp3_bank.bands(held[first:], slots)
            small = _small(mp3_bank.lines(bands))[: self.searched * LINES]
            levels[first::BANDS] = small.reshape(self.searched, LINES).mean(0)
        return levels

    def levels(self, held: Floats, offset: int, shape: int) -> NDArray[np.float64]:
        """See `Codec.levels`."""
        count = max(0, (len(held) - offset - SPAN) // GRANULE + 1)
        if not count:
            return np.zeros(0)
        bands = mp3_bank.bands(held[offset:], (count + 1) * LINES)
        return _small(mp3_bank.lines(bands, LINES))


def _small(lines: Floats) -> NDArray[np.float64]:
    return np.asarray((np.abs(lines[:, _LINES]) < NOTHING).mean(1), np.float64)
