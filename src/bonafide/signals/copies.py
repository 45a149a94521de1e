"""Pairs of places in one picture that an affine map carries onto each other.

Proposed maps, from `signals.shifts` or `signals.keypoints`, are sharpened, the part that obeys
them is outlined, and what a copy shares with its original but a lookalike does not is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.heavy import cv2
from bonafide.signals.likeness import (
    HOPELESS,
    RICHER,
    SMALLEST,
    Match,
    Place,
    compare,
    measure,
    places,
)
from bonafide.signals.polish import polish

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[slice, slice]

REACH = 130  # points farther than this from their middle, in pixels, are left out at first
ROUNDS = 4  # times that a map is sharpened on what it was found to predict
SLACK = 1.0  # log odds that a part may lose by growing
APART = 12  # pixels that a map must move a part by; sharpened without end, it finds the part itself
SHARPENED = 112  # pixels to each side of the middle of a part on which its map is sharpened
SUPPORTED = 0.1  # mean agreement of detail at the points of a map under which it is dropped
FAIR = 0.9  # mean agreement of a map relative to the best one under which it is dropped
SETTLED = 0.02  # relative change of a part's size under which it is as large as it gets
GROWTH = 400  # farthest that a part may grow in one round, in pixels
CORE = 8  # depth of the inside of a part, in pixels, where only the part itself is compared
UNEVEN, NOISE = 2.0, 0.002  # how much better, relative and absolute, a copy is predicted


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
        ways = _sharpened(luma, box, matrix, seeds)
        # Later rounds start from a map that was chosen, so the simplest that fits is enough.
        match = _best(luma, box, ways if best is None else ways[:1], seeds)
        if match is None or (best is not None and match.log_odds < best.log_odds - SLACK):
            break
        settled = best is not None and _settled(best, match)
        best, matrix = match, match.matrix
        if settled or match.log_odds < HOPELESS:
            break
        box, seeds = _beside(luma.shape, match)
    return best if best is None or best.log_odds < HOPELESS else _rested(luma, best)


def _rested(luma: NDArray[np.float32], match: Match) -> Match:
    """The match as its polished map shows it, so that its score does not hang on rounding.

    A shift by whole pixels needs no polishing.
    """
    if np.array_equal(match.matrix, np.round(match.matrix)):
        return match
    matrix = _polished(luma, match).matrix
    box, seeds = _beside(luma.shape, match)
    here = Place.of(np.ascontiguousarray(luma[box]))
    found = _judged(luma, box, here, matrix, seeds)
    return match if found is None or found.log_odds < match.log_odds - SLACK else found


def directed(luma: NDArray[np.float32], match: Match) -> tuple[Match, bool]:
    """The match with the copy as its marked side, and whether resampling tells which that is.

    A turned or scaled copy is what its original becomes by interpolation, so the map predicts it
    well; the original holds detail that the copy has lost, so the map back predicts it badly. A
    shift by whole pixels interpolates nothing, and tells nothing.

    Args:
        luma: float32 H×W in [0, 255], in which the match was found.
        match: as `verify` returned it.
    """
    if _is_shift(match.matrix):
        return match, False
    points = _sampled_points(match)
    back = verify(luma, Proposal(invert(match.matrix), match.carry(points).astype(np.float32)))
    if back is None:
        return match, False
    sides = [_polished(luma, side) for side in (match, back)]
    one, two = sorted(sides, key=lambda side: side.difference)
    known = two.difference > UNEVEN * one.difference + NOISE
    return (one if known else match), known


def _settled(before: Match, after: Match) -> bool:
    """Whether another round found the same part."""
    one, two = (int(np.count_nonzero(match.mask)) for match in (before, after))
    return abs(two - one) <= SETTLED * one


def _polished(luma: NDArray[np.float32], match: Match) -> Match:
    """The match with its map polished, and the difference then left well inside the part."""
    box = _box(match)
    here = np.ascontiguousarray(luma[box])
    core = _inner(match.mask)
    local = polish(here, luma, _moved(match.matrix, box, 1), core)
    difference = compare(Place.of(here), _warp(luma, local, here.shape)).difference(core)
    return replace(match, matrix=_moved(local, box, -1), difference=difference)


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels whose window lies inside `mask`; half as deep where there are hardly any."""
    padded = np.pad(mask, 1).astype(np.uint8)
    for depth in (CORE, CORE // 2, 0):
        side = 2 * depth + 1
        inner = cv2.erode(padded, np.ones((side, side), np.uint8))[1:-1, 1:-1] > 0
        if np.count_nonzero(inner) >= SMALLEST:
            break
    return np.asarray(inner, bool)


def _judged(
    luma: NDArray[np.float32],
    box: Box,
    here: Place,
    matrix: NDArray[np.float64],
    seeds: NDArray[np.uint8],
) -> Match | None:
    """What obeys `matrix` (of the picture) inside `box` and touches the seeds; None if nothing."""
    comparison = compare(here, _warp(luma, _moved(matrix, box, 1), here.luma.shape))
    part = comparison.agreeing(seeds > 0)
    if part is None:
        return None
    return measure(comparison, part, matrix, (box[1].start, box[0].start))


def _best(
    luma: NDArray[np.float32],
    box: Box,
    ways: list[NDArray[np.float64]],
    seeds: NDArray[np.uint8],
) -> Match | None:
    """What the best of some maps (of the picture) predicts; a later one must be clearly better."""
    best = None
    here = Place.of(np.ascontiguousarray(luma[box]))
    for way in ways:
        found = _judged(luma, box, here, way, seeds)
        if found and (best is None or found.log_odds > best.log_odds + RICHER):
            best = found
    return best


def _sharpened(
    luma: NDArray[np.float32], box: Box, matrix: NDArray[np.float64], seeds: NDArray[np.uint8]
) -> list[NDArray[np.float64]]:
    """Maps (of the picture) that fit around the middle of the seeds, those that fit badly left out.

    They are, the simplest first: the nearest shift by whole pixels, which copies values exactly,
    the sharpened map, and the map as it was.
    """
    near, seeds = _near(box, seeds)
    local = _moved(matrix, near, 1)
    here = np.ascontiguousarray(luma[near])
    refined = _refine(here, luma, local, seeds)
    tried = [refined, local]
    if np.abs(local[:, :2] - np.eye(2)).max() < 0.05:
        tried.insert(0, _whole(refined, seeds))
    tried = [  # a map that was a shift by whole pixels, or that nothing sharpens, is there twice
        way
        for place, way in enumerate(tried)
        if not any(np.array_equal(way, other) for other in tried[:place])
        and _moves(_moved(way, near, -1), near, seeds)
    ]
    place = Place.of(here)
    supports = [_support(place, luma, way, seeds) for way in tried]
    least = max([SUPPORTED, *(FAIR * support for support in supports)])
    fair = [way for way, support in zip(tried, supports, strict=True) if support >= least]
    return [_moved(way, near, -1) for way in fair]


def _support(
    here: Place,
    luma: NDArray[np.float32],
    matrix: NDArray[np.float64],
    seeds: NDArray[np.uint8],
) -> float:
    """Mean agreement of detail, in [0, 1], between the seeds here and where the map leads."""
    comparison = compare(here, _warp(luma, matrix, here.luma.shape))
    agreement = np.maximum(comparison.agreement, 0) * comparison.known
    return float(cv2.mean(agreement, seeds)[0])


def _box(match: Match) -> Box:
    height, width = match.mask.shape
    return slice(match.top, match.top + height), slice(match.left, match.left + width)


def _sampled_points(match: Match, most: int = 2000) -> NDArray[np.float64]:
    """float64 N×2: (x, y) in the picture of evenly many marked pixels."""
    y, x = places(match.mask, most)
    return np.stack([x + match.left, y + match.top], axis=1).astype(np.float64)


def _moved(matrix: NDArray[np.float64], box: Box, sign: int) -> NDArray[np.float64]:
    """The map from `box` instead of the picture (sign 1), or the reverse (−1)."""
    moved = matrix.copy()
    moved[:, 2] += sign * (matrix[:, :2] @ (box[1].start, box[0].start))
    return moved


def _moves(matrix: NDArray[np.float64], box: Box, seeds: NDArray[np.uint8]) -> bool:
    """Whether the map (of the picture) carries the seeds away from where they are."""
    y, x = places(seeds, 1000)
    points = np.stack([x + box[1].start, y + box[0].start], axis=1)
    by = points @ matrix[:, :2].T + matrix[:, 2] - points
    return float(np.median(np.hypot(*by.T))) >= APART


def _whole(matrix: NDArray[np.float64], seeds: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The shift by whole pixels that is nearest to the map at the middle of the seeds."""
    y, x = places(seeds, 1000)
    centre = np.array([x.mean(), y.mean()])
    shift = np.round(matrix[:, :2] @ centre + matrix[:, 2] - centre)
    return np.column_stack([np.eye(2), shift])


def _near(box: Box, seeds: NDArray[np.uint8]) -> tuple[Box, NDArray[np.uint8]]:
    """The surroundings of the middle seed, at most `SHARPENED` away, and the seeds in them."""
    every = np.flatnonzero(seeds)
    y, x = divmod(int(every[len(every) // 2]), seeds.shape[1])
    top, left = max(0, y - SHARPENED), max(0, x - SHARPENED)
    close = seeds[top : y + SHARPENED + 1, left : x + SHARPENED + 1]
    x, y, width, height = cv2.boundingRect(close)
    rows = slice(max(0, top + y - 4), min(seeds.shape[0], top + y + height + 4))
    columns = slice(max(0, left + x - 4), min(seeds.shape[1], left + x + width + 4))
    inner = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    place = inner[top + y - rows.start :, left + x - columns.start :][:height, :width]
    place[:] = close[y : y + height, x : x + width]
    down, right = box[0].start, box[1].start
    near = (
        slice(rows.start + down, rows.stop + down),
        slice(columns.start + right, columns.stop + right),
    )
    return near, inner


def _around(shape: tuple[int, ...], points: NDArray[np.float32]) -> tuple[Box, NDArray[np.uint8]]:
    """The surroundings of some points, and the points in it as a mask without gaps."""
    height, width = shape
    # The middle must be one of the points, since those of a ring surround an empty median.
    middle = points[((points - np.median(points, axis=0)) ** 2).sum(axis=1).argmin()]
    points = points[(np.abs(points - middle) < REACH).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum(48, 0.4 * (high - low))
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
    margin = int(min(max(32, 0.4 * max(width, height)), GROWTH))
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
    """The map from `here` to `luma` that correlates best at the seeds; `matrix` if none is near.

    Args:
        here: float32 h×w.
        luma: float32 H×W.
        matrix: where to start, from `here` to `luma`.
        seeds: uint8 h×w, 1 where the two are compared.
    """
    height, width = here.shape
    corners = np.array([(a, b) for a in (0, width - 1) for b in (0, height - 1)], float)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    low = np.maximum(np.floor(moved.min(axis=0)) - 16, 0).astype(int)
    high = np.ceil(moved.max(axis=0)).astype(int) + 17
    there = np.ascontiguousarray(luma[low[1] : max(high[1], 0), low[0] : max(high[0], 0)])
    start = matrix.copy()
    start[:, 2] -= low
    steps = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
    try:
        valid = cv2.warpAffine(  # the mask that it takes lies in the second picture
            seeds, start, there.shape[::-1], flags=cv2.INTER_NEAREST
        )
        _, refined = cv2.findTransformECC(
            here, there, start.astype(np.float32), cv2.MOTION_AFFINE, steps, valid, 3
        )
    except cv2.error:  # it reports lack of convergence, and places outside, this way
        return matrix
    result = np.asarray(refined, np.float64)
    result[:, 2] += low
    drift = np.abs((corners @ (result - matrix)[:, :2].T) + (result - matrix)[:, 2]).max()
    return result if drift < 12 else matrix


def _warp(
    values: NDArray[np.float32], matrix: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """`values` at the places that `matrix` gives for each pixel; −1e4 outside the picture."""
    if _is_shift(matrix):
        return _shifted(values, int(matrix[1, 2]), int(matrix[0, 2]), shape)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_CONSTANT
    size = (shape[1], shape[0])
    warped = cv2.warpAffine(values, matrix, size, flags=flags, borderMode=border, borderValue=-1e4)
    return np.asarray(warped, np.float32)


def _is_shift(matrix: NDArray[np.float64]) -> bool:
    """Whether a map is a shift by whole pixels, which interpolates nothing."""
    same = np.array_equal(matrix[:, :2], np.eye(2))
    return same and np.array_equal(matrix[:, 2], np.round(matrix[:, 2]))


def _shifted(
    values: NDArray[np.float32], down: int, right: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """What `_warp` gives for a shift by whole pixels."""
    warped = np.full(shape, -1e4, np.float32)
    top, left = max(0, -down), max(0, -right)
    bottom, end = (
        min(length, side - by)
        for length, side, by in zip(shape, values.shape, (down, right), strict=True)
    )
    if top < bottom and left < end:
        warped[top:bottom, left:end] = values[
            top + down : bottom + down, left + right : end + right
        ]
    return warped
