"""Noise of small blocks, and windows of a grid where a rare event happens too often.

Sources: M. Gardella, P. Musé, J.-M. Morel, M. Colom, "Noisesniffer: a Fully Automatic Image
Forgery Detector Based on Noise Analysis", IWBF 2021, and IPOL 14, 2024; N. Ponomarenko et al.,
"An Automatic Approach to Lossy Compression of AVIRIS Images", IGARSS 2007 (noise from the high
DCT frequencies of the blocks whose low ones are weakest); A. Desolneux, L. Moisan, J.-M. Morel,
"From Gestalt Theory to Image Analysis", 2008 (number of false alarms).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.media.context import Signal
from bonafide.signals.heavy import cv2, scipy

BLOCK = 8
STRIP = 64  # rows of blocks worked on at once
WINDOWS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)  # sides of tested squares, in cells


@dataclass(frozen=True)
class NoiseBlocks:
    """Statistics of 8×8 blocks whose corners lie `stride` pixels apart.

    Every array is (rows, columns) of blocks.

    Attributes:
        mean: float32, mean luma [8-bit levels].
        low: float32, mean squared DCT coefficient over 1 ≤ u + v ≤ 4 [levels²]: structure.
        high: float32, root mean square DCT coefficient over u + v ≥ 9 [levels]: noise, since
            the transform is orthonormal and structure seldom reaches these frequencies.
        usable: bool, no channel of any pixel is clipped and the block is not flat.
        stride: distance between neighbouring blocks [pixels].
    """

    mean: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    usable: NDArray[np.bool_]
    stride: int


def noise_blocks(luma: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NoiseBlocks:
    """Measure structure and noise of every block of a picture.

    Args:
        luma: float32 H×W in [0, 255].
        pixels: uint8 H×W×3, looked at for clipping only.

    Returns:
        Blocks 2 pixels apart up to 1.5 megapixels, 4 up to 16, 8 beyond: the number of blocks,
        and with it time and memory, stays within reason.
    """
    height, width = luma.shape
    stride = 2 if luma.size < 1.5e6 else 4 if luma.size < 16e6 else 8
    rows = max((height - BLOCK) // stride + 1, 0) if height >= BLOCK else 0
    columns = max((width - BLOCK) // stride + 1, 0) if width >= BLOCK else 0
    mean, low, high = (np.zeros((rows, columns), np.float32) for _ in range(3))
    usable = np.zeros((rows, columns), bool)
    if not rows or not columns:
        return NoiseBlocks(mean, low, high, usable, stride)
    transform = _cosines()
    order = np.add.outer(np.arange(BLOCK), np.arange(BLOCK))
    structure = ((order >= 1) & (order <= 4)).ravel().astype(np.float32)
    noise = (order >= 9).ravel().astype(np.float32)
    weights = np.stack([structure / structure.sum(), noise / noise.sum()], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view
    for first in range(0, rows, STRIP):
        last = min(first + STRIP, rows)
        top, bottom = first * stride, (last - 1) * stride + BLOCK
        down = windows(luma[top:bottom], BLOCK, axis=0)[::stride] @ transform
        both = windows(down, BLOCK, axis=1)[:, ::stride] @ transform
        mean[first:last] = both[..., 0, 0] / BLOCK
        energies = np.square(both, out=both).reshape(last - first, columns, -1) @ weights
        low[first:last], high[first:last] = energies[..., 0], np.sqrt(energies[..., 1])
        unclipped = cv2.inRange(pixels[top:bottom], (1, 1, 1), (254, 254, 254))
        inside = cv2.erode(unclipped, np.ones((BLOCK, BLOCK), np.uint8), anchor=(0, 0))
        usable[first:last] = inside[::stride, ::stride][: last - first, :columns] > 0
    usable &= high > 0.05  # below is flat: rounding alone leaves 0.2 to 0.3
    return NoiseBlocks(mean, low, high, usable, stride)


def _cosines() -> NDArray[np.float32]:
    """Orthonormal DCT-II as float32 8×8, for multiplication from the right."""
    position, frequency = np.arange(BLOCK)[:, None], np.arange(BLOCK)[None]
    matrix = np.cos(np.pi * (2 * position + 1) * frequency / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    matrix[:, 0] /= np.sqrt(2)
    scaled: NDArray[np.float32] = matrix.astype(np.float32)
    return scaled


def concentrations(
    successes: NDArray[np.floating],
    trials: NDArray[np.floating],
    probability: float,
    families: int = 1,
    log10_threshold: float = -3.0,
    smallest: int = 2,
) -> NDArray[np.float32]:
    """Find square windows of a grid in which successes are more frequent than chance allows.

    Background model: every trial succeeds with `probability`, independently. Every square with a
    side in `WINDOWS`, at most half the grid, is tested at every position.

    Args:
        successes: (rows, columns) successes per cell, in [0, trials].
        trials: (rows, columns) independent trials per cell, ≥ 0; need not be whole.
        probability: in (0, 1).
        families: how many such searches are made on one picture.
        log10_threshold: keep windows whose log10 number of false alarms is below this.
        smallest: least side of a window, in cells.

    Returns:
        float32 (rows, columns): −log10 of the number of false alarms of the strongest window
        over each cell, at most 300; 0 where there is none.
    """
    rows, columns = trials.shape
    strength = np.zeros((rows, columns), np.float32)
    sides = [side for side in WINDOWS if smallest <= side <= min(rows, columns) // 2]
    tests = families * sum((rows - side + 1) * (columns - side + 1) for side in sides)
    if not tests:
        return strength
    happened_sums, tried_sums = _integral(successes), _integral(trials)
    for side in sides:
        happened_all, tried_all = _window_sums(happened_sums, side), _window_sums(tried_sums, side)
        # A tail is never below probability ** successes, so most windows need no exact one.
        y, x = np.nonzero(
            (happened_all > tried_all * probability)
            & (-np.log10(probability) * happened_all > -log10_threshold + np.log10(tests))
        )
        if not y.size:
            continue
        happened, tried = happened_all[y, x], tried_all[y, x]
        happened = np.minimum(happened, tried)
        tail = scipy.special.betainc(happened, tried - happened + 1.0, probability)
        value = np.minimum(-np.log10(np.maximum(tail, 1e-300)) - np.log10(tests), 300.0)
        passed = value > -log10_threshold
        if passed.any():
            found = np.zeros((rows, columns), np.float32)
            found[y[passed], x[passed]] = value[passed]
            # Each cell takes the strongest of the windows that cover it.
            covering = scipy.ndimage.maximum_filter(
                found, size=side, origin=(side - 1) // 2, mode="constant"
            )
            np.maximum(strength, covering, out=strength)
    return strength


def _integral(values: NDArray[np.generic]) -> NDArray[np.float64]:
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    return sums


def _window_sums(integral: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    sums = integral[side:, side:] - integral[:-side, side:]
    sums += integral[:-side, :-side] - integral[side:, :-side]
    return np.maximum(sums, 0.0)


NOISE_BLOCKS = Signal(
    "noise_blocks", "1", lambda ctx: noise_blocks(ctx.image.luma, ctx.image.pixels)
)
