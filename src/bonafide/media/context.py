"""What a detector is given: one media, its tracks, and the signals that detectors share.

A `Signal` is a named, versioned function of a context. It is computed once per media under a lock
of its own, so that independent signals never wait for each other, and shared by all who ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from bonafide.errors import UnsupportedFormat

if TYPE_CHECKING:
    from bonafide.media.audio import AudioTrack
    from bonafide.media.image import Image
    from bonafide.media.media import Media
    from bonafide.media.video import VideoTrack

T = TypeVar("T")


@dataclass(frozen=True)
class Signal(Generic[T]):
    """A quantity that several detectors read.

    Attributes:
        name: unique, "jpeg.grid_votes".
        version: changes when its values change.
        compute: from a context to the value, which nobody may change afterwards.
    """

    name: str
    version: str
    compute: Callable[[Context], T]


class Context:
    """One media under examination.

    Attributes:
        media: the file and its tracks.
    """

    def __init__(self, media: Media) -> None:
        self.media = media
        self._values: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()

    @property
    def image(self) -> Image:
        """The picture of a still media.

        Raises:
            UnsupportedFormat: the media has no image track.
        """
        if self.media.image is None:
            raise UnsupportedFormat(self.media.name, "it has no picture")
        return self.media.image

    @property
    def video(self) -> VideoTrack:
        """The video track of a media.

        Raises:
            UnsupportedFormat: the media has no video track.
        """
        if self.media.video is None:
            raise UnsupportedFormat(self.media.name, "it has no video")
        return self.media.video

    @property
    def audio(self) -> AudioTrack:
        """The sound track of a media.

        Raises:
            UnsupportedFormat: the media has no sound track.
        """
        if self.media.audio is None:
            raise UnsupportedFormat(self.media.name, "it has no sound")
        return self.media.audio

    def get(self, signal: Signal[T]) -> T:
        """The value of a signal, computed at the first call.

        Raises:
            MediaError: as its function does, at every call.
        """
        with self._guard:
            lock = self._locks.setdefault(signal.name, threading.RLock())
        with lock:
            if signal.name not in self._values:
                self._values[signal.name] = signal.compute(self)
            return cast(T, self._values[signal.name])
