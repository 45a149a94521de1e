"""What is compared of the way in which a file was written: keys from the closest to the widest.

Two files get the same key where a program would have written both in the same way. A key holds no
content: not the size of the picture, not its quality where a table is scaled by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bonafide.media.boxes import Box
from bonafide.media.chunks import PngWriting
from bonafide.media.jpeg import ZIGZAG
from bonafide.media.jpeg_writing import JpegWriting
from bonafide.signals.jpeg import standard_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The luma and chroma tables at quality 50 that programs scale as the IJG library does: annex K of
# ITU-T T.81, and the tables that MozJPEG took over from N. Robidoux (row-major; the same for both).
_ROBIDOUX = (
    "16 16 16 18 25 37 56 85 16 17 20 27 34 40 53 75 16 20 24 31 43 62 91 135 18 27 31 40 53 74 "
    "106 156 25 34 43 53 69 94 131 189 37 40 62 74 94 124 169 238 56 53 91 106 131 169 226 311 85 "
    "75 135 156 189 238 311 418"
)
# The ten scans that libjpeg writes for three components.
_LIBJPEG_SCANS = (
    "0,1,2:0-0:01 0:1-5:02 2:1-63:01 1:1-63:01 0:6-63:02 0:1-63:21 0,1,2:0-0:10 2:1-63:10 "
    "1:1-63:10 0:1-63:10"
)
# Metadata that come with the content and are kept by many programs; "Photoshop" holds IPTC fields.
_CONTENT = frozenset(
    ("Exif", "XMP", "XMP-extension", "ICC", "JUMBF", "MPF", "gain-map", "Photoshop", "COM")
)
_STRUCTURE = frozenset(
    ("IHDR", "sRGB", "gAMA", "cHRM", "PLTE", "tRNS", "sBIT", "bKGD", "IDAT", "IEND")
)
_TOLD = frozenset(("edts", "udta", "free", "uuid", "iods", "tapt", "skip", "wide"))
LEVELS = ("whole", "near", "grammar")  # from the closest to the widest


@dataclass(frozen=True)
class Scaled:
    """Quantisation tables as scaled from known ones.

    Attributes:
        base: "annex K" or "Robidoux" where all tables are scaled from these, "" otherwise.
        quality: the quality number by which they are, 0 where there is none.
    """

    base: str
    quality: int


def scaled(writing: JpegWriting) -> Scaled:
    """Which known tables a JPEG uses, and at which quality."""
    luma, chroma = (
        table and tuple(min(value, 255) for value in table) for table in _tables(writing)
    )
    for base in ("annex K", "Robidoux"):
        for quality in range(100, 0, -1):
            if luma == _scaled(base, quality, False):
                if chroma is None or chroma == _scaled(base, quality, True):
                    return Scaled(base, quality)
                break
    return Scaled("", 0)


def tables_name(writing: JpegWriting) -> str:
    """The tables of a JPEG: a known base, or eight hexadecimal digits of their hash."""
    known = scaled(writing).base
    if known:
        return known
    return _hash(repr(_tables(writing)))


def jpeg_keys(writing: JpegWriting) -> dict[str, str]:
    """Level → key of a JPEG.

    "whole" holds the order of all segments and whether a resolution is given, "near" leaves out
    that and metadata, which come with the content, and "grammar" also what tables stand there if
    they are no scaled known ones.
    """
    order = [name for name in writing.names if name[:3] in ("DQT", "DHT", "SOF", "DRI")]
    apps: list[str] = []
    for name in writing.names:
        if name[:3] not in ("DQT", "DHT", "SOF", "DRI") and apps[-1:] != [name]:
            apps.append(name)
    jfif = writing.jfif.split(" ")
    head = jfif[0] + ("" if len(jfif) < 3 or jfif[1:] == ["0", "1x1"] else " resolution")
    base = scaled(writing).base
    coding = [
        " ".join(order), writing.huffman, _scans(writing),
        " ".join(f"{n}:{h}x{v}:{t}" for n, h, v, t in writing.components),
    ]  # fmt: skip
    tables = base or tables_name(writing)
    bare = " ".join(name for name in apps if name not in _CONTENT)
    return {
        "whole": "|".join(("jpeg", *coding, tables, " ".join(apps), head)),
        "near": "|".join(("jpeg", *coding, tables, bare, jfif[0])),
        "grammar": "|".join(("jpeg", *coding, base or "own tables", bare, jfif[0])),
    }


def png_keys(writing: PngWriting) -> dict[str, str]:
    """Level → key of a PNG; "grammar" leaves the order of the chunks out."""
    sizes = writing.packets
    packet = str(max(sizes)) if len(sizes) > 1 and len(set(sizes[:-1])) == 1 else "varied"
    packet = "one" if len(sizes) == 1 else packet
    window = "full" if writing.window == 32768 else "fitted"
    coding = ["png", packet, f"{writing.level} {window}", filters_name(writing)]
    bare = " ".join(name for name in writing.names if name in _STRUCTURE)
    return {
        "whole": "|".join([*coding, " ".join(writing.names)]),
        "near": "|".join([*coding, bare]),
        "grammar": "|".join(coding),
    }


def boxes_keys(boxes: Sequence[Box]) -> dict[str, str]:
    """Level → key of an ISO base media file, from its first boxes and its handlers."""
    brands = next((_brands(box.body) for box in boxes if box.kind == "ftyp"), "")
    top = " ".join(dict.fromkeys(box.kind for box in boxes if "/" not in box.path))
    inner = " ".join(
        dict.fromkeys(
            box.path for box in boxes if box.path.startswith("meta/") or box.kind in _TOLD
        )
    )
    handlers = " ".join(dict.fromkeys(handler(box.body) for box in boxes if box.kind == "hdlr"))
    return {
        "whole": "|".join(("boxes", brands, top, inner, handlers)),
        "near": "|".join(("boxes", brands, top, handlers)),
    }


def webp_keys(chunks: Sequence[str]) -> dict[str, str]:
    """Level → key of a WebP; nearly all programs use the same library, so little is told."""
    return {"whole": "|".join(("webp", " ".join(chunks)))} if chunks else {}


def _brands(body: bytes) -> str:
    brands = [body[k : k + 4].decode("latin-1") for k in range(0, min(len(body), 80), 4)]
    return " ".join([*brands[:1], *brands[2:]])  # the second is a version


def handler(body: bytes) -> str:
    """Type and name in a handler box, "vide VideoHandler"."""
    name = body[24:].split(b"\x00")[0]
    if name and name[0] == len(body) - 25:  # QuickTime writes the length first
        name = name[1:]
    text = name.decode("utf-8", "replace").strip()
    return f"{body[8:12].decode('latin-1')} {text}".strip()


def filters_name(writing: PngWriting) -> str:
    """The filter of the rows of a PNG, "chosen by row" for several, or "unread"."""
    names = ("none", "sub", "up", "average", "Paeth")
    if not writing.filters:
        return "unread"
    used = [name for name, share in zip(names, writing.filters, strict=True) if share > 0]
    return used[0] if len(used) == 1 else "chosen by row"


def short(key: str) -> str:
    """The name of a key in the table: 12 hexadecimal digits."""
    return _hash(key, 12)


def plain_order(writing: JpegWriting) -> str:
    """The segments before the first scan, for people; runs of the same kind once."""
    names: list[str] = []
    for name in writing.names:
        name = name.rstrip("1") if name[:3] in ("DQT", "DHT") else name
        if names[-1:] != [name] or name in ("DQT", "DHT"):
            names.append(name)
    return " ".join(names)


def carries(writing: JpegWriting) -> tuple[str, ...]:
    """Kinds of metadata in a JPEG, in order."""
    return tuple(dict.fromkeys(name for name in writing.names if name in _CONTENT))


def _scans(writing: JpegWriting) -> str:
    if not writing.scans:
        return "baseline"
    ids = [str(one[0]) for one in writing.components]
    told = _LIBJPEG_SCANS
    if len(ids) == 3:
        parts = []
        for scan in told.split(" "):
            who, rest = scan.split(":", 1)
            parts.append(",".join(ids[int(k)] for k in who.split(",")) + ":" + rest)
        if writing.scans == " ".join(parts):
            return "libjpeg's scans"
    return "scans from 0" if writing.scans.split(" ")[0].endswith(":0-0:00") else "other scans"


def _tables(writing: JpegWriting) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Luma and chroma table of a JPEG; one of 64 ones where the file lacks it."""
    found = dict(writing.tables)
    numbers = [table for *_, table in writing.components]
    luma = found.get(numbers[0], (1,) * 64)
    return luma, found.get(numbers[1], (1,) * 64) if len(numbers) > 2 else None


@cache
def _scaled(base: str, quality: int, chroma: bool) -> tuple[int, ...]:
    if base == "annex K":
        table: NDArray[np.int32] = standard_table(quality, chroma)
    else:
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        values = np.array(_ROBIDOUX.split(), np.int64)
        table = np.clip((values * scale + 50) // 100, 1, 255).astype(np.int32)
    return tuple(int(value) for value in table.reshape(-1)[ZIGZAG])


def _hash(text: str, digits: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
