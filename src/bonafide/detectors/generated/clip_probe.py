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
    traces, nothing of the border, and not whether a part was changed. Portraits with a blurred
    background, studio shots, drawings and renderings score higher than other bona fide pictures;
    faces by a GAN and pictures by the newest generators score lower than other generated ones.
    Numbers by generator and by kind of picture stand in its model card.

How to read it
    The score is a log-odds. Nobody can check by eye why it is high, so it is weaker evidence than
    a trace that can be shown; the calibration says how often bona fide pictures score as high. The
    probe does not answer for pictures that are unlike all that it was fitted on.

Reference
    U. Ojha, Y. Li and Y. J. Lee, "Towards Universal Fake Image Detectors that Generalize Across
    Generative Models", CVPR 2023 (the idea); C. Koutlis and S. Papadopoulos, "Leveraging
    Representations from Intermediate Encoder-Blocks for Synthetic Image Detection", ECCV 2024
    (features of middle blocks); A. Radford et al., ICML 2021 (CLIP).
"""

from __future__ import annotations

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks import probe
from bonafide.networks.clip import CLIP_SQUARE, NETWORK, chosen
from bonafide.types import Card, Failed, Measured, Measurement, Needs, NotApplicable, Question

CARD = Card(
    id="clip_probe",
    version="2",
    question=Question.SYNTHETIC,
    title="Looks like the work of a generator",
    needs=Needs(min_side=64),
    cost=0.01,  # its square has one size, and its network stays in memory: others go first
    facts={
        "seen_share": "share of the picture that the central square covers [0–1]",
        "distance": "distance of the features from those of the training pictures; charts, blank "
        "pictures and noise lie far away [1 for a typical training picture]",
    },
    networks=(NETWORK,),
    paper="This project, 2026; see the model card of clip_probe in MODELS.md",
    licence="MIT (weights of CLIP), Apache-2.0 (the plane)",
    training_data="1,890 generated pictures of 137 origins (228 generators as named there) and "
    "4,863 bona fide ones of 322 origins; listed in data/training_images.csv of the repository",
    limits="On origins left out of training the AUC is 0.951, and 0.953 as the mean over 64 "
    "generators; at a false-positive rate of 1 % it finds 57 %. By kind: photographs 0.97, art "
    "0.93, faces 0.70. Cut to 256 pixels and saved again: 0.933, 44 %. It sees the central square "
    "alone, at 224 pixels, and gives no map.",
)


class Detector:
    """Tokens of CLIP's middle blocks and one linear layer."""

    def measure(self, ctx: Context) -> Measured:
        """Return a finding with score and facts."""
        try:
            tokens = chosen(ctx.get(CLIP_SQUARE), probe.blocks(CARD.id))
            logits, distances = probe.read(CARD.id, tokens)
            far = probe.far(CARD.id)
        except WeightsError as error:
            return Failed(error.why)
        score, distance = float(logits[0]), float(distances[0])
        if distance > far:
            return NotApplicable(
                "it resembles none of the pictures that the probe was fitted on, as charts, plain "
                "areas and noise do"
            )
        height, width = ctx.image.pixels.shape[:2]
        seen = min(height, width) / max(height, width)
        more, less = ("generated", "bona fide") if score > 0 else ("bona fide", "generated")
        return [
            Measurement(
                score=round(score, 4),
                facts={"seen_share": round(seen, 3), "distance": round(distance, 3)},
                summary=f"By CLIP's features, the picture as a whole resembles {more} pictures "
                f"more than {less} ones (log-odds {score:+.2f}).",
            )
        ]
