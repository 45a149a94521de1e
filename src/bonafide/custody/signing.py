"""Sign a report with an Ed25519 key (RFC 8032), and find out whether a signature holds.

The signature lies in the report itself, under `signature`, and covers the RFC 8785 form of the
whole report, the signature's own fields included, with nothing left out but its value. It holds
when the key that the reader trusts made it: the public key that lies in the report proves nothing.

Importing this raises `MissingExtra` where the package cryptography is not installed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bonafide.custody.canonical import canonical
from bonafide.errors import InvalidInput, MissingExtra

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        KeySerializationEncryption,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )
except ModuleNotFoundError:
    raise MissingExtra("custody", "signing reports") from None

_ALGORITHM, _FORM = "Ed25519", "RFC 8785"
_LARGEST_KEY = 64 * 1024  # bytes of a PEM file


def new_key(path: Path, password: str = "") -> Path:
    """Make a pair of keys.

    Args:
        path: of the private key, PKCS#8 PEM, readable by its owner only; must not exist.
        password: encrypts it; "" leaves it as it is.

    Returns:
        Path of the public key beside it, `<stem>.public.pem`.

    Raises:
        InvalidInput: a file is there already, or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    encryption: KeySerializationEncryption = NoEncryption()
    if password:
        encryption = BestAvailableEncryption(password.encode())
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    known = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public = path.with_name(f"{path.stem}.public.pem")
    _write_new(path, secret, 0o600)
    try:
        _write_new(public, known, 0o644)
    except InvalidInput:
        path.unlink()  # half a pair is of no use, and would be in the way of the next one
        raise
    return public


def private_key(path: Path, ask: Callable[[], str]) -> Ed25519PrivateKey:
    """Read a private key.

    Args:
        path: PEM.
        ask: is called for the password if the file is encrypted.

    Raises:
        InvalidInput: it is no Ed25519 private key, or the password is wrong.
    """
    raw = _read(path)
    password = ask().encode() if b"ENCRYPTED" in raw else None
    try:
        key = load_pem_private_key(raw, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "the password is wrong, or " if password is not None else ""
        raise InvalidInput(f"{path}: {why}it is not a private key in PEM format") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path} is not an Ed25519 key; make one with `bonafide keys new`")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key, PEM.

    Raises:
        InvalidInput: it is no Ed25519 public key.
    """
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidInput(f"{path} is not a public key in PEM format") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput(f"{path} is not an Ed25519 key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Hexadecimal SHA-256 of the 32 bytes of a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def stated_key(record: Mapping[str, Any]) -> Ed25519PublicKey | None:
    """The public key that lies in a report, which proves nothing about who made it."""
    try:
        raw = base64.b64decode(record["signature"]["public_key"], validate=True)
        return Ed25519PublicKey.from_public_bytes(raw)
    except (KeyError, TypeError, ValueError):
        return None


def sign(record: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The record with a signature, in place of one that it may have had.

    Raises:
        InvalidInput: the record holds what has no canonical form.
    """
    stated = {
        "algorithm": _ALGORITHM,
        "form": _FORM,
        "public_key": _text(key.public_key().public_bytes_raw()),
        "signed_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    signed = dict(record) | {"signature": stated}
    return signed | {"signature": stated | {"value": _text(key.sign(canonical(signed)))}}


def flaw(record: Mapping[str, Any], key: Ed25519PublicKey) -> str | None:
    """Why the signature of a record does not hold for this key; None if it does."""
    signature = record.get("signature")
    if not isinstance(signature, dict):
        return "the report is not signed"
    if (signature.get("algorithm"), signature.get("form")) != (_ALGORITHM, _FORM):
        return "the signature is of a kind that is not known here"
    own = _text(key.public_bytes_raw())
    if signature.get("public_key") != own:
        return "the report was signed with another key than the one given"
    stated = {name: value for name, value in signature.items() if name != "value"}
    try:
        value = base64.b64decode(str(signature.get("value")), validate=True)
        key.verify(value, canonical(dict(record) | {"signature": stated}))
    except (binascii.Error, ValueError, InvalidSignature, InvalidInput):
        return "the report was changed after it was signed"
    # Several spellings of base64 decode alike; only one is what `sign` wrote.
    return None if _text(value) == signature["value"] else "the signature was rewritten"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_KEY)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None


def _write_new(path: Path, raw: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already; keys are never overwritten") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
    except OSError as error:
        path.unlink()
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None
