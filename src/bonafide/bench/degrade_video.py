"""What happens to videos on their way: degradations that a name reproduces.

As `bonafide.bench.degrade`, for videos: "h264:28", "h265:32", "fps:10", "height:360", joined by
"+". The result is MP4 with one video track. Sound and metadata are dropped; frames are turned
upright, as detectors see them.

Frames go from the decoder to the scaler to the encoder as they are (8 bits, chroma halved both
ways), without a detour over RGB; sides of odd length lose their last row or column, as that format
requires. "fps" drops frames and invents none; "height" shrinks and never enlarges. All steps that
change frames are done in one pass before each encoding. Where no codec is named last, H.264 at
constant rate factor 12 stands in for a lossless file, which few decoders read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from bonafide.bench.degrade_names import Grammar, Kind, Number
from bonafide.errors import DecodeError
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.media.video import Turn, VideoTrack

_NEARLY_LOSSLESS = 12  # constant rate factor
# Left to itself, x264 decides by sums whose rounding depends on the processor, and differs even
# from run to run on one machine; x265 by the number of threads.
_REPEATABLE = {
    "libx264": {"x264-params": "cpu-independent=1"},
    "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
}


@dataclass(frozen=True)
class Degraded:
    """A degraded video.

    Attributes:
        data: its bytes.
        name: canonical name of the degradation.
        notes: one sentence for each thing that could not be done in full.
    """

    data: bytes
    name: str
    notes: tuple[str, ...] = ()


class _State:
    """The last encoded bytes, and what must still be done to their frames."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.rate: float | None = None
        self.height: int | None = None
        self.notes: list[str] = []
        self.encoded = False  # since the last change

    def encode(self, codec: str, factor: int) -> None:
        _encoder(codec)
        source = open_media(self.data, "video", self.limits).video
        if source is None:
            raise DecodeError("video", "it has no frames")
        width, height = self._size(source)
        options = {"crf": str(factor), "preset": "medium", **_REPEATABLE[codec]}
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            stream: Any = None
            for count, (frame, base) in enumerate(self._frames(source)):
                if count >= self.limits.frames:
                    self.notes.append(f"cut after {self.limits.frames} frames")
                    break
                if stream is None:
                    nominal = _nominal(self.rate, source.frame_rate)
                    stream = container.add_stream(codec, rate=nominal, options=options)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                    # One thread, since only that is sure to give the same bytes everywhere.
                    stream.codec_context.thread_count = 1
                    stream.codec_context.time_base = base
                container.mux(stream.encode(_prepare(frame, width, height)))
            if stream is None:
                raise DecodeError("video", "it has no frames")
            container.mux(stream.encode(None))
        self.data, self.encoded = buffer.getvalue(), True
        self.rate = self.height = None

    def _size(self, source: VideoTrack) -> tuple[int, int]:
        width, height = source.width, source.height
        if min(width, height) < 2:
            raise DecodeError("video", f"frames of {width}×{height} pixels cannot be encoded")
        if self.height is not None and self.height >= height:
            self.notes.append(f"its height is {height}: not enlarged to {self.height}")
        elif self.height is not None:
            width, height = round(width * self.height / height), self.height
            return max(2, width + width % 2), max(2, height - height % 2)
        return width - width % 2, height - height % 2

    def _frames(self, source: VideoTrack) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Frames in order with rising times, in units of the second value of each pair."""
        rate, last = self.rate, -1
        if rate is not None and 0 < source.frame_rate <= rate + 1e-6:
            self.notes.append(f"its rate is {source.frame_rate:g}: no frame was dropped")
            rate = None
        base = Fraction(1, 90_000) if rate is None else 1 / Fraction(rate).limit_denominator(1001)
        with av.open(io.BytesIO(self.data), "r") as container:
            try:
                stream: Any = container.streams[source.index]
                for number, stored in enumerate(container.decode(stream)):
                    frame = _upright(stored, source.turn)
                    seconds = stored.time
                    if seconds is None:
                        seconds = number / (source.frame_rate or 25.0)
                    due = math.floor(seconds / float(base) + 1e-6)
                    if due <= last:
                        if rate is not None:
                            continue
                        due = last + 1
                    frame.pts, frame.time_base, last = due, base, due
                    yield frame, base
            except (av.error.FFmpegError, IndexError) as error:
                if last < 0:
                    raise DecodeError("video", f"the video cannot be decoded: {error}") from error
                self.notes.append("damaged: what could be decoded was kept")


def _upright(frame: av.VideoFrame, turn: Turn) -> av.VideoFrame:
    """A frame turned upright, in the pixel format that it has."""
    steps = [("transpose", "dir=cclock_flip")] * turn.transpose
    steps += [("hflip", "")] * turn.mirror_x + [("vflip", "")] * turn.mirror_y
    if not steps:
        return frame
    graph = av.filter.Graph()
    first = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    last = graph.add("buffersink")
    graph.link_nodes(first, *(graph.add(name, text) for name, text in steps), last).configure()
    graph.push(frame)
    turned = graph.pull()
    assert isinstance(turned, av.VideoFrame)
    return turned


def apply(data: bytes, name: str, seed: int = 0, limits: Limits | None = None) -> Degraded:
    """Degrade one video file.

    Args:
        data: its bytes.
        name: which degradation, for example "height:360+h264:28"; see `usage`.
        seed: taken for the sake of one form with pictures; nothing here is random.
        limits: bounds on the video; frames beyond `limits.frames` are cut off, with a note.

    Raises:
        ValueError: the name is wrong.
        MediaError: the file cannot be decoded.
        RuntimeError: the installed FFmpeg lacks the encoder.
    """
    steps = GRAMMAR.parse(name)
    name = GRAMMAR.canonical(name)
    if name == "native":
        return Degraded(data, name)
    state = _State(data, limits or Limits())
    for step in steps:
        step.kind.run(state, **step.values)
    if not state.encoded:
        state.encode("libx264", _NEARLY_LOSSLESS)
    return Degraded(state.data, name, tuple(state.notes))


def _encoder(codec: str) -> None:
    try:
        av.codec.Codec(codec, "w")
    except ValueError:  # PyAV's UnknownCodecError is one
        raise RuntimeError(
            f"the FFmpeg that PyAV brought has no encoder {codec}; install a build of PyAV with it"
        ) from None


def _nominal(wanted: float | None, there: float) -> Fraction:
    """A rate for the encoder, which it takes for the length of the last frame."""
    rates = [rate for rate in (wanted, there) if rate]
    return Fraction(min(rates, default=25.0)).limit_denominator(1001)


def _prepare(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    even = frame.width - frame.width % 2, frame.height - frame.height % 2
    if (width, height) == even and even != (frame.width, frame.height):
        # Scaling by one pixel would resample everything; cutting does not.
        pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24").astype(np.uint8)
        cut = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels[:height, :width]), format="rgb24"
        )
        cut.pts, cut.time_base = frame.pts, frame.time_base
        frame = cut
    prepared = frame.reformat(width, height, "yuv420p", interpolation="BICUBIC")
    prepared.pts, prepared.time_base = frame.pts, frame.time_base
    prepared.pict_type = av.video.frame.PictureType.NONE  # the encoder decides anew
    return prepared


def _codec(codec: str) -> Callable[..., None]:
    def run(state: _State, factor: int) -> None:
        state.encode(codec, factor)

    return run


def _change(state: _State, **changes: float) -> None:
    for name, value in changes.items():
        if getattr(state, name) is not None:
            state.encode("libx264", _NEARLY_LOSSLESS)  # one change of a kind in a pass
        setattr(state, name, value)
    state.encoded = False


_FACTOR = Number("factor", 0, 51, whole=True)
GRAMMAR = Grammar(
    (
        Kind("native", "leave the file untouched"),
        Kind(
            "h264",
            "encode as H.264 at constant rate factor {factor}",
            (_FACTOR,),
            _codec("libx264"),
        ),
        Kind(
            "h265",
            "encode as H.265 at constant rate factor {factor}",
            (_FACTOR,),
            _codec("libx265"),
        ),
        Kind("fps", "keep at most {rate} frames a second", (Number("rate", 0.1, 240),), _change),
        Kind(
            "height",
            "shrink to {height} rows",
            (Number("height", 16, 4320, whole=True),),
            _change,
        ),
    ),
    "videos",
)

LADDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "h264": tuple(f"h264:{factor}" for factor in (18, 23, 28, 33, 40)),
        "h265": tuple(f"h265:{factor}" for factor in (22, 28, 32, 38)),
        "fps": tuple(f"fps:{rate}" for rate in (15, 10, 5)),
        "height": tuple(f"height:{height}" for height in (720, 480, 360, 240)),
    }
)
