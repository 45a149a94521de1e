"""The Haar-wavelet watermark carrier of the `dwtDct` method: reading and writing bits.

The method hides one bit in each 8×8-pixel block of the U plane: one level of the Haar transform
turns the block into 4×4 approximation values, and the largest of them in magnitude (the first
one left aside) is moved to a quarter or to three quarters of a quantisation step. Bits repeat
cyclically over the blocks in reading order. In spite of its name it applies no DCT.

Source: Q. Wang, the `invisible-watermark` package (2021), described from its behaviour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 8
STEP = 36.0

# Embedders work on 8-bit planes, where neutral chroma is 128, or on float planes, where OpenCV
# puts it at 0.5. A Haar approximation value is twice the mean of its four pixels.
NEUTRAL_8BIT = 256.0
NEUTRAL_FLOAT = 1.0


# JPEG decoders enlarge halved chroma with the triangle filter (1/4, 3/4), so that the mean of
# two neighbours is the stored value smoothed by (1/8, 3/4, 1/8). These five values undo that to
# within 1 %: the inverse falls off by 2√2 - 3 from one value to the next.
_UNSMOOTH = np.array([0.0416, -0.2427, 1.4142, -0.2427, 0.0416], np.float32)
_UNSMOOTH /= _UNSMOOTH.sum()


def haar_chroma(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp], halved: bool = False
) -> NDArray[np.float32]:
    """Haar approximation of the U plane in the chosen rows of blocks.

    Args:
        pixels: uint8 H×W×3 with the channel that U is built on first (BGR for true U).
        rows: 0-based indices of block rows, each below H // 8.
        halved: whether the pixels come from a JPEG that stores chroma at half size both ways
            (4:2:0); the smoothing by its decoder is then undone.

    Returns:
        float32 (len(rows), W // 8, 4, 4), neutral chroma at 0, about -250 to 250: OpenCV's
        U = 0.492 (B - Y) times two.
    """
    columns = pixels.shape[1] // BLOCK
    end = pixels.shape[0] // BLOCK * BLOCK
    result = np.empty((len(rows), columns, 4, 4), np.float32)
    weights = 0.492 * (np.array([1.0, 0.0, 0.0]) - np.array([0.114, 0.587, 0.299]))
    margin = 4 if halved else 0
    for k, row in enumerate(rows):
        first, last = max(0, row * BLOCK - margin), min(end, (row + 1) * BLOCK + margin)
        strip = pixels[first:last, : columns * BLOCK]
        pairs = strip[0::2].astype(np.int16) + strip[1::2]
        quads = pairs[:, 0::2] + pairs[:, 1::2]
        values = quads.astype(np.float32) @ (weights / 2).astype(np.float32)
        if halved:
            values = _sharpened(values)
        inner = (row * BLOCK - first) // 2
        result[k] = values[inner : inner + 4].reshape(4, columns, 4).transpose(1, 0, 2)
    return result


def _sharpened(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """`values` filtered along both axes by `_UNSMOOTH`, borders repeated."""
    for axis in (0, 1):
        padded = np.pad(values, [(2, 2) if axis == k else (0, 0) for k in (0, 1)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=axis)
        values = windows @ _UNSMOOTH
    return values


def read_votes(blocks: NDArray[np.float32], neutral: float) -> NDArray[np.float32]:
    """How clearly each block holds a one or a zero, if a watermark is there.

    Args:
        blocks: float32 (…, 4, 4) from `haar_chroma`.
        neutral: `NEUTRAL_8BIT` or `NEUTRAL_FLOAT`, whichever the embedder used.

    Returns:
        float32 of the leading shape in [-1, 1]: 1 where the largest value sits at three quarters
        of a step (bit one), -1 at one quarter (bit zero), 0 half way, where noise decides.
    """
    flat = np.abs(blocks.reshape(*blocks.shape[:-2], 16)[..., 1:] + np.float32(neutral))
    votes: NDArray[np.float32] = -np.sin(flat.max(axis=-1) * np.float32(2 * np.pi / STEP))
    return votes


def fold_all(
    votes: NDArray[np.float32], rows: NDArray[np.intp], length: int
) -> NDArray[np.float32]:
    """Sums of the votes for each bit of a repeated mark, for every possible original width.

    A crop does not tell how many blocks wide the picture was when it was marked; only that width
    modulo the length of the mark matters.

    Args:
        votes: float32 (variants, len(rows), columns).
        rows: the block row that each row of votes was taken from.
        length: bits in the mark.

    Returns:
        float32 (variants, widths modulo length, bits): entry (v, s, b) sums the votes of blocks
        for which rows × s + column is b modulo `length`.
    """
    variants, count, columns = votes.shape
    padded = np.zeros((variants, count, -(-columns // length) * length), np.float32)
    padded[..., :columns] = votes
    folded = padded.reshape(variants, count, -1, length).sum(axis=2)
    # A shift along the bits is a phase in the spectrum, so that all strides are one product.
    spectrum = np.fft.rfft(folded, axis=2).astype(np.complex64)
    roots = np.exp(-2j * np.pi * np.arange(length) / length).astype(np.complex64)
    turns = np.multiply.outer(rows, np.arange(length)) % length
    result = np.empty((spectrum.shape[2], variants, length), np.complex64)
    for k in range(spectrum.shape[2]):
        result[k] = spectrum[:, :, k] @ roots[(turns * k) % length]
    sums: NDArray[Any] = np.fft.irfft(result.transpose(1, 2, 0), length, axis=2)
    return sums.astype(np.float32)


def log10_sign_tail(agreement: NDArray[Any]) -> float:
    """log10 of a bound on how often fair coins as signs would give so large a sum.

    Chernoff's bound over the signs, with the magnitudes as they are: if all agree, it is exactly
    2 to the minus number of values; a disagreement costs little where the magnitude is small.

    Args:
        agreement: float (n,), positive where a value agrees.

    Returns:
        A value in [-n log10 2, 0].
    """
    size = np.abs(agreement).astype(np.float64)
    if agreement.sum() <= 0:
        return 0.0
    size /= size.mean()
    total = float(np.sign(agreement) @ size)
    slopes = np.geomspace(0.02, 200, 120)
    products = np.multiply.outer(slopes, size)
    log_cosh = products + np.log1p(np.exp(-2 * products)) - np.log(2)
    bounds = log_cosh.sum(axis=1) - slopes * total
    return float(min(0.0, bounds.min()) / np.log(10))


def embed(
    pixels: NDArray[Any], bits: NDArray[np.bool_], neutral: float = NEUTRAL_8BIT
) -> NDArray[np.uint8]:
    """Write `bits` into a picture as the `dwtDct` method does, up to rounding.

    Args:
        pixels: uint8 H×W×3, first channel as for `haar_chroma`.
        bits: the mark.
        neutral: `NEUTRAL_8BIT` or `NEUTRAL_FLOAT`.

    Returns:
        uint8 H×W×3.
    """
    rows, columns = pixels.shape[0] // BLOCK, pixels.shape[1] // BLOCK
    blocks = haar_chroma(pixels, np.arange(rows)) + np.float32(neutral)
    flat = blocks.reshape(rows * columns, 16)
    change = np.zeros_like(flat)
    where = np.abs(flat[:, 1:]).argmax(axis=1) + 1
    pick = np.arange(len(flat))
    value = flat[pick, where]
    bit = np.resize(bits, len(flat))
    target = (np.abs(value) // STEP + 0.25 + 0.5 * bit) * STEP
    change[pick, where] = np.where(value >= 0, target, -target) - value
    grid = change.reshape(rows, columns, 4, 4).transpose(0, 2, 1, 3)
    plane = grid.reshape(rows * 4, columns * 4).repeat(2, axis=0).repeat(2, axis=1) / 2
    result = pixels.astype(np.float32)
    # Changing U alone at constant Y and V: B moves by U / 0.492 and G makes up for it in luma.
    area = result[: rows * BLOCK, : columns * BLOCK]
    area[..., 0] += plane / 0.492
    area[..., 1] -= plane * (0.114 / 0.587 / 0.492)
    return np.clip(np.round(result), 0, 255).astype(np.uint8)
