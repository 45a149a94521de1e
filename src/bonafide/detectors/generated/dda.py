"""Dual Data Alignment: a large vision transformer that learned the trace of a decoder alone.

What it looks for
    The trace that a generator's decoder leaves in pixels, as a network of 304 million numbers
    learned it. The weights are published by their authors and fetched on request:
    `bonafide weights pull dda`.

Why it works
    It was trained on pairs of a real picture and its reconstruction by an autoencoder that agree
    in content, size, compression and frequencies, so nothing but the decoder's trace was left to
    learn. Its authors report 90.7 % mean accuracy on eleven benchmarks at one threshold.

When it fails
    Real pictures that went through an autoencoder or an upscaler look generated to it. Generators
    that decode in another way escape it, and so do pictures that were reduced a lot. Large
    pictures are read in at most nine squares of 336 pixels, spread evenly, at native resolution;
    its authors read the central one.

How to read it
    The number is the network's own opinion, not a probability: it takes part in the verdict only
    after `bonafide bench calibrate` has been run on labelled pictures like those at hand. The file
    counts as unverified until `bonafide weights verify dda` has passed on this machine.

Reference
    R. Chen et al., "Dual Data Alignment Makes AI-Generated Image Detector Easier Generalizable",
    NeurIPS 2025.
"""

from __future__ import annotations

from bonafide.media.context import Context
from bonafide.networks import published as reading
from bonafide.networks.catalogue import CATALOGUE
from bonafide.types import (
    Card,
    Measured,
    Needs,
    Profile,
    Question,
)

PUBLISHED = CATALOGUE["dda"]

CARD = Card(
    id=PUBLISHED.id,
    version=PUBLISHED.version,
    question=Question.SYNTHETIC,
    title="Dual Data Alignment (fetched network)",
    needs=Needs(min_side=64),
    profile=Profile.THOROUGH,
    facts=reading.FACTS,
    paper=PUBLISHED.paper,
    licence=f"{PUBLISHED.licence} (weights)",
    training_data=PUBLISHED.training_data,
    limits="Not measured here: the published file is unverified until `bonafide weights verify "
    "dda` has passed, and its score does not vote until it is calibrated. Reads at most nine "
    "squares of 336 pixels of a large picture.",
)


class Detector:
    """Squares of native resolution through DINOv2 ViT-L/14."""

    def measure(self, ctx: Context) -> Measured:
        """Return a score in log odds, or say that the network has to be fetched."""
        media = ctx.image
        return reading.examine(CARD, media)
