"""The text and EXIF of a PNG, read from its chunks without decoding pixels.

Pillow decodes the whole picture, and every frame of an animated one, before it gives the text
that follows the pixels; and it gives none for a file that was cut short.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from bonafide.media.limits import Limits

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_TEXTS = 1_000
_MAX_CHUNKS = 200_000


@dataclass
class PngMetadata:
    """What the chunks of a PNG hold beside pixels.

    Attributes:
        text: keyword → text of tEXt, zTXt and iTXt; of equal keywords the last one counts.
        exif: the TIFF-structured block of eXIf, or of the older text profile; b"" when absent.
        defects: one sentence per chunk that could not be read.
    """

    text: dict[str, str] = field(default_factory=dict)
    exif: bytes = b""
    defects: list[str] = field(default_factory=list)


def read_chunks(data: bytes, limits: Limits) -> PngMetadata:
    """Walk the chunks of the PNG `data` to its end, or to where it was cut."""
    found = PngMetadata()
    if not data.startswith(_SIGNATURE):
        return found
    position = len(_SIGNATURE)
    left = 4 * limits.metadata_bytes  # for all texts together, after decompression
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            label = kind.decode("ascii")
            body = data[position + 8 : position + 8 + length]
            if len(body) < length:
                found.defects.append(f"the {label} chunk is cut short")
            elif kind == b"eXIf":
                found.exif = body.removeprefix(b"Exif\x00\x00")
            elif length > limits.metadata_bytes:
                found.defects.append(f"a {label} chunk of {length:,} bytes was not read")
            elif len(found.text) < _MAX_TEXTS and left > 0:
                try:
                    keyword, text = _read_text(kind, body, min(left, limits.metadata_bytes))
                    found.text[keyword] = text
                    left -= len(text)
                except (ValueError, zlib.error) as error:
                    found.defects.append(f"a {label} chunk is malformed: {error}"[:300])
        if kind == b"IEND":
            break
        position += 12 + length
    if not found.exif:
        found.exif = _read_profile(found.text)
    del found.defects[20:]
    return found


def _read_text(kind: bytes, body: bytes, limit: int) -> tuple[str, str]:
    keyword, separator, rest = body.partition(b"\x00")
    if not separator or not 0 < len(keyword) < 80:
        raise ValueError("no keyword of 1 to 79 bytes")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, _decode(rest)
    if kind == b"zTXt":
        return name, _decode(_inflate(rest[1:], limit))
    if len(rest) < 2:
        raise ValueError("it is cut short")
    compressed = rest[0] == 1
    parts = rest[2:].split(b"\x00", 2)
    if len(parts) < 3:
        raise ValueError("it is cut short")
    text = _inflate(parts[2], limit) if compressed else parts[2]
    return name, text.decode("utf-8", "replace")


def _decode(text: bytes) -> str:
    """Latin-1 by the standard, UTF-8 by the habit of many writers."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _inflate(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(body, limit)
    if inflater.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {limit:,} bytes")
    return text


def _read_profile(text: dict[str, str]) -> bytes:
    """EXIF that ImageMagick wrote as hexadecimal text before PNG had a chunk for it."""
    for keyword in ("Raw profile type exif", "Raw profile type APP1"):
        lines = text.get(keyword, "").split("\n")
        try:
            block = bytes.fromhex("".join(lines[3:]))
        except ValueError:
            continue
        if block.startswith(b"Exif\x00\x00"):
            return block[6:]
    return b""
