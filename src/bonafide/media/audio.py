"""A sound track: facts from the header, and windows of samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bonafide.errors import DecodeError
from bonafide.media import container as av_container
from bonafide.media.container import Defects, Pass
from bonafide.questions import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonafide.media.limits import Limits
    from bonafide.media.sources import Source

    Place = tuple[Source, str, str, Limits]  # bytes, name and container of the file, its limits


_RATES = (1_000, 1_536_000)  # samples per second of sound that anybody records


@dataclass(frozen=True)
class AudioWindow:
    """A stretch of sound.

    Attributes:
        start: of its first sample, seconds from the start of the file.
        samples: float32 (n,), or (channels, n) where channels were kept apart, in [-1, 1].
        rate: samples per second.
    """

    start: float
    samples: NDArray[np.float32]
    rate: int


class AudioTrack:
    """One sound track. Nothing of its samples is kept between passes.

    Attributes:
        index: of the stream in its container.
        codec: name of the codec, "" when it is not known.
        sample_rate: samples per second as coded, 0 when unknown.
        channels: their number as coded, 0 when unknown.
        duration: seconds by the header, 0.0 when unknown.
        bit_rate: bits per second by the header, None when unknown.
    """

    kind: ClassVar[Kind] = Kind.AUDIO

    def __init__(
        self,
        place: Place,
        index: int,
        codec: str,
        sample_rate: int,
        channels: int,
        duration: float,
        bit_rate: int | None,
    ) -> None:
        """Keep what a header says; `open_media` reads it.

        Args:
            place: where the bytes are, and what they may cost.
            index: of the stream in its container.
            codec: see above.
            sample_rate: see above.
            channels: see above.
            duration: see above.
            bit_rate: see above.
        """
        self._source, self.name, self._format, self._limits = place
        self.index = index
        self._defects = Defects()
        self.codec = codec
        self.sample_rate = sample_rate
        self.channels = channels
        self.duration = duration
        self.bit_rate = bit_rate

    @classmethod
    def of_stream(cls, place: Place, container: Any, stream: Any) -> AudioTrack:
        """The track of one stream of an open container."""
        known = stream.codec_context
        return cls(
            place,
            int(stream.index),
            str(known.name) if known else "",
            int(known.sample_rate or 0) if known else 0,
            int(known.channels or 0) if known else 0,
            av_container.duration(container, stream),
            av_container.bit_rate(container, stream),
        )

    @property
    def defects(self) -> tuple[str, ...]:
        """One sentence per damage that was met so far; complete after a pass over all sound."""
        return self._defects.found

    def windows(
        self,
        rate: int | None = None,
        seconds: float = 1.0,
        hop: float | None = None,
        mono: bool = True,
    ) -> Iterator[AudioWindow]:
        """Decode sound and cut it into windows.

        The last window is shorter where the sound ends in it; sound that is shorter than a window
        gives one short window, and no sound gives none. What is damaged is left out and recorded
        in `defects`. At most `Limits.sound_seconds` are decoded.

        Args:
            rate: samples per second to resample to; None for that of the first frame.
            seconds: length of a window.
            hop: from the start of one window to that of the next; None for `seconds`.
            mono: average all channels, otherwise keep them apart.

        Raises:
            ValueError: `rate`, `seconds` or `hop` is not positive.
            DecodeError: nothing could be decoded, or the sample rate is not possible.
        """
        hop = seconds if hop is None else hop
        if not (seconds > 0 and hop > 0 and (rate is None or rate > 0)):
            raise ValueError("rate, length and hop of windows are positive")
        cutter = None
        for start, chunk, found in self._chunks(rate, mono):
            if cutter is None:
                step, length = max(1, round(hop * found)), max(1, round(seconds * found))
                cutter = _Cutter(start, found, length, step)
            if not cutter.fits(chunk):
                self._defects.add("the number of channels changes; what follows was left out")
                break
            yield from cutter.add(chunk)
        if cutter is not None:
            yield from cutter.rest()

    def _chunks(
        self, rate: int | None, mono: bool
    ) -> Iterator[tuple[float, NDArray[np.float32], int]]:
        """Samples in order: (start of the first, seconds; (n,) or (channels, n); per second)."""
        import av

        left = self._limits.sound_seconds
        decoded = False
        start: float | None = None
        with av_container.open_container(self._source, self.name, self._format) as container:
            stream = container.streams[self.index]
            if stream.codec_context is None:
                raise DecodeError(self.name, "the codec of its sound is not known")
            # The duration of an MP3 file is a guess from its first frames.
            declared = 0.0 if self._format == "MP3" else min(self.duration, left)
            frames = Pass(container, stream, self._defects, declared)
            resampler: Any = None
            setup: tuple[str, str, int] | None = None
            while left > 0 and (frame := frames.next()) is not None:
                if not _RATES[0] <= frame.sample_rate <= _RATES[1]:
                    # Between rates that lie far apart, resampling takes minutes.
                    why = f"{frame.sample_rate:,} samples per second are not possible"
                    raise DecodeError(self.name, why)
                start = max(0.0, frames.seconds) if start is None else start
                left -= frame.samples / max(frame.sample_rate, 1)
                rate = rate or int(frame.sample_rate)
                now = (frame.format.name, frame.layout.name, int(frame.sample_rate))
                if setup != now:  # at the first frame, or where the sound changes its form
                    resampler, setup = av.AudioResampler("flt", frame.layout, rate), now
                try:
                    coming = resampler.resample(frame)
                except av_container.errors() as error:
                    why = av_container.words_of(error)
                    self._defects.add(f"sound that cannot be resampled was left out ({why})")
                    continue
                for one in coming:
                    decoded = True
                    yield start, _samples(one, mono), rate
            if start is not None and rate is not None:
                rest: list[Any] = []
                with suppress(*av_container.errors()):  # one that never got to work has none
                    rest = resampler.resample(None)
                for one in rest:
                    decoded = True
                    yield start, _samples(one, mono), rate
        if not decoded and self.defects:
            why = "; ".join(self.defects)
            raise DecodeError(self.name, f"no sound can be decoded: {why}"[:300])


class _Cutter:
    """Cuts a stream of samples into windows; holds no more than one window and one chunk."""

    def __init__(self, start: float, rate: int, length: int, step: int) -> None:
        self._start = start
        self._rate = rate
        self._length = length
        self._step = step
        self._parts: list[NDArray[np.float32]] = []
        self._held = 0  # samples in the parts
        self._skip = 0  # samples still to be left out, of a step that is longer than a window
        self._taken = 0  # samples from the start to the first that is held

    def fits(self, chunk: NDArray[np.float32]) -> bool:
        """Whether a chunk has as many channels as what is held."""
        return not self._parts or self._parts[0].shape[:-1] == chunk.shape[:-1]

    def add(self, chunk: NDArray[np.float32]) -> Iterator[AudioWindow]:
        """The windows that a chunk completes."""
        left_out = min(self._skip, chunk.shape[-1])
        self._skip -= left_out
        self._parts.append(chunk[..., left_out:])
        self._held += chunk.shape[-1] - left_out
        if self._held < self._length:
            return
        held = self._joined()
        while held.shape[-1] >= self._length:
            yield self._window(held[..., : self._length])
            self._taken += self._step
            self._skip = max(0, self._step - held.shape[-1])
            held = held[..., self._step :]
        self._parts, self._held = [held], held.shape[-1]

    def rest(self) -> Iterator[AudioWindow]:
        """The last window, where something is left that was in none."""
        known = max(0, self._length - self._step) if self._taken else 0
        if self._held > known:
            yield self._window(self._joined())

    def _joined(self) -> NDArray[np.float32]:
        import numpy as np

        return np.concatenate(self._parts, axis=-1)

    def _window(self, samples: NDArray[np.float32]) -> AudioWindow:
        import numpy as np

        copy = np.nan_to_num(samples, nan=0.0)  # keeps nothing else alive
        copy.flags.writeable = False
        return AudioWindow(self._start + self._taken / self._rate, copy, self._rate)


def _samples(frame: Any, mono: bool) -> NDArray[np.float32]:
    """float32 (n,) or (channels, n) in [-1, 1], or not a number where the file says so."""
    import numpy as np

    # Interleaved, since PyAV 18 reads past the planes of a frame of eight channels and more.
    found = np.clip(frame.to_ndarray().reshape(frame.samples, -1).T, -1.0, 1.0)
    return np.asarray(found.mean(axis=0) if mono else found, np.float32)
