"""A still picture: original bytes, pixels on demand, and the structure detectors read."""

from __future__ import annotations

import hashlib
import io
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

# Pillow registers a format when its plugin is imported, and imports only some by itself.
from PIL import (  # isort: skip
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from bonafide.errors import DecodeError, LimitExceeded, UnsupportedFormat
from bonafide.media.jpeg import JpegStructure, read_coefficients, read_structure
from bonafide.media.lazy import lazy, lent
from bonafide.media.limits import Limits
from bonafide.media.metadata import Metadata, read_metadata
from bonafide.questions import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")  # of other formats, further pictures are no motion
FRAME = "FRAME"  # format of a picture that was taken from a video


class Image:
    """One picture; of an animation, the first frame.

    Everything is decoded at first use and kept. Arrays are read-only. Each field has a lock of its
    own, so that threads wait only for what they both need.

    Attributes:
        data: the bytes of the file, b"" for a frame of a video.
        name: the file name shown to people.
        path: where it came from, None for bytes.
        format: "JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIC", or "FRAME".
        limits: what it may cost.
        width, height: size in pixels after orientation.
        orientation: EXIF orientation, 1 to 8; 1 means stored upright.
        mode: pixel layout as stored, in Pillow's names ("RGB", "CMYK", "I;16", …).
        frames: number of frames, 1 for a still picture.
        metadata: EXIF, XMP, IPTC, text chunks, thumbnail.
    """

    kind: ClassVar[Kind] = Kind.IMAGE

    def __init__(
        self,
        data: bytes,
        name: str = "bytes",
        path: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Read the header of `data` and its metadata; pixels are decoded later.

        Raises:
            UnsupportedFormat: no supported picture format recognises the bytes, or it is HEIC
                and `pillow-heif` is not installed.
            DecodeError: the header is damaged.
            LimitExceeded: the picture has more pixels than allowed.
        """
        self.data, self.name, self.path = data, name, path
        self.limits = limits or Limits()
        picture = _open(data, name, self.limits)
        format = str(picture.format)  # noqa: A001
        self.format = {"MPO": "JPEG", "HEIF": "HEIC"}.get(format, format)
        self.limits.check(name, "pixels", picture.width * picture.height)
        self.mode = picture.mode
        self.metadata: Metadata = read_metadata(picture, self.limits, data)
        self.orientation = self._read_orientation()
        stored = (picture.width, picture.height)
        self.width, self.height = stored[::-1] if self.orientation >= 5 else stored
        self._picture: Any = picture

    @classmethod
    def of_pixels(
        cls, pixels: NDArray[np.uint8], name: str = "frame", limits: Limits | None = None
    ) -> Image:
        """A picture from pixels alone, such as a frame of a video.

        It has the format "FRAME", no bytes, no JPEG structure and no metadata.

        Args:
            pixels: uint8 H×W×3 RGB in [0, 255], upright; not copied, and read-only from here on.
            name: how to call it in messages.
            limits: what it may cost.

        Raises:
            LimitExceeded: it has more pixels than allowed.
        """
        image = cls.__new__(cls)
        image.data, image.name, image.path, image.format = b"", name, None, FRAME
        image.limits = limits or Limits()
        image.height, image.width = pixels.shape[:2]
        image.limits.check(name, "pixels", image.width * image.height)
        image.mode, image.orientation, image.metadata = "RGB", 1, Metadata()
        pixels.flags.writeable = False
        image._picture = None
        vars(image).update(frames=1, animated=False, stored_pixels=pixels)
        return image

    def _read_orientation(self) -> int:
        # These are turned upright while they are decoded; their tag then tells only the past.
        value = self.metadata.exif.get("Orientation", 1)
        upright = self.format in ("AVIF", "HEIC", "TIFF") or not isinstance(value, int)
        return 1 if upright or not 1 <= int(value) <= 8 else int(value)  # type: ignore[arg-type]

    @lazy
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of `data`."""
        return hashlib.sha256(self.data).hexdigest()

    @lazy
    def frames(self) -> int:
        """Number of frames, counted up to the frame limit."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                count = int(getattr(self.open_again(), "n_frames", 1))
            except Exception:  # a damaged later frame does not spoil the first
                count = 1
        return max(1, min(count, self.limits.frames))

    @lazy
    def animated(self) -> bool:
        """Whether it has further frames that are shown in turn."""
        if self.format not in ANIMATED:
            return False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with self.open_again() as picture:
                    return bool(getattr(picture, "is_animated", False))
        except Exception:  # a damaged second frame does not spoil the first
            return False

    @lazy
    def stored_pixels(self) -> NDArray[np.uint8]:
        """uint8 H×W×3 RGB in [0, 255] as stored, before orientation; alpha is dropped.

        Raises:
            DecodeError: the pixel data are damaged.
        """
        picture = self._picture or self.open_again()
        self._picture = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array = to_rgb(picture)
        except Exception as error:  # decoders raise nearly anything on damaged input
            raise DecodeError(self.name, _sentence("the pixels", self.format, error)) from error
        finally:
            picture.close()
        array.flags.writeable = False
        return array

    @lazy
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 H×W×3 RGB in [0, 255], upright, read-only.

        Raises:
            DecodeError: the pixel data are damaged.
        """
        return self.orient(self.stored_pixels)

    @lent
    def luma(self) -> NDArray[np.float32]:
        """float32 H×W luma (ITU-R BT.601 weights, as in JPEG) in [0, 255], upright, read-only."""
        return _luma(self.pixels)

    @lent
    def stored_luma(self) -> NDArray[np.float32]:
        """The same as stored, before orientation, where the grid of a JPEG starts at (0, 0)."""
        return self.luma if self.orientation == 1 else _luma(self.stored_pixels)

    @lazy
    def jpeg(self) -> JpegStructure | None:
        """Markers, tables and sampling of a JPEG; None for other containers."""
        return read_structure(self.data) if self.format == "JPEG" else None

    @lazy
    def coefficients(self) -> tuple[NDArray[np.int16], ...]:
        """Exact quantised DCT coefficients of a JPEG, stored orientation, () otherwise.

        int16 (block rows, block columns, 8, 8) per component; see `media.jpeg`.
        Pass maps computed from them through `orient`.

        Raises:
            DecodeError: the entropy-coded data are damaged.
        """
        if self.format != "JPEG":
            return ()
        # libjpeg fills what a cut file lacks with zeros and says so only on the terminal, where
        # Pillow raises; the pixels are wanted by nearly every detector anyway.
        _ = self.stored_pixels
        try:
            return read_coefficients(self.data)
        except Exception as error:
            raise DecodeError(self.name, _sentence("DCT coefficients", "JPEG", error)) from error

    def orient(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Turn an array H×W or H×W×C from stored to upright orientation."""
        array = stored
        if self.orientation >= 5:
            array = np.swapaxes(array, 0, 1)
        if self.orientation in (2, 3, 6, 7):
            array = array[:, ::-1]
        if self.orientation in (3, 4, 7, 8):
            array = array[::-1]
        if array is not stored:
            array = np.ascontiguousarray(array)
            array.flags.writeable = False
        return array

    def open_again(self) -> Pillow.Image:
        """The picture as Pillow opens it, for what reads its frames."""
        return _open(self.data, self.name, self.limits)


def _open(data: bytes, name: str, limits: Limits) -> Pillow.Image:
    formats = list(FORMATS)
    if _is_heic(data):
        _register_heif(name)
        formats = ["HEIF"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Pillow.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise UnsupportedFormat(
            name,
            "not a picture in a supported format (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF, HEIC)",
        ) from None
    except Pillow.DecompressionBombError:
        ceiling = 2 * (Pillow.MAX_IMAGE_PIXELS or 0)
        raise LimitExceeded(
            name,
            f"pixels: far over the limit of {limits.pixels:,} (raise it with --max-pixels)"
            if limits.pixels < ceiling
            else f"pixels: over the {ceiling:,} that Pillow decodes",
        ) from None
    except Exception as error:
        raise DecodeError(name, _sentence("the header", "picture", error)) from error


def _is_heic(data: bytes) -> bool:
    # "mif1" and "msf1" say only "of this family"; the brands that follow say which.
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    if data[4:8] != b"ftyp" or b"avif" in brands or b"avis" in brands:
        return False
    return brands[:4] in (
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1",
    )  # fmt: skip


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        # Of this file, so that the rest of a folder is still examined.
        why = "reading HEIC needs an optional dependency: pip install 'bonafide[heic]'"
        raise UnsupportedFormat(name, why) from None
    if "HEIF" not in Pillow.OPEN:
        pillow_heif.register_heif_opener()


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    import cv2

    luma = np.empty(pixels.shape[:2], np.float32)
    for top in range(0, len(luma), 512):  # strips keep the float copy of RGB small
        strip = pixels[top : top + 512].astype(np.float32)
        cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY, dst=luma[top : top + 512])
    luma.flags.writeable = False
    return luma


def to_rgb(picture: Pillow.Image) -> NDArray[np.uint8]:
    """uint8 H×W×3 RGB in [0, 255] of a picture that Pillow opened; alpha is dropped."""
    mode = picture.mode
    if mode.startswith("I") or mode == "F":
        return _stretch(np.asarray(picture), mode, _depth(picture))
    picture.load()  # first, since a TIFF is turned upright by it
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, 64):  # in one piece, Pillow's way to an array copies thrice
        strip = picture.crop((0, top, width, min(top + 64, height)))
        rows = (strip if mode == "RGB" else strip.convert("RGB")).tobytes()
        pixels[top : top + 64] = np.frombuffer(rows, np.uint8).reshape(-1, width, 3)
    return pixels


def _depth(picture: Pillow.Image) -> int:
    """Bits per sample of a grey TIFF of 9 to 15 bits, which Pillow hands over as 16; else 16."""
    tags = getattr(picture, "tag_v2", {})
    depth = max(tags.get(258, (16,)), default=16)  # BitsPerSample
    return depth if 8 < depth < 16 else 16


def _stretch(values: NDArray[Any], mode: str, depth: int) -> NDArray[np.uint8]:
    """Grey values of more than 8 bits as RGB, in strips, since these pictures can be large.

    Args:
        values: H×W, of any number type.
        mode: in Pillow's names.
        depth: bits per sample: 2**depth - 1 becomes 255.
    """
    strips = range(0, values.shape[0], 512)
    largest = 0.0
    for row in strips:
        strip = values[row : row + 512]
        largest = max(largest, float(strip.max(initial=0, where=np.isfinite(strip))))
    # 12- and 16-bit pictures arrive as I or I;16; larger values are scaled by their maximum.
    top = 255.0 if mode == "F" and largest <= 255 else max(2.0**depth - 1, largest)
    pixels = np.empty((*values.shape, 3), np.uint8)
    for row in strips:
        grey = np.nan_to_num(values[row : row + 512].astype(np.float64)) * (255.0 / top)
        pixels[row : row + 512] = np.clip(grey + 0.5, 0, 255).astype(np.uint8)[..., None]
    return pixels


def _sentence(what: str, format: str, error: Exception) -> str:  # noqa: A002
    detail = str(error).strip().rstrip(".") or type(error).__name__
    return f"{what} of this {format} cannot be decoded: {detail}"[:300]
