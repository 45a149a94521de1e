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
from bonafide.media.media import Media
from bonafide.media.sampling import Sampling
from bonafide.media.source import open_media
from bonafide.signals import phash
from bonafide.signals.jpeg import estimate_quality

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
        if task.degradation != "native" and media.image is not None:
            from bonafide.bench import degrade

            changed = degrade.apply(media.read(), task.degradation, task.seed, limits=task.limits)
            media = Media.of_image(Image(changed.data, media.name, limits=task.limits))
        small = _thumbnail(media)
        value = None if small is None else phash.phash(small)
        return Cues(_measure(media), media.format, digest, value, small)
    except MediaError as error:
        return Cues(np.full(len(CUES), -1.0), why=error.why)


def _measure(media: Media) -> NDArray[np.float64]:
    track = media.image or media.video
    width, height = (track.width, track.height) if track else (0, 0)
    known: dict[str, float] = {f"is {name}": media.format == name for name in FORMATS}
    known |= {
        "width": width,
        "height": height,
        "bytes": media.size,
        "aspect": width / max(height, 1),
        "pixels": width * height,
        "bytes per pixel": media.size / max(width * height, 1),
        "width divides by 64": width % 64 == 0,
        "height divides by 64": height % 64 == 0,
    }
    if (image := media.image) is not None:
        metadata = image.metadata
        known |= {
            "has EXIF": bool(metadata.exif_bytes),
            "has camera make": "Make" in metadata.exif,
            "has XMP": bool(metadata.xmp),
            "has colour profile": bool(metadata.icc_profile),
            "has text or comment": bool(metadata.text or metadata.comment),
            "is colour": image.mode not in ("L", "LA", "1", "I", "I;16", "F"),
            "has alpha or palette": image.mode in ("RGBA", "LA", "P", "PA"),
        }
        if image.jpeg is not None:
            quality = estimate_quality(image.jpeg.quantisation[0])
            known |= {
                "JPEG quality": quality.quality,
                "JPEG usual tables": quality.exact,
                "JPEG chroma subsampled": image.jpeg.subsampling not in ("4:4:4", "grey"),
                "JPEG progressive": image.jpeg.progressive,
            }
    return np.array([float(known.get(name, -1.0)) for name in CUES])


def _thumbnail(media: Media) -> NDArray[np.uint8] | None:
    """Of a video, the first frame."""
    if media.image is not None:
        return phash.thumbnail(media.image.orient(_small_luma(media.image)))
    if media.video is not None:
        for frame in media.video.frames(Sampling(max_kept=1)):
            return phash.thumbnail(_luma(frame.pixels))
    return None


def _small_luma(image: Image) -> NDArray[np.generic]:
    """Brightness as stored; of a JPEG decoded at a fraction of its size."""
    if image.format == "JPEG" and min(image.width, image.height) >= 8 * phash.SIDE:
        try:
            with Pillow.open(io.BytesIO(image.data), formats=["JPEG"]) as picture:
                picture.draft("L", (4 * phash.SIDE, 4 * phash.SIDE))
                return np.asarray(picture.convert("L"))
        except Exception:  # decoders raise nearly anything; the full decode says why
            pass
    return _luma(image.stored_pixels)


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.generic]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
