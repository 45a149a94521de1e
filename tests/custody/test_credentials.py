"""Media that are signed here, read with the C2PA library's default settings, then altered."""

from __future__ import annotations

import io
import json
import socket
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import c2pa
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow
from tests.detectors.test_c2pa_manifest import Signer

from bonafide.cli.main import bonafide
from bonafide.custody.credentials import Request, sign_media
from bonafide.errors import InvalidInput


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer("Example Press")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", None)


def picture(format: str) -> bytes:  # noqa: A002
    pixels = np.random.default_rng(4).integers(0, 256, (48, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def movie() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height = 64, 48
        random = np.random.default_rng(5)
        for _ in range(4):
            pixels = random.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.random.default_rng(6).bytes(8000))
    return buffer.getvalue()


MADE = {
    "image/jpeg": lambda: picture("JPEG"),
    "image/png": lambda: picture("PNG"),
    "image/webp": lambda: picture("WEBP"),
    "video/mp4": movie,
    "audio/wav": sound,
}


def read(data: bytes, mime: str) -> dict[str, Any]:
    with c2pa.Reader(mime, io.BytesIO(data)) as reader:
        found: dict[str, Any] = json.loads(reader.json())
    return found


@pytest.mark.parametrize("mime", MADE)
def test_what_is_signed_verifies_and_every_change_is_caught(signer: Signer, mime: str) -> None:
    original = MADE[mime]()
    request = Request(signer.chain, signer.key, mime, "digitalCapture", "A title")
    signed = sign_media(io.BytesIO(original), request)
    store = read(signed, mime)
    assert store["validation_state"] == "Valid"
    active = store["manifests"][store["active_manifest"]]
    assert active["title"] == "A title"
    (listed,) = [one for one in active["assertions"] if one["label"].startswith("c2pa.actions")]
    (action,) = listed["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/digitalCapture")
    # Every byte outside of the manifest is covered by its hash: the last two thirds of the
    # original lie there in every container.
    tail = original[len(original) // 3 :]
    start = signed.find(tail[:64])
    assert start > 0
    random = np.random.default_rng(7)
    for place in random.integers(start, start + len(tail), 60):
        changed = bytearray(signed)
        changed[place] ^= 1 << int(random.integers(0, 8))
        try:
            assert read(bytes(changed), mime)["validation_state"] == "Invalid", place
        except c2pa.C2paError:
            continue


def test_what_was_there_before_is_kept(signer: Signer) -> None:
    first = signer.sign("digitalCapture")
    request = Request(signer.chain, signer.key, "image/jpeg")
    again = sign_media(io.BytesIO(first), request)
    store = read(again, "image/jpeg")
    assert store["validation_state"] == "Valid" and len(store["manifests"]) == 2
    (parent,) = store["manifests"][store["active_manifest"]]["ingredients"]
    assert parent["relationship"] == "parentOf" and parent["active_manifest"]
    named = Request(signer.chain, signer.key, "image/jpeg", "digitalCapture")
    with pytest.raises(InvalidInput, match="credentials already"):
        sign_media(io.BytesIO(first), named)


def test_an_unsuitable_key_is_refused(signer: Signer) -> None:
    for key in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(InvalidInput):
            sign_media(io.BytesIO(picture("JPEG")), Request(signer.chain, key, "image/jpeg"))
    with pytest.raises(InvalidInput):
        other = Request(Signer("Other").chain, signer.key, "image/jpeg", "digitalCapture")
        sign_media(io.BytesIO(picture("JPEG")), other)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bonafide, ["sign", *arguments])


def test_the_verb(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_bytes(signer.chain)
    (tmp_path / "key.pem").write_bytes(signer.key)
    photo, out = tmp_path / "photo.jpg", tmp_path / "signed.jpg"
    photo.write_bytes(picture("JPEG"))
    pems = ("--cert", str(tmp_path / "chain.pem"), "--key", str(tmp_path / "key.pem"))
    done = run(str(photo), *pems, "-o", str(out), "--source-type", "digitalCapture")
    assert done.exit_code == 0, done.output
    assert read(out.read_bytes(), "image/jpeg")["validation_state"] == "Valid"
    assert "a name of its own" in run(str(photo), *pems, "-o", str(photo)).output
    assert "--output is missing" in run(str(photo), *pems).output
    assert "--cert is missing" in run(str(photo), *pems[2:], "-o", str(out)).output
