"""Error level analysis: a map for the eye, never a vote.

What it looks for
    Parts of a picture that change more than the rest when it is saved as JPEG once more.

Why it works
    Each save moves pixels towards values that a further save at the same quality leaves alone.
    A part that was saved fewer times, or at another quality, still moves.

When it fails
    Almost always, as evidence: edges, texture, saturated colour and sharpening light up in
    genuine pictures, and a picture that was re-saved as a whole shows nothing. It is offered
    because examiners ask for the map; it has no score and never moves a verdict.

How to read it
    Compare like with like: two equally textured areas should look equally bright. A single
    bright object among equal ones is a question to follow up, not an answer.

Reference
    N. Krawetz, "A Picture's Worth… Digital Image Analysis and Forensics", Black Hat USA, 2007.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Pillow

from bonafide.media.context import Context
from bonafide.signals.lattice import sampled_map
from bonafide.types import Card, Measured, Measurement, Profile, Question

CARD = Card(
    id="ela",
    version="1",
    question=Question.EDITED,
    title="Error level analysis",
    profile=Profile.THOROUGH,
    facts={
        "resave_quality": "JPEG quality of the test save [1–100]",
        "mean_difference": "mean absolute difference to the test save [8-bit levels]",
        "largest_difference": "99.9th percentile of that difference [8-bit levels]",
    },
    paper='N. Krawetz, "A Picture\'s Worth…", Black Hat USA, 2007',
    limits="No score and no vote: it lights up texture and edges in genuine pictures.",
)

QUALITY = 90


class Detector:
    """Map of the absolute difference between a picture and its re-save at quality 90."""

    def measure(self, ctx: Context) -> Measured:
        """Return a finding with a heatmap and no score."""
        media = ctx.image
        pixels = media.pixels
        buffer = io.BytesIO()
        Pillow.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
        saved = np.asarray(Pillow.open(buffer), np.int16)
        difference = np.abs(pixels - saved).max(axis=2).astype(np.float32)
        top = float(np.percentile(difference, 99.9))
        mean = float(difference.mean())
        return [
            Measurement(
                maps=(sampled_map(np.clip(difference / max(top, 1.0), 0.0, 1.0), 2),),
                facts={
                    "resave_quality": QUALITY,
                    "mean_difference": round(mean, 3),
                    "largest_difference": round(top, 1),
                },
                summary=f"Saving once more at quality {QUALITY} changes pixels by {mean:.1f} "
                f"levels on average and by up to {top:.0f}; the map shows where.",
            )
        ]
