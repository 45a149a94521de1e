"""Whether a mouth moves with the sound, and by how much one of them is late.

What it looks for
    How far the mouth of the person who is seen most is open, 25 times per second, against the
    loudness of what is heard, at offsets up to 0.6 s. The largest correlation gives the offset.

Why it works
    A mouth opens for most of what is loud in speech. Nothing is learned from examples: an open
    mouth is dark inside and full of contrast.

When it fails
    On faces that are small, turned away or behind a microphone, on speech off screen, on several
    persons of whom another one speaks, on music, and on less than 3 s. Another sentence that is put
    under a mouth often correlates by chance at some offset: the offset means little where the
    correlation is low. Lips that a network made for the sound fit it as well as real ones do.

How to read it
    The score is 1 minus the largest correlation. The offset is told as such from a correlation of
    0.4 on. A late sound may come from the recorder, the codec or the service that sent it. The
    finding was calibrated on nothing and never votes.

Reference
    J. Hershey, J. Movellan, "Audio Vision: Using Audio-Visual Synchrony to Locate Sounds", NIPS
    1999 (the idea); figures in docs/decisions/040-lips-without-a-network.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import WeightsError
from bonafide.media.audio import AudioTrack
from bonafide.media.context import Context
from bonafide.networks.faces import FINDER
from bonafide.regions import Series, Span
from bonafide.signals import lips
from bonafide.signals.speech import RATE
from bonafide.subjects.mouths import mouths_of
from bonafide.subjects.speech import NETWORK as VAD
from bonafide.subjects.speech import SPEECH
from bonafide.types import (
    Card,
    Failed,
    Kind,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Profile,
    Question,
)

LONGEST, SHORTEST = 10.0, 2.5  # seconds of a video that are looked at; of a mouth that are needed
CLEAR, WEAK = 0.4, 0.3  # correlations from which an offset is told, and told with doubt
_AROUND = 1.0  # seconds of sound before and after that are read
_POINTS = 250

CARD = Card(
    id="lip_sync",
    version="1",
    question=Question.EDITED,
    title="Lips and sound",
    kinds=(Kind.VIDEO,),
    needs=Needs(min_faces=1, min_seconds=3.0),
    profile=Profile.THOROUGH,
    cost=4.0,
    facts={
        "offset_ms": "by how much the sound comes after the mouth, negative if before [ms]",
        "correlation": "of mouth and sound at that offset [-1 to 1]",
        "correlation_at_zero": "without an offset [-1 to 1]",
        "confidence": "clear, weak or none",
        "looked_at": "seconds of the mouth that were read [s]",
        "from_seconds": "where they begin [s]",
        "face_side": "shorter side of the face, median [pixels]",
    },
    networks=(VAD, FINDER),
    paper="This project, 2026; see docs/decisions/040-lips-without-a-network.md",
    limits="On 23 genuine clips of 8 sources the median error of the offset is 53 ms, 23 ms where "
    "the correlation is clear (11 clips); another sentence is told from the right one with an AUC "
    "of 0.69. Lips made for the sound are not found.",
)


class Detector:
    """Correlation of the opening of a mouth with loudness."""

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement, with the local correlation along time.

        Raises:
            MediaError: picture or sound cannot be decoded.
        """
        video, sound = ctx.media.video, ctx.media.audio
        if video is None or sound is None:
            return NotApplicable("it has no picture that moves, or no sound")
        try:
            speech = ctx.get(SPEECH)
            if speech.out_of_scope is not None:
                return NotApplicable(speech.out_of_scope)
            start = _densest(speech.spans, video.duration)
            found = mouths_of(video, start, start + LONGEST)
        except WeightsError as error:
            return Failed(error.why)
        if not found:
            return NotApplicable("no face from the front is seen for long enough")
        mouth = max(found, key=lambda one: len(one.times))
        seconds = float(mouth.times[-1] - mouth.times[0])
        if seconds < SHORTEST:
            return NotApplicable(
                f"a mouth is seen for {seconds:.1f} s without a break, and {SHORTEST} s are needed"
            )
        first = max(0.0, float(mouth.times[0]) - _AROUND)
        begun, samples = _heard(sound, first, float(mouth.times[-1]) + _AROUND)
        if len(samples) < SHORTEST * RATE:
            return NotApplicable("the sound does not cover the time in which a mouth is seen")
        opened, loud = lips.opening(mouth.crops), lips.loudness(samples)
        curve = lips.agreement(mouth.times, opened, loud, begun)
        offset, best = lips.peak(curve)
        along = lips.local(mouth.times, opened, loud, begun, offset)
        confidence = "clear" if best >= CLEAR else "weak" if best >= WEAK else "none"
        each = -(-len(along) // _POINTS)
        return [
            Measurement(
                score=round(1 - best, 4),
                summary=_summary(round(1000 * offset), best, confidence, seconds),
                series=(Series(mouth.times[::each], np.asarray(along[::each], np.float32)),),
                facts={
                    "offset_ms": round(1000 * offset),
                    "correlation": round(best, 3),
                    "correlation_at_zero": round(float(curve[lips.MOST]), 3),
                    "confidence": confidence,
                    "looked_at": round(seconds, 2),
                    "from_seconds": round(float(mouth.times[0]), 2),
                    "face_side": round(mouth.side),
                },
            )
        ]


def _densest(spans: tuple[Span, ...], duration: float) -> float:
    """Where the stretch of `LONGEST` begins in which most is spoken, seconds."""
    last = max(0.0, duration - LONGEST)
    starts = [0.0, *(min(span.start, last) for span in spans)]

    def spoken(start: float) -> float:
        end = start + LONGEST
        return sum(max(0.0, min(span.end, end) - max(span.start, start)) for span in spans)

    return max(starts, key=spoken)


def _heard(track: AudioTrack, start: float, end: float) -> tuple[float, NDArray[np.float32]]:
    """Sound from `start` to `end`: (seconds of its first sample, float32 (n,))."""
    parts: list[NDArray[np.float32]] = []
    begun = start
    for window in track.windows(RATE, 2.0):
        stop = window.start + len(window.samples) / RATE
        if stop <= start:
            continue
        if window.start >= end:
            break
        if not parts:
            begun = window.start
        parts.append(window.samples)
    return begun, np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _summary(offset: int, best: float, confidence: str, seconds: float) -> str:
    read = f"In {seconds:.1f} s"
    if confidence == "none":
        return (
            f"{read} the mouth that is seen follows the sound at no offset clearly (correlation "
            f"{best:.2f}); another voice, another person, or nothing to measure."
        )
    late = "after" if offset >= 0 else "before"
    doubt = "" if confidence == "clear" else ", which is weak"
    return (
        f"{read} the sound comes {abs(offset)} ms {late} the mouth that is seen (correlation "
        f"{best:.2f}{doubt})."
    )
