"""UnivFD: a straight line through the features of CLIP.

What it looks for
    On which side of a plane in CLIP's feature space a picture lies; the plane was fitted to
    photographs and pictures of one generator. The weights are published by their authors and
    fetched on request: `bonafide weights pull univfd`.

Why it works
    CLIP was never trained to tell real from generated, so its features are not tied to one
    generator, and a plane through them carries over to others better than a network that was
    trained for the task.

When it fails
    On most of today's generators: others measured 56 % mean accuracy on eleven benchmarks. It is
    here as the baseline that newer detectors are compared with. Large pictures are read in at most
    16 squares of 224 pixels, spread evenly, at native resolution; its authors read the central one.

How to read it
    The number is the network's own opinion, not a probability: it takes part in the verdict only
    after `bonafide bench calibrate` has been run on labelled pictures like those at hand. The file
    counts as unverified until `bonafide weights verify univfd` has passed on this machine.

Reference
    U. Ojha, Y. Li and Y. J. Lee, "Towards Universal Fake Image Detectors that Generalize Across
    Generative Models", CVPR 2023.
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

PUBLISHED = CATALOGUE["univfd"]

CARD = Card(
    id=PUBLISHED.id,
    version=PUBLISHED.version,
    question=Question.SYNTHETIC,
    title="UnivFD (fetched network)",
    needs=Needs(min_side=64),
    profile=Profile.THOROUGH,
    facts=reading.FACTS,
    paper=PUBLISHED.paper,
    licence=f"{PUBLISHED.licence} (weights)",
    training_data=PUBLISHED.training_data,
    limits="Not measured here: the published file is unverified until `bonafide weights verify "
    "univfd` has passed, and its score does not vote until it is calibrated. Others measured 56 % "
    "mean accuracy on eleven benchmarks (Chen et al., 2025).",
)


class Detector:
    """Squares of native resolution through CLIP ViT-L/14 and one linear layer."""

    def measure(self, ctx: Context) -> Measured:
        """Return a score in log odds, or say that the network has to be fetched."""
        media = ctx.image
        return reading.examine(CARD, media)
