"""The ISCC that a manifest states, compared with the picture; a private part of `c2pa_manifest`.

An ISCC (International Standard Content Code, ISO 24138:2024) is a fingerprint that anybody can
compute again. Its Image-Code, 256 bits, changes little when a picture is saved again or scaled.
It needs the package `iscc-lib`; without it nothing is compared.

Source: ISO 24138:2024; how it stands in a manifest: IEP-0020 of the ISCC Foundation.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from bonafide.detectors.provenance._c2pa_read import Credentials
from bonafide.errors import MediaError
from bonafide.media.credentials import as_list, as_mapping
from bonafide.media.image import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALGORITHM = "io.iscc.v0"
BITS = 256
FITS = (
    64  # bits; saved again or halved, at most 32 differ; 10 of 79,800 unlike pairs differ by less
)
_IMAGE_CODE = (2, 1, 0)  # main type Content, subtype image, version 0
_TOLERANCE = 16  # levels; what a uniform border may differ from its corner
_PASSES = 16
_LONGEST = 1000  # bytes of a value that is looked at


def sentence(found: Credentials, picture: Image | None) -> str:
    """Whether the ISCC of the active manifest fits a picture, "" where that cannot be told."""
    active = as_mapping(found.manifests.get(found.label))
    for assertion in map(as_mapping, as_list(active.get("assertions"))[:1000]):
        data = as_mapping(assertion.get("data"))
        labelled = str(assertion.get("label", "")).startswith("c2pa.soft-binding")
        if picture is not None and labelled and data.get("alg") == ALGORITHM:
            differ = _distance(picture, data)
            if differ is not None:
                verb = "fits" if differ <= FITS else "does not fit"
                return (
                    f"The ISCC that the credentials state {verb} this picture: {differ} of {BITS} "
                    "bits differ."
                )
    return ""


def _distance(picture: Image, data: Mapping[str, Any]) -> int | None:
    """How many bits of the stated Image-Code differ from that of the picture.

    The smallest over all codes that are stated for the whole picture; None where there is none,
    the picture has no content to compute one from, or the package is absent.
    """
    try:
        stated = [code for code in _codes(data) if len(code) * 8 == BITS]
        if not stated:
            return None
        own = image_code(picture.pixels)
    except (ImportError, MediaError):
        return None
    if not any(own):
        return None
    bits = np.unpackbits(np.frombuffer(own, np.uint8))
    return min(int((bits != np.unpackbits(np.frombuffer(one, np.uint8))).sum()) for one in stated)


def image_code(pixels: NDArray[np.uint8]) -> bytes:
    """Body of the Image-Code of a picture, `BITS` bits."""
    import iscc_lib

    grey = Pillow.fromarray(_trimmed(pixels)).convert("L")
    small = grey.resize((32, 32), Pillow.Resampling.BICUBIC)
    code = iscc_lib.gen_image_code_v0(small.tobytes(), BITS)["iscc"]
    return bytes(iscc_lib.iscc_decode(code)[4])


def _trimmed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without borders of nearly one colour, that of their upper left pixel."""
    for _ in range(_PASSES):
        box = _inner(pixels, _TOLERANCE)
        height, width = pixels.shape[:2]
        if box is None or box == (0, height, 0, width):
            break
        top, bottom, left, right = box
        cut = (top > 0) + (bottom < height) + (left > 0) + (right < width)
        # On one side alone it may be a sky: it is cut off only if it is flat.
        if cut == 1 and _inner(pixels, _TOLERANCE // 2) != box:
            break
        pixels = pixels[top:bottom, left:right]
    return np.ascontiguousarray(pixels)


def _inner(pixels: NDArray[np.uint8], tolerance: int) -> tuple[int, int, int, int] | None:
    """Rows and columns between which pixels differ from the corner; None if none does."""
    differ = (np.abs(pixels.astype(np.int16) - pixels[0, 0]) > tolerance).any(axis=2)
    rows, columns = np.flatnonzero(differ.any(axis=1)), np.flatnonzero(differ.any(axis=0))
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _codes(data: Mapping[str, Any]) -> Iterator[bytes]:
    """Bodies of the Image-Codes that an assertion states for the whole picture."""
    import iscc_lib

    for block in map(as_mapping, as_list(data.get("blocks"))[:20]):
        if as_mapping(block.get("scope")):
            continue
        raw = _bytes_of(block.get("value"))
        text = base64.b32encode(raw).decode().rstrip("=")
        try:
            units = iscc_lib.iscc_decompose(text)
            decoded = [iscc_lib.iscc_decode(unit) for unit in units]
        except (ValueError, OverflowError):
            continue
        for main, sub, version, _, body in decoded:
            if (int(main), int(sub), int(version)) == _IMAGE_CODE:
                yield bytes(body)


def _bytes_of(value: object) -> bytes:
    """A value as the C2PA library may show it: numbers, base64, or an ISCC in its own letters."""
    try:
        if isinstance(value, list):
            return bytes(value[:_LONGEST])
        if isinstance(value, str) and value.startswith("ISCC:"):
            letters = value[5:_LONGEST].replace("-", "")
            return base64.b32decode(letters + "=" * (-len(letters) % 8))
        if isinstance(value, str):
            return base64.b64decode(value[:_LONGEST], validate=True)
    except (ValueError, TypeError, binascii.Error):
        pass
    return b""
