"""As much of DER as is needed to tell what a certificate is for; it verifies nothing.

Signatures and chains are checked by the C2PA library. This reads names, dates and extensions of
certificates so that people can be told about them. Every length is checked against the bytes.

Reference: ITU-T X.690, 2021; RFC 5280, 2008.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field

_SEQUENCE, _SET, _OID, _BOOLEAN, _EXPLICIT_3 = 0x30, 0x31, 0x06, 0x01, 0xA3
_MOST_BYTES = 64 * 1024  # of one certificate
_MOST_ITEMS = 500
_ATTRIBUTES = {"2.5.4.3": "CN", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C"}
_USAGES = "2.5.29.37"
_TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"
_ASSURANCE = "1.3.6.1.4.1.62558.3"
_PRODUCT = "1.3.6.1.4.1.62558.4"
_LEVELS = {f"{_ASSURANCE}.10": 1, f"{_ASSURANCE}.20": 2}


@dataclass(frozen=True)
class Certificate:
    """What one certificate says of itself.

    Attributes:
        subject: CN, O, OU and C of its holder, those that it has.
        issuer: the same of who issued it.
        not_before, not_after: when it is valid, UTC.
        usages: object identifiers of its extended key usages.
        assurance: C2PA assurance level, 1 or 2; 0 where it states none.
        product: record of the C2PA conformance programme that it names, "" for none.
    """

    subject: dict[str, str] = field(default_factory=dict)
    issuer: dict[str, str] = field(default_factory=dict)
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None
    usages: tuple[str, ...] = ()
    assurance: int = 0
    product: str = ""

    @property
    def name(self) -> str:
        """The common name, or the organisation where there is none."""
        return self.subject.get("CN") or self.subject.get("O") or "unnamed"


def read_certificate(data: bytes) -> Certificate:
    """Read one DER certificate.

    Raises:
        ValueError: it is none, or damaged.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError("a certificate of more than 64 KiB")
    (outer, body), *rest = _items(data)
    if outer != _SEQUENCE or rest:
        raise ValueError("not a certificate")
    signed, *_ = _items(body)
    if signed[0] != _SEQUENCE:
        raise ValueError("not a certificate")
    fields = list(_items(signed[1]))
    if fields and fields[0][0] == 0xA0:  # the version
        fields = fields[1:]
    if len(fields) < 6:
        raise ValueError("not a certificate")
    issuer, validity, subject = fields[2][1], fields[3][1], fields[4][1]
    times = [_time(tag, value) for tag, value in _items(validity)]
    extensions: dict[str, bytes] = {}
    for tag, value in fields[6:]:
        if tag == _EXPLICIT_3:
            extensions = _extensions(value)
    return Certificate(
        _name(subject),
        _name(issuer),
        times[0] if times else None,
        times[1] if len(times) > 1 else None,
        tuple(_usages(extensions.get(_USAGES, b""))),
        _level(extensions.get(_ASSURANCE, b"")),
        _text(extensions.get(_PRODUCT, b"")),
    )


def oid(value: bytes) -> str:
    """An object identifier in dots.

    Raises:
        ValueError: it is cut short.
    """
    numbers: list[int] = []
    number = 0
    for position, byte in enumerate(value[:200]):
        number = number << 7 | byte & 0x7F
        if byte & 0x80:
            if position == len(value) - 1:
                raise ValueError("an object identifier that is cut short")
            continue
        if not numbers:
            first = min(number // 40, 2)
            numbers = [first, number - 40 * first]
        else:
            numbers.append(number)
        number = 0
    return ".".join(map(str, numbers))


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of the elements that `data` holds one after the other."""
    position = 0
    for _ in range(_MOST_ITEMS):
        if position >= len(data):
            return
        if position + 2 > len(data):
            raise ValueError("an element that is cut short")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            if not 0 < size <= 4 or position + size > len(data):
                raise ValueError("an element without a definite length")
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        if position + length > len(data):
            raise ValueError("an element that is cut short")
        yield tag, data[position : position + length]
        position += length
    raise ValueError("too many elements")


def _name(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag, relative in _items(data):
        if tag != _SET:
            continue
        for _, pair in _items(relative):
            parts = list(_items(pair))
            if len(parts) == 2 and parts[0][0] == _OID:
                short = _ATTRIBUTES.get(oid(parts[0][1]))
                if short:
                    codec = _TEXTS.get(parts[1][0], "utf-8")
                    found.setdefault(short, parts[1][1].decode(codec, "replace")[:200])
    return found


def _time(tag: int, value: bytes) -> datetime.datetime | None:
    text = value.decode("ascii", "replace")
    form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    try:
        return datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def _extensions(data: bytes) -> dict[str, bytes]:
    """Object identifier → the content of its octet string."""
    found: dict[str, bytes] = {}
    for _, listed in _items(data):
        for _, extension in _items(listed):
            parts = [part for part in _items(extension) if part[0] != _BOOLEAN]
            if len(parts) == 2 and parts[0][0] == _OID:
                found[oid(parts[0][1])] = parts[1][1]
    return found


def _usages(data: bytes) -> Iterator[str]:
    for tag, listed in _items(data):
        if tag == _SEQUENCE:
            yield from (oid(value) for inner, value in _items(listed) if inner == _OID)


def _level(data: bytes) -> int:
    return next((_LEVELS.get(oid(value), 0) for tag, value in _items(data) if tag == _OID), 0)


def _text(data: bytes) -> str:
    for tag, value in _items(data):
        if tag in _TEXTS:
            return value.decode(_TEXTS[tag], "replace")[:100]
    return ""
