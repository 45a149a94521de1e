"""What a report says about the file itself."""

from __future__ import annotations

from bonafide.media.media import Media
from bonafide.types import Fact, MediaFacts


def media_facts(media: Media) -> MediaFacts:
    """What the report says about the file itself."""
    width = height = None
    details: dict[str, Fact] = {}
    if isinstance(media, Image):
        width, height = media.width, media.height
        details = {
            "mode": media.mode,
            "frames": media.frames,
            "orientation": media.orientation,
            "metadata_defects": list(media.metadata.defects),
        }
        if media.jpeg:
            details |= {
                "subsampling": media.jpeg.subsampling,
                "progressive": media.jpeg.progressive,
                "trailing_bytes": media.jpeg.trailing_bytes,
            }
    elif isinstance(media, Video):
        width, height = media.width, media.height
        details = {
            "duration_seconds": round(media.duration, 3),
            "frame_rate": round(media.frame_rate, 3),
            "codec": media.codec,
            "has_audio": media.has_audio,
        }
    return MediaFacts(
        name=media.name,
        path=media.path,
        sha256=media.sha256,
        bytes=len(media.data),
        kind=media.kind,
        format=media.format,
        width=width,
        height=height,
        details=details,
    )
