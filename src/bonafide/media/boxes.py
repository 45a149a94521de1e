"""The boxes of ISO base media files (MP4, MOV, M4A, HEIC, AVIF), within strict bounds.

Only headers and small boxes are read, so that a video of many gigabytes costs as little as a short
one. Sizes are checked against the box around and the file; what is damaged ends the walk there.

Reference: ISO/IEC 14496-12:2022; Apple, QuickTime File Format Specification, 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MOST_BOXES = 3_000
_DEEPEST = 9
_MOST_BODY = 8_192  # bytes kept of one box
_MOST_XMP = 1024 * 1024
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

_INNER = frozenset(
    b"moov trak mdia minf stbl edts udta dinf mvex moof traf mfra ilst iprp ipco tapt gmhd".split()
)
_LISTS = frozenset(b"meta".split())  # boxes whose content follows four bytes of version and flags
_KEPT = frozenset(
    b"ftyp styp hdlr mvhd tkhd mdhd elst keys data name mean vmhd infe pitm ispe XMP_".split()
)


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        path: types from the outermost on, "moov/trak/mdia/hdlr".
        offset: of its first byte in the file.
        size: bytes of the box with its header, as far as they are in the file.
        body: its content, where it is a small box that is of use here; b"" otherwise.
    """

    path: str
    offset: int
    size: int
    body: bytes = b""

    @property
    def kind(self) -> str:
        """The type of the box itself."""
        return self.path.rsplit("/", 1)[-1]


def read_boxes(stream: BinaryIO, size: int) -> tuple[Box, ...]:
    """The boxes of a file in file order, at most 3,000; () for what begins with no box.

    Args:
        stream: seekable; read at many places.
        size: bytes of the file.
    """
    found: list[Box] = []
    for box in _walk(stream, 0, size, "", 1):
        found.append(box)
        if len(found) >= _MOST_BOXES:
            break
    return tuple(found)


def _walk(stream: BinaryIO, position: int, end: int, above: str, depth: int) -> Iterator[Box]:
    while position + 8 <= end:
        stream.seek(position)
        head = stream.read(16)
        if len(head) < 8:
            return
        size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1 and len(head) == 16:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - position
        if size < header or not (_is_type(kind) or above.endswith("ilst/")):
            return
        size = min(size, end - position)
        path = above + _name(kind)
        yield Box(path, position, size, _body(stream, kind, position + header, size - header, path))
        if depth < _DEEPEST:
            start = position + header
            if kind in _LISTS:  # QuickTime writes this box without version and flags
                stream.seek(start)
                start += 0 if stream.read(8)[4:8] in (b"hdlr", b"keys") else 4
            inner = kind in _INNER or kind in _LISTS or above.endswith("ilst/")
            if inner and start < position + size:
                yield from _walk(stream, start, position + size, path + "/", depth + 1)
        position += size


def _body(stream: BinaryIO, kind: bytes, start: int, size: int, path: str) -> bytes:
    text = kind[:1] == b"\xa9" or (path.count("/") == 2 and path.startswith("moov/udta/"))
    if kind == b"uuid":
        stream.seek(start)
        most = _MOST_XMP if stream.read(16) == XMP_UUID else 64
    elif kind in _KEPT or text:
        most = _MOST_XMP if kind == b"XMP_" else _MOST_BODY
    else:
        return b""
    stream.seek(start)
    return stream.read(min(size, most))


def _is_type(kind: bytes) -> bool:
    return all(32 <= byte < 127 or byte == 0xA9 for byte in kind)


def _name(kind: bytes) -> str:
    return "".join(chr(byte) if byte >= 32 else f"\\{byte}" for byte in kind)


def xmp_of(boxes: tuple[Box, ...]) -> str:
    """The XMP packet of a video, "" without one."""
    for box in boxes:
        if box.kind == "uuid" and box.body.startswith(XMP_UUID):
            return box.body[16:].decode("utf-8", "replace")
        if box.path == "moov/udta/XMP_":
            return box.body.decode("utf-8", "replace")
    return ""
