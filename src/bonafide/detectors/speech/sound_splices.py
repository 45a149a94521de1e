"""Places where sound was cut, joined or silenced.

What it looks for
    Five traces, each with its time. *Frame grid*: sound that had been kept as AAC or MP3 shows the
    grid of its frames; where something was taken out or put in, the grid goes on at another offset.
    *Mains hum*: the phase of hum at 50 or 60 Hz and its harmonics jumps. *Silence*: samples that
    are exactly zero, in a recording that is nowhere else silent. *Jump*: one sample that its
    neighbours do not lead to, as where two ends were set together. *Background*: another colour of
    what is heard behind the speech, over 8 s before and after.

Why it works
    A recording has one encoder that counts its frames from one start, one microphone whose noise
    never stops, and one room. An editor who cuts it disturbs at least one of them, unless the cut
    is made with care in a pause of the same recording.

When it fails
    A word that was cut out of a recording in two pauses leaves no trace in its background. The
    frame grid is read where the file holds sound without loss (WAV, FLAC, ALAC) and had been AAC or
    MP3 before; saving it as MP3, AAC or Opus hides it. Most recordings hold no hum, and one cut in
    three or so leaves its phase nearly as it was. Suppression of noise, automatic gain, pauses
    that a codec fills with silence, and two people with two microphones change the background
    without any edit. Podcasts, audiobooks and films are cut and joined as a matter of course: what
    is found there is real and means nothing.

How to read it
    The score is the decimal logarithm of the hours of untouched single recordings in which one
    place of this strength is to be expected by chance: 0 for one an hour, 1 for one in ten hours.
    Marked places are to be listened to. The finding is never an accusation: it can make a verdict
    inconclusive, and no more.

Reference
    R. Yang, Z. Qu, J. Huang, "Detecting Digital Audio Forgeries by Checking Frame Offsets", ACM
    MM&Sec 2008; X. Pan, X. Zhang, S. Lyu, "Detecting Splicing in Digital Audios Using Local Noise
    Level Estimation", ICASSP 2012; D. P. Nicolalde Rodríguez et al., "Audio Authenticity: Detecting
    ENF Discontinuity With High Precision Phase Analysis", IEEE TIFS 5(3), 2010.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.media.audio import AudioTrack
from bonafide.media.context import Context
from bonafide.regions import Series, Span, Where
from bonafide.signals.aac_frames import Aac
from bonafide.signals.frame_grid import FOUND, FrameGrid, GridJump
from bonafide.signals.mp3_frames import Mp3
from bonafide.signals.sound_breaks import STEP, Breaks
from bonafide.signals.sound_gaps import Gaps
from bonafide.signals.sound_hum import SIDE, Hum, HumTracker
from bonafide.signals.speech import RATE
from bonafide.types import Card, Kind, Measured, Measurement, Needs, NotApplicable, Question

MARKED = 0.0  # score from which a place is marked
MOST = 50  # places that are reported, those with the largest scores
NEAR = 0.3  # seconds within which places are one
_PIECE = 10.0  # seconds that are read at once
LEAST, HIGHEST = -3.0, 3.0  # of scores; the lowest where nothing was found
_POINTS = 600  # of the score along time
_LOSSLESS = ("pcm", "flac", "alac", "wavpack")
_MOST_FRAMES = 192_000  # samples per second: beyond, nobody kept AAC

CARD = Card(
    id="sound_splices",
    version="1",
    question=Question.EDITED,
    title="Cut or joined sound",
    kinds=(Kind.AUDIO, Kind.VIDEO),
    needs=Needs(min_seconds=4.0),
    cost=2.0,
    facts={
        "splices": "places that reach the threshold [count]",
        "times": "their times [s]",
        "traces": "what was found at each of them: frame grid, mains hum, silence, jump, "
        "background",
        "heard": "sound that was read [s]",
        "grid": "codecs of earlier files whose frame grid was found: AAC, MP3, none, or why none "
        "was looked for",
        "hum": "frequency of the clearest mains hum, 0 where there is none [Hz]",
        "hum_share": "share of the time in which it is clear [0-1]",
        "silent_runs": "runs of samples that are exactly zero [count]",
        "strongest": "score of the strongest place [log10 hours]",
        "defects": "damage that was met in the sound track",
    },
    paper="This project, 2026; see docs/decisions/039-splices-in-sound.md and "
    "docs/decisions/057-frame-grid-of-mp3-and-mains-hum.md",
    limits="A word cut out in two pauses of one recording leaves nothing in the background. Noise "
    "suppression, automatic gain and changes of speaker can look like a splice; figures by kind of "
    "splice and by channel stand in docs/video-and-sound.md.",
)


@dataclass(frozen=True)
class Place:
    """A place where sound seems to be cut.

    Attributes:
        span: where it lies, seconds from the start of the file.
        score: log10 hours.
        trace: "frame grid", "mains hum", "silence", "jump" or "background".
        words: what was found there, one sentence.
    """

    span: Span
    score: float
    trace: str
    words: str


@dataclass(frozen=True)
class _Trace:
    """A trace that is measured at every moment, and what its values are worth.

    The score is linear in the value, as the logarithm of a rate is in the tail of a distribution
    that falls exponentially; both numbers were fitted on untouched recordings.
    """

    name: str
    words: str
    once: float  # value that one moment an hour reaches
    decade: float  # by how much more a moment in ten hours exceeds it
    reach: float  # seconds within which only the largest value counts

    def score(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """log10 hours, in [`LEAST`, `HIGHEST`]."""
        scores = (values - np.float32(self.once)) / np.float32(self.decade)
        return np.asarray(np.clip(scores, LEAST, HIGHEST), np.float32)


_COLOUR = _Trace(
    "background",
    "Around {at:.1f} s the colour of the background changes by {value:.1f} dB.",
    once=16.7,
    decade=6.5,
    reach=4.0,
)
_JUMP = _Trace(
    "jump",
    "At {at:.1f} s the wave jumps as no voice makes it jump.",
    once=2.4,
    decade=0.5,
    reach=NEAR,
)
_HUM = _Trace(
    "mains hum",
    "At {at:.1f} s the phase of mains hum at {hertz:.0f} Hz jumps by {value:.0f}°.",
    once=11.0,
    decade=3.0,
    reach=SIDE,
)
_SILENCE = 1.0  # score of a run of zeros that no habit explains


class Detector:
    """Frame grid, mains hum, digital silence, jumps and background of the sound track."""

    def measure(self, ctx: Context) -> Measured:
        """Return one measurement of the whole track, then one per marked place.

        Raises:
            MediaError: the sound cannot be decoded.
        """
        track = ctx.media.audio
        if track is None:
            return NotApplicable("it has no sound track")
        waves = _Waves(track)
        for window in track.windows(None, _PIECE):
            waves.add(window.start, window.samples, window.rate)
        if waves.heard < CARD.needs.min_seconds:
            return NotApplicable(
                f"its {waves.heard:.1f} s of sound are too short to compare one part with another"
            )
        breaks, tracker = Breaks(), HumTracker()
        for window in track.windows(RATE, Breaks.PIECE / RATE):
            breaks.add(window.samples)
            tracker.add(window.samples)
        colours, jumps, hum = breaks.colours(), breaks.jumps(), tracker.hum()
        found = [
            *waves.places(),
            *_continuous(colours, waves.start, _COLOUR),
            *_continuous(jumps, waves.start, _JUMP),
            *_of_hum(hum, waves.start),
        ]
        places = _joined(found)
        marked = [place for place in places if place.score >= MARKED]
        kept = sorted(sorted(marked, key=lambda one: -one.score)[:MOST], key=_begin)
        strongest = max((place.score for place in places), default=LEAST)
        return [
            Measurement(
                score=round(strongest, 3),
                summary=_summary(marked, waves.heard),
                series=_series(colours, jumps, hum, waves.start),
                facts={
                    "splices": len(marked),
                    "times": [round(_middle(place), 2) for place in kept],
                    "traces": [place.trace for place in kept],
                    "heard": round(waves.heard, 2),
                    "grid": waves.grid_words,
                    "hum": hum.hertz,
                    "hum_share": round(hum.clear, 3),
                    "silent_runs": waves.silent_runs,
                    "strongest": round(strongest, 3),
                    "defects": list(track.defects),
                },
                contradiction=bool(marked),
            ),
            *(
                Measurement(
                    score=round(place.score, 3),
                    summary=place.words,
                    where=Where("audio", place.span),
                )
                for place in kept
            ),
        ]


class _Waves:
    """What is read at the rate at which the sound was coded: frame grid and silence."""

    def __init__(self, track: AudioTrack) -> None:
        self.start = self.heard = 0.0
        self._codec = track.codec
        self._rate = 0
        self._gaps: Gaps | None = None
        self._grids: tuple[FrameGrid, ...] = ()
        self._found: list[Place] = []
        self.grid_words = "not looked for in sound that is coded with loss"

    def add(self, start: float, samples: NDArray[np.float32], rate: int) -> None:
        if self._gaps is None:
            self.start, self._rate, self._gaps = start, rate, Gaps(rate)
            lossless = self._codec.startswith(_LOSSLESS)
            if lossless and self._codec not in ("pcm_mulaw", "pcm_alaw") and rate <= _MOST_FRAMES:
                self._grids = (FrameGrid(Aac()), FrameGrid(Mp3()))
        if rate != self._rate:
            return  # what follows is of another form
        self.heard += len(samples) / rate
        self._gaps.add(samples)
        for grid in self._grids:
            self._found += [_jump_of(jump, grid, self.start, rate) for jump in grid.add(samples)]

    @property
    def silent_runs(self) -> int:
        """Runs of zeros, habits included."""
        return 0 if self._gaps is None else len(self._gaps.runs)

    def places(self) -> Iterator[Place]:
        """What was found; to be asked once, at the end."""
        if self._grids:
            seen = [grid.codec.name for grid in self._grids if grid.segments > 1]
            self.grid_words = " and ".join(seen) or "none"
            yield from self._found
        for run in () if self._gaps is None else self._gaps.found():
            span = Span(self.start + run.start, self.start + run.end)
            length = 1000 * (run.end - run.start)
            words = f"From {span.start:.1f} s on, {length:.0f} ms are exactly silent."
            yield Place(span, _SILENCE, "silence", words)


def _jump_of(jump: GridJump, grid: FrameGrid, start: float, rate: int) -> Place:
    """Two grids that meet, or that lie on both sides of something else."""
    codec, frame = grid.codec.name, grid.codec.frame
    half = max(0.05, frame / rate)
    end, begin = start + jump.end / rate, start + jump.begin / rate
    by = (jump.after - jump.before) % frame
    score = min(1.0 + (jump.distance - FOUND) / 5, HIGHEST)
    if begin - end < 2 * half:
        at = (end + begin) / 2
        words = f"At {at:.1f} s the frame grid of an earlier {codec} file jumps by {by} samples."
        return Place(_span(at, half), score, "frame grid", words)
    words = (
        f"From {end:.1f} to {begin:.1f} s the sound is not on the frame grid of an earlier {codec} "
        f"file, which goes on shifted by {by} samples."
    )
    return Place(Span(round(end, 3), round(begin, 3)), score, "frame grid", words)


def _continuous(values: NDArray[np.float32], start: float, trace: _Trace) -> Iterator[Place]:
    """The peaks of a trace that is measured at every moment."""
    step = STEP / RATE
    for index in peaks(values, round(trace.reach / step)):
        at = start + (index + 0.5) * step
        score = float(trace.score(values[index : index + 1])[0])
        if score > LEAST:
            words = trace.words.format(at=at, value=float(values[index]))
            yield Place(_span(at, NEAR / 2), score, trace.name, words)


def _of_hum(hum: Hum, start: float) -> Iterator[Place]:
    """The peaks of the phase jump."""
    step = STEP / RATE
    for index in peaks(hum.jumps, round(_HUM.reach / step)):
        at = start + (index + 0.5) * step
        score = float(_HUM.score(hum.jumps[index : index + 1])[0])
        if score > LEAST:
            degrees = float(hum.degrees[index])
            words = _HUM.words.format(at=at, hertz=hum.hertz, value=degrees)
            yield Place(_span(at, NEAR / 2), score, _HUM.name, words)


def peaks(scores: NDArray[np.float32], reach: int) -> list[int]:
    """Indices of values that are the first largest within `reach` on both sides, in order."""
    if not len(scores):
        return []
    padded = np.pad(scores, reach, constant_values=-np.inf)
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return [int(one) for one in np.flatnonzero(views.argmax(1) == reach)]


def _joined(places: Sequence[Place]) -> list[Place]:
    """Places that lie together as one: where and what the strongest says, the best score."""
    kept: list[Place] = []
    for place in sorted(places, key=lambda one: -one.score):
        if all(abs(_middle(place) - _middle(one)) > NEAR for one in kept):
            kept.append(place)
    return sorted(kept, key=_begin)


def _series(
    colours: NDArray[np.float32], jumps: NDArray[np.float32], hum: Hum, start: float
) -> tuple[Series, ...]:
    """The score along time of what is measured at every moment, its largest values kept."""
    count = min(len(colours), len(jumps), len(hum.jumps))
    if not count:
        return ()
    scores = np.maximum(_COLOUR.score(colours[:count]), _JUMP.score(jumps[:count]))
    scores = np.maximum(scores, _HUM.score(hum.jumps[:count]))
    each = -(-count // _POINTS)
    padded = np.pad(scores, (0, -count % each), constant_values=LEAST)
    values = padded.reshape(-1, each).max(1)
    times = start + (np.arange(len(values)) + 0.5) * each * STEP / RATE
    return (Series(times.astype(np.float64), values.astype(np.float32)),)


def _summary(marked: Sequence[Place], heard: float) -> str:
    if not marked:
        return f"No place was found in {heard:.0f} s of sound where it was cut or joined."
    told = ", ".join(f"{_middle(one):.1f} s ({one.trace})" for one in marked[:5])
    more = f" and {len(marked) - 5} more" if len(marked) > 5 else ""
    are = "1 place looks" if len(marked) == 1 else f"{len(marked)} places look"
    return f"{are} cut or joined: {told}{more}."


def _span(at: float, half: float) -> Span:
    return Span(round(max(0.0, at - half), 3), round(at + half, 3))


def _middle(place: Place) -> float:
    return (place.span.start + place.span.end) / 2


def _begin(place: Place) -> float:
    return place.span.start
