"""Community Forensics: a small vision transformer trained on thousands of generators.

What it looks for
    Whatever tells pictures of 4,803 generators from photographs, as a network of 22 million
    numbers learned it. The weights are published by their authors and fetched on request:
    `bonafide weights pull community_forensics`.

Why it works
    Detectors fail on generators that they were not trained on. This one was trained on more
    generators than any other, so that a new one resembles some that it has seen.

When it fails
    As its authors do, it is shown the central square of the picture after its shorter side was
    resized to 440 pixels: that is what it was trained on, and it destroys fine traces. The borders
    of long pictures are not seen. Generators of a newer kind, and edits of a small part, escape it.

How to read it
    The number is the network's own opinion, not a probability: it takes part in the verdict only
    after `bonafide bench calibrate` has been run on labelled pictures like those at hand. The file
    counts as unverified until `bonafide weights verify community_forensics` has passed on this
    machine.

Reference
    J. Park and A. Owens, "Community Forensics: Using Thousands of Generators to Train Fake Image
    Detectors", CVPR 2025.
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

PUBLISHED = CATALOGUE["community_forensics"]

CARD = Card(
    id=PUBLISHED.id,
    version=PUBLISHED.version,
    question=Question.SYNTHETIC,
    title="Community Forensics (fetched network)",
    needs=Needs(min_side=64),
    profile=Profile.THOROUGH,
    facts=reading.FACTS,
    paper=PUBLISHED.paper,
    licence=f"{PUBLISHED.licence} (weights)",
    training_data=PUBLISHED.training_data,
    limits="Not measured here: the published file is unverified until `bonafide weights verify "
    "community_forensics` has passed, and its score does not vote until it is calibrated. Sees the "
    "central square of the picture only, resized to 440 pixels.",
)


class Detector:
    """The central square, resized as in training, through a ViT-S/16."""

    def measure(self, ctx: Context) -> Measured:
        """Return a score in log odds, or say that the network has to be fetched."""
        media = ctx.image
        return reading.examine(CARD, media)
