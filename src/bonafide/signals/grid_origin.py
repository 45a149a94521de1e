"""Where the JPEG grid of most of a picture starts, from the votes of its pixels.

Source: T. Nikoukhah et al., "ZERO", Image Processing On Line 11, 2021.
"""

from __future__ import annotations

import math

import numpy as np

from bonafide.media.context import Context
from bonafide.signals import jpeg
from bonafide.signals.acontrario import log10_false_alarms
from bonafide.signals.jpeg import GRID_VOTES


def main_origin(ctx: Context) -> tuple[int, int]:
    """Column and row, 0–7, of the grid of most of the picture; (0, 0) if none is meaningful."""
    votes = ctx.get(GRID_VOTES)
    totals = jpeg.vote_totals(votes)
    main = int(np.argmax(totals))
    alarms = log10_false_alarms(
        2 * math.log10(64 * votes.size), float(totals[main] // 64), votes.size / 64, 1 / 64
    )
    return (main % 8, main // 8) if alarms < 0 else (0, 0)
