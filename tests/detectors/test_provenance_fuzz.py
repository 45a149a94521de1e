"""Damaged manifests, EXIF, XMP, PNG and ISO-BMFF files: a finding or a typed error, and no network.

The environment variable BONAFIDE_FUZZ says how many inputs are tried; 10,000 take some minutes.
"""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from tests.detectors.counting import Counting, manifest_server
from tests.detectors.test_c2pa_manifest import Signer
from tests.detectors.test_generator_metadata import (
    A1111,
    NOVEL,
    exif_png,
    hide,
    jpeg,
    trailer,
)

from bonafide import registry
from bonafide.errors import MediaError
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.testing import measure
from bonafide.types import Label, Question, Status

COUNT = int(os.environ.get("BONAFIDE_FUZZ", "250"))
SLOWEST = 60.0  # seconds for one input, on a machine that is busy
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:p="http://ns.adobe.com/photoshop/1.0/" xmlns:e="http://'
    'iptc.org/std/Iptc4xmpExt/2008-02-29/" p:Credit="A. Photographer" e:DigitalSourceType="'
    'http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"/></rdf:RDF></x:xmpmeta>'
)


@pytest.fixture
def server() -> Iterator[str]:
    with manifest_server() as address:
        yield address


def movie(format: str = "mp4") -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height = 32, 32
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def saved(format: str, **options: Any) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    Pillow.new("RGB", (16, 16), (9, 90, 200)).save(buffer, format, **options)
    return buffer.getvalue()


def bases(server: str) -> dict[str, bytes]:
    """Intact files, in each of which something can be damaged."""
    signer = Signer("Example Press")
    generated = signer.sign("trainedAlgorithmicMedia")
    tags = Pillow.Exif()
    tags[0x010F], tags[0x0131] = "Canon", "Fooocus 2.1"
    texts = PngInfo()
    texts.add_itxt("parameters", A1111, zip=True)
    texts.add_text("prompt", json.dumps({"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}))
    texts.add_itxt("XML:com.adobe.xmp", XMP)
    return {
        "signed": signer.sign("digitalCapture"),
        "with an ingredient": signer.sign("digitalCapture", ingredient=(generated, "componentOf")),
        "kept elsewhere": signer.sign("digitalCapture", remote=server),
        "EXIF of a JPEG": jpeg(
            {"Make": "Canon", "Software": "a", "UserComment": b"UNICODE\x00\x00a"}
        ),
        "XMP of a JPEG": jpeg(xmp=XMP),
        "Samsung": jpeg({"Make": "samsung"}) + trailer(b"PEg_Info", b'{"genImageVersion": "v1"}'),
        "EXIF of a PNG": exif_png(b"OpenAI--ImageGeneration--1", b"ASCII\x00\x00\x00a comment"),
        "texts of a PNG": saved("PNG", pnginfo=texts),
        "hidden text": hide(json.dumps(NOVEL).encode(), "RGBA", True),
        "AVIF": saved("AVIF", exif=tags, xmp=XMP.encode()),
        "WebP": saved("WEBP", exif=tags, xmp=XMP.encode()),
        "MP4": movie(),
        "progressive JPEG": saved("JPEG", progressive=True, exif=tags, comment=b"a"),
        "MOV": movie("mov"),
    }


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Some bytes changed, cut, repeated or moved; often where the structure is."""
    out = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        if not out:
            break
        near = random.random() < 0.7
        place = int(random.integers(0, min(len(out), 4096) if near else len(out)))
        size = int(random.integers(1, 65))
        kind = int(random.integers(0, 7))
        if kind == 0:
            out[place] ^= int(random.integers(1, 256))
        elif kind == 1:
            del out[place:]
        elif kind == 2:
            out[place : place + size] = random.bytes(size)
        elif kind == 3:
            out[place:place] = out[place : place + size] * int(random.integers(1, 50))
        elif kind == 4:
            del out[place : place + size]
        elif kind == 5:  # a length that is too large
            out[place : place + 4] = b"\xff\xff\xff\xff"[: int(random.integers(1, 5))]
        else:
            other = int(random.integers(0, len(out)))
            out[place : place + size] = out[other : other + size]
    return bytes(out)


def test_nothing_damaged_crashes_hangs_or_calls(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    intact = list(bases(server).items())
    cards = [
        card
        for card in map(registry.card, registry.usable())
        if card.question is Question.PROVENANCE
    ]
    asked = [(card, registry.load(card.id)) for card in cards]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for seed in range(COUNT):
        name, data = intact[seed % len(intact)]
        changed = damaged(data, np.random.default_rng(seed))
        began = time.monotonic()
        try:
            media = open_media(changed, limits=Limits(pixels=1_000_000))
        except MediaError:
            continue
        for card, detector in asked:
            if media.kind not in card.kinds:
                continue
            try:
                finding = measure(detector, media, card)
            except MediaError:
                continue
            except Exception as error:
                raise AssertionError(f"{card.id} on {name}, seed {seed}") from error
            assert finding.status in (Status.OK, Status.NOT_APPLICABLE), (name, seed, finding.why)
            label = finding.claim.label if finding.claim else None
            assert label is not Label.AUTHENTICATED, (name, seed)
            json.dumps(dict(finding.facts), allow_nan=False)
        assert time.monotonic() - began < SLOWEST, f"{name}, seed {seed}"
    assert Counting.requests == 0
