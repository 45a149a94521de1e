"""Which tracks a file of video or sound has."""

from __future__ import annotations

from typing import Any

from bonafide.errors import UnsupportedFormat
from bonafide.media.audio import AudioTrack
from bonafide.media.container import open_container
from bonafide.media.limits import Limits
from bonafide.media.sources import Source
from bonafide.media.video import VideoTrack

_MOST_TRACKS = 16


def read_tracks(
    source: Source,
    name: str,
    format: str,  # noqa: A002
    limits: Limits,
) -> tuple[VideoTrack | AudioTrack, ...]:
    """The video and audio tracks of a file, from its header; cover pictures are no tracks.

    Raises:
        UnsupportedFormat: the header cannot be read, or there is neither video nor sound.
        LimitExceeded: one frame has more pixels than allowed.
    """
    tracks: list[VideoTrack | AudioTrack] = []
    with open_container(source, name, format) as container:
        for stream in container.streams:
            place = (source, name, format, limits)
            if stream.type == "video" and not _is_cover(stream):
                tracks.append(VideoTrack.of_stream(place, container, stream))
            elif stream.type == "audio":
                tracks.append(AudioTrack.of_stream(place, container, stream))
    if not tracks:
        raise UnsupportedFormat(name, f"this {format} file holds neither video nor sound")
    return tuple(tracks[:_MOST_TRACKS])


def _is_cover(stream: Any) -> bool:
    import av

    cover = getattr(getattr(av.stream, "Disposition", None), "attached_pic", 0x400)
    return bool(int(stream.disposition) & int(cover))
