"""A straight line through the features of CLIP, fitted to pictures of many generators.

What it looks for
    On which side of a plane in CLIP's feature space the picture lies. The features describe how a
    picture is drawn, lit and composed, in the middle of the network, before it names objects.

Why it works
    CLIP was never trained to tell photographs from generated pictures, so its features are not
    tied to one generator; a plane through them carries over to new generators better than a
    network that was trained for the task on few. The more sources it was fitted on, the better.

When it fails
    It reads the central square of the picture, shrunk to 224 pixels, so that it sees no pixel
    traces, nothing of the border, and not whether a part was changed. It can take retouched and
    rendered pictures, product shots and stock photographs for generated ones, and plain snapshots
    by a generator for photographs. Numbers by source stand in its model card.

How to read it
    The score is a log-odds. Nobody can check by eye why it is high, so it is weaker evidence than
    a trace that can be shown; the calibration says how often bona fide pictures score as high.

Reference
    U. Ojha, Y. Li and Y. J. Lee, "Towards Universal Fake Image Detectors that Generalize Across
    Generative Models", CVPR 2023 (the idea); C. Koutlis and S. Papadopoulos, "Leveraging
    Representations from Intermediate Encoder-Blocks for Synthetic Image Detection", ECCV 2024
    (features of middle blocks); A. Radford et al., ICML 2021 (CLIP).
"""

from __future__ import annotations

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks import runtime
from bonafide.networks.clip import CLIP_SQUARE
from bonafide.types import Card, Failed, Measured, Measurement, Needs, Question

CARD = Card(
    id="clip_probe",
    version="1",
    question=Question.SYNTHETIC,
    title="Looks like the work of a generator",
    needs=Needs(min_side=64),
    facts={"seen_share": "share of the picture that the central square covers [0–1]"},
    pool="mean",
    paper="This project, 2026; see the model card of clip_probe in MODELS.md",
    licence="MIT (weights of CLIP), Apache-2.0 (the plane)",
    training_data="see the model card of clip_probe in MODELS.md",
    limits="Sees the central square at 224 pixels.",
)


class Detector:
    """Class tokens of CLIP's middle blocks and one linear layer."""

    def measure(self, ctx: Context) -> Measured:
        """Return a finding with score and facts."""
        try:
            session = runtime.session(CARD.id)
            tokens = ctx.get(CLIP_SQUARE)
        except WeightsError as error:
            return Failed(error.why)
        score = float(session.run(tokens=tokens)["logit"][0])
        height, width = ctx.image.pixels.shape[:2]
        seen = min(height, width) / max(height, width)
        side = "generated" if score > 0 else "bona fide"
        return [
            Measurement(
                score=round(score, 4),
                facts={"seen_share": round(seen, 3)},
                summary=f"To CLIP's middle layers the picture is more like the {side} pictures "
                f"that the probe was fitted on; log-odds {score:+.2f}.",
            )
        ]
