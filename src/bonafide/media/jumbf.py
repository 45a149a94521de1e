"""The certificate that signed a C2PA manifest, out of the bytes of its manifest store.

The C2PA library verifies signatures and says who signed by name. What else the certificate states
(its purpose, its assurance level) has to be read here: JUMBF boxes, then the COSE structure, then
the chain of certificates. Every length is checked; what is damaged gives nothing.

Reference: ISO 19566-5 (JUMBF), 2023; RFC 8949 (CBOR), 2020; RFC 9052 (COSE), 2022; RFC 9360, 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MOST_BOXES = 5_000
_MOST_DEPTH = 12
_MOST_ITEMS = 10_000
_X5CHAIN = (33, "x5chain")


def signing_certificate(store: bytes, label: str) -> bytes:
    """DER of the certificate that signed the manifest `label`; b"" where there is none."""
    for kind, content in _boxes(store):
        if kind != b"jumb":
            continue
        for name, manifest in _children(content):
            if name != label:
                continue
            for part, signature in _children(manifest):
                if part == "c2pa.signature":
                    return _leaf(signature)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the boxes that `data` holds one after the other."""
    position = 0
    for _ in range(_MOST_BOXES):
        if position + 8 > len(data):
            return
        length = int.from_bytes(data[position : position + 4], "big")
        kind, start = data[position + 4 : position + 8], position + 8
        if length == 1:
            length = int.from_bytes(data[start : start + 8], "big")
            start += 8
        end = len(data) if length == 0 else position + length
        if end < start or end > len(data):
            return
        yield kind, data[start:end]
        position = end


def _children(superbox: bytes) -> Iterator[tuple[str, bytes]]:
    """Label and content of the superboxes in a superbox."""
    for kind, content in _boxes(superbox):
        if kind == b"jumb":
            yield _label(content), content


def _label(superbox: bytes) -> str:
    kind, description = next(_boxes(superbox), (b"", b""))
    if kind != b"jumd" or len(description) < 18 or not description[16] & 2:
        return ""
    return description[17:].split(b"\x00", 1)[0].decode("utf-8", "replace")


def _leaf(signature: bytes) -> bytes:
    body = next((content for kind, content in _boxes(signature) if kind == b"cbor"), b"")
    try:
        message = _Cbor(body).read()
        protected = _Cbor(message[0]).read() if message[0] else {}
        for headers in (protected, message[1]):
            chain = next((headers[key] for key in _X5CHAIN if key in headers), None)
            leaf = chain[0] if isinstance(chain, list) and chain else chain
            if isinstance(leaf, bytes):
                return leaf
    except (ValueError, TypeError, KeyError, IndexError):
        pass
    return b""


class _Cbor:
    """A reader of CBOR with definite lengths, as COSE asks for; floats are not needed."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position, self._items = data, 0, 0

    def read(self, depth: int = 0) -> Any:
        """The next item.

        Raises:
            ValueError: it is damaged, too deep or too large.
        """
        self._items += 1
        if depth > _MOST_DEPTH or self._items > _MOST_ITEMS:
            raise ValueError("CBOR that is nested too deeply or too long")
        first = self._take(1)[0]
        major, low = first >> 5, first & 31
        if major == 7:
            self._take({24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0))
            return {20: False, 21: True}.get(low)
        if low < 24:
            value = low
        elif low < 28:
            value = int.from_bytes(self._take(1 << low - 24), "big")
        else:
            raise ValueError("CBOR of indefinite length")
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major == 2:
            return self._take(value)
        if major == 3:
            return self._take(value).decode("utf-8", "replace")
        if value > _MOST_ITEMS:
            raise ValueError("CBOR with too many items")
        if major == 4:
            return [self.read(depth + 1) for _ in range(value)]
        if major == 5:
            found = {}
            for _ in range(value):
                key = self.read(depth + 1)
                item = self.read(depth + 1)
                if isinstance(key, int | str):
                    found[key] = item
            return found
        return self.read(depth + 1)  # what a tag stands before

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise ValueError("CBOR that is cut short")
        taken = self._data[self._position : end]
        self._position = end
        return taken
