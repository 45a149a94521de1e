"""EXIF, XMP, IPTC, text chunks and thumbnails as plain values, from whatever a file carries.

Metadata are read before pixels and never trusted: what cannot be parsed becomes an entry of
`Metadata.defects`, not an exception, since a malformed block is itself a fact worth reporting.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from PIL import ExifTags, IptcImagePlugin

from bonafide.media.limits import Limits
from bonafide.media.png import PngMetadata, read_chunks

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

ExifValue = str | int | float | bytes | tuple[Any, ...]

_IPTC_NAMES = {
    (2, 5): "ObjectName",
    (2, 25): "Keywords",
    (2, 40): "SpecialInstructions",
    (2, 55): "DateCreated",
    (2, 60): "TimeCreated",
    (2, 62): "DigitalCreationDate",
    (2, 63): "DigitalCreationTime",
    (2, 65): "OriginatingProgram",
    (2, 70): "ProgramVersion",
    (2, 80): "By-line",
    (2, 85): "By-lineTitle",
    (2, 105): "Headline",
    (2, 110): "Credit",
    (2, 115): "Source",
    (2, 116): "CopyrightNotice",
    (2, 120): "Caption",
    (2, 122): "Writer",
}


@dataclass(frozen=True)
class Metadata:
    """Metadata of one picture.

    Attributes:
        exif: tag name → value, from the main, Exif and Interoperability directories.
        gps: GPS tag name → value.
        preview_exif: tag name → value of the directory of the thumbnail (IFD1).
        exif_bytes: the TIFF-structured block as stored, b"" when absent.
        thumbnail: bytes of the JPEG thumbnail in EXIF, None when absent.
        xmp: the XMP packet as text, "" when absent.
        iptc: dataset name → values.
        text: PNG text chunk keyword → text.
        comment: JPEG or GIF comment.
        icc_profile: bytes of the colour profile, b"" when absent.
        defects: one sentence per block that could not be read.
    """

    exif: Mapping[str, ExifValue] = field(default_factory=dict)
    gps: Mapping[str, ExifValue] = field(default_factory=dict)
    preview_exif: Mapping[str, ExifValue] = field(default_factory=dict)
    exif_bytes: bytes = b""
    thumbnail: bytes | None = None
    xmp: str = ""
    iptc: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    icc_profile: bytes = b""
    defects: tuple[str, ...] = ()


def read_metadata(picture: PillowImage, limits: Limits, data: bytes = b"") -> Metadata:
    """Read all metadata of an opened Pillow picture; `data` are the bytes of its file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metadata = _read_metadata(picture, limits, data)
    # Pillow warns about the parts that it skips.
    warned = dict.fromkeys(f"metadata: {warning.message}"[:300].strip() for warning in caught)
    return replace(metadata, defects=(*metadata.defects, *list(warned)[:20]))


def _read_metadata(picture: PillowImage, limits: Limits, data: bytes) -> Metadata:
    defects: list[str] = []

    def attempt(what: str, read: Callable[[], Any], default: Any) -> Any:
        # Pillow's metadata parsers raise nearly anything on hostile input.
        try:
            return read()
        except Exception as error:
            defects.append(f"{what} is malformed: {type(error).__name__}: {error}"[:300])
            return default

    def bounded(what: str, value: bytes) -> bytes:
        if len(value) <= limits.metadata_bytes:
            return value
        defects.append(f"{what} has {len(value):,} bytes, over the limit, and was not read")
        return b""

    info = picture.info
    png = read_chunks(data, limits) if picture.format == "PNG" else PngMetadata()
    defects += png.defects
    if png.exif:
        info["exif"] = b"Exif\x00\x00" + png.exif
    exif_bytes = bounded("EXIF", _as_bytes(info.get("exif", b"")))
    exif_bytes = exif_bytes.removeprefix(b"Exif\x00\x00")
    exif: dict[str, ExifValue] = {}
    gps: dict[str, ExifValue] = {}
    preview: dict[str, ExifValue] = {}
    thumbnail = None
    if exif_bytes or picture.format in ("TIFF", "MPO"):
        exif, gps = attempt("EXIF", lambda: _read_exif(picture, limits), ({}, {}))
        preview = attempt("the second EXIF directory", lambda: _read_preview(picture, limits), {})
        thumbnail = attempt(
            "the EXIF thumbnail", lambda: _read_thumbnail(picture, exif_bytes), None
        )
    xmp_bytes = bounded("XMP", _as_bytes(info.get("xmp") or png.text.get("XML:com.adobe.xmp")))
    return Metadata(
        exif=exif,
        gps=gps,
        preview_exif=preview,
        exif_bytes=exif_bytes,
        thumbnail=thumbnail,
        xmp=xmp_bytes.decode("utf-8", "replace").strip("\x00"),
        iptc=attempt("IPTC", lambda: _read_iptc(cast("ImageFile", picture)), {}),
        text=png.text,
        comment=bounded("the comment", _as_bytes(info.get("comment", b""))).decode(
            "utf-8", "replace"
        ),
        icc_profile=bounded("the colour profile", _as_bytes(info.get("icc_profile") or b"")),
        defects=tuple(defects),
    )


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "replace") if value else b""


def _plain(value: object, limits: Limits) -> ExifValue:
    """EXIF values as Python values: rationals to float, lists to tuples, text without NULs."""
    if isinstance(value, bytes):
        return value[: limits.metadata_bytes]
    if isinstance(value, str):
        return value.strip("\x00 ")[: limits.metadata_bytes]
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, tuple | list):
        return tuple(_plain(item, limits) for item in value[:1000])
    try:
        number = float(value)  # type: ignore[arg-type]  # IFDRational
    except (TypeError, ValueError, ZeroDivisionError):
        return str(value)[:1000]
    return number if math.isfinite(number) else str(value)[:1000]  # 0/0 has no JSON number


def _read_exif(
    picture: PillowImage, limits: Limits
) -> tuple[dict[str, ExifValue], dict[str, ExifValue]]:
    source = picture.getexif()
    directories = [
        dict(source),
        dict(source.get_ifd(ExifTags.IFD.Exif)),
        dict(source.get_ifd(ExifTags.IFD.Interop)),
    ]
    exif: dict[str, ExifValue] = {}
    for directory in directories:
        for tag, value in directory.items():
            name = ExifTags.TAGS.get(tag, f"0x{tag:04X}")
            if name not in ("ExifOffset", "GPSInfo", "XMLPacket", "ImageResources"):
                exif.setdefault(name, _plain(value, limits))
    gps = {
        ExifTags.GPSTAGS.get(tag, f"0x{tag:04X}"): _plain(value, limits)
        for tag, value in source.get_ifd(ExifTags.IFD.GPSInfo).items()
    }
    return exif, gps


def _read_preview(picture: PillowImage, limits: Limits) -> dict[str, ExifValue]:
    directory = dict(picture.getexif().get_ifd(ExifTags.IFD.IFD1))
    return {
        ExifTags.TAGS.get(tag, f"0x{tag:04X}"): _plain(value, limits)
        for tag, value in directory.items()
    }


def _read_thumbnail(picture: PillowImage, exif_bytes: bytes) -> bytes | None:
    directory = picture.getexif().get_ifd(ExifTags.IFD.IFD1)
    offset, length = directory.get(513), directory.get(514)
    if not isinstance(offset, int) or not isinstance(length, int) or length <= 0:
        return None
    thumbnail = exif_bytes[offset : offset + length]
    return thumbnail if thumbnail[:2] == b"\xff\xd8" else None


def _read_iptc(picture: ImageFile) -> dict[str, tuple[str, ...]]:
    if picture.format not in ("JPEG", "MPO", "TIFF"):
        return {}
    blocks: Mapping[Any, Any] = IptcImagePlugin.getiptcinfo(picture) or {}
    result = {}
    for key, value in list(blocks.items())[:1000]:
        if key in _IPTC_NAMES:
            values = value if isinstance(value, list) else [value]
            result[_IPTC_NAMES[key]] = tuple(
                item.decode("utf-8", "replace") for item in values if isinstance(item, bytes)
            )
    return result


def open_thumbnail(data: bytes) -> PillowImage:
    """Decode an EXIF thumbnail.

    Raises:
        OSError: it is not a JPEG of at most one megapixel.
    """
    from PIL import Image

    picture = Image.open(io.BytesIO(data), formats=["JPEG"])
    if picture.width * picture.height > 1_000_000:
        raise OSError("the thumbnail is larger than one megapixel")
    return picture.convert("RGB")
