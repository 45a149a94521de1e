"""Were two aligned pictures made from one exposure, or from two of the same scene?

Detail survives a copy: after alignment each textured block correlates with its twin. A second
exposure has its own shadows, depth and, at the finest scale, its own noise.

Source: J. Immerkær, "Fast Noise Variance Estimation", CVIU 1996, for the operator that sees noise
and not structure; J. Lukáš, J. Fridrich, M. Goljan, "Digital Camera Identification from Sensor
Pattern Noise", TIFS 2006, for telling origins by correlated residuals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BLOCK = 24  # pixels
_FAINT = 2.0  # grey levels: a block whose detail is weaker says nothing
_ALIKE = 0.6  # correlation of the detail of a block that tone and noise may be learned from
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
_LAGS = ((0, 5), (5, 0), (7, 3), (3, -7), (11, 2), (-2, 11), (8, 8), (16, 0))

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Grain:
    """Noise of the flat places of two aligned pictures.

    Attributes:
        pixels: flat pixels looked at.
        reference, suspect: standard deviation of the noise, grey levels.
        slope: how much of the reference's noise is found in the suspect; 1 for an exact copy,
            0 for another exposure, or where saving wiped it out.
        significance: `slope` in units of what it is at wrong alignments.
    """

    pixels: int
    reference: float
    suspect: float
    slope: float
    significance: float


def agreement(reference: Map, suspect: Map, inside: NDArray[np.bool_]) -> Map:
    """Correlation of detail, block by block.

    Args:
        reference, suspect: float32 H×W luma in [0, 255], aligned.
        inside: bool H×W, where both are known.

    Returns:
        float32 ⌊H/`BLOCK`⌋×⌊W/`BLOCK`⌋ correlation coefficients, NaN where a block is flat in
        either picture or not inside.
    """
    one, two = (
        cv2.GaussianBlur(luma, (0, 0), 1.0) - cv2.GaussianBlur(luma, (0, 0), 5.0)
        for luma in (reference, suspect)
    )
    whole = _blocks(inside.astype(np.float32)) > 0.999
    energy = [_blocks(detail * detail) for detail in (one, two)]
    product = _blocks(one * two)
    known = whole & (np.minimum(*energy) > _FAINT**2)
    likeness = product / np.sqrt(np.maximum(energy[0] * energy[1], 1e-6))
    return np.where(known, likeness, np.nan).astype(np.float32)


def trusted(likeness: Map) -> NDArray[np.bool_]:
    """Blocks that were most likely left alone, judged by their detail.

    Args:
        likeness: from `agreement`.

    Returns:
        bool, shaped like `likeness`; all True where too few blocks say anything.
    """
    known = np.isfinite(likeness)
    alike = np.nan_to_num(likeness, nan=-1.0) >= _ALIKE
    if alike.sum() < 12:
        return np.ones(likeness.shape, np.bool_)
    # Flat blocks say nothing of themselves; they go with the majority of the others.
    return alike | ~known if alike.sum() > 0.7 * known.sum() else alike


def _blocks(values: Map) -> Map:
    rows, columns = values.shape[0] // BLOCK, values.shape[1] // BLOCK
    cut = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(cut.mean(axis=(1, 3)), np.float32)


def grain(tiles: Sequence[tuple[Map, Map, NDArray[np.bool_]]]) -> Grain:
    """Compare the noise of flat places.

    Args:
        tiles: float32 H×W lumas of reference and suspect in [0, 255], aligned at the suspect's
            own resolution, and bool H×W where both are known.
    """
    products, powers, others, count = np.zeros(1 + len(_LAGS)), 0.0, 0.0, 0
    for reference, suspect, inside in tiles:
        flat = inside & _flat(reference) & _flat(suspect)
        flat[:16] = flat[-16:] = False
        flat[:, :16] = flat[:, -16:] = False
        if flat.sum() < 64:
            continue
        one, two = (cv2.filter2D(luma, cv2.CV_32F, _NOISE) for luma in (reference, suspect))
        count += int(flat.sum())
        powers += float((one[flat] ** 2).sum())
        others += float((two[flat] ** 2).sum())
        for index, (down, right) in enumerate(((0, 0), *_LAGS)):
            moved = np.roll(two, (down, right), (0, 1))
            products[index] += float((one * moved)[flat].sum())
    if count < 500 or powers <= 0:
        return Grain(count, 0.0, 0.0, 0.0, 0.0)
    slopes = products / powers
    chance = max(float(np.sqrt((slopes[1:] ** 2).mean())), 1e-4)
    return Grain(
        count,
        float(np.sqrt(powers / count)),
        float(np.sqrt(others / count)),
        float(slopes[0]),
        float(slopes[0] / chance),
    )


def _flat(luma: Map) -> NDArray[np.bool_]:
    smooth = cv2.GaussianBlur(luma, (0, 0), 2.5)
    x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125)
    y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)
    calm = cv2.dilate(x * x + y * y, np.ones((9, 9), np.uint8)) < 1.5
    return np.asarray(calm & (smooth > 6) & (smooth < 245), np.bool_)
