"""A video: facts from its container and a bounded iterator over its frames."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bonafide.errors import DecodeError, UnsupportedFormat
from bonafide.media.limits import Limits
from bonafide.types import Kind, Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Video(Media):
    """One video file.

    Attributes:
        width, height: size of a frame in pixels, 0 when the header does not say.
        frame_rate: average frames per second, 0.0 when unknown.
        duration: seconds, 0.0 when unknown.
        codec: name of the video codec, "" when there is no video track.
        has_audio: whether there is an audio track.
    """

    kind = Kind.VIDEO

    def __init__(
        self,
        data: bytes,
        name: str = "bytes",
        path: str | None = None,
        limits: Limits | None = None,
        format: str = "VIDEO",  # noqa: A002
    ) -> None:
        """Read the container header.

        Raises:
            UnsupportedFormat: FFmpeg does not recognise the container.
            LimitExceeded: one frame has more pixels than allowed.
        """
        super().__init__(data, name, path, format)
        self._limits = limits or Limits()
        with self._container() as container:
            stream = next(iter(container.streams.video), None)
            # A track in a codec that FFmpeg does not know has no codec context, hence no size.
            known = getattr(stream, "codec_context", None)
            self.width = int(known.width or 0) if known else 0
            self.height = int(known.height or 0) if known else 0
            self.frame_rate = float(stream.average_rate or 0) if stream else 0.0
            self.duration = float(container.duration or 0) / 1e6
            self.codec = str(known.name) if known else ""
            self.has_audio = bool(container.streams.audio)
        self._limits.check(name, "pixels", self.width * self.height)

    def frames(self, rate: float | None = None) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Decode frames in order, at most `Limits.frames` of them.

        Args:
            rate: frames per second to keep, None for all.

        Yields:
            (seconds from the start, uint8 H×W×3 RGB in [0, 255]).

        Raises:
            DecodeError: the stream is damaged before its first frame.
            LimitExceeded: a frame has more pixels than allowed.
        """
        import av

        kept, due = 0, 0.0
        with self._container() as container:
            try:
                for frame in container.decode(video=0):
                    # A stream may grow after its header.
                    self._limits.check(self.name, "pixels", frame.width * frame.height)
                    seconds = float(frame.time or 0.0)
                    if rate is not None and seconds + 1e-9 < due:
                        continue
                    due = seconds + (1.0 / rate if rate else 0.0)
                    yield seconds, frame.to_ndarray(format="rgb24")
                    kept += 1
                    if kept >= self._limits.frames:
                        return
            except (av.error.FFmpegError, IndexError, ValueError, AttributeError) as error:
                if not kept:
                    raise DecodeError(self.name, f"the video cannot be decoded: {error}") from error

    def _container(self) -> Any:
        import av

        try:
            return av.open(io.BytesIO(self.data))
        except (av.error.FFmpegError, ValueError) as error:
            raise UnsupportedFormat(
                self.name, f"the video container is damaged: {error}"
            ) from error
