"""What a report says about the file itself."""

from __future__ import annotations

from bonafide.media.media import Media
from bonafide.types import Fact, MediaFacts


def media_facts(media: Media) -> MediaFacts:
    """Name, size, container, and what the headers of its tracks say."""
    width = height = None
    details: dict[str, Fact] = {}
    if (image := media.image) is not None:
        width, height = image.width, image.height
        details = {
            "mode": image.mode,
            "frames": image.frames,
            "orientation": image.orientation,
            "metadata_defects": list(image.metadata.defects),
        }
        if image.jpeg:
            details |= {
                "subsampling": image.jpeg.subsampling,
                "progressive": image.jpeg.progressive,
                "trailing_bytes": image.jpeg.trailing_bytes,
            }
    elif (video := media.video) is not None:
        width, height = video.width, video.height
        details = {
            "duration_seconds": round(video.duration, 3),
            "frame_rate": round(video.frame_rate, 3),
            "codec": video.codec,
            "rotation": video.rotation,
            "has_audio": media.audio is not None,
            "defects": list(video.defects),
        }
    if (audio := media.audio) is not None:
        details |= {
            "audio_codec": audio.codec,
            "audio_seconds": round(audio.duration, 3),
            "sample_rate": audio.sample_rate,
            "channels": audio.channels,
        }
    return MediaFacts(
        name=media.name,
        path=media.path,
        sha256=media.sha256,
        bytes=media.size,
        kind=media.kind,
        format=media.format,
        width=width,
        height=height,
        details=details,
    )
