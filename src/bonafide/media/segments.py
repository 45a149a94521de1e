"""Texts of a JPEG outside of EXIF, XMP and IPTC: comments, other APP segments, Samsung's trailer.

Every length is checked against the bytes; what is damaged ends the walk.

Reference: ITU-T T.81, 1992, annex B. The trailer is described by the tag tables of ExifTool
(Samsung.pm): blocks with names, a directory between "SEFH" and "SEFT" at the end of the file.
"""

from __future__ import annotations

from collections.abc import Mapping

_MOST_SEGMENTS = 2_000
_MOST_BLOCKS = 200
_MOST_BYTES = 1024 * 1024  # of one block
_MOST_TEXT = 16_384  # characters of one segment
# Segments that are read elsewhere, or hold no text, by how they begin.
_READ_ELSEWHERE = (
    b"JFIF", b"JFXX", b"Exif\x00", b"http://ns.adobe.com/xap", b"http://ns.adobe.com/xmp/ext",
    b"ICC_PROFILE", b"Photoshop 3.0", b"JP", b"MPF\x00", b"Adobe\x00", b"Ducky", b"FPXR",
    b"urn:iso:std:iso:ts:21496",
)  # fmt: skip


def jpeg_texts(data: bytes) -> dict[str, str]:
    """Place → text of the comments and unknown APP segments before the picture."""
    found: dict[str, str] = {}
    if data[:2] != b"\xff\xd8":
        return found
    position = 2
    for _ in range(_MOST_SEGMENTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill
            position += 1
            continue
        if marker in (0xDA, 0xD9):
            break
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + length]
        if length < 2:
            break
        place = ""
        if marker == 0xFE:
            place = "JPEG comment"
        elif 0xE0 <= marker <= 0xEF and not body.startswith(_READ_ELSEWHERE):
            place = f"JPEG APP{marker - 0xE0}"
        text = printable(body) if place else ""
        if text:
            number = sum(one.startswith(place) for one in found)
            found[place + (f" {number + 1}" if number else "")] = text
        position += 2 + length
    return found


def printable(data: bytes) -> str:
    """Bytes as text where nearly all of it is printable, "" otherwise."""
    head = data[:_MOST_TEXT]
    codec = "utf-8"
    if head[:8] == b"UNICODE\x00":
        head = head[8:]
        codec = "utf-16-be" if head[:1] == b"\x00" else "utf-16-le"
    elif head[:8] in (b"ASCII\x00\x00\x00", bytes(8)):
        head = head[8:]
    text = head.decode(codec, "replace").strip("\x00 \r\n\t")
    good = sum(one.isprintable() or one in "\r\n\t" for one in text) - text.count("�")
    return text if len(text) >= 4 and good >= 0.95 * len(text) else ""


def samsung_trailer(data: bytes) -> Mapping[str, bytes]:
    """Name → content of the blocks that Samsung's programs write behind a picture."""
    found: dict[str, bytes] = {}
    if data[-4:] != b"SEFT" or len(data) < 24:
        return found
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - size
    if size < 12 or start < 0 or data[start : start + 4] != b"SEFH":
        return found
    count = int.from_bytes(data[start + 8 : start + 12], "little")
    for index in range(min(count, _MOST_BLOCKS)):
        entry = data[start + 12 + 12 * index : start + 24 + 12 * index]
        if len(entry) < 12:
            break
        offset, length = (int.from_bytes(entry[at : at + 4], "little") for at in (4, 8))
        if not 8 <= length <= _MOST_BYTES or not length <= offset <= start:
            continue
        block = data[start - offset : start - offset + length]
        named = int.from_bytes(block[4:8], "little")
        if 0 < named <= min(200, len(block) - 8):
            name = block[8 : 8 + named].decode("ascii", "replace")
            found[name] = block[8 + named :]
    return found
