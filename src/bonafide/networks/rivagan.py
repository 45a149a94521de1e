"""RivaGAN: 32 bits hidden in a picture, and read again.

A picture is marked by adding about two levels of 255 up or down to every pixel, which a network
chooses; a second network reads 32 numbers whose signs are the bits. Neither knows what the bits
mean, and 32 signs come out of unmarked pictures too. So only patterns that are expected can be
found, by how well they agree.

The mark is tied to the scale at which it was made: between 0.75 and 1.5 times that scale it is
read. Large pictures are therefore marked at a working size, and a reader tries several scales.

Source: K. A. Zhang, L. Xu, A. Cuesta-Infante and K. Veeramachaneni, "Robust Invisible Video
Watermarking with Attention", 2019; weights of the package `invisible-watermark`, MIT.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.errors import InvalidInput
from bonafide.networks import runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 32
DECODER = "rivagan_decoder"
ENCODER = "rivagan_encoder"
SMALLEST = 64  # pixels; the shorter side of a picture that can be marked
WORKING_SIDE = 1024  # pixels; the longer side at which larger pictures are marked

_TILE = 256  # pixels
_REACH = 20  # pixels that the networks look beyond the one they answer for


class Payload(Enum):
    """What `mark` can say: patterns with as many ones as zeros, different in 16 of 32 bits.

    They are the first such pair among the leading 32 bits of SHA-256 of "bonafide mark N",
    N = 0, 1, 2, ….
    """

    MADE_BY_AI = 0x3822FCE9
    CHANGED_BY_AI = 0xCE52C6F0

    @property
    def bits(self) -> NDArray[np.bool_]:
        """bool (32,), most significant bit first."""
        return np.unpackbits(np.array([self.value], ">u4").view(np.uint8)).astype(bool)


def mark(pixels: NDArray[np.uint8], payload: Payload) -> NDArray[np.uint8]:
    """Hide a payload in a picture.

    Pictures with a longer side above `WORKING_SIDE` are marked at that size and the change is
    enlarged, so that the mark survives the usual scaling to the size of a screen.

    Args:
        pixels: uint8 H×W×3, RGB; each side at least `SMALLEST`.

    Returns:
        uint8 H×W×3; about 42 dB away from `pixels`.

    Raises:
        InvalidInput: the picture is too small.
        WeightsError: the network cannot be opened.
    """
    return embed(pixels, payload.bits)


def embed(pixels: NDArray[np.uint8], bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The same as `mark` for any 32 bits."""
    import cv2

    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST:
        raise InvalidInput(f"a mark needs {SMALLEST} pixels at least in each direction")
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        change = _residual(pixels, bits)
    else:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = _residual(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), bits)
        change = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    marked: NDArray[Any] = np.clip(np.rint(pixels + 255 * change), 0, 255)
    return marked.astype(np.uint8)


def _residual(pixels: NDArray[np.uint8], bits: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What is to be added, float32 H×W×3 in units of 1; computed tile by tile."""
    session = runtime.session(ENCODER)
    data = bits.astype(np.float32)[None]
    height, width = pixels.shape[:2]
    result = np.empty(pixels.shape, np.float32)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            first, start = max(0, top - _REACH), max(0, left - _REACH)
            seen = pixels[first : top + _TILE + _REACH, start : left + _TILE + _REACH]
            found = session.run(_planes(seen), bits=data)["residual"][0].transpose(1, 2, 0)
            part = result[top : top + _TILE, left : left + _TILE]
            inner = found[top - first :, left - start :]
            part[...] = inner[: part.shape[0], : part.shape[1]]
    return result


def soft_bits(pixels: NDArray[np.uint8], scale: float, side: int) -> NDArray[np.float64] | None:
    """What the decoder reads in the middle of a picture, at one scale.

    Args:
        pixels: uint8 H×W×3, RGB.
        scale: factor by which the picture is enlarged or shrunk first.
        side: of the largest square that is read, pixels after scaling.

    Returns:
        float64 (32,), above 0 for a one; None where less than `SMALLEST` pixels would be left.

    Raises:
        WeightsError: the network cannot be opened.
    """
    import cv2

    height, width = pixels.shape[:2]
    rows, columns = min(height, round(side / scale)), min(width, round(side / scale))
    size = round(columns * scale), round(rows * scale)
    if min(size) < SMALLEST:
        return None
    top, left = (height - rows) // 2, (width - columns) // 2
    window = pixels[top : top + rows, left : left + columns]
    if scale != 1:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        window = cv2.resize(window, size, interpolation=how)
    cells = runtime.session(DECODER).run(_planes(window))["cells"][0]
    mean: NDArray[np.float64] = cells.mean(axis=(1, 2), dtype=np.float64)
    return mean


def scales(height: int, width: int) -> list[float]:
    """Scales at which a mark is looked for in a picture of this size, the most likely first.

    Steps of √2: from twice the size (the picture was halved since) down to half of it, and for
    large pictures down to about half of `WORKING_SIDE` (marked there, and cropped since).
    """
    last = min(0.5, WORKING_SIDE / max(height, width) / 2)
    steps = round(2 * np.log2(1 / last))
    found = [2.0 ** (-k / 2) for k in range(-2, min(steps, 14) + 1)]
    return sorted(found, key=lambda scale: abs(np.log2(scale)))


def _planes(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
