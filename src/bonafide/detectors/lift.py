"""Image detectors on the frames of a video.

A bounded number of frames, spread over the whole length, is decoded and given to the detector one
by one, each as a picture of its own. Their scores become one score of the video by the pool that
the detector's card declares, and a series along time.

Frames of one video are not independent. They are measurements of one file, never several pieces
of evidence, so only the pooled score is calibrated.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.media.video import Sampling, VideoTrack
from bonafide.regions import Series, Span, Where
from bonafide.types import Card, Detector, Failed, Measured, Measurement, NotApplicable

POOLS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "maximum": max,
}
FACTS: Mapping[str, str] = {
    "frames": "frames that were measured [count]",
    "frames_silent": "frames of which nothing could be said [count]",
    "highest": "highest score of a frame [the detector's own scale]",
    "lowest": "lowest score of a frame [the detector's own scale]",
    "highest_at": "time of the frame with the highest score [s]",
    "pool": "how the scores of the frames became one",
    "defects": "what of the video could not be decoded",
}
FRAMES = 16  # spread over the video; more of one scene tell little more


class Lifted:
    """A detector of pictures that is asked about frames.

    Args:
        detector: measures one picture.
        card: of the lifted detector, see `registry`.
        frames: how many frames are measured at most.
    """

    def __init__(self, detector: Detector, card: Card, frames: int = FRAMES) -> None:
        self.detector, self.card, self.frames = detector, card, frames

    def measure(self, ctx: Context) -> Measured:
        """Measure frames; the first measurement is that of the whole video.

        Raises:
            MediaError: no frame can be decoded.
        """
        track = ctx.video
        parts: list[Measurement] = []
        why = "the video has no frame"
        silent = 0
        for frame in track.frames(self._sampling(track)):
            image = Image.of_pixels(frame.pixels, f"{ctx.media.name} at {frame.seconds:.2f} s")
            found = self.detector.measure(Context(Media.of_image(image)))
            if isinstance(found, NotApplicable | Failed):
                silent, why = silent + 1, found.why
                continue
            first = next(iter(found))
            if first.score is None:
                silent, why = silent + 1, "it gives pictures no score"
                continue
            span = Span(frame.seconds, frame.seconds)
            parts.append(
                Measurement(
                    score=first.score,
                    summary=first.summary,
                    where=Where("video", span),
                    maps=first.maps,
                    facts=first.facts,
                    laundered=first.laundered,
                )
            )
        if not parts:
            return NotApplicable(f"none of {silent} frames could be measured: {why}")
        return [self._whole(parts, silent, track), *parts]

    def _sampling(self, track: VideoTrack) -> Sampling:
        if track.duration <= 0:  # unknown: the first ones, a second apart
            return Sampling(fps=1.0, max_kept=self.frames)
        return Sampling.spread(track.duration, self.frames)

    def _whole(self, parts: Sequence[Measurement], silent: int, track: VideoTrack) -> Measurement:
        times = [part.where.span.start if part.where.span else 0.0 for part in parts]
        scores = [part.score or 0.0 for part in parts]
        pooled = POOLS[self.card.pool](scores)
        strongest = max(range(len(scores)), key=scores.__getitem__)
        laundered = [part.laundered for part in parts if part.laundered is not None]
        return Measurement(
            score=round(pooled, 4),
            summary=f"The {self.card.pool} score of {len(parts)} frames is {pooled:+.2f}; the "
            f"highest is {scores[strongest]:+.2f}, at {times[strongest]:.1f} s.",
            series=(Series(np.array(times, np.float64), np.array(scores, np.float32)),),
            facts={
                "frames": len(parts),
                "frames_silent": silent,
                "highest": round(scores[strongest], 4),
                "lowest": round(min(scores), 4),
                "highest_at": round(times[strongest], 3),
                "pool": self.card.pool,
                "defects": list(track.defects),
            },
            laundered=statistics.fmean(laundered) if laundered else None,
        )
