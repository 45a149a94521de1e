"""Whether a picture is drawn, rendered, printed or a screen rather than photographed.

Such content repeats itself exactly: tiles of a game, letters of a font, stamped ornament, flat
colour. What tells a copied part of a photograph is no trace of editing there. Detectors that look
for repetition ask before they speak.

A plane on CLIP's class tokens of the central square of a picture, fitted by
`bonafide probe fit --kinds` to what the pictures of `data/training_images.csv` show.
"""

from __future__ import annotations

import math

from bonafide.errors import WeightsError
from bonafide.media.context import Context, Signal
from bonafide.networks import runtime
from bonafide.networks.clip import CLIP_SQUARE, chosen

NETWORK = "content"


def _drawn(ctx: Context) -> float | None:
    try:
        tokens = ctx.get(CLIP_SQUARE)
        session = runtime.session(NETWORK)
        read = chosen(tokens, tuple(session.weights.metadata["settings"]["blocks"]))
        logit = float(session.run(tokens=read)["logit"][0])
    except WeightsError:
        return None
    return 1.0 / (1.0 + math.exp(-max(min(logit, 50.0), -50.0)))


DRAWN: Signal[float | None] = Signal("content.drawn", "1", _drawn)
"""P in [0, 1] at even prior odds that a picture is drawn, rendered, printed or a screen; None where
a network cannot be opened."""
