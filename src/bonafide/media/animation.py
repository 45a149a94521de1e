"""The frames of an animated picture (GIF, APNG, WebP, AVIF) as a video track."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bonafide.media.container import Defects
from bonafide.media.image import Image, to_rgb
from bonafide.media.lazy import lazy
from bonafide.media.sampling import Reader, Sampling
from bonafide.media.sources import BytesSource
from bonafide.media.video import Coded, Turn, VideoTrack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHORTEST = 0.011  # seconds; browsers show frames that declare less for 0.1 s
_USUAL = 0.1  # seconds


class AnimationTrack(VideoTrack):
    """The frames of a picture that is animated, each shown for its declared duration."""

    def __init__(self, image: Image) -> None:
        """Nothing is decoded yet."""
        self._image = image
        source = BytesSource(image.data, image.name)
        self._source, self.name, self._format = source, image.name, image.format
        self._limits = image.limits
        self._stored_size = image.width, image.height
        self._defects = Defects()
        self.index = 0
        self.codec = "apng" if image.format == "PNG" else image.format.lower()
        self.bit_rate = None
        # What the class says of its frames is found out when it is asked for, see below.

    def coded(self, most: int = 20_000) -> tuple[Coded, ...]:
        """Nothing: an animated picture has no packets."""
        return ()

    @lazy
    def frames_declared(self) -> int:
        """Number of frames, counted up to the frame limit."""
        return self._image.frames

    @lazy
    def duration(self) -> float:
        """Seconds that one turn of the animation takes, up to the frame limit."""
        end = 0.0
        with self._reader(Sampling()) as reader:
            while (frame := reader.next()) is not None:
                end = frame.until
        return end

    @lazy
    def frame_rate(self) -> float:
        """Average frames per second."""
        return self.frames_declared / self.duration if self.duration else 0.0

    @lazy
    def turn(self) -> Turn:
        """None: the picture turns its frames."""
        return Turn()

    @contextmanager
    def _reader(self, sampling: Sampling) -> Iterator[Reader]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with self._image.open_again() as picture:
                yield _Frames(picture, self._image, self._defects.add)


class _Frames:
    """Frames in order; one rests on those before it, so that there are no keyframes to seek."""

    def __init__(self, picture: Any, image: Image, note: Any) -> None:
        self.damaged = False
        self._picture = picture
        self._image = image
        self._note = note
        self._number = 0
        self._until = 0.0

    def next(self) -> _Frame | None:
        if self._number >= self._image.limits.frames:
            return None
        try:
            self._picture.seek(self._number)
            self._picture.load()
            found = self._picture.copy()
        except EOFError:
            return None
        except Exception as error:  # decoders raise nearly anything on damaged input
            self.damaged = True
            detail = " ".join(str(error).split()) or type(error).__name__
            self._note(f"damaged after {self._until:.1f} s ({detail})"[:200])
            return None
        declared = float(self._picture.info.get("duration") or 0.0) / 1000
        seconds = self._until
        self._until += declared if declared >= _SHORTEST else _USUAL
        self._number += 1
        return _Frame(seconds, self._until, found, self._image)

    def seek(self, seconds: float) -> None:
        """Does nothing."""

    def is_keyframe_ahead(self, seconds: float, position: float) -> bool | None:
        """False."""
        return False


@dataclass(frozen=True)
class _Frame:
    seconds: float
    until: float
    picture: Any
    image: Image

    def pixels(self) -> NDArray[np.uint8]:
        return self.image.orient(to_rgb(self.picture))
