"""The one form of a JSON value that is hashed and signed: RFC 8785, JSON Canonicalization Scheme.

Keys are sorted, nothing is between tokens, and numbers are written as ECMAScript writes doubles, so
that a program in any language comes to the same bytes. Two things that JSON files may hold and the
RFC does not admit are written as strings first: an integer beyond 2^53 by its digits, as the RFC
advises, and half of a surrogate pair (from a file name that is no UTF-8) by its escape, \\udcXX.
"""

from __future__ import annotations

import hashlib
import json
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from bonafide.errors import InvalidInput, MissingExtra

LARGEST_FILE = 64 * 1024**2  # bytes of a report that is read back
_EXACT = 2**53 - 1  # integers up to here are doubles without loss
_CONSTANTS = {None: "null", True: "true", False: "false"}
_DECIMAL = 10**4000  # Python writes no longer integers out, lest it take for ever


def canonical(value: Any) -> bytes:
    """The RFC 8785 form of JSON values, UTF-8.

    Raises:
        InvalidInput: a number is not finite, or the value is nested too deeply.
        MissingExtra: the package rfc8785 is not installed.
    """
    try:
        import rfc8785
    except ModuleNotFoundError:
        raise MissingExtra("store", "hashing reports") from None
    try:
        try:
            return _text(value).encode()
        except (_Unusual, UnicodeEncodeError):
            return rfc8785.dumps(_admitted(value))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InvalidInput(f"this has no canonical form: {error}") from None


def digest(value: Any) -> str:
    """Hexadecimal SHA-256 of `canonical(value)`."""
    return hashlib.sha256(canonical(value)).hexdigest()


def read_json(path: str | Path) -> Any:
    """Read a JSON file strictly: a key that stands twice in one object is an error.

    Readers differ in which of the two they take, so a signature over such a file means nothing.

    Raises:
        InvalidInput: it cannot be read, is too large, or is no such JSON.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise InvalidInput(f"{path} is larger than {LARGEST_FILE:,} bytes")
        return json.loads(raw, object_pairs_hook=_without_doubles, parse_constant=_refuse)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from None


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON that people can read: letters stand as they are, halves of surrogate pairs as escapes.

    Those come from file names that are no UTF-8, and cannot be written as UTF-8 themselves.

    Args:
        value: JSON values.
        indent: of each level; None for a single line.

    Raises:
        ValueError: a number is not finite.
    """
    return _well_formed(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


class _Unusual(Exception):
    """A value that a report does not have."""


def _text(value: Any) -> str:
    """What `rfc8785.dumps` writes of the values that reports have, in a tenth of the time.

    Raises:
        _Unusual: it is another value.
    """
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is dict:
        if not all(type(key) is str and key.isascii() for key in value):
            raise _Unusual
        items = [f"{encode_basestring(key)}:{_text(value[key])}" for key in sorted(value)]
        return f"{{{','.join(items)}}}"
    if kind is list or kind is tuple:
        return f"[{','.join([_text(item) for item in value])}]"
    if kind is float:
        return _float_text(value)
    if kind is int and -_EXACT <= value <= _EXACT:
        return str(value)
    if value is None or kind is bool:
        return _CONSTANTS[value]
    raise _Unusual


def _float_text(value: float) -> str:
    """A double as ECMAScript writes it; Python does the same in the middle of the range."""
    if value.is_integer():
        if abs(value) <= _EXACT:
            return str(int(value))
    elif 1e-4 <= abs(value) < _EXACT:
        return repr(value)
    import rfc8785

    return rfc8785.dumps(value).decode()


def _admitted(value: Any) -> Any:
    if isinstance(value, dict):
        return {_well_formed(str(key)): _admitted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_admitted(item) for item in value]
    if isinstance(value, str):
        return _well_formed(value)
    if isinstance(value, int) and abs(value) > _EXACT:
        return hex(value) if abs(value) >= _DECIMAL else str(value)
    return value


def _well_formed(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")
