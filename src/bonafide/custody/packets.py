"""Put an XMP packet into a file without touching its coded pictures, frames or sound.

Reference: Adobe, XMP Specification Part 3, "Storage in Files", 2020; RFC 9649 (WebP).
"""

from __future__ import annotations

import io
import struct
import zlib

from bonafide.errors import InvalidInput
from bonafide.media.boxes import XMP_UUID, read_boxes
from bonafide.media.jpeg import markers

# Containers in which a packet can be put.
CONTAINERS = ("JPEG", "PNG", "WEBP", "MP4", "MOV", "M4A")
_JPEG_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"
_JPEG_MOST = 65_533 - len(_JPEG_HEAD)
_PNG_HEAD = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00"
_VP8X_XMP, _VP8X_ALPHA = 0x04, 0x10


def with_packet(data: bytes, container: str, packet: bytes) -> bytes:
    """A copy of a file with this XMP packet in place of its own.

    Args:
        data: the file.
        container: one of `CONTAINERS`.
        packet: UTF-8.

    Raises:
        InvalidInput: the file is damaged, or the packet does not fit in.
    """
    write = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}.get(container, _boxes)
    return write(data, packet)


def _jpeg(data: bytes, packet: bytes) -> bytes:
    if len(packet) > _JPEG_MOST:
        raise InvalidInput("its XMP is too long for one segment of a JPEG")
    body = _JPEG_HEAD + packet
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    insert, old, offsets = 2, (0, 0), False
    leading = True
    for marker, start, length in markers(data):
        if marker in (0xDA, 0xD9):
            break
        payload = data[start : start + length]
        if payload.startswith(_JPEG_HEAD) and marker == 0xE1:
            if offsets:  # further pictures are found by their distance from a segment before
                raise InvalidInput("its XMP follows an index of pictures that would no longer fit")
            old = (start - 4, start + length)
            break
        offsets = offsets or payload.startswith(b"MPF\x00")
        leading = leading and payload.startswith((b"JFIF\x00", b"JFXX\x00", b"Exif\x00"))
        if leading:
            insert = start + length
    else:
        raise InvalidInput("this JPEG is damaged before its picture begins")
    first, after = old if old[1] else (insert, insert)
    return data[:first] + segment + data[after:]


def _png(data: bytes, packet: bytes) -> bytes:
    body = _PNG_HEAD + packet
    kind = b"iTXt"
    chunk = struct.pack(">I", len(body)) + kind + body
    chunk += struct.pack(">I", zlib.crc32(kind + body))
    parts = [data[:8]]
    position, placed = 8, False
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 12 + length
        own = kind == b"iTXt" and data.startswith(_PNG_HEAD[:18], position + 8)
        if not own:
            parts.append(data[position:end])
        if kind == b"IHDR" and not placed:
            parts.append(chunk)
            placed = True
        position = end
        if kind == b"IEND":
            break
    else:
        raise InvalidInput("this PNG is cut short")
    if not placed:
        raise InvalidInput("this PNG has no header")
    return b"".join([*parts, data[position:]])


def _webp(data: bytes, packet: bytes) -> bytes:
    chunks: list[tuple[bytes, bytes]] = []
    position, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= end:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        body = data[position + 8 : position + 8 + length]
        if len(body) < length:
            raise InvalidInput("this WebP is cut short")
        chunks.append((data[position : position + 4], body))
        position += 8 + length + length % 2
    chunks = [(kind, body) for kind, body in chunks if kind != b"XMP "]
    if not chunks:
        raise InvalidInput("this WebP holds no picture")
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _extended_header(*chunks[0])))
    head = bytearray(chunks[0][1])
    head[0] |= _VP8X_XMP
    chunks[0] = (b"VP8X", bytes(head))
    chunks.append((b"XMP ", packet))
    out = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)
        for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", len(out)) + out + data[end + end % 2 :]


def _extended_header(kind: bytes, body: bytes) -> bytes:
    """The header that a WebP of one plain picture does without."""
    flags = 0
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        width, height = bits & 0x3FFF, bits >> 14 & 0x3FFF  # each less one
        flags = _VP8X_ALPHA if bits >> 28 & 1 else 0
    elif kind == b"VP8 " and len(body) >= 10:
        width, height = (
            (int.from_bytes(body[at : at + 2], "little") & 0x3FFF) - 1 for at in (6, 8)
        )
    else:
        raise InvalidInput("this WebP is damaged")
    if min(width, height) < 0:
        raise InvalidInput("this WebP is damaged")
    return bytes([flags, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _boxes(data: bytes, packet: bytes) -> bytes:
    """At the end, so that no offset into the frames moves; an older packet becomes free space."""
    out = bytearray(data)
    end = 0
    for box in read_boxes(io.BytesIO(data), len(data)):
        if "/" in box.path:
            continue
        end = box.offset + box.size
        if data[box.offset : box.offset + 4] == bytes(4):
            raise InvalidInput("its last box has no end, so that nothing can follow it")
        if box.kind == "uuid" and box.body.startswith(XMP_UUID):
            out[box.offset + 4 : box.offset + 8] = b"free"
    if end != len(data):
        raise InvalidInput("its boxes are damaged, or more than are read")
    return bytes(out) + struct.pack(">I", 24 + len(packet)) + b"uuid" + XMP_UUID + packet
