"""Where somebody speaks: stretches of speech in a sound track, by a network.

The network is Silero VAD 6 for 16 kHz (Silero Team, 2025, MIT licence). It gives a probability of
speech for every 32 ms. A stretch begins where the probability reaches 0.5, and ends where it stays
below 0.35 for 0.3 s. Music, noise and silence are not speech.

Sound is read window by window, so memory does not grow with the length of the track.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import UnsupportedFormat
from bonafide.media.audio import AudioTrack
from bonafide.media.context import Context, Signal
from bonafide.networks import runtime
from bonafide.regions import Span
from bonafide.signals.speech import RATE

NETWORK = "silero_vad"
FRAME, CONTEXT = 512, 64  # samples
BLOCK = 512  # frames per run of the network: 16.4 s
BEGIN, STAY = 0.5, 0.35  # probabilities
PAUSE = 0.3  # seconds without speech that end a stretch
SHORTEST = 0.25  # seconds of a stretch that counts
MARGIN = 0.05  # seconds that are added on both sides
SILENT = 1e-4  # of full scale: a track that stays below is silent
LEAST = 2.0  # seconds of speech that a detector needs


@dataclass(frozen=True)
class Speech:
    """The speech of one sound track.

    Attributes:
        spans: stretches of speech in order, seconds from the start of the file.
        heard: seconds of sound that were read.
        peak: largest sample, in [0, 1].
    """

    spans: tuple[Span, ...]
    heard: float
    peak: float

    @property
    def seconds(self) -> float:
        """Seconds of speech."""
        return sum(span.end - span.start for span in self.spans)

    @property
    def out_of_scope(self) -> str | None:
        """Why nothing can be said of a voice, in one sentence; None where there is speech."""
        if self.heard == 0:
            return "the sound track is empty"
        if self.peak < SILENT:
            return f"its {self.heard:.0f} s of sound are silent"
        if not self.spans:
            return (
                f"no speech was found in {self.heard:.1f} s of sound; music, noise and other "
                "sounds are not examined"
            )
        if self.seconds < LEAST:
            return (
                f"only {self.seconds:.1f} s of speech were found, and {LEAST:.0f} s are needed; "
                "music, noise and other sounds are not examined"
            )
        return None


def find_speech(track: AudioTrack) -> Speech:
    """Find the speech of a track.

    Raises:
        DecodeError: nothing of it can be decoded.
        WeightsError: the network cannot be opened.
    """
    heard = peak = 0.0
    first: float | None = None

    def probabilities() -> Iterator[NDArray[np.float32]]:
        nonlocal heard, peak, first
        detector = _Detector()
        for window in track.windows(RATE, BLOCK * FRAME / RATE):
            first = window.start if first is None else first
            heard += len(window.samples) / RATE
            peak = max(peak, float(np.abs(window.samples).max(initial=0.0)))
            yield detector(window.samples)

    found = list(_stretches(probabilities()))
    start, end = first or 0.0, (first or 0.0) + heard
    spans = _widened((Span(start + one.start, start + one.end) for one in found), start, end)
    return Speech(tuple(spans), heard, peak)


class _Detector:
    """Probabilities of speech for consecutive blocks of one track."""

    def __init__(self) -> None:
        self._session = runtime.session(NETWORK)
        self._state = np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)
        self._before = np.zeros(CONTEXT, np.float32)

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n,) samples → one probability per frame of 512, the last padded with zeros."""
        frames = np.zeros((-(-len(samples) // FRAME), FRAME), np.float32)
        frames.reshape(-1)[: len(samples)] = samples
        contexts = np.vstack([self._before, frames[:-1, -CONTEXT:]])
        self._before = frames[-1, -CONTEXT:].copy()
        given = np.concatenate([contexts, frames], axis=1)
        found = self._session.run(input=given, h=self._state[0], c=self._state[1])
        self._state = found["hn"], found["cn"]
        return found["speech_probs"]


def _stretches(blocks: Iterable[NDArray[np.float32]]) -> Iterator[Span]:
    """Stretches with hysteresis, seconds from the first frame."""
    step = FRAME / RATE
    begun: float | None = None
    last = now = 0.0  # end of the last frame that counts as speech; start of this frame
    for block in blocks:
        for probability in block.tolist():
            if begun is None:
                if probability >= BEGIN:
                    begun, last = now, now + step
            elif probability >= STAY:
                last = now + step
            elif now + step - last >= PAUSE:
                if last - begun >= SHORTEST:
                    yield Span(begun, last)
                begun = None
            now += step
    if begun is not None and last - begun >= SHORTEST:
        yield Span(begun, last)


def _widened(spans: Iterable[Span], start: float, end: float) -> Iterator[Span]:
    for span in spans:
        yield Span(max(start, span.start - MARGIN), min(end, span.end + MARGIN))


def _of_media(ctx: Context) -> Speech:
    if ctx.media.audio is None:
        raise UnsupportedFormat(ctx.media.name, "it has no sound track")
    return find_speech(ctx.media.audio)


SPEECH: Signal[Speech] = Signal("speech.spans", "1", _of_media)
"""Stretches of speech; raises `MediaError` without sound, `WeightsError` without the network."""


@dataclass(frozen=True)
class Stretch:
    """Speech without its pauses, as much as a network reads at once.

    Attributes:
        span: from its first to its last sample, seconds from the start of the file.
        samples: float32 (n,), 16,000 per second.
    """

    span: Span
    samples: NDArray[np.float32]


def stretches(track: AudioTrack, speech: Speech, seconds: float, most: int) -> Iterator[Stretch]:
    """Cut the speech of a track into stretches of equal length, pauses left out.

    Args:
        track: the sound.
        speech: of the track.
        seconds: of one stretch. What is left at the end counts from `LEAST` seconds on, or where it
            is all there is.
        most: stretches, spread evenly over those that there are.

    Yields:
        In order of time.

    Raises:
        DecodeError: as `AudioTrack.windows` does.
    """
    length = round(seconds * RATE)
    total = sum(_samples(span) for span in speech.spans)
    full, rest = divmod(total, length)
    count = full + (rest >= LEAST * RATE or full == 0)
    wanted = set(np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)))
    number = filled = 0
    parts: list[NDArray[np.float32]] = []
    begun = 0.0
    for at, samples in _spoken(track, speech.spans):
        while len(samples):
            if not filled:
                begun = at
            taken = samples[: length - filled]
            if number in wanted:
                parts.append(taken)
            filled += len(taken)
            at += len(taken) / RATE
            samples = samples[len(taken) :]
            if filled == length:
                if number in wanted:
                    yield Stretch(Span(begun, at), np.concatenate(parts))
                number, filled, parts = number + 1, 0, []
    if filled and number in wanted:
        yield Stretch(Span(begun, at), np.concatenate(parts))


def _samples(span: Span) -> int:
    return round(span.end * RATE) - round(span.start * RATE)


def _spoken(
    track: AudioTrack, spans: tuple[Span, ...]
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Sound inside of spans, piece by piece: (seconds of the first sample, samples)."""
    coming = iter(spans)
    span = next(coming, None)
    for window in track.windows(RATE, 10.0):
        end = window.start + len(window.samples) / RATE
        while span is not None and span.start < end:
            first = max(0, round((span.start - window.start) * RATE))
            last = round((span.end - window.start) * RATE)
            piece = window.samples[first:last]
            if len(piece):
                yield window.start + first / RATE, piece
            if span.end > end:
                break
            span = next(coming, None)
        if span is None:
            return
