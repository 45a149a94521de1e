"""Containers of video and sound, opened and read by FFmpeg through PyAV.

The demuxer is the one of the container that the first bytes show: FFmpeg is never left to guess,
since some of the formats that it knows (playlists) make it open other files. It reads from a
stream, so that no name is ever taken for an address.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bonafide.errors import UnsupportedFormat
from bonafide.media.sources import Source

_DEMUXERS = {
    "MP4": "mov", "MOV": "mov", "M4A": "mov", "WEBM": "matroska", "MKV": "matroska",
    "AVI": "avi", "WAV": "wav", "MP3": "mp3", "FLAC": "flac", "OGG": "ogg", "MPEG": "mpeg",
    "TS": "mpegts", "FLV": "flv", "ASF": "asf", "AMR": "amr", "CAF": "caf", "AU": "au",
    "AIFF": "aiff", "AAC": "aac",
}  # fmt: skip
_BUFFER = 131_072  # bytes per call into Python
_MOST_ERRORS = 250  # damaged packets or frames in a row after which the rest is given up
_MOST_DEFECTS = 20
_MOST_TEXTS = 200
_LONGEST_TEXT = 1_000_000  # characters; ComfyUI writes whole graphs


class Defects:
    """What is damaged in a track, as sentences; several threads may add."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}
        self._guard = threading.Lock()

    def add(self, sentence: str) -> None:
        """Add a sentence, unless it is known or there are many."""
        with self._guard:
            if len(self._found) < _MOST_DEFECTS:
                self._found.setdefault(sentence)

    @property
    def found(self) -> tuple[str, ...]:
        """Those that were added so far, in order."""
        with self._guard:
            return tuple(self._found)


@contextmanager
def open_container(source: Source, name: str, format: str) -> Iterator[Any]:  # noqa: A002
    """An open `av.container.InputContainer`.

    Raises:
        UnsupportedFormat: FFmpeg cannot read the header.
        SourceError: the file is gone or has changed.
    """
    import av

    with source.open() as stream:
        try:
            container = av.open(stream, format=_DEMUXERS[format], buffer_size=_BUFFER)
        except errors() as error:
            why = f"this {format} file is damaged: its header cannot be read ({words_of(error)})"
            raise UnsupportedFormat(name, why[:300]) from error
        with container:
            yield container


def texts(source: Source, name: str, format: str) -> dict[str, str]:  # noqa: A002
    """Place → text of the metadata of a container and its tracks, bounded.

    Raises:
        UnsupportedFormat: FFmpeg cannot read the header.
        SourceError: the file is gone or has changed.
    """
    found: dict[str, str] = {}
    with open_container(source, name, format) as container:
        for place, owner in (("container", container), *(("track", s) for s in container.streams)):
            for key, value in list(owner.metadata.items())[:_MOST_TEXTS]:
                if isinstance(value, str) and len(found) < _MOST_TEXTS:
                    found.setdefault(f"{place} '{key[:60]}'", value[:_LONGEST_TEXT])
    return found


def errors() -> tuple[type[BaseException], ...]:
    """What PyAV raises on damaged input."""
    import av

    return (
        av.error.FFmpegError, OSError, ValueError, IndexError, AttributeError, TypeError,
        ZeroDivisionError, OverflowError,
    )  # fmt: skip


def words_of(error: BaseException) -> str:
    """What FFmpeg says of an error, without its number."""
    return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__


def origin(container: Any) -> float:
    """Time of the first frame or sample of a file by its own clock, seconds."""
    return float(container.start_time or 0) / 1e6


def duration(container: Any, stream: Any) -> float:
    """Declared duration of a stream in seconds, 0.0 when unknown."""
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, float(container.duration or 0) / 1e6)


def bit_rate(container: Any, stream: Any) -> int | None:
    """Declared bits per second of a stream, of its container where the stream does not say."""
    known = getattr(stream.codec_context, "bit_rate", None)
    return int(known or container.bit_rate or 0) or None


class Pass:
    """One pass over the frames of a stream, decoded one after the other.

    Attributes:
        damaged: whether something could not be decoded since the last seek.
        seconds, until: start and end of the last frame, in seconds from the start of the file.
    """

    def __init__(
        self, container: Any, stream: Any, defects: Defects, declared: float = 0.0
    ) -> None:
        """Start at the beginning.

        Args:
            container: stays open during the pass.
            stream: of it.
            defects: are added to.
            declared: duration by the header, seconds; a stream that ends long before is damaged.
        """
        self.damaged = False
        self.seconds = self.until = 0.0
        self._container = container
        self._stream = stream
        self._defects = defects
        self._declared = declared
        self._origin = origin(container)
        self._frames = self._decode()

    def next(self) -> Any | None:
        """The next frame (an `av.VideoFrame` or `av.AudioFrame`) that is intact; None at the end.

        What is damaged is skipped, and recorded as a defect.
        """
        return next(self._frames, None)

    def seek(self, seconds: float) -> None:
        """Go on from the last keyframe at or before a time; stay where a seek is not possible."""
        try:
            where = round((seconds + self._origin) / self._stream.time_base)
            self._container.seek(where, stream=self._stream)
        except errors():
            return
        self.damaged = False
        self._frames = self._decode()

    def is_keyframe_ahead(self, seconds: float, position: float) -> bool | None:
        """Whether a keyframe lies after `position` and not after `seconds`; None if unknown."""
        try:
            entries, unit = self._stream.index_entries, self._stream.time_base
            wanted = round((seconds + self._origin) / unit)
            if not len(entries) or entries[len(entries) - 1].timestamp < wanted:
                return None
            found = entries.search_timestamp(wanted)
            if found < 0:
                return None
            return bool(entries[found].timestamp * unit - self._origin > position + 1e-6)
        except errors():  # older PyAV has no index
            return None

    def _decode(self) -> Iterator[Any]:
        failed = 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except errors() as error:
                    failed += 1
                    self._note(error)
                    frames = []
                for frame in frames:
                    self._keep_time(frame)
                    failed = failed + 1 if frame.is_corrupt else 0
                    if frame.is_corrupt:
                        self._note(None)
                    else:
                        yield frame
                if failed > _MOST_ERRORS:
                    return
        except errors() as error:
            self._note(error)
            return
        missing = self._declared - self.until
        if missing > max(1.0, 0.1 * self._declared):
            self.damaged = True
            self._defects.add(
                f"ends after {self.until:.1f} s, though its header declares {self._declared:.1f} s"
            )

    def _keep_time(self, frame: Any) -> None:
        if frame.time is None:
            self.seconds = self.until
        else:
            self.seconds = float(frame.time) - self._origin
        if getattr(frame, "sample_rate", 0):
            length = frame.samples / frame.sample_rate
        elif getattr(frame, "duration", 0) and frame.time_base:
            length = float(frame.duration * frame.time_base)
        else:
            length = 1 / float(getattr(self._stream, "average_rate", None) or 25)
        self.until = self.seconds + length

    def _note(self, error: BaseException | None) -> None:
        self.damaged = True
        detail = f" ({words_of(error)})" if error else ""
        self._defects.add(f"damaged after {max(self.until, 0.0):.1f} s{detail}"[:200])
