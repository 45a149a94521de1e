"""Pairs of places in one picture that an affine map carries onto each other.

Proposed maps, from `signals.shifts` or `signals.keypoints`, are sharpened, the part that obeys
them is outlined, and what a copy shares with its original but a lookalike does not is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.signals.likeness import Match, compare, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[slice, slice]

REACH = 400  # points farther than this from their middle, in pixels, are left out of a test
ROUNDS = 3  # times that a map is sharpened on what it was found to predict
HOPELESS = -4.0  # log odds under which a map is not worth another round
SLACK = 1.0  # log odds that a part may lose by growing
APART = 12  # pixels that a map must move a part by; sharpened without end, it finds the part itself
SHARPENED = 160  # pixels to each side of the middle of a part on which its map is sharpened


@dataclass(frozen=True)
class Proposal:
    """An affine map to be verified.

    Attributes:
        matrix: float64 2×3, carries (x, y) of a place to its lookalike.
        points: float32 N×2, (x, y) of pixels or keypoints that suggested it.
    """

    matrix: NDArray[np.float64]
    points: NDArray[np.float32]


def plausible(matrix: NDArray[np.float64]) -> bool:
    """Whether a person could have placed this copy: scale within 1/2…2, little shear."""
    values = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(values[1] >= 0.5 and values[0] <= 2.0 and values[0] / values[1] <= 1.5)


def rescale(matrix: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """The same map for a picture `factor` times as large, pixel centres at whole numbers."""
    scaled = matrix.copy()
    half = 0.5 * np.ones(2)
    scaled[:, 2] = factor * (matrix[:, 2] + half - matrix[:, :2] @ half) - half
    scaled[:, 2] += matrix[:, :2] @ half
    return scaled


def invert(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map back."""
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def verify(luma: NDArray[np.float32], proposal: Proposal) -> Match | None:
    """Sharpen a proposed map, and outline and measure the part that obeys it.

    The map is sharpened by maximising the correlation (G. Evangelidis, E. Psarakis, IEEE TPAMI
    2008), first on the proposal's points, then on what it was found to predict.

    Args:
        luma: float32 H×W in [0, 255].
        proposal: in the coordinates of `luma`.

    Returns:
        What was found around the proposal's points; None if nothing was.
    """
    box, seeds = _around(luma.shape, proposal.points)
    matrix, best = proposal.matrix, None
    for _ in range(ROUNDS):
        local = _moved(matrix, box, 1)
        tried = [local, _refine(np.ascontiguousarray(luma[box]), luma, local, seeds)]
        if np.abs(local[:, :2] - np.eye(2)).max() < 0.05:
            # A plain shift by whole pixels copies values exactly.
            tried.append(_whole(tried[-1], seeds))
        tried = [way for way in tried if _moves(_moved(way, box, -1), box, seeds)]
        found = [one for way in tried if (one := _judged(luma, box, way, seeds)) is not None]
        match = max(found, key=lambda one: one.log_odds, default=None)
        if match is None or (best is not None and match.log_odds < best.log_odds - SLACK):
            break
        best, matrix = match, match.matrix
        if match.log_odds < HOPELESS:
            break
        box, seeds = _beside(luma.shape, match)
    return best


def _judged(
    luma: NDArray[np.float32], box: Box, matrix: NDArray[np.float64], seeds: NDArray[np.uint8]
) -> Match | None:
    here = np.ascontiguousarray(luma[box])
    comparison = compare(here, _warp(luma, matrix, here.shape))
    part = comparison.agreeing(seeds > 0)
    if part is None:
        return None
    return measure(comparison, part, _moved(matrix, box, -1), (box[1].start, box[0].start))


def _moved(matrix: NDArray[np.float64], box: Box, sign: int) -> NDArray[np.float64]:
    """The map from `box` instead of the picture (sign 1), or the reverse (−1)."""
    moved = matrix.copy()
    moved[:, 2] += sign * (matrix[:, :2] @ (box[1].start, box[0].start))
    return moved


def _moves(matrix: NDArray[np.float64], box: Box, seeds: NDArray[np.uint8]) -> bool:
    y, x = np.nonzero(seeds)
    points = np.stack([x + box[1].start, y + box[0].start], axis=1)
    by = points @ matrix[:, :2].T + matrix[:, 2] - points
    return float(np.median(np.hypot(*by.T))) >= APART


def _whole(matrix: NDArray[np.float64], seeds: NDArray[np.uint8]) -> NDArray[np.float64]:
    y, x = np.nonzero(seeds)
    centre = np.array([x.mean(), y.mean()])
    shift = np.round(matrix[:, :2] @ centre + matrix[:, 2] - centre)
    return np.column_stack([np.eye(2), shift])


def _around(shape: tuple[int, ...], points: NDArray[np.float32]) -> tuple[Box, NDArray[np.uint8]]:
    """The surroundings of some points, and the points in it as a mask without gaps."""
    height, width = shape
    # The middle must be one of the points, since those of a ring surround an empty median.
    middle = points[((points - np.median(points, axis=0)) ** 2).sum(axis=1).argmin()]
    points = points[(np.abs(points - middle) < REACH).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum(48, 0.6 * (high - low))
    left, top = (int(value) for value in np.clip(low - margin, 0, (width - 1, height - 1)))
    right, bottom = (int(value) for value in np.minimum(high + margin + 1, (width, height)))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    seeds = np.zeros((bottom - top, right - left), np.uint8)
    places = np.asarray(np.round(points - (left, top)), np.int64)
    inside = ((places >= 0) & (places < (right - left, bottom - top))).all(axis=1)
    seeds[places[inside, 1], places[inside, 0]] = 1
    apart = float(np.sqrt(np.prod(high - low + 1) / len(points)))
    side = 2 * int(min(max(7.0, apart), 30.0)) + 1
    seeds = np.asarray(cv2.dilate(seeds, np.ones((side, side), np.uint8)), np.uint8)
    return (slice(top, bottom), slice(left, right)), seeds


def _beside(shape: tuple[int, ...], match: Match) -> tuple[Box, NDArray[np.uint8]]:
    """A part and its surroundings, where it may go on beyond the box that it was found in."""
    height, width = match.mask.shape
    margin = int(min(max(32, 0.4 * max(width, height)), REACH))
    rows = slice(max(0, match.top - margin), min(shape[0], match.top + height + margin))
    columns = slice(max(0, match.left - margin), min(shape[1], match.left + width + margin))
    seeds = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    inner = seeds[match.top - rows.start :, match.left - columns.start :][:height, :width]
    inner[:] = match.mask
    return (rows, columns), seeds


def _refine(
    here: NDArray[np.float32],
    luma: NDArray[np.float32],
    matrix: NDArray[np.float64],
    seeds: NDArray[np.uint8],
) -> NDArray[np.float64]:
    y, x = np.nonzero(seeds)
    middle = (y[len(y) // 2], x[len(y) // 2])
    near = (abs(y - middle[0]) <= SHARPENED) & (abs(x - middle[1]) <= SHARPENED)
    y, x = y[near], x[near]
    corners = np.array([(a, b) for a in (x.min(), x.max()) for b in (y.min(), y.max())], float)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    low = np.maximum(np.floor(moved.min(axis=0)) - 16, 0).astype(int)
    high = np.ceil(moved.max(axis=0)).astype(int) + 17
    there = np.ascontiguousarray(luma[low[1] : high[1], low[0] : high[0]])
    top, left = max(0, y.min() - 4), max(0, x.min() - 4)
    inner = (slice(top, y.max() + 5), slice(left, x.max() + 5))
    start = matrix.copy()
    start[:, 2] += matrix[:, :2] @ (left, top) - low
    try:
        valid = cv2.warpAffine(  # the mask that it takes lies in the second picture
            np.ascontiguousarray(seeds[inner]), start, there.shape[::-1], flags=cv2.INTER_NEAREST
        )
        _, refined = cv2.findTransformECC(
            np.ascontiguousarray(here[inner]),
            there,
            start.astype(np.float32),
            cv2.MOTION_AFFINE,
            (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4),
            valid,
            3,
        )
    except cv2.error:  # it reports lack of convergence, and places outside, this way
        return matrix
    result = np.asarray(refined, np.float64)
    result[:, 2] += low - result[:, :2] @ (left, top)
    drift = np.abs((corners @ (result - matrix)[:, :2].T) + (result - matrix)[:, 2]).max()
    return result if drift < 12 else matrix


def _warp(
    values: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """`values` at the places that `matrix` gives for each pixel; −1e4 outside the picture."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_CONSTANT
    size = (shape[1], shape[0])
    warped = cv2.warpAffine(values, matrix, size, flags=flags, borderMode=border, borderValue=-1e4)
    return np.asarray(warped, np.float32)
