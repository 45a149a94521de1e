"""Zernike moment magnitudes around every pixel: a description that ignores rotation.

Source: M. R. Teague, "Image analysis via the general theory of moments", JOSA 1980; used for
copy-move by S.-J. Ryu et al., IEEE TIFS 2013, and D. Cozzolino et al., IEEE TIFS 2015.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBPIXELS = 5  # kernels are averaged over each pixel, which keeps them rotation-invariant


def moments(order: int) -> tuple[tuple[int, int], ...]:
    """All pairs (n, m) with 0 ≤ m ≤ n ≤ order and n − m even, in that order."""
    return tuple((n, m) for n in range(order + 1) for m in range(n % 2, n + 1, 2))


def radial(n: int, m: int, radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zernike radial polynomial R_nm at `radius` in [0, 1] (Teague 1980)."""
    total = np.zeros_like(radius)
    for k in range((n - m) // 2 + 1):
        factor = (-1) ** k * math.factorial(n - k)
        factor //= (
            math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)
        )
        total += factor * radius ** (n - 2 * k)
    return total


def kernel(n: int, m: int, radius: int) -> NDArray[np.complex128]:
    """The (n, m) Zernike function on a disc of `radius` pixels, with unit energy.

    Returns:
        complex128 (2·radius + 1)²; zero outside the disc.
    """
    side = 2 * radius + 1
    axis = (np.arange(side * SUBPIXELS) + 0.5) / SUBPIXELS - side / 2
    x, y = np.meshgrid(axis, axis)
    rho = np.hypot(x, y) / (radius + 0.5)
    values = radial(n, m, rho) * np.exp(-1j * m * np.arctan2(y, x)) * (rho <= 1)
    pixels = values.reshape(side, SUBPIXELS, side, SUBPIXELS).mean(axis=(1, 3))
    if (n, m) != (0, 0):
        # Only the zeroth moment may see brightness, also after sampling.
        disc = (rho <= 1).reshape(side, SUBPIXELS, side, SUBPIXELS).mean(axis=(1, 3))
        pixels -= disc * pixels.sum() / disc.sum()
    energy: NDArray[np.complex128] = pixels / np.linalg.norm(pixels)
    return energy


def zernike_magnitudes(
    luma: NDArray[np.float32], radius: int = 8, order: int = 5
) -> NDArray[np.float32]:
    """Magnitudes of the Zernike moments of the disc around each pixel.

    Args:
        luma: float32 H×W, in [0, 255].
        radius: of the disc, in pixels.
        order: highest n; order 5 gives 12 magnitudes.

    Returns:
        float32 H×W×K, K = len(moments(order)), in the units of `luma` × pixels. Borders mirror.
    """
    pairs = moments(order)
    output = np.empty((*luma.shape, len(pairs)), np.float32)
    for index, (n, m) in enumerate(pairs):
        taps = kernel(n, m, radius)
        real = _filter(luma, taps.real)
        output[..., index] = np.abs(real) if m == 0 else np.hypot(real, _filter(luma, taps.imag))
    return output


def _filter(luma: NDArray[np.float32], taps: NDArray[np.float64]) -> NDArray[np.float32]:
    border = cv2.BORDER_REFLECT
    filtered = cv2.filter2D(luma, cv2.CV_32F, taps.astype(np.float32), borderType=border)
    return np.asarray(filtered, np.float32)
