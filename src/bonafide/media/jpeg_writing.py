"""How a JPEG file was written: what its markers tell of the program that wrote them.

Nothing is decoded. A damaged file gives what can be read of it.

Reference: ITU-T T.81, 1992, annexes B and K; JFIF 1.02, 1992; CIPA DC-008 (Exif).
"""

from __future__ import annotations

from dataclasses import dataclass

from bonafide.media.jpeg import marker_name, markers, quantisation_tables

_MOST_NAMES = 60  # segments that are named before the first scan
_MOST_SCANS = 100
_TRAILER = 64  # bytes looked at behind the picture

# Lengths and first values of the Huffman tables of annex K, which tell them from optimised ones.
_STANDARD_BITS = {
    (0, 0): bytes.fromhex("00010501010101010100000000000000"),
    (0, 1): bytes.fromhex("00030101010101010101010000000000"),
    (1, 0): bytes.fromhex("0002010303020403050504040000017d"),
    (1, 1): bytes.fromhex("00020102040403040705040400010277"),
}

# How the payload of an APP segment begins → what it is called here.
_APPS = (
    (b"JFIF\x00", "JFIF"), (b"JFXX\x00", "JFXX"), (b"AVI1", "AVI1"), (b"Exif\x00", "Exif"),
    (b"http://ns.adobe.com/xap/1.0/", "XMP"), (b"http://ns.adobe.com/xmp/ext", "XMP-extension"),
    (b"ICC_PROFILE", "ICC"), (b"MPF\x00", "MPF"), (b"FPXR\x00", "FlashPix"), (b"JP", "JUMBF"),
    (b"Photoshop 3.0", "Photoshop"), (b"Adobe", "Adobe"), (b"Ducky", "Ducky"),
    (b"urn:iso:std:iso:ts:21496", "gain-map"), (b"AROT", "AROT"), (b"HDR", "HDR"),
)  # fmt: skip
_TRAILERS = (
    (b"\xff\xd8\xff", "another JPEG"), (b"SEFT", "Samsung's trailer"), (b"ftyp", "a video"),
    (b"PK\x03\x04", "a ZIP archive"), (b"<?x", "XML"),
)  # fmt: skip


@dataclass(frozen=True)
class JpegWriting:
    """How one JPEG was written.

    Attributes:
        names: segments before the first scan: APP segments by their identifier, "DQT2" for a
            segment of two tables, "SOF0", "DHT4", "DRI", "COM".
        tables: quantisation tables by their number, 64 values each as stored (zigzag).
        components: (id, horizontal sampling, vertical sampling, number of its table) of each.
        huffman: "standard" (annex K), "optimised" for the picture, "none" where there are none
            before the first scan.
        scans: components and spectral selection of each scan, "" for a single one.
        restart: MCUs between restart markers, 0 for none.
        jfif: version, unit and density in the JFIF header, "" without one.
        comment: beginning of the first comment, printable.
        trailing: bytes behind the picture.
        trailer: what those bytes look like, "" if unknown.
    """

    names: tuple[str, ...]
    tables: tuple[tuple[int, tuple[int, ...]], ...]
    components: tuple[tuple[int, int, int, int], ...]
    huffman: str
    scans: str
    restart: int
    jfif: str
    comment: str
    trailing: int
    trailer: str


def read_writing(data: bytes) -> JpegWriting | None:
    """How the JPEG `data` was written; None if it is no JPEG or has no frame header."""
    if data[:2] != b"\xff\xd8":
        return None
    names: list[str] = []
    tables: dict[int, tuple[int, ...]] = {}
    components: tuple[tuple[int, int, int, int], ...] = ()
    bits: dict[tuple[int, int], bytes] = {}
    scans: list[str] = []
    restart, trailing = 0, 0
    jfif = comment = ""
    for marker, start, length in markers(data):
        if marker == 0xD9:
            trailing = len(data) - start
            break
        body = data[start : start + length]
        name = marker_name(marker)
        if marker == 0xDA:
            if len(scans) < _MOST_SCANS:
                scans.append(_scan(body))
            continue
        if name == "DQT":
            found = list(quantisation_tables(body))
            tables |= {table: tuple(steps.tolist()) for table, steps in found}
            name += str(len(found))
        elif name == "DHT":
            name += str(_huffman(body, {} if scans else bits))
        elif name.startswith("SOF") and len(body) >= 6:
            components = tuple(
                (body[k], body[k + 1] >> 4, body[k + 1] & 15, body[k + 2])
                for k in range(6, min(6 + 3 * body[5], len(body) - 2), 3)
            )
        elif name == "DRI":
            restart = int.from_bytes(body[:2], "big")
        elif name.startswith("APP"):
            name = _app(name, body)
            if name == "JFIF" and not jfif and len(body) >= 12:
                across, down = (int.from_bytes(body[k : k + 2], "big") for k in (8, 10))
                jfif = f"{body[5]}.{body[6]:02d} {body[7]} {across}x{down}"
        elif name == "COM" and not comment:
            text = body[:120].decode("latin-1")
            comment = "".join(c if c.isprintable() else " " for c in text).strip()
        if not scans and len(names) < _MOST_NAMES:
            names.append(name)
    if not components:
        return None
    return JpegWriting(
        names=tuple(names),
        tables=tuple(sorted(tables.items())),
        components=components,
        huffman=_kind(bits),
        scans=" ".join(scans) if len(scans) > 1 else "",
        restart=restart,
        jfif=jfif,
        comment=comment,
        trailing=trailing,
        trailer=_trailer(data[len(data) - trailing :], data[-4:]) if trailing > 0 else "",
    )


def _app(name: str, body: bytes) -> str:
    return next((called for mark, called in _APPS if body.startswith(mark)), name)


def _huffman(body: bytes, bits: dict[tuple[int, int], bytes]) -> int:
    """Read the code lengths of a DHT segment into `bits`; the number of tables."""
    position = count = 0
    while position + 17 <= len(body):
        lengths = body[position + 1 : position + 17]
        bits.setdefault((body[position] >> 4, body[position] & 15), lengths)
        position += 17 + sum(lengths)
        count += 1
    return count


def _kind(bits: dict[tuple[int, int], bytes]) -> str:
    if not bits:
        return "none"
    same = all(_STANDARD_BITS.get(key) == lengths for key, lengths in bits.items())
    return "standard" if same else "optimised"


def _scan(body: bytes) -> str:
    """A scan as "1,2,3:0-63:00": components, spectral selection, successive approximation."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        return "?"
    ids = ",".join(str(body[1 + 2 * k]) for k in range(count))
    first, last, approximation = body[1 + 2 * count : 4 + 2 * count]
    return f"{ids}:{first}-{last}:{approximation:02x}"


def _trailer(head: bytes, tail: bytes) -> str:
    if not any(head[:4096]):
        return "zeros"
    for mark, called in _TRAILERS:
        if mark in head[:_TRAILER] or tail == mark:
            return called
    return ""
