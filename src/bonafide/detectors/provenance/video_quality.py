"""How good the pictures of a video are, in words and numbers.

What it looks for
    Size, bits per pixel, borders of blocks, sharpness of edges, noise in flat places; and whether
    the video is so small or so strongly compressed that nothing can be decided by its pixels.

Why it works
    Detectors read traces finer than the picture. What is smaller than 180 lines, or has keyframes
    of fewer bits than its detail needs, or than 0.1 per pixel with visible blocks, has lost them: a
    score of such a video says what the codec did.

When it fails
    A video that was enlarged has more lines than it shows. A strong compression that was followed
    by a weak one is not seen in the bits. For codecs after H.264 (HEVC, VP9, AV1) no limit of bits
    is known, so that only their size is judged.

How to read it
    As the weight that the rest of the report can have. Where it says that the video is too poor,
    what detectors measured in its pictures is shown and does not vote, and the verdict says so.

Reference
    Z. Wang, A. C. Bovik, B. L. Evans, ICIP 2000; J. Immerkær, CVIU 64(2), 1996. The limits are our
    own, see docs/video-and-sound.md.
"""

from __future__ import annotations

from bonafide.media.context import Context
from bonafide.signals.video_quality import BLOCKY, NOISY, SOFT, Quality, quality_of
from bonafide.types import Card, Kind, Measured, Measurement, NotApplicable, Profile, Question

CARD = Card(
    id="video_quality",
    version="1",
    question=Question.PROVENANCE,
    title="Quality of the video",
    kinds=(Kind.VIDEO,),
    profile=Profile.TRIAGE,
    cost=0.2,
    facts={
        "width": "of a frame [pixels]",
        "height": "of a frame [pixels]",
        "bits_per_pixel": "mean over frames, 0 where the container does not say [bits]",
        "keyframe_bits_per_pixel": "median of keyframes, 0 where the container does not say [bits]",
        "blockiness": "step over borders of 8×8 blocks beside the step elsewhere, 1 for none "
        "[ratio]",
        "sharpness": "of the strongest edges, about 0.4 to 0.7 of a camera in focus [ratio]",
        "noise": "deviation in flat places [8-bit levels]",
        "detail": "mean of what a small blur removes, absolute [8-bit levels]",
        "too_poor": "why nothing is decided by its pictures, empty where that is possible",
    },
    paper="Z. Wang, A. C. Bovik and B. L. Evans, ICIP 2000; J. Immerkær, CVIU 64(2), 1996",
    limits="Of ten clips at H.264 CRF 45 all are called too strongly compressed, of the same at "
    "CRF 36 one, at CRF 18 and 28 none (20); the limits were chosen on these clips. That of 180 "
    "lines is a choice, not a measurement.",
)


class Detector:
    """Numbers of six frames and of the packets."""

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement of the video."""
        track = ctx.media.video
        if track is None:
            return NotApplicable("it has no video")
        found = quality_of(track)
        if found is None:
            return NotApplicable("no frame of it can be decoded")
        poor = found.too_poor
        return [
            Measurement(
                summary=f"{_words(found)} {poor}".strip(),
                facts={
                    "width": found.width,
                    "height": found.height,
                    "bits_per_pixel": round(found.bits, 4),
                    "keyframe_bits_per_pixel": round(found.keyframe_bits, 3),
                    "blockiness": round(found.blockiness, 2),
                    "sharpness": round(found.sharpness, 2),
                    "noise": round(found.noise, 2),
                    "detail": round(found.detail, 2),
                    "too_poor": poor,
                },
            )
        ]


def _words(found: Quality) -> str:
    blocks = "blocks are visible" if found.blockiness >= BLOCKY else "no blocks are visible"
    edges = "edges are soft" if found.sharpness < SOFT else "edges are sharp"
    noise = "much noise" if found.noise >= NOISY else "little noise"
    if not found.keyframe_bits:
        return f"{found.width} × {found.height} pixels: {blocks}, {edges}, {noise} in flat places."
    return (
        f"{found.width} × {found.height} pixels, {found.bits:.3f} bits per pixel "
        f"({found.keyframe_bits:.2f} in keyframes): {blocks}, {edges}, {noise} in flat places."
    )
