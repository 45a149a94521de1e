"""Pairs of places in one picture that an affine map carries onto each other.

Proposed maps, from `signals.shifts` or `signals.keypoints`, are sharpened, the part that obeys
them is outlined, and what a copy shares with its original but a lookalike does not is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[slice, slice]

WINDOW = 11  # side of the windows that are compared, in pixels
DETAIL_SIGMA = 1.5  # detail is what a Gaussian of this width, in pixels, removes
COARSE_SIGMA = 2.0  # … and what it leaves is light
REACH = 400  # points farther than this from their middle, in pixels, are left out of a test
AGREEMENT = 0.6  # a window repeats when this much of its detail is common to both places
FLOOR = 1.0  # energy of detail, in square levels, that counts as nothing
VISIBLE = 2.0  # energy of detail, in square levels, from which a window shows something
SMALLEST = 150  # pixels of the smallest part that is judged
ROUNDS = 3  # times that a map is sharpened on what it was found to predict
LEVEL = 0.6  # least difference of coarse light, in levels, that is told apart
RIM = 2  # pixels given back around an outlined part
NUDGES = (3, 6)  # pixels by which a part is moved to see how much it resembles itself


@dataclass(frozen=True)
class Proposal:
    """An affine map to be verified.

    Attributes:
        matrix: float64 2×3, carries (x, y) of a place to its lookalike.
        points: float32 N×2, (x, y) of pixels or keypoints that suggested it.
    """

    matrix: NDArray[np.float64]
    points: NDArray[np.float32]


@dataclass(frozen=True)
class Match:
    """A sharpened map, the part of the picture that obeys it, and how well.

    Attributes:
        matrix: float64 2×3; carries each marked pixel to its lookalike.
        left, top: where `mask` lies in the picture.
        mask: bool h×w, the part.
        visible: its pixels with measurable detail.
        correlation: of detail brought to equal strength everywhere, in [-1, 1].
        light: median absolute difference of coarse light after a common offset, in levels, ≥ 0.
        directions: how far detail varies in two directions, in [0, 1]; 0 for straight edges.
        self_likeness: largest correlation of the part with itself a few pixels aside, in [-1, 1].
        difference: energy of the difference of detail relative to that of the detail, ≥ 0.
    """

    matrix: NDArray[np.float64]
    left: int
    top: int
    mask: NDArray[np.bool_]
    visible: int
    correlation: float
    light: float
    directions: float
    self_likeness: float
    difference: float


@dataclass(frozen=True)
class _Comparison:
    """Detail here (one) and of the lookalike (two), and what windows of it have in common.

    Attributes:
        known: where the lookalike lies inside the picture.
        weaker: energy of the weaker of both.
        strength: square root of their mean energy and `FLOOR`.
        agreement: share of the energy that is common; 0 in windows without detail.
        unopposed: the same, but 1 in windows without detail.
    """

    known: NDArray[np.bool_]
    one: NDArray[np.float32]
    two: NDArray[np.float32]
    weaker: NDArray[np.float32]
    strength: NDArray[np.float32]
    agreement: NDArray[np.float32]
    unopposed: NDArray[np.float32]


def detail(luma: NDArray[np.float32], sigma: float = DETAIL_SIGMA) -> NDArray[np.float32]:
    """What is left of `luma` (float32 H×W) after subtracting a Gaussian blur of it."""
    return luma - np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)


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
    matrix, best, area = proposal.matrix, None, 0
    for _ in range(ROUNDS):
        local = _moved(matrix, box, 1)
        here = np.ascontiguousarray(luma[box])
        tried = [local, _refine(here, luma, local, seeds)]
        if np.abs(local[:, :2] - np.eye(2)).max() < 0.05:
            # A plain shift by whole pixels copies values exactly.
            tried.append(_whole(tried[-1], seeds))
        found = [one for way in tried if (one := _part(here, luma, way, seeds)) is not None]
        if not found:
            break
        _, part, local = max(found, key=lambda one: one[0])
        count = int(part.sum())
        best, matrix = (box, part), _moved(local, box, -1)
        if count < 1.1 * area:
            break
        area = count
        box, seeds = _beside(luma.shape, box, part)
    return None if best is None else _measure(luma, *best, matrix)


def _moved(matrix: NDArray[np.float64], box: Box, sign: int) -> NDArray[np.float64]:
    """The map from `box` instead of the picture (sign 1), or the reverse (−1)."""
    moved = matrix.copy()
    moved[:, 2] += sign * (matrix[:, :2] @ (box[1].start, box[0].start))
    return moved


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


def _beside(
    shape: tuple[int, ...], box: Box, part: NDArray[np.bool_]
) -> tuple[Box, NDArray[np.uint8]]:
    """A part and its surroundings, where it may go on beyond the box that it was found in."""
    x, y, width, height = cv2.boundingRect(part.astype(np.uint8))
    top, left = box[0].start + y, box[1].start + x
    margin = int(min(max(32, 0.4 * max(width, height)), REACH))
    rows = slice(max(0, top - margin), min(shape[0], top + height + margin))
    columns = slice(max(0, left - margin), min(shape[1], left + width + margin))
    seeds = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    inner = seeds[top - rows.start :, left - columns.start :][:height, :width]
    inner[:] = part[y : y + height, x : x + width]
    return (rows, columns), seeds


def _refine(
    here: NDArray[np.float32],
    luma: NDArray[np.float32],
    matrix: NDArray[np.float64],
    seeds: NDArray[np.uint8],
) -> NDArray[np.float64]:
    y, x = np.nonzero(seeds)
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


def _compare(here: NDArray[np.float32], warped: NDArray[np.float32]) -> _Comparison:
    known = np.asarray(cv2.erode((warped > -1e3).astype(np.uint8), np.ones((9, 9))), bool)
    one = detail(here, COARSE_SIGMA)
    two = detail(np.where(warped > -1e3, warped, 0), COARSE_SIGMA)
    first, second, common = _mean(one * one), _mean(two * two), _mean(one * two)
    energy = first + second + 2 * FLOOR
    return _Comparison(
        known,
        one,
        two,
        weaker=np.minimum(first, second),
        strength=np.sqrt(0.5 * energy),
        agreement=2 * common / energy,
        unopposed=2 * (common + FLOOR) / energy,
    )


def _part(
    here: NDArray[np.float32],
    luma: NDArray[np.float32],
    matrix: NDArray[np.float64],
    seeds: NDArray[np.uint8],
) -> tuple[float, NDArray[np.bool_], NDArray[np.float64]] | None:
    """The connected parts around `seeds` that obey `matrix`, after how much speaks for it.

    Returns:
        The correlation times the square root of the pixels, the part and the matrix; None if the
        part is too small.
    """
    comparison = _compare(here, _warp(luma, matrix, here.shape))
    alike = _tidy((comparison.agreement > AGREEMENT) & comparison.known)
    part = _filled(_touching(alike, seeds > 0)) & comparison.known
    area = int(part.sum())
    if area < SMALLEST:
        return None
    one, two = comparison.one / comparison.strength, comparison.two / comparison.strength
    return _correlation(one[part], two[part]) * math.sqrt(area), part, matrix


def _measure(
    luma: NDArray[np.float32], box: Box, part: NDArray[np.bool_], matrix: NDArray[np.float64]
) -> Match | None:
    here = np.ascontiguousarray(luma[box])
    warped = _warp(luma, _moved(matrix, box, 1), here.shape)
    comparison = _compare(here, warped)
    visible = part & (comparison.weaker > VISIBLE)
    if int(visible.sum()) < SMALLEST // 2:
        return None
    one, two = comparison.one / comparison.strength, comparison.two / comparison.strength
    common = detail(0.5 * (here + np.where(warped > -1e3, warped, 0)))
    aside = max(
        _correlation(one[part], np.roll(two, move, (0, 1))[part])
        for step in NUDGES
        for move in ((step, 0), (0, step), (-step, 0), (0, -step))
    )
    a, b = comparison.one[part], comparison.two[part]
    light, whole = _light(here, warped, comparison, part)
    rows, columns = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    inner = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return Match(
        matrix=matrix,
        left=box[1].start + int(columns[0]),
        top=box[0].start + int(rows[0]),
        mask=whole[inner],
        visible=int(visible.sum()),
        correlation=_correlation(one[part], two[part]),
        light=light,
        directions=_directions(common, visible),
        self_likeness=aside,
        difference=float(2 * ((a - b) ** 2).sum() / max(float((a * a + b * b).sum()), 1e-6)),
    )


def _light(
    here: NDArray[np.float32],
    warped: NDArray[np.float32],
    comparison: _Comparison,
    part: NDArray[np.bool_],
) -> tuple[float, NDArray[np.bool_]]:
    """How far light differs in `part`, and `part` with its smooth surroundings that agree too."""
    difference = here - np.where(warped > -1e3, warped, 0)
    smooth = np.asarray(cv2.GaussianBlur(difference, (0, 0), COARSE_SIGMA), np.float32)
    apart = np.abs(smooth - np.median(smooth[part]))
    light = float(np.median(apart[part]))
    alike = (apart < max(LEVEL, 4 * light)) & (comparison.unopposed > AGREEMENT)
    joined = _touching(_tidy(part | (alike & comparison.known)), part)
    # Windows across its border disagree; what they took from it is given back.
    grown = cv2.dilate(joined.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8))
    return light, _filled(grown > 0) & comparison.known


def _directions(common: NDArray[np.float32], visible: NDArray[np.bool_]) -> float:
    """Median share of the gradient's energy along its weakest direction, doubled.

    A straight edge fits anywhere along itself, so it must not count as agreement: this is twice
    the smaller eigenvalue of the structure tensor over its trace, 1 for a texture without
    direction.
    """
    x = cv2.Scharr(common, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(common, cv2.CV_32F, 0, 1, scale=1 / 32)
    xx, yy, xy = _mean(x * x), _mean(y * y), _mean(x * y)
    weak = xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
    return float(np.median((weak / (xx + yy + 0.1))[visible]))


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    energy = math.sqrt(float((one * one).sum()) * float((two * two).sum()))
    return float((one * two).sum()) / max(energy, 1e-6)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`mask` without its holes: smooth patches inside a copy carry no detail."""
    filled = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outlines, -1, 1, -1)
    return np.asarray(filled, bool)


def _tidy(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop specks and close gaps."""
    tidy = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    tidy = cv2.morphologyEx(tidy, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8))
    return np.asarray(tidy, bool)


def _touching(mask: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of `mask` that touch `seeds`."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    chosen = np.unique(labels[seeds & mask])
    return np.isin(labels, chosen[chosen > 0])


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (WINDOW, WINDOW)), np.float32)
