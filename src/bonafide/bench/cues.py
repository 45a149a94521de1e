"""What a file gives away without a look at its content: size, format, compression, metadata."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.media.video import Video
from bonafide.signals import phash
from bonafide.signals.jpeg import estimate_quality
from bonafide.types import Media

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIC", "MP4", "WEBM")
SIZE_CUES = ("width", "height", "bytes", *(f"is {name}" for name in FORMATS))
CUES = (
    *SIZE_CUES,
    "aspect",
    "pixels",
    "bytes per pixel",
    "width divides by 64",
    "height divides by 64",
    "JPEG quality",
    "JPEG chroma subsampled",
    "JPEG progressive",
    "JPEG usual tables",
    "has EXIF",
    "has camera make",
    "has XMP",
    "has colour profile",
    "has text or comment",
    "is colour",
    "has alpha or palette",
)


@dataclass(frozen=True)
class Cues:
    """The cues of one file.

    Attributes:
        values: float64 (len(CUES),); -1 where a cue has no meaning for the format.
        format: of the container.
        sha256: of the bytes.
        phash: perceptual hash, None where there is none.
        thumbnail: uint8 32×32 that it was made from.
        why: why the file could not be read, "" if it could; then the rest is empty.
    """

    values: NDArray[np.float64]
    format: str = ""
    sha256: str = ""
    phash: int | None = None
    thumbnail: NDArray[np.uint8] | None = None
    why: str = ""


@dataclass(frozen=True)
class Task:
    """A file to read, and the degradation to read it after."""

    path: str
    degradation: str = "native"
    seed: int = 0
    limits: Limits | None = None


def read_cues(task: Task) -> Cues:
    """Read one file; a file at fault is a value, not an exception."""
    try:
        media = open_media(task.path, limits=task.limits)
        digest = media.sha256
        if task.degradation != "native" and isinstance(media, Image):
            from bonafide.bench import degrade

            changed = degrade.apply(media.data, task.degradation, task.seed, limits=task.limits)
            media = Image(changed.data, media.name, limits=task.limits)
        small = _thumbnail(media)
        value = None if small is None else phash.phash(small)
        return Cues(_measure(media), media.format, digest, value, small)
    except MediaError as error:
        return Cues(np.full(len(CUES), -1.0), why=error.why)


def _measure(media: Media) -> NDArray[np.float64]:
    width, height = getattr(media, "width", 0), getattr(media, "height", 0)
    known: dict[str, float] = {f"is {name}": media.format == name for name in FORMATS}
    known |= {
        "width": width,
        "height": height,
        "bytes": len(media.data),
        "aspect": width / max(height, 1),
        "pixels": width * height,
        "bytes per pixel": len(media.data) / max(width * height, 1),
        "width divides by 64": width % 64 == 0,
        "height divides by 64": height % 64 == 0,
    }
    if isinstance(media, Image):
        metadata = media.metadata
        known |= {
            "has EXIF": bool(metadata.exif_bytes),
            "has camera make": "Make" in metadata.exif,
            "has XMP": bool(metadata.xmp),
            "has colour profile": bool(metadata.icc_profile),
            "has text or comment": bool(metadata.text or metadata.comment),
            "is colour": media.mode not in ("L", "LA", "1", "I", "I;16", "F"),
            "has alpha or palette": media.mode in ("RGBA", "LA", "P", "PA"),
        }
        if media.jpeg is not None:
            quality = estimate_quality(media.jpeg.quantisation[0])
            known |= {
                "JPEG quality": quality.quality,
                "JPEG usual tables": quality.exact,
                "JPEG chroma subsampled": media.jpeg.subsampling not in ("4:4:4", "grey"),
                "JPEG progressive": media.jpeg.progressive,
            }
    return np.array([float(known.get(name, -1.0)) for name in CUES])


def _thumbnail(media: Media) -> NDArray[np.uint8] | None:
    """Of a video, the first frame."""
    if isinstance(media, Image):
        return phash.thumbnail(media.orient(_small_luma(media)))
    if isinstance(media, Video):
        for _, frame in media.frames():
            return phash.thumbnail(_luma(frame))
    return None


def _small_luma(media: Image) -> NDArray[np.generic]:
    """Brightness as stored; of a JPEG decoded at a fraction of its size."""
    if media.format == "JPEG" and min(media.width, media.height) >= 8 * phash.SIDE:
        try:
            with Pillow.open(io.BytesIO(media.data), formats=["JPEG"]) as picture:
                picture.draft("L", (4 * phash.SIDE, 4 * phash.SIDE))
                return np.asarray(picture.convert("L"))
        except Exception:  # decoders raise nearly anything; the full decode says why
            pass
    return _luma(media.stored_pixels)


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.generic]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
