"""Text in the lowest bits of a picture, as programs write it to survive the removal of metadata.

The bits run down the columns, from the left: in the alpha channel, or in red, green and blue of
each pixel. They begin with a signature of 15 letters; 32 bits say how many bits follow.

Reference: the extension "stealth pnginfo" of Stable Diffusion WebUI, 2023, whose format NovelAI
uses as well.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 4 * 1024 * 1024  # of the text, unpacked
_SIGNATURE_BYTES = 15
_ALPHA = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}
_COLOURS = {b"stealth_rgbinfo": False, b"stealth_rgbcomp": True}


def read_alpha(alpha: NDArray[np.uint8]) -> str:
    """The text in an alpha channel (uint8 H×W), "" for none."""
    columns = 1 + 8 * _SIGNATURE_BYTES // max(1, alpha.shape[0])
    head = np.ascontiguousarray(alpha[:, :columns].T).reshape(-1)
    if _bytes(head[: 8 * _SIGNATURE_BYTES]) not in _ALPHA:
        return ""  # without turning the whole picture
    return _read(np.ascontiguousarray(alpha.T).reshape(-1), _ALPHA)


def read_colours(pixels: NDArray[np.uint8]) -> str:
    """The text in colours (uint8 H×W×3 RGB), "" for none."""
    columns = 1 + 8 * _SIGNATURE_BYTES // max(1, 3 * pixels.shape[0])
    head = np.ascontiguousarray(pixels[:, :columns].transpose(1, 0, 2)).reshape(-1)
    if _bytes(head[: 8 * _SIGNATURE_BYTES]) not in _COLOURS:
        return ""
    return _read(np.ascontiguousarray(pixels.transpose(1, 0, 2)).reshape(-1), _COLOURS)


def _read(values: NDArray[np.uint8], signatures: dict[bytes, bool]) -> str:
    start = 8 * _SIGNATURE_BYTES
    signature = _bytes(values[:start])
    if signature not in signatures or len(values) < start + 32:
        return ""
    length = int.from_bytes(_bytes(values[start : start + 32]), "big")
    start += 32
    if not 0 < length <= min(8 * MOST_BYTES, len(values) - start):
        return ""
    body = _bytes(values[start : start + length - length % 8])
    if signatures[signature]:
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, MOST_BYTES)
        except zlib.error:
            return ""
    return body.decode("utf-8", "replace")


def _bytes(values: NDArray[np.uint8]) -> bytes:
    return np.packbits(values & 1).tobytes()
