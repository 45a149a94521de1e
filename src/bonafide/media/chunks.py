"""How PNG and WebP files were written: order of chunks, compressor, filters.

Reference: ISO/IEC 15948 (PNG); RFC 1950 (zlib); RFC 9649 (WebP).
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 20_000
_MOST_NAMES = 60
_MOST_PIXELS = 1 << 20  # bytes of filtered rows that are unpacked to look at their filters
_MOST_PACKED = 1 << 20
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@dataclass(frozen=True)
class PngWriting:
    """How one PNG was written.

    Attributes:
        names: chunks in order, runs of the same kind once; texts are all called "text".
        packets: sizes of the IDAT chunks, bytes, at most the first 50.
        level: compression level that the zlib header hints at, 0 (fastest) to 3; -1 if unreadable.
        window: size of the zlib window, bytes; 0 if unreadable.
        filters: share of the first rows that use filter 0 (none) to 4 (Paeth); () where they were
            not read: interlaced or damaged.
        density: pixels per metre, across, 0 where none is given.
        trailing: bytes behind the last chunk.
    """

    names: tuple[str, ...]
    packets: tuple[int, ...]
    level: int
    window: int
    filters: tuple[float, ...]
    density: int
    trailing: int


def read_png_writing(data: bytes) -> PngWriting | None:
    """How the PNG `data` was written; None if it is no PNG or holds no pixels."""
    if not data.startswith(_SIGNATURE):
        return None
    names: list[str] = []
    packets: list[int] = []
    packed = bytearray()
    header = b""
    density = 0
    position = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(data):
            break
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        body = position + 8
        if kind == b"IHDR":
            header = data[body : body + 13]
        elif kind == b"IDAT":
            packets.append(length)
            room = _MOST_PACKED - len(packed)
            packed += data[body : body + min(length, max(room, 0))]
        elif kind == b"pHYs":
            density = int.from_bytes(data[body : body + 4], "big")
        _name(names, kind)
        position += 12 + length
        if kind == b"IEND":
            break
    if not packets or len(header) < 13:
        return None
    level, window = -1, 0
    if len(packed) >= 2 and packed[0] & 15 == 8 and (packed[0] * 256 + packed[1]) % 31 == 0:
        level, window = packed[1] >> 6, 256 << (packed[0] >> 4)
    return PngWriting(
        names=tuple(names),
        packets=tuple(packets[:50]),
        level=level,
        window=window,
        filters=_filters(header, bytes(packed)),
        density=density,
        trailing=max(len(data) - position, 0),
    )


def _name(names: list[str], kind: bytes) -> None:
    name = "text" if kind in (b"tEXt", b"zTXt", b"iTXt") else kind.decode("latin-1").strip()
    name = name if name.isalnum() and name.isascii() else "?"
    if len(names) < _MOST_NAMES and names[-1:] != [name]:
        names.append(name)


def _filters(header: bytes, packed: bytes) -> tuple[float, ...]:
    """Share of rows by filter type among those that could be unpacked within bounds."""
    width, depth, colour = int.from_bytes(header[:4], "big"), header[8], header[9]
    if header[12] or colour not in _CHANNELS or not 0 < width < 1 << 24:
        return ()
    row = 1 + (width * depth * _CHANNELS[colour] + 7) // 8
    try:
        pixels = zlib.decompressobj().decompress(packed, _MOST_PIXELS)
    except zlib.error:
        return ()
    counts = Counter(pixels[::row])
    total = counts.total()
    if not total or max(counts) > 4:
        return ()
    return tuple(round(counts[kind] / total, 3) for kind in range(5))


def webp_chunks(data: bytes) -> tuple[str, ...]:
    """Names of the chunks of a WebP in order, runs of the same kind once; () if it is none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return ()
    names: list[str] = []
    position = 12
    for _ in range(_MOST_CHUNKS):
        if position + 8 > len(data):
            break
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        _name(names, data[position : position + 4])
        position += 8 + length + length % 2
    return tuple(names)
