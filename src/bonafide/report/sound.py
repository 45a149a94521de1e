"""A sound on a page: its wave and spectrum along time, what was marked in it, and a player."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.errors import MediaError
from bonafide.languages.speak import gettext as _
from bonafide.report import preview, wording
from bonafide.report.chart import HEIGHT, WIDTH, duration
from bonafide.signals.speech import RATE, mel_filters
from bonafide.types import Report

if TYPE_CHECKING:
    from bonafide.media.media import Media

MOST_HEARD = 600.0  # seconds that can be played
BANDS = 64  # rows of the spectrum
_COLUMNS = 700  # at least so many columns in time, where the sound is long enough; twice at most
_BLOCK = 512  # samples of the finest column
_RANGE = 70.0  # dB from black to the brightest
_BIT_RATE = 32_000
_WINDOW = 8.192  # seconds: 256 blocks


@dataclass(frozen=True)
class Mark:
    """A stretch of the sound that a test marked.

    Attributes:
        x, width: where it lies, in units of the drawing.
        seconds: where it begins.
        words: whose mark it is, when, and the score.
    """

    x: float
    width: float
    seconds: float
    words: str


@dataclass(frozen=True)
class Sound:
    """What is shown of a sound track.

    Attributes:
        seconds: that the time axis covers.
        wave: SVG path data of the envelope in a box of `WIDTH` × `HEIGHT`.
        spectrum: the spectrum as a data: URI, low frequencies at the bottom.
        marks: in the order of time.
        player: an MP3 as a data: URI, "" where none could be made.
        heard: seconds that it plays.
        ticks: five times from the start to the end.
    """

    seconds: float
    wave: str
    spectrum: str
    marks: tuple[Mark, ...]
    player: str
    heard: float
    ticks: tuple[str, ...]


def sound(report: Report, media: Media | None) -> Sound | None:
    """What is shown of the sound track of a file; None where there is none or it is damaged."""
    if media is None or media.image is not None or media.audio is None:
        return None
    columns, player = _Columns(), _Player()
    start, seconds = 0.0, 0.0
    try:
        for window in media.audio.windows(RATE, _WINDOW):
            if not columns.count:
                start = window.start
            columns.add(window.samples)
            player.add(window.samples)
            seconds = window.start + len(window.samples) / RATE
    except MediaError:
        pass  # what came before the damage is shown
    if not columns.count or seconds <= 0:
        return None
    known = duration(report)
    length = max(seconds, known if known < 2 * seconds else 0.0)
    return Sound(
        length,
        columns.wave(start / length, seconds / length),
        columns.spectrum(),
        tuple(_marks(report, length)),
        player.uri(),
        player.seconds,
        tuple(wording.clock(length * quarter / 4) for quarter in range(5)),
    )


def _marks(report: Report, length: float) -> list[Mark]:
    found = []
    for finding in wording.ordered(report):
        for measured, known in finding.parts[1:]:
            where = measured.where
            if where.track != "audio" or where.span is None or measured.score is None:
                continue
            if known is None or measured.score < known.threshold:
                continue
            begin, end = (min(max(t, 0.0), length) for t in (where.span.start, where.span.end))
            words = _(
                "%(title)s, %(begin)s to %(end)s, score %(score)s",
                title=wording.title(finding.detector),
                begin=wording.clock(begin),
                end=wording.clock(end),
                score=wording.number(measured.score),
            )
            x, width = WIDTH * begin / length, WIDTH * (end - begin) / length
            found.append(Mark(round(x, 1), round(max(width, 2.0), 1), begin, words))
    return sorted(found, key=lambda mark: mark.x)


@dataclass
class _Columns:
    """Envelope and spectrum of blocks; neighbours are joined as soon as there are too many."""

    count: int = 0
    _each: int = 1  # finest blocks in a column
    _peaks: list[float] = field(default_factory=list)
    _bands: list[NDArray[np.float32]] = field(default_factory=list)
    _waiting: list[tuple[float, NDArray[np.float32]]] = field(default_factory=list)

    def add(self, samples: NDArray[np.float32]) -> None:
        """Samples of one window, float32 (n,)."""
        whole = -(-len(samples) // _BLOCK)
        blocks = np.zeros((whole, _BLOCK), np.float32)
        blocks.reshape(-1)[: len(samples)] = samples
        power = np.abs(np.fft.rfft(blocks * np.hanning(_BLOCK).astype(np.float32), axis=1)) ** 2
        bands = (power.astype(np.float32) @ mel_filters(BANDS, _BLOCK).T).astype(np.float32)
        for peak, band in zip(np.abs(blocks).max(1).tolist(), bands, strict=True):
            self._waiting.append((peak, band))
            if len(self._waiting) == self._each:
                self._close()
        self.count += whole
        if len(self._peaks) > 2 * _COLUMNS:
            self._halve()

    def _close(self) -> None:
        if self._waiting:
            self._peaks.append(max(peak for peak, _ in self._waiting))
            self._bands.append(np.mean([band for _, band in self._waiting], axis=0))
            self._waiting = []

    def _halve(self) -> None:
        pairs = range(0, len(self._peaks), 2)
        self._peaks = [max(self._peaks[at : at + 2]) for at in pairs]
        self._bands = [np.mean(self._bands[at : at + 2], axis=0) for at in pairs]
        self._each *= 2

    def wave(self, left: float, right: float) -> str:
        """The envelope as a closed path, symmetric about the middle; the largest fills the box."""
        self._close()
        largest = max(max(self._peaks), 1e-6)
        xs = WIDTH * np.linspace(left, right, len(self._peaks) + 1)
        heights = [max(HEIGHT / 2 * peak / largest, 0.3) for peak in self._peaks]
        middles = list(zip(((xs[:-1] + xs[1:]) / 2).tolist(), heights, strict=True))
        upper = [f"{x:.1f} {HEIGHT / 2 - height:.1f}" for x, height in middles]
        lower = [f"{x:.1f} {HEIGHT / 2 + height:.1f}" for x, height in reversed(middles)]
        return f"M{'L'.join(upper + lower)}Z"

    def spectrum(self) -> str:
        """Decibels below the loudest, as a small picture."""
        self._close()
        bands = np.array(self._bands).T[::-1]
        decibels = 10 * np.log10(np.maximum(bands, 1e-12))
        levels = np.clip((decibels - decibels.max() + _RANGE) / _RANGE, 0, 1)
        image = Pillow.fromarray(np.floor(levels * 63).astype(np.uint8), mode=None)
        image.putpalette(preview.colours(64).tobytes())
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


class _Player:
    """The first minutes as an MP3 that a page can play."""

    def __init__(self) -> None:
        import av

        self.seconds = 0.0
        self._file = io.BytesIO()
        self._output: Any = None
        try:
            self._output = av.open(self._file, "w", format="mp3")
            self._stream = self._output.add_stream("libmp3lame", rate=RATE, layout="mono")
            self._stream.bit_rate = _BIT_RATE
        except (av.error.FFmpegError, ValueError):  # this build of FFmpeg has no encoder
            self._output = None

    def add(self, samples: NDArray[np.float32]) -> None:
        """Samples of one window, float32 (n,) in [-1, 1]."""
        import av

        left = int((MOST_HEARD - self.seconds) * RATE)
        samples = samples[: max(left, 0)]
        if self._output is None or not len(samples):
            return
        given = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(given[None], format="s16p", layout="mono")
        frame.sample_rate = RATE
        frame.time_base = Fraction(1, RATE)
        frame.pts = round(self.seconds * RATE)
        for packet in self._stream.encode(frame):
            self._output.mux(packet)
        self.seconds += len(samples) / RATE

    def uri(self) -> str:
        """The MP3 as a data: URI; "" without one."""
        if self._output is None or not self.seconds:
            return ""
        for packet in self._stream.encode(None):
            self._output.mux(packet)
        self._output.close()
        return f"data:audio/mpeg;base64,{base64.b64encode(self._file.getvalue()).decode('ascii')}"
