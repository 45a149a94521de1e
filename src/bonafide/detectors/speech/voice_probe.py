"""A straight line through the features of Whisper, fitted to voices of many systems.

What it looks for
    On which side of a plane in the feature space of Whisper's encoder stretches of speech lie. Of
    every stretch of 4 s, without pauses, it reads the mean of the features after each block: how
    the voice sounds, not which words it says.

Why it works
    Whisper was trained on speech of all kinds of microphones, channels and languages, so its
    features survive what happens to a recording on its way. A plane through them is fitted on
    systems of several families and on genuine voices, often of the same speakers, after the same
    random codecs, noises and rooms.

When it fails
    On systems that leave none of the traces that the training systems left, which is to be expected
    of the newest; on short or noisy speech; on singing. Read speech from a studio scores higher
    than talk. Figures by system, language and channel stand in its model card.

How to read it
    The score is a log-odds, the mean over the stretches. Nobody can check by ear why it is high.
    The chart shows it along time: one stretch that stands out is a place to listen to, not a
    finding. Music, noise, silence and less than 2 s of speech are out of scope.

Reference
    P. Kawa et al., "Improved DeepFake Detection Using Whisper Features", Interspeech 2023 (the
    idea); A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML
    2023 (Whisper).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bonafide.errors import WeightsError
from bonafide.media.context import Context
from bonafide.networks import probe, runtime
from bonafide.networks.probe import FAR
from bonafide.networks.whisper import NETWORK, SECONDS, features_of
from bonafide.regions import Series, Span, Where
from bonafide.signals.speech import RATE
from bonafide.subjects.speech import NETWORK as VAD
from bonafide.subjects.speech import SPEECH, Stretch, stretches
from bonafide.types import (
    Card,
    Failed,
    Kind,
    Measured,
    Measurement,
    Needs,
    NotApplicable,
    Question,
)

MOST = 300  # stretches that are read of one file: 20 minutes of speech
_BATCH = 8
_MOST_PARTS = 24  # stretches that are reported one by one, those with the largest scores

CARD = Card(
    id="voice_probe",
    version="1",
    question=Question.VOICE_CLONED,
    title="Sounds like synthetic speech",
    kinds=(Kind.AUDIO, Kind.VIDEO),
    needs=Needs(min_seconds=2.0),
    cost=2.0,
    facts={
        "speech_seconds": "speech that was found [s]",
        "read_seconds": "speech that was read [s]",
        "stretches": "stretches that were scored [count]",
        "highest": "largest log-odds of a stretch [nats]",
        "highest_at": "the middle of that stretch [s]",
        "lowest": "smallest log-odds of a stretch [nats]",
        "distance": "distance of the features from those of the training recordings "
        "[1 for a typical training recording]",
        "defects": "damage that was met in the sound track",
    },
    networks=(VAD, NETWORK),
    paper="This project, 2026; see the model card of voice_probe in MODELS.md",
    licence="MIT (weights of Whisper and Silero VAD), Apache-2.0 (the plane)",
    training_data="800 synthetic recordings of 49 systems and 697 bona fide ones of 122 sources; "
    "listed in data/training_voices.csv of the repository",
    limits="Sources and systems left out of training: AUC 0.852, equal error rate 24 %; with all "
    "sources left out that share speakers: 0.796, 29 %; through a telephone and Opus at 16 kbit/s "
    "5 to 6 points more. Tortoise, StarGAN-VC and vocoders fed with real spectra are found least. "
    "A few cloned seconds in a long recording move the mean little: look at the score along time.",
)


class Detector:
    """Means of Whisper's features and one linear layer."""

    def measure(self, ctx: Context) -> Measured:
        """Return that of the whole sound track, with a score along time, then stretches.

        Raises:
            MediaError: the sound cannot be decoded.
        """
        if ctx.media.audio is None:
            return NotApplicable("it has no sound track")
        try:
            runtime.session(CARD.id)  # a network that is missing is told before sound is read
            speech = ctx.get(SPEECH)
            if speech.out_of_scope is not None:
                return NotApplicable(speech.out_of_scope)
            track = ctx.media.audio
            spans: list[Span] = []
            scores: list[float] = []
            distances: list[float] = []
            read = 0.0
            for batch in _batches(stretches(track, speech, SECONDS, MOST)):
                logits, far = probe.read(CARD.id, features_of([one.samples for one in batch]))
                spans += [one.span for one in batch]
                scores += logits.tolist()
                distances += far.tolist()
                read += sum(len(one.samples) for one in batch) / RATE
        except WeightsError as error:
            return Failed(error.why)
        score, distance = math.fsum(scores) / len(scores), math.fsum(distances) / len(distances)
        if distance > FAR:
            return NotApplicable(
                "it resembles none of the recordings that the probe was fitted on, as singing and "
                "very poor channels do"
            )
        times = [(span.start + span.end) / 2 for span in spans]
        highest = max(range(len(scores)), key=scores.__getitem__)
        more, less = ("synthetic", "genuine") if score > 0 else ("genuine", "synthetic")
        count = len(scores)
        spread = ""
        if count > 1:
            at = times[highest]
            spread = f", mean of {count} stretches; highest {scores[highest]:+.2f} at {at:.0f} s"
        return [
            Measurement(
                score=round(score, 4),
                series=(Series(np.array(times, np.float64), np.array(scores, np.float32)),),
                facts={
                    "speech_seconds": round(speech.seconds, 2),
                    "read_seconds": round(read, 2),
                    "stretches": count,
                    "highest": round(scores[highest], 4),
                    "highest_at": round(times[highest], 2),
                    "lowest": round(min(scores), 4),
                    "distance": round(distance, 3),
                    "defects": list(track.defects),
                },
                summary=f"By Whisper's features, the {_seconds(read)} of speech that were read "
                f"resemble {more} voices more than {less} ones (log-odds {score:+.2f}{spread}).",
            ),
            *_parts(spans, scores),
        ]


def _batches(coming: Iterator[Stretch]) -> Iterator[Sequence[Stretch]]:
    batch: list[Stretch] = []
    for one in coming:
        batch.append(one)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _parts(spans: Sequence[Span], scores: Sequence[float]) -> Iterator[Measurement]:
    """The stretches with the largest scores, in the order of time."""
    ranked = sorted(range(len(spans)), key=lambda one: -scores[one])
    for number in sorted(ranked[:_MOST_PARTS]):
        yield Measurement(
            score=round(scores[number], 4),
            summary=f"This stretch has log-odds {scores[number]:+.2f}.",
            where=Where("audio", spans[number]),
        )


def _seconds(read: float) -> str:
    return f"{read:.0f} s" if read < 90 else f"{read / 60:.0f} min"
