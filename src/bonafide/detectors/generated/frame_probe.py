"""A plane through the features of CLIP, fitted to frames of videos of many generators.

What it looks for
    On which side of a plane in CLIP's feature space the frames of the video lie, on average. The
    features describe how a frame is drawn, lit and composed.

Why it works
    As for pictures: CLIP was not trained for this task, so its features are not tied to one
    generator. Frames of videos are smoother than pictures and went through a codec, which a plane
    fitted to pictures takes for a trace; this one was fitted to frames of both classes.

When it fails
    It sees no motion, no pixel traces and nothing of the border. Videos that were made from a
    genuine one (restyled, edited by a prompt) score lower than those made from nothing. Films,
    cartoons and renderings score higher than other bona fide videos.

How to read it
    The score rises from -1, bona fide, to 1, generated; it is the mean over at most 16 frames. Look
    at the frames with the highest scores.

Reference
    U. Ojha, Y. Li and Y. J. Lee, "Towards Universal Fake Image Detectors that Generalize Across
    Generative Models", CVPR 2023 (the idea); A. Radford et al., ICML 2021 (CLIP).
"""

from __future__ import annotations

from dataclasses import replace

from bonafide.detectors.lift import FACTS, Lifted
from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks import probe
from bonafide.networks.clip import CLIP_SQUARE, NETWORK, chosen
from bonafide.types import Card, Failed, Kind, Measured, Measurement, Needs, NotApplicable, Question

CARD = Card(
    id="frame_probe",
    version="1",
    question=Question.SYNTHETIC,
    title="Frames like those of a generator",
    kinds=(Kind.VIDEO,),
    needs=Needs(min_side=64),
    cost=1.0,
    facts=FACTS,
    networks=(NETWORK,),
    paper="This project, 2026; see the model card of frame_probe in MODELS.md",
    licence="MIT (weights of CLIP), Apache-2.0 (the plane)",
    training_data="two frames each of 201 generated clips of 6 origins (9 generators) and 133 bona "
    "fide ones of 28; listed in data/training_videos.csv of the repository",
    limits="On origins left out of training the AUC by clip is 0.95 (0.87 to 0.99 over origins); "
    "against clips that show more than a talking head 0.90. Within one project, restyled clips "
    "against their originals, it is 0.7 to 0.8. The calibration has too few sources to accuse.",
)


class Detector:
    """Class tokens of CLIP's middle blocks of each frame, one linear layer, the mean."""

    def measure(self, ctx: Context) -> Measured:
        """Return measurements of the video and of each frame.

        Raises:
            MediaError: no frame can be decoded.
        """
        if ctx.media.video is None:
            return NotApplicable("it has no video")
        return Lifted(_Frame(), replace(CARD, pool="mean")).measure(ctx)


class _Frame:
    """The plane on one frame."""

    def measure(self, ctx: Context) -> Measured:
        try:
            tokens = chosen(ctx.get(CLIP_SQUARE), probe.blocks(CARD.id))
            scores, distances = probe.read(CARD.id, tokens)
        except WeightsError as error:
            return Failed(error.why)
        if distances[0] > probe.far(CARD.id):
            return NotApplicable("it resembles none of the frames that the probe was fitted on")
        score = round(float(scores[0]), 4)
        more, less = ("generated", "bona fide") if score > 0 else ("bona fide", "generated")
        summary = f"The frame resembles {more} frames more than {less} ones ({score:+.2f})."
        return [Measurement(score=score, summary=summary)]
