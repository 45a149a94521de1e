"""The structure of a JPEG file, read from its markers without decoding it."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Position of the k-th zigzag coefficient in a row-major 8×8 block (ITU-T T.81, figure A.6).
ZIGZAG = np.array(
    sorted(
        range(64),
        key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8),
    )
)

_FRAME_MARKERS = {0xC0 + k for k in range(16)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_MAX_SEGMENTS = 10_000

# Anything but stuffing, fill bytes, restart markers and others that carry nothing. A regular
# expression, since a hostile file may hold a hundred million of those.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]", re.DOTALL)

# jpeglib loads its C library at first use and is not documented as thread-safe.
_JPEGLIB_LOCK = threading.Lock()


@dataclass(frozen=True)
class JpegStructure:
    """What the markers of a JPEG say.

    Attributes:
        width, height: size of the frame as stored, pixels.
        quantisation: one int32 8×8 array (row-major, frequency increasing right and down) per
            component, in component order.
        sampling: (horizontal, vertical) sampling factor per component.
        progressive: whether the frame is progressive.
        arithmetic: whether entropy coding is arithmetic.
        restart_interval: MCUs between restart markers, 0 for none.
        scans: number of scans.
        segments: (marker name, payload bytes) in file order up to the last scan.
        trailing_bytes: bytes after the end-of-image marker.
    """

    width: int
    height: int
    quantisation: tuple[NDArray[np.int32], ...]
    sampling: tuple[tuple[int, int], ...]
    progressive: bool
    arithmetic: bool
    restart_interval: int
    scans: int
    segments: tuple[tuple[str, int], ...]
    trailing_bytes: int

    @property
    def subsampling(self) -> str:
        """Chroma subsampling in the usual notation, "4:2:0" and so on, "grey" for one component."""
        if len(self.sampling) < 3:
            return "grey"
        (h0, v0), (h1, v1) = self.sampling[0], self.sampling[1]
        names = {
            (1, 1): "4:4:4",
            (2, 1): "4:2:2",
            (2, 2): "4:2:0",
            (1, 2): "4:4:0",
            (4, 1): "4:1:1",
            (4, 2): "4:1:0",
        }
        ratio = (h0 // max(h1, 1), v0 // max(v1, 1))
        return names.get(ratio, f"{h0}x{v0}/{h1}x{v1}")


def read_structure(data: bytes) -> JpegStructure | None:
    """Walk the markers of `data`; None if it is no JPEG or has no frame header."""
    if data[:2] != b"\xff\xd8":
        return None
    tables: dict[int, NDArray[np.int32]] = {}
    components: list[tuple[int, int, int]] = []
    width = height = restart = scans = 0
    progressive = arithmetic = False
    segments: list[tuple[str, int]] = []
    trailing = 0
    for marker, start, length in markers(data):
        if marker == 0xD9:
            trailing = len(data) - start
            break
        body = data[start : start + length]
        segments.append((marker_name(marker), length))
        if marker == 0xDB:
            for table, steps in quantisation_tables(body):
                array = np.empty(64, np.int32)
                array[ZIGZAG] = steps
                tables[table] = np.maximum(array, 1).reshape(8, 8)
        elif marker in _FRAME_MARKERS and len(body) >= 6:
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            progressive, arithmetic = marker in _PROGRESSIVE, marker >= 0xC9
            components = [
                (body[k + 1] >> 4, body[k + 1] & 15, body[k + 2])
                for k in range(6, min(6 + 3 * body[5], len(body) - 2), 3)
            ]
        elif marker == 0xDD and len(body) >= 2:
            restart = int.from_bytes(body[:2], "big")
        elif marker == 0xDA:
            scans += 1
    if not components:
        return None
    flat = np.ones((8, 8), np.int32)
    return JpegStructure(
        width=width,
        height=height,
        quantisation=tuple(tables.get(table, flat) for _, _, table in components),
        sampling=tuple((h, v) for h, v, _ in components),
        progressive=progressive,
        arithmetic=arithmetic,
        restart_interval=restart,
        scans=scans,
        segments=tuple(segments),
        trailing_bytes=trailing,
    )


def markers(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG in file order, up to the end of the image.

    Yields:
        Second byte of the marker, offset of its payload, declared bytes of the payload; for the
        end of the image (0xD9) the offset behind it and 0. A payload may reach past the end.
    """
    position = 2
    for _ in range(_MAX_SEGMENTS):
        position = _next_marker(data, position)
        if position + 4 > len(data):
            if data[position : position + 2] == b"\xff\xd9":
                yield 0xD9, position + 2, 0
            return
        marker = data[position + 1]
        if marker == 0xD9:
            yield marker, position + 2, 0
            return
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        yield marker, position + 4, max(length - 2, 0)
        position += 2 + max(length, 2)


def read_coefficients(data: bytes) -> tuple[NDArray[np.int16], ...]:
    """Exact quantised DCT coefficients of the JPEG `data`, one array per component.

    Returns:
        int16 arrays of shape (block rows, block columns, 8, 8), row-major frequencies, in stored
        (unrotated) orientation, covering whole blocks, so that they may reach past the edge.

    Raises:
        OSError: the entropy-coded data cannot be read.
    """
    import jpeglib

    # Closed before it is read: Windows does not open a file that is held open for writing.
    with _JPEGLIB_LOCK, tempfile.TemporaryDirectory(prefix="bonafide-") as folder:
        path = Path(folder, "coefficients.jpg")
        path.write_bytes(data)
        dct = jpeglib.read_dct(str(path))
        planes = [dct.Y, dct.Cb, dct.Cr, dct.K]
    result = []
    for plane in planes:
        if plane is not None and plane.size:
            array = np.ascontiguousarray(plane)
            array.flags.writeable = False
            result.append(array)
    return tuple(result)


def _next_marker(data: bytes, position: int) -> int:
    """Offset of the next marker that has a meaning here; the end of `data` if there is none."""
    found = _MARKER.search(data, position)
    return found.start() if found else len(data)


def quantisation_tables(body: bytes) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Number and steps of each whole table of a DQT segment: int32 (64,), in zigzag order."""
    position = 0
    while position < len(body):
        wide, table = body[position] >> 4, body[position] & 15
        size = 128 if wide else 64
        values = body[position + 1 : position + 1 + size]
        if len(values) < size:
            return
        yield table, np.frombuffer(values, ">u2" if wide else "u1").astype(np.int32)
        position += 1 + size


def marker_name(marker: int) -> str:
    """The usual name of a marker: "APP1", "DQT", "SOF0"; hexadecimal for others."""
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    fixed = {0xDB: "DQT", 0xC4: "DHT", 0xDA: "SOS", 0xDD: "DRI", 0xFE: "COM"}
    if marker in _FRAME_MARKERS:
        return f"SOF{marker - 0xC0}"
    return fixed.get(marker, f"{marker:02X}")
