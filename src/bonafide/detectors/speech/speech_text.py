"""What is said in a recording, written down by a machine, with times.

What it looks for
    Words. The sound is read where somebody speaks, in pieces of at most 28 s, each of which Whisper
    writes down in lines with times.

Why it works
    Whisper was trained on 680,000 hours of speech with its transcripts.

When it fails
    Names, numbers, accents, noise, several voices at once, rare languages; the small networks that
    are fetched here make more errors than large ones. Over noise or music a recogniser writes
    sentences that nobody said. The language is told from the first piece alone.

How to read it
    As an aid to finding a place in a recording, never as a record of what was said: listen. It has
    no weight in the verdict, whatever is said.

Reference
    A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.media.audio import AudioTrack
from bonafide.media.context import Context
from bonafide.media.text_metadata import clean, quote
from bonafide.networks.recognisers import find, hear, ingredients, title
from bonafide.regions import Span, Where
from bonafide.signals.speech import RATE
from bonafide.subjects.speech import SPEECH
from bonafide.types import (
    Card,
    Fact,
    Kind,
    Measured,
    Measurement,
    NotApplicable,
    Question,
)

PIECE = 28.0  # seconds that are heard at once
MOST = 3_600.0  # seconds that are written down
SHOWN = 1_500  # characters of the summary; all lines are in the facts
LONGEST_LINE = 400  # characters

CARD = Card(
    id="speech_text",
    version="1",
    question=Question.VOICE_CLONED,
    title="What is said, written down by a machine",
    kinds=(Kind.AUDIO, Kind.VIDEO),
    cost=30.0,
    facts={
        "written_by": "the network that wrote it down; a machine, which errs",
        "language": "code of the language that it heard [ISO 639]",
        "language_probability": "of that language [0 to 1]",
        "words": "words that were written down [count]",
        "seconds": "of sound that were heard [s]",
        "lines": "each line with the time at which it begins [list of texts]",
    },
    options=("transcript",),
    requires="transcript",
    ingredients=ingredients,
    paper="A. Radford et al., Robust Speech Recognition, ICML 2023",
    licence="Apache-2.0; the weights MIT",
    training_data="none here; Whisper: 680,000 hours of speech of the web",
    limits="An annotation: it has no score and moves no answer. At most an hour is written down. "
    "Needs the extra bonafide[transcript] and `bonafide weights pull transcribe_base`. Its errors "
    "were not measured here.",
)


class Detector:
    """Writes down what is said.

    Args:
        transcript: whether that was asked for.
    """

    def __init__(self, transcript: bool = False) -> None:
        self.transcript = transcript

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement of the whole file, and one of each line.

        Raises:
            MediaError: the sound is damaged.
            WeightsError: no recogniser is on this machine, or it is damaged.
            MissingExtra: the library that runs it is not installed.
        """
        if not self.transcript:
            return NotApplicable("no transcript was asked for")
        if ctx.media.audio is None:
            return NotApplicable("it has no sound")
        network = title(*find())
        speech = ctx.get(SPEECH)
        if speech.out_of_scope is not None:
            return NotApplicable(speech.out_of_scope)
        language, sure, heard = None, 0.0, 0.0
        lines: list[tuple[Span, str]] = []
        for begin, samples in pieces(ctx.media.audio, joined(speech.spans)):
            found = hear(samples, language)
            if language is None:
                language, sure = found.language, found.sure
            heard += len(samples) / RATE
            end = begin + len(samples) / RATE
            lines += [
                (Span(min(begin + one.start, end), min(begin + max(one.start, one.end), end)), text)
                for one in found.lines
                if (text := clean(one.text, LONGEST_LINE))
            ]
        words = sum(len(text.split()) for _, text in lines)
        shown = [f"{_clock(span.start)} {text}" for span, text in lines]
        facts: dict[str, Fact] = {
            "written_by": network,
            "language": language or "",
            "language_probability": round(sure, 3),
            "words": words,
            "seconds": round(heard, 1),
            "lines": shown,
        }
        whole = Measurement(summary=_summary(network, language or "", lines), facts=facts)
        parts = [
            Measurement(summary=f"{quote(text, LONGEST_LINE)}.", where=Where("audio", span))
            for span, text in lines
        ]
        return [whole, *parts]


def joined(spans: Sequence[Span]) -> list[Span]:
    """Stretches of speech as pieces of at most `PIECE` seconds, pauses inside of them included.

    A longer stretch is cut; what lies beyond `MOST` seconds of pieces is left out.
    """
    found: list[Span] = []
    total = 0.0
    cut = [
        Span(start, min(start + PIECE, span.end))
        for span in spans
        for start in np.arange(span.start, span.end, PIECE).tolist()
    ]
    for span in cut:
        if found and span.end - found[-1].start <= PIECE:
            total += span.end - found[-1].end
            found[-1] = Span(found[-1].start, span.end)
            continue
        if total >= MOST:
            break
        found.append(span)
        total += span.end - span.start
    return found


def pieces(track: AudioTrack, spans: Sequence[Span]) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The sound of spans in order, each whole: (seconds of its first sample, float32 (n,))."""
    coming = iter(spans)
    span = next(coming, None)
    held: list[NDArray[np.float32]] = []
    begun = 0.0
    for window in track.windows(RATE, 10.0):
        end = window.start + len(window.samples) / RATE
        while span is not None and span.start < end:
            first = max(0, round((span.start - window.start) * RATE))
            part = window.samples[first : max(first, round((span.end - window.start) * RATE))]
            if not held:
                begun = window.start + first / RATE
            if len(part):
                held.append(part)
            if span.end > end:
                break
            if held:
                yield begun, np.concatenate(held)
            held, span = [], next(coming, None)
        if span is None:
            return
    if held:
        yield begun, np.concatenate(held)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _summary(network: str, language: str, lines: Sequence[tuple[Span, str]]) -> str:
    if not lines:
        return f"A machine ({network}), which errs, could make out no words."
    told: list[str] = []
    room = SHOWN
    for span, text in lines:
        room -= len(text) + 10
        if room < 0 and told:
            break
        told.append(f"{_clock(span.start)} {quote(text, LONGEST_LINE)}")
    left = len(lines) - len(told)
    more = f"; {left} more {'line' if left == 1 else 'lines'} among the facts" if left else ""
    return (
        f"A machine ({network}), which errs, wrote down in the language “{language}”: "
        f"{'; '.join(told)}{more}."
    )
