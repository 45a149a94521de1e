"""A sound track: facts from the header, and windows of samples."""

from __future__ import annotations

from collections.abc import Iterator
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
            DecodeError: nothing could be decoded.
        """
        import numpy as np

        hop = seconds if hop is None else hop
        if not (seconds > 0 and hop > 0 and (rate is None or rate > 0)):
            raise ValueError("rate, length and hop of windows are positive")
        start, taken, pending, step, length = 0.0, 0, None, 0, 0
        for begin, chunk, found in self._chunks(rate, mono):
            if pending is None:
                start, step, rate = begin, max(1, round(hop * found)), found
                length = max(1, round(seconds * found))
                pending = chunk[..., :0]
                skip = 0
            if len(chunk) != len(pending) and chunk.ndim == 2:
                self._defects.add("the number of channels changes; what follows was left out")
                break
            if skip:  # a hop that is longer than a window
                skip, chunk = max(0, skip - chunk.shape[-1]), chunk[..., skip:]
            pending = np.concatenate((pending, chunk), axis=-1)
            while pending.shape[-1] >= length:
                yield AudioWindow(start + taken / found, _own(pending[..., :length]), found)
                taken += step
                skip = max(0, step - pending.shape[-1])
                pending = pending[..., step:]
        # What is left is new unless windows overlap and the last one reached the end.
        if pending is not None and rate is not None:
            fresh = pending.shape[-1] - (max(0, length - step) if taken else 0)
            if fresh > 0:
                yield AudioWindow(start + taken / rate, _own(pending), rate)

    def _chunks(
        self, rate: int | None, mono: bool
    ) -> Iterator[tuple[float, NDArray[np.float32], int]]:
        """(start in seconds, samples (n,) or (channels, n), samples per second), in order."""
        import av

        left = self._limits.sound_seconds
        decoded = False
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
                decoded = True
                left -= frame.samples / max(frame.sample_rate, 1)
                rate = rate or int(frame.sample_rate)
                now = (frame.format.name, frame.layout.name, int(frame.sample_rate))
                if setup != now:  # at the first frame, or where the sound changes its form
                    resampler, setup = av.AudioResampler("fltp", frame.layout, rate), now
                try:
                    coming = resampler.resample(frame)
                except av_container.errors() as error:
                    self._defects.add(f"sound that cannot be resampled was left out ({error})")
                    continue
                for one in coming:
                    yield frames.seconds, _samples(one, mono), rate
            if resampler is not None and rate is not None:
                for one in resampler.resample(None):
                    yield frames.until, _samples(one, mono), rate
        if not decoded and self.defects:
            why = "; ".join(self.defects)
            raise DecodeError(self.name, f"no sound can be decoded: {why}"[:300])


def _samples(frame: Any, mono: bool) -> NDArray[np.float32]:
    """float32 (n,) or (channels, n) in [-1, 1]; values that are not numbers become 0."""
    import numpy as np

    found: NDArray[np.float32] = np.nan_to_num(frame.to_ndarray(), nan=0.0, posinf=1.0, neginf=-1.0)
    found = np.clip(found, -1.0, 1.0).astype(np.float32, copy=False)
    return np.asarray(found.mean(axis=0, dtype=np.float32)) if mono else found


def _own(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that nobody can change, and that keeps nothing else alive."""
    copy = samples.copy()
    copy.flags.writeable = False
    return copy
