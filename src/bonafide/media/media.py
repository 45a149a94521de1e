"""A file that was opened: where its bytes are, what it is, and its tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

from bonafide.media.limits import Limits
from bonafide.media.sources import BytesSource
from bonafide.questions import Kind

if TYPE_CHECKING:
    from bonafide.media.audio import AudioTrack
    from bonafide.media.image import Image
    from bonafide.media.sources import Source
    from bonafide.media.video import VideoTrack

    Track = Image | VideoTrack | AudioTrack


class Media:
    """One file.

    Attributes:
        source: its bytes; nothing is stripped or re-saved.
        name: the file name shown to people.
        path: where it came from, None for bytes and streams.
        format: the container, upper case: "JPEG", "PNG", "MP4", "WAV", "PDF"…
        kind: what sort of file it is.
        tracks: its pictures, videos and sounds, in file order. An animated picture has an `Image`,
            its first frame, and a `VideoTrack` over its frames; a document has none.
    """

    def __init__(
        self,
        source: Source,
        name: str,
        path: str | None,
        format: str,  # noqa: A002
        kind: Kind,
        tracks: tuple[Track, ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self.source = source
        self.name = name
        self.path = path
        self.format = format
        self.kind = kind
        self.tracks = tracks
        self._limits = limits or Limits()

    @classmethod
    def of_image(cls, image: Image) -> Media:
        """The media of one picture that is in memory."""
        tracks: tuple[Track, ...] = (image,)
        if image.animated:
            from bonafide.media.animation import AnimationTrack

            tracks = (image, AnimationTrack(image))
        source = BytesSource(image.data, image.name)
        return cls(source, image.name, image.path, image.format, Kind.IMAGE, tracks, image.limits)

    @property
    def image(self) -> Image | None:
        """The first picture, None without one."""
        return cast("Image | None", self._first(Kind.IMAGE))

    @property
    def video(self) -> VideoTrack | None:
        """The first video track, None without one."""
        return cast("VideoTrack | None", self._first(Kind.VIDEO))

    @property
    def audio(self) -> AudioTrack | None:
        """The first audio track, None without one."""
        return cast("AudioTrack | None", self._first(Kind.AUDIO))

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.source.size

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file, read piece by piece at first use.

        Raises:
            SourceError: the file is gone or has changed.
        """
        return self.source.sha256

    def open(self) -> BinaryIO:
        """A stream over the bytes, at its beginning, independent of other streams.

        Raises:
            SourceError: the file is gone or has changed.
        """
        return self.source.open()

    def head(self, count: int) -> bytes:
        """The first `count` bytes, fewer of a shorter file."""
        with self.open() as stream:
            return stream.read(count)

    def read(self) -> bytes:
        """All bytes at once, for what reads provenance; not meant for long videos.

        Raises:
            LimitExceeded: the file has more than `Limits.file_bytes`.
            SourceError: the file is gone or has changed.
        """
        if isinstance(self.source, BytesSource):
            return self.source.data
        self._limits.check(self.name, "file_bytes", self.size)
        with self.open() as stream:
            return stream.read()

    def _first(self, kind: Kind) -> Track | None:
        return next((track for track in self.tracks if track.kind is kind), None)
