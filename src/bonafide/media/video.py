"""A video track: facts from the header, and frames of which only what is asked for is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bonafide.errors import DecodeError
from bonafide.media import container as av_container
from bonafide.media.container import Defects, Pass
from bonafide.media.lazy import lazy
from bonafide.media.sampling import Frame as Frame
from bonafide.media.sampling import Frames, Reader
from bonafide.media.sampling import Sampling as Sampling
from bonafide.questions import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bonafide.media.limits import Limits
    from bonafide.media.sources import Source

    Place = tuple[Source, str, str, Limits]  # bytes, name and container of the file, its limits


@dataclass(frozen=True)
class Turn:
    """How stored frames are turned upright: transposed first, then mirrored.

    Attributes:
        transpose: whether rows become columns.
        mirror_x: whether left and right change places.
        mirror_y: whether top and bottom change places.
    """

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @property
    def degrees(self) -> int:
        """The turn of a frame that is shown, clockwise: 0, 90, 180 or 270; mirroring aside."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def apply(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A stored frame, uint8 H×W×3, upright and contiguous."""
        import numpy as np

        array = np.swapaxes(stored, 0, 1) if self.transpose else stored
        if self.mirror_x:
            array = array[:, ::-1]
        if self.mirror_y:
            array = array[::-1]
        return np.ascontiguousarray(array)


@dataclass(frozen=True)
class Coded:
    """What a container says of a frame, without its being decoded.

    Attributes:
        seconds: when it is shown, from the start of the file.
        size: bytes of its packet.
        keyframe: whether it can be decoded alone.
        between: whether it comes after a later frame in the file, as frames that are predicted
            from both sides do.
        kept: whether other frames may be predicted from it.
    """

    seconds: float
    size: int
    keyframe: bool
    between: bool
    kept: bool


class VideoTrack:
    """One video track. Nothing of its frames is kept between passes.

    Attributes:
        index: of the stream in its container.
        codec: name of the codec, "" when it is not known.
        frame_rate: average frames per second by the header, 0.0 when unknown.
        duration: seconds by the header, 0.0 when unknown.
        frames_declared: number of frames by the header, None when unknown.
        bit_rate: bits per second by the header, None when unknown.
    """

    kind: ClassVar[Kind] = Kind.VIDEO

    def __init__(
        self,
        place: Place,
        index: int,
        codec: str,
        stored_size: tuple[int, int],
        frame_rate: float,
        duration: float,
        frames_declared: int | None,
        bit_rate: int | None,
    ) -> None:
        """Keep what a header says; `open_media` reads it.

        Args:
            place: where the bytes are, and what they may cost.
            index: of the stream in its container.
            codec: see above.
            stored_size: width and height in pixels before frames are turned upright.
            frame_rate: see above.
            duration: see above.
            frames_declared: see above.
            bit_rate: see above.
        """
        self._source, self.name, self._format, self._limits = place
        self.index = index
        self._stored_size = stored_size
        self._defects = Defects()
        self.codec = codec
        self.frame_rate = frame_rate
        self.duration = duration
        self.frames_declared = frames_declared
        self.bit_rate = bit_rate

    @classmethod
    def of_stream(cls, place: Place, container: Any, stream: Any) -> VideoTrack:
        """The track of one stream of an open container.

        Raises:
            LimitExceeded: one frame has more pixels than allowed.
        """
        # A track in a codec that FFmpeg does not know has no codec context, hence no size.
        known = stream.codec_context
        size = (int(known.width or 0), int(known.height or 0)) if known else (0, 0)
        place[3].check(place[1], "pixels", size[0] * size[1])
        return cls(
            place,
            int(stream.index),
            str(known.name) if known else "",
            size,
            float(stream.average_rate or 0),
            av_container.duration(container, stream),
            int(stream.frames) or None,
            av_container.bit_rate(container, stream),
        )

    @lazy
    def turn(self) -> Turn:
        """How its frames are turned upright, by the first frame; no turn where none decodes."""
        if not self.codec:
            return Turn()
        with self._open() as (container, stream):
            first = Pass(container, stream, Defects()).next()
            return Turn() if first is None else turn_of(first)

    @property
    def width(self) -> int:
        """Pixels of an upright frame, 0 when the header does not say."""
        return self._stored_size[1 if self.turn.transpose else 0]

    @property
    def height(self) -> int:
        """Pixels of an upright frame, 0 when the header does not say."""
        return self._stored_size[0 if self.turn.transpose else 1]

    @property
    def rotation(self) -> int:
        """Degrees by which stored frames are turned clockwise to be upright: 0, 90, 180, 270."""
        return self.turn.degrees

    @property
    def defects(self) -> tuple[str, ...]:
        """One sentence per damage that was met so far; complete after a pass over all frames."""
        return self._defects.found

    def frames(self, sampling: Sampling | None = None) -> Frames:
        """Decode frames in order of time.

        What is damaged is skipped and recorded in `defects`.

        Args:
            sampling: which frames, and how much may be decoded for them; all by default, within
                the bounds of `Sampling()` and `Limits.frames`.

        Returns:
            An iterator over `Frame`, which also counts what it decoded and says which bound ended
            it. Its memory does not grow with the length of the video.

        Raises:
            DecodeError: from the iterator: nothing could be decoded.
            LimitExceeded: from the iterator: a frame has more pixels than allowed.
        """
        wanted = sampling or Sampling()
        return Frames(lambda: self._reader(wanted), wanted, self._limits.frames, self._at_end)

    def coded(self, most: int = 20_000) -> tuple[Coded, ...]:
        """What the container says of its frames, in the order in which they are shown.

        Args:
            most: packets that are read, from the start.

        Returns:
            () where packets have no times of their own, as in pictures that are animated.
        """
        found: list[Coded] = []
        with self._open() as (container, stream):
            begun, latest = av_container.origin(container), -1.0
            try:
                for packet in container.demux(stream):
                    if packet.pts is None or not packet.size or len(found) >= most:
                        break
                    seconds = float(packet.pts * packet.time_base) - begun
                    found.append(
                        Coded(
                            seconds,
                            int(packet.size),
                            bool(packet.is_keyframe),
                            seconds < latest,
                            not packet.is_disposable,
                        )
                    )
                    latest = max(latest, seconds)
            except av_container.errors():
                pass  # a damaged end: what was read is told
        return tuple(sorted(found, key=lambda one: one.seconds))

    @contextmanager
    def _reader(self, sampling: Sampling) -> Iterator[Reader]:
        with self._open() as (container, stream):
            if sampling.keyframes:
                stream.codec_context.skip_frame = "NONKEY"
            # Where frames are skipped, the last one that is decoded says nothing about the end.
            declared = 0.0 if sampling.keyframes else self.duration
            yield _Frames(Pass(container, stream, self._defects, declared), self)

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        with av_container.open_container(self._source, self.name, self._format) as container:
            stream = container.streams[self.index]
            if stream.codec_context is None:
                raise DecodeError(self.name, "the codec of its video is not known")
            yield container, stream

    def _at_end(self, frames: Frames) -> None:
        if not frames.decoded and not frames.stopped:
            why = "; ".join(self.defects) or "it has no frames"
            raise DecodeError(self.name, f"no frame of the video can be decoded: {why}"[:300])

    def check(self, width: int, height: int) -> None:
        """Raise `LimitExceeded` for a frame that is too large, as one after the header may be."""
        self._limits.check(self.name, "pixels", width * height)


class _Frames:
    """Frames of a pass that can be converted when they are wanted."""

    def __init__(self, frames: Pass, track: VideoTrack) -> None:
        self._frames = frames
        self._track = track
        self.seek = frames.seek
        self.is_keyframe_ahead = frames.is_keyframe_ahead

    @property
    def damaged(self) -> bool:
        return self._frames.damaged

    def next(self) -> _Frame | None:
        frame = self._frames.next()
        if frame is None:
            return None
        self._track.check(frame.width, frame.height)
        return _Frame(self._frames.seconds, self._frames.until, frame)


@dataclass(frozen=True)
class _Frame:
    seconds: float
    until: float
    frame: Any

    def pixels(self) -> NDArray[np.uint8]:
        turn = turn_of(self.frame)
        stored: NDArray[np.uint8] = self.frame.to_ndarray(format="rgb24")
        return stored if turn == Turn() else turn.apply(stored)


def turn_of(frame: Any) -> Turn:
    """How a decoded frame is turned upright, by the display matrix of its container.

    Turns by other angles than multiples of 90° are rounded.
    """
    from av.sidedata.sidedata import Type

    try:
        matrix = bytes(frame.side_data[Type.DISPLAYMATRIX])
    except (KeyError, ValueError):
        return Turn()
    if len(matrix) < 20:
        return Turn()
    # x' = a·x + c·y, y' = b·x + d·y, with y downwards (ISO/IEC 14496-12, 8.3.2).
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(True, mirror_x=c < 0, mirror_y=b < 0)
    return Turn(False, mirror_x=a < 0, mirror_y=d < 0)
