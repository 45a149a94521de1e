"""Pairs of places in one picture that an affine map carries onto each other.

Proposed maps, from a match field here or from `signals.keypoints`, are refined and checked pixel
by pixel on the fine detail that a second shot of the same structure would not share.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image as Pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 9  # side of the windows that are compared, in pixels
DETAIL_SIGMA = 1.5  # detail is what a Gaussian of this width, in pixels, removes
REACH = 400  # points farther than this from their middle, in pixels, are left out of a test
GROW_RATIO = 0.25  # a window belongs to the copy when its detail differs by less than this
IDENTICAL = 0.03  # … and counts as identical below this
DETAIL_FLOOR = 1.0  # energy of detail below which a window shows nothing, in square levels
NOISE_MARGIN = 2.0  # detail must stand out from compression noise by this factor
BRIGHTNESS = 8.0  # largest difference of window means, in levels


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
    """A verified map and the pixels that it predicts.

    Attributes:
        matrix: float64 2×3, refined; carries each marked pixel to its lookalike.
        left, top: where `mask` lies in the picture.
        mask: bool h×w, the pixels whose surroundings the lookalike predicts.
        textured: number of pixels with measurable detail that were compared.
        identical: how many of those differ by less than `IDENTICAL` of their energy.
        difference: median over the compared pixels of the energy of the difference relative to
            the energy of what is common; 0 for an identical copy.
        correlation: of the detail over all compared pixels, in [-1, 1].
    """

    matrix: NDArray[np.float64]
    left: int
    top: int
    mask: NDArray[np.bool_]
    textured: int
    identical: int
    difference: float
    correlation: float


def detail(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is left of `luma` (float32 H×W) after subtracting a Gaussian blur of it."""
    return luma - np.asarray(cv2.GaussianBlur(luma, (0, 0), DETAIL_SIGMA), np.float32)


def field_proposals(
    mask: NDArray[np.bool_],
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    smallest: int,
    most: int = 24,
) -> list[Proposal]:
    """One affine map for each connected part of a smooth match field.

    Args:
        mask: bool H×W, where the field is smooth.
        rows, columns: float32 H×W offsets of the match, in pixels.
        smallest: parts with fewer pixels are left out.
        most: maps returned, largest parts first.
    """
    count, labels, sizes, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4
    )
    proposals: list[Proposal] = []
    areas = sizes[1:count, cv2.CC_STAT_AREA]
    for index in np.argsort(-areas, kind="stable")[:most]:
        if areas[index] < smallest:
            break
        left, top, width, height = (int(value) for value in sizes[index + 1, :4])
        y, x = np.nonzero(labels[top : top + height, left : left + width] == index + 1)
        step = max(1, len(y) // 1500)
        y, x = y[::step] + top, x[::step] + left
        here = np.stack([x, y], axis=1).astype(np.float32)
        there = here + np.stack([columns[y, x], rows[y, x]], axis=1)
        matrix, inliers = cv2.estimateAffine2D(
            here, there, method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=300
        )
        if matrix is not None and 2 * int(inliers.sum()) * step >= smallest and plausible(matrix):
            proposals.append(Proposal(matrix, here[inliers.ravel() > 0]))
    return proposals


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


def compression_noise(luma: NDArray[np.float32], table: NDArray[np.int32]) -> NDArray[np.float32]:
    """Energy of detail that JPEG compression alone changes, measured by compressing once more.

    The block grid is moved by half a block, since a copy rarely keeps its place on the grid.

    Args:
        luma: float32 H×W in [0, 255], decoded from a JPEG.
        table: int32 8×8, its luminance quantisation steps; frequency increases right and down.

    Returns:
        float32 H×W, window mean of the squared gradient of the change, ≥ 0, in square levels.
    """
    shifted = np.pad(np.clip(luma + 0.5, 0, 255).astype(np.uint8), ((4, 0), (4, 0)), "reflect")
    buffer = io.BytesIO()
    Pillow.fromarray(shifted).save(
        buffer, "JPEG", qtables=[np.clip(table, 1, 255).ravel().tolist()]
    )
    change = np.asarray(Pillow.open(buffer), np.float32)[4:, 4:] - luma
    x, y = _gradient(detail(change))
    return _mean(x * x + y * y)


def sharpen(luma: NDArray[np.float32], proposal: Proposal) -> Proposal:
    """The proposal with its map refined on `luma` (float32 H×W), for a start at a finer scale."""
    box, matrix, seeds = _crop(luma, proposal)
    matrix = _refine(np.ascontiguousarray(luma[box]), luma, matrix, seeds)
    matrix[:, 2] -= matrix[:, :2] @ (box[1].start, box[0].start)
    return Proposal(matrix, proposal.points)


def _crop(
    luma: NDArray[np.float32], proposal: Proposal
) -> tuple[tuple[slice, slice], NDArray[np.float64], NDArray[np.uint8]]:
    """The part of the picture around a proposal, its map from there, and its points as a mask."""
    height, width = luma.shape
    points = proposal.points
    # The middle must be one of the points, since those of a ring surround an empty median.
    middle = points[((points - np.median(points, axis=0)) ** 2).sum(axis=1).argmin()]
    points = points[(np.abs(points - middle) < REACH).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum(48, 0.6 * (high - low))
    left, top = (int(value) for value in np.clip(low - margin, 0, (width - 1, height - 1)))
    right, bottom = (int(value) for value in np.minimum(high + margin + 1, (width, height)))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    matrix = proposal.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    seeds = np.zeros((bottom - top, right - left), np.uint8)
    places = np.asarray(np.round(points - (left, top)), np.int64)
    inside = ((places >= 0) & (places < (right - left, bottom - top))).all(axis=1)
    seeds[places[inside, 1], places[inside, 0]] = 1
    # Points found on a reduced picture lie apart in the full one; together they cover their area.
    apart = float(np.sqrt(np.prod(high - low + 1) / len(points)))
    side = 2 * int(min(max(7.0, apart), 30.0)) + 1
    seeds = np.asarray(cv2.dilate(seeds, np.ones((side, side), np.uint8)), np.uint8)
    return (slice(top, bottom), slice(left, right)), matrix, seeds


def verify(
    luma: NDArray[np.float32], proposal: Proposal, noise: NDArray[np.float32] | None = None
) -> Match | None:
    """Refine a proposed map and find the pixels whose fine detail it predicts.

    The map is sharpened by maximising the correlation (G. Evangelidis, E. Psarakis, IEEE TPAMI
    2008). A pixel is marked when, in the window around it, the detail of its lookalike equals
    its own up to `GROW_RATIO` of its energy, and the brightness agrees.

    Args:
        luma: float32 H×W in [0, 255].
        proposal: in the coordinates of `luma`.
        noise: float32 H×W from `compression_noise`, a difference that proves nothing; None for 0.

    Returns:
        What was verified around the proposal's points; None if nothing was.
    """
    box, matrix, seeds = _crop(luma, proposal)
    top, left = box[0].start, box[1].start
    here = np.ascontiguousarray(luma[box])

    def compare(matrix: NDArray[np.float64]) -> Match | None:
        expected = None if noise is None else noise[box] + _warp(noise, matrix, here.shape)
        return _compare(here, _warp(luma, matrix, here.shape), matrix, seeds, expected)

    first = compare(matrix)
    refined = compare(_refine(here, luma, matrix, seeds))
    best = _better(first, refined)
    if best is None:
        return None
    # Once more, on what was found: seeds may reach beyond the copy and pull the map away.
    support = best.mask.astype(np.uint8)
    again = compare(_refine(here, luma, best.matrix, support))
    best = _better(best, again) or best
    matrix = best.matrix
    if np.abs(matrix[:, :2] - np.eye(2)).max() < 0.05:
        # A plain shift by whole pixels copies values exactly; prefer it where it fits as well.
        y, x = np.nonzero(support)
        centre = np.array([x.mean(), y.mean()])
        whole = np.round(matrix[:, :2] @ centre + matrix[:, 2] - centre)
        exact = compare(np.column_stack([np.eye(2), whole]))
        if exact is not None and exact.difference <= best.difference + 1e-3:
            best = exact
    matrix = best.matrix.copy()
    matrix[:, 2] -= matrix[:, :2] @ (left, top)
    return Match(
        matrix,
        left,
        top,
        best.mask,
        best.textured,
        best.identical,
        best.difference,
        best.correlation,
    )


def _better(one: Match | None, two: Match | None) -> Match | None:
    if one is None or two is None:
        return one or two
    return two if (two.identical, -two.difference) >= (one.identical, -one.difference) else one


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
    valid = cv2.warpAffine(  # the mask that it takes lies in the second picture
        np.ascontiguousarray(seeds[inner]), start, there.shape[::-1], flags=cv2.INTER_NEAREST
    )
    try:
        _, refined = cv2.findTransformECC(
            np.ascontiguousarray(here[inner]),
            there,
            start.astype(np.float32),
            cv2.MOTION_AFFINE,
            (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-5),
            valid,
            3,
        )
    except cv2.error:  # it reports lack of convergence this way
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


def _compare(
    here: NDArray[np.float32],
    warped: NDArray[np.float32],
    matrix: NDArray[np.float64],
    seeds: NDArray[np.uint8],
    noise: NDArray[np.float32] | None,
) -> Match | None:
    known = np.asarray(cv2.erode((warped > -1e3).astype(np.uint8), np.ones((9, 9))), bool)
    warped[warped < -1e3] = 0
    one, two = detail(here), detail(warped)
    difference, weak, energy = _contrast(one, two)
    alike = known & (np.abs(_mean(here) - _mean(warped)) < BRIGHTNESS)
    visible = alike & (weak > DETAIL_FLOOR)
    if noise is not None:
        difference = np.maximum(difference - np.maximum(noise, 0), 0)
        visible &= weak > NOISE_MARGIN * noise
    core = _touching(_tidy(visible & (difference < GROW_RATIO * weak)) & alike, seeds > 0)
    counted = core & visible
    textured = int(counted.sum())
    if textured < WINDOW * WINDOW:
        return None
    ratios = difference[counted] / weak[counted]
    ratio = float(np.median(ratios))
    # What is marked may have edges and shallow detail too, but must fit as well as the core.
    limit = min(max(5 * ratio, 0.05), GROW_RATIO)
    mask = _touching(_tidy(alike & (difference < limit * np.maximum(energy, DETAIL_FLOOR))), core)
    # Windows across its border failed; half a window is given back.
    mask = np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)), bool) & alike
    a, b = one[counted], two[counted]
    correlation = float((a * b).sum() / np.sqrt(max(float((a * a).sum() * (b * b).sum()), 1e-9)))
    identical = int((ratios < IDENTICAL).sum())
    return Match(matrix, 0, 0, mask, textured, identical, ratio, correlation)


def _tidy(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop specks and close gaps: smooth patches inside a copy carry no detail."""
    tidy = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    tidy = cv2.morphologyEx(tidy, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8))
    return np.asarray(tidy, bool)


def _touching(mask: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of `mask` that touch `seeds`."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    chosen = np.unique(labels[seeds & mask])
    return np.isin(labels, chosen[chosen > 0])


def _contrast(
    one: NDArray[np.float32], two: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Gradient energy of the difference; of the common part along its weakest direction; of it.

    A straight edge fits anywhere along itself, so it must not count as agreement: what counts
    is the smaller eigenvalue of the structure tensor, twice, which equals the whole gradient
    energy of a texture without direction.
    """
    (ax, ay), (bx, by) = _gradient(one), _gradient(two)
    difference = _mean((ax - bx) ** 2 + (ay - by) ** 2)
    ax, ay = 0.5 * (ax + bx), 0.5 * (ay + by)
    xx, yy, xy = _mean(ax * ax), _mean(ay * ay), _mean(ax * ay)
    weak = xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
    return difference, weak, xx + yy


def _gradient(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x = cv2.Scharr(values, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(values, cv2.CV_32F, 0, 1, scale=1 / 32)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (WINDOW, WINDOW)), np.float32)
