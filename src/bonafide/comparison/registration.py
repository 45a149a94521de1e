"""Where one picture lies in another: keypoints, homographies, and shifts below a pixel.

Coordinates are (x, y) of pixel centres, 0-based. A homography is a float64 3×3 array that takes a
point of the reference to the suspect.

Source: D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004, for the
keypoints; R. Arandjelović, A. Zisserman, "Three things everyone should know to improve object
retrieval", CVPR 2012, for their square root; D. Baráth et al., "MAGSAC++, a fast, reliable and
accurate robust estimator", CVPR 2020, for the estimate; L. Moisan, B. Stival, "A Probabilistic
Criterion to Detect Rigid Point Matches", IJCV 2004, for the test of it; B. Lucas, T. Kanade, "An
Iterative Image Registration Technique", IJCAI 1981, for the shifts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.signals.acontrario import log10_false_alarms

MOST_KEYPOINTS = 6000
RATIO = 0.8  # a match must be closer than this share of the second closest
NEAR = 3.0  # pixels of the suspect within which a match obeys a homography
TIGHT = 1.0  # pixels: within this a match obeys it as a copy does
LOOSE = 24.0  # pixels: within this a match is of the same thing, seen from elsewhere
LARGEST_SCALE = 30.0
PATCH = 25  # side of the patches whose shifts are measured, pixels
_FLAT = 2.5  # standard deviation of a patch, grey levels, below which its shift says nothing

Homography = NDArray[Any]  # float64; NumPy's own types lose track in products
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of one picture.

    Attributes:
        points: float32 N×2.
        descriptors: float32 N×128 of length 1, or uint8 N×61 for binary ones.
    """

    points: Points
    descriptors: NDArray[Any]


@dataclass(frozen=True)
class Fit:
    """A homography and what speaks for it.

    Attributes:
        homography: reference → suspect.
        inliers: bool N, the matches that obey it within `NEAR`.
        log10_alarms: log10 of the number of homographies that chance alone would support as
            well; 0 and above is nothing.
        tightness: among the matches within `LOOSE`, the share within `TIGHT`, in [0, 1]. Near 1
            for a copy; lower where depth moves things by different amounts.
    """

    homography: Homography
    inliers: NDArray[np.bool_]
    log10_alarms: float
    tightness: float


def keypoints(grey: NDArray[np.uint8], binary: bool = False) -> Keypoints:
    """Find at most `MOST_KEYPOINTS` keypoints.

    Args:
        grey: uint8 H×W in [0, 255].
        binary: AKAZE instead of SIFT, which finds other points: corners of smooth drawings.

    Returns:
        Keypoints, none of two at one place; possibly none at all.
    """
    if min(grey.shape) < 16:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    found: tuple[cv2.KeyPoint, ...]
    if binary:
        akaze = cv2.AKAZE.create(threshold=5e-4)
        akaze.setMaxPoints(MOST_KEYPOINTS)
        found, described = akaze.detectAndCompute(grey, None)  # type: ignore[assignment]
    else:
        sift = cv2.SIFT.create(nfeatures=MOST_KEYPOINTS, contrastThreshold=0.015)
        found, described = sift.detectAndCompute(grey, None)  # type: ignore[assignment]
    if described is None or not len(found):
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    points = np.array([point.pt for point in found], np.float32)
    # One place described in two orientations would be two witnesses with one eye.
    _, first = np.unique(np.round(points), axis=0, return_index=True)
    first = np.sort(first)[:MOST_KEYPOINTS]
    if binary:
        return Keypoints(points[first], np.asarray(described[first], np.uint8))
    total = np.maximum(described.sum(axis=1, keepdims=True), 1e-6)
    return Keypoints(points[first], np.sqrt(described / total)[first].astype(np.float32))


def match(reference: Keypoints, suspect: Keypoints) -> tuple[Points, Points]:
    """Pairs of keypoints that are each other's nearest, and clearly so.

    Returns:
        Two float32 N×2 arrays, points of the reference and of the suspect.
    """
    none = np.zeros((0, 2), np.float32)
    if len(reference.points) < 2 or len(suspect.points) < 2:
        return none, none
    if reference.descriptors.dtype == np.uint8:
        there, here = _match_binary(reference.descriptors, suspect.descriptors)
    else:
        there, here = _match_unit(reference.descriptors, suspect.descriptors)
    return reference.points[there], suspect.points[here]


def _match_unit(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    best = np.empty(len(first), np.int64)
    clear = np.empty(len(first), np.bool_)
    back = np.full(len(second), -1.0, np.float32)
    owner = np.zeros(len(second), np.int64)
    for start in range(0, len(first), 1000):
        likeness = first[start : start + 1000] @ second.T
        rows = np.arange(len(likeness))
        nearest = likeness.argmax(axis=1)
        columns = likeness.argmax(axis=0)
        highest = likeness[columns, np.arange(len(second))]
        owner = np.where(highest > back, columns + start, owner)
        back = np.maximum(highest, back)
        top = likeness[rows, nearest]
        likeness[rows, nearest] = -1.0
        distance = np.sqrt(np.maximum(2 - 2 * top, 0.0))
        runner_up = np.sqrt(np.maximum(2 - 2 * likeness.max(axis=1), 0.0))
        best[start : start + 1000] = nearest
        clear[start : start + 1000] = distance < RATIO * runner_up
    there = np.flatnonzero(clear & (owner[best] == np.arange(len(first))))
    return there, best[there]


def _match_binary(
    first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    back = {pair[0].queryIdx: pair[0].trainIdx for pair in matcher.knnMatch(second, first, k=1)}
    pairs = [
        (pair[0].queryIdx, pair[0].trainIdx)
        for pair in matcher.knnMatch(first, second, k=2)
        if len(pair) == 2
        and pair[0].distance < RATIO * pair[1].distance
        and back[pair[0].trainIdx] == pair[0].queryIdx
    ]
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def fit(
    reference: Points, suspect: Points, sizes: tuple[tuple[int, int], tuple[int, int]]
) -> Fit | None:
    """The homography that most matches obey.

    Args:
        reference, suspect: float32 N×2, matched points.
        sizes: (width, height) of the reference and of the suspect, pixels.

    Returns:
        None if fewer than eight matches obey any, or the best one folds or tears the picture.
    """
    if len(reference) < 8:
        return None
    # Points on both sides are scaled alike, so that the estimator's pixel is the suspect's.
    matrix, _ = cv2.findHomography(reference, suspect, cv2.USAC_MAGSAC, NEAR, None, 5000, 0.9999)
    if matrix is None or not plausible(matrix, sizes[0]):
        return None
    return judge(np.asarray(matrix, np.float64), reference, suspect, sizes[1])


def judge(
    homography: Homography, reference: Points, suspect: Points, size: tuple[int, int]
) -> Fit | None:
    """How well matches obey a homography; None if fewer than eight do."""
    distance = np.linalg.norm(project(homography, reference) - suspect, axis=1)
    inliers = distance < NEAR
    count, total = int(inliers.sum()), len(reference)
    if count < 8:
        return None
    chance = min(0.5, math.pi * NEAR**2 / (size[0] * size[1]))
    tests = math.log10(max(total - 4, 1)) + math.log10(max(math.comb(total, 4), 1))
    alarms = log10_false_alarms(tests, count - 4, total - 4, chance)
    tight = float((distance < TIGHT).sum() / max((distance < LOOSE).sum(), 1))
    return Fit(homography, inliers, alarms, tight)


def planes(
    reference: Points,
    suspect: Points,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    most: int = 4,
    alarms: float = -6.0,
) -> list[Fit]:
    """Homographies one after another, each fitted to the matches that the earlier ones leave.

    Faces of a box or walls of a house seen in perspective each obey one of their own.

    Args:
        reference, suspect: float32 N×2, matched points.
        sizes: (width, height) of the reference and of the suspect, pixels.
        most: returned at most.
        alarms: log10 of the false alarms that one may have.

    Returns:
        Fits whose `inliers` refer to all N matches, the best supported first.
    """
    found: list[Fit] = []
    left = np.arange(len(reference))
    while len(found) < most:
        best = fit(reference[left], suspect[left], sizes)
        if best is None or best.log10_alarms > alarms:
            break
        everywhere = np.zeros(len(reference), np.bool_)
        everywhere[left[best.inliers]] = True
        found.append(Fit(best.homography, everywhere, best.log10_alarms, best.tightness))
        left = left[~best.inliers]
    return found


def plausible(homography: Homography, size: tuple[int, int]) -> bool:
    """Whether a homography keeps a picture of `size` whole, face up, and of a sane scale."""
    if not np.isfinite(homography).all() or abs(homography[2, 2]) < 1e-12:
        return False
    width, height = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    depth = corners @ homography[2, :2] + homography[2, 2]
    if not ((depth > 1e-6).all() or (depth < -1e-6).all()):
        return False
    quad = project(homography, corners)
    edges = np.roll(quad, -1, axis=0) - quad
    turns = np.roll(edges, -1, axis=0)
    cross = edges[:, 0] * turns[:, 1] - edges[:, 1] * turns[:, 0]
    lengths = np.linalg.norm(edges, axis=1) / np.array([width, height, width, height])
    return bool(
        (cross > 0).all() and 1 / LARGEST_SCALE < lengths.min() <= lengths.max() < LARGEST_SCALE
    )


def project(homography: Homography, points: NDArray[Any]) -> NDArray[np.float64]:
    """Take N×2 points through a homography."""
    lifted = points @ homography[:, :2].T + homography[:, 2]
    depth = lifted[:, 2:]
    return np.asarray(lifted[:, :2] / np.where(np.abs(depth) < 1e-12, 1e-12, depth), np.float64)


def scaling(factor_x: float, factor_y: float) -> Homography:
    """What resizing by these factors does to pixel centres."""
    return np.array(
        [
            [factor_x, 0, (factor_x - 1) / 2],
            [0, factor_y, (factor_y - 1) / 2],
            [0, 0, 1],
        ],
        np.float64,
    )


def mirroring(width: int) -> Homography:
    """What a mirror does to a picture of this width, left to right."""
    return np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], np.float64)


def magnification(homography: Homography, size: tuple[int, int]) -> float:
    """Suspect pixels per reference pixel, along a line, at the centre of a reference of `size`."""
    centre = np.array([[size[0] / 2, size[1] / 2]])
    steps = centre + np.array([[0, 0], [1, 0], [0, 1]])
    origin, right, down = project(homography, steps)
    (a, b), (c, d) = right - origin, down - origin
    return float(max(abs(a * d - b * c), 1e-12) ** 0.5)


def textured_points(grey: NDArray[np.float32], most: int, inside: NDArray[np.bool_]) -> Points:
    """Corners spread over a picture: at most one per cell of a grid.

    Args:
        grey: float32 H×W in [0, 255].
        most: points returned at most.
        inside: bool H×W, where points may lie.

    Returns:
        float32 N×2 of whole pixels, N ≤ `most`, at least half a patch from the border.
    """
    height, width = grey.shape
    margin = PATCH // 2 + 4
    if min(height, width) <= 2 * margin:
        return np.zeros((0, 2), np.float32)
    strength = cv2.cornerMinEigenVal(cv2.GaussianBlur(grey, (0, 0), 1.0), 9)
    strength = np.where(inside, strength, 0)[margin:-margin, margin:-margin]
    cell = max(4, int(math.sqrt(strength.size / most)))
    points = []
    for top in range(0, strength.shape[0], cell):
        for left in range(0, strength.shape[1], cell):
            block = strength[top : top + cell, left : left + cell]
            y, x = divmod(int(block.argmax()), block.shape[1])
            points.append((left + x + margin, top + y + margin, block[y, x]))
    kept = np.array(sorted(points, key=lambda point: -point[2])[:most], np.float32)
    return kept[kept[:, 2] > 0, :2]


def shifts(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far each patch of `second` is shifted against that of `first`, below two pixels or so.

    Brightness and contrast of each patch are evened out first. One Gauss-Newton step: callers
    warp again and repeat.

    Args:
        first, second: float32 N×P×P in [0, 255].

    Returns:
        float32 N×2 shifts (x, y) in pixels, NaN where a patch is flat or its gradients all point
        one way, and float32 N correlation coefficients of the patches in [-1, 1].
    """
    spread = [patches.std(axis=(1, 2)) for patches in (first, second)]
    one, two = (
        (patches - patches.mean(axis=(1, 2), keepdims=True))
        / np.maximum(deviation, 1e-3)[:, None, None]
        for patches, deviation in zip((first, second), spread, strict=True)
    )
    likeness = (one * two).mean(axis=(1, 2))
    slope_y, slope_x = np.gradient((one + two) / 2, axis=(1, 2))
    change = one - two
    xx, yy, xy = (
        (a * b).sum(axis=(1, 2))
        for a, b in ((slope_x, slope_x), (slope_y, slope_y), (slope_x, slope_y))
    )
    x, y = ((slope * change).sum(axis=(1, 2)) for slope in (slope_x, slope_y))
    determinant = xx * yy - xy * xy
    usable = (
        (np.minimum(*spread) > _FLAT) & (determinant > 0.02 * (xx + yy) ** 2) & (determinant > 0)
    )
    safe = np.where(usable, determinant, 1.0)
    moved = np.stack([(yy * x - xy * y) / safe, (xx * y - xy * x) / safe], axis=1)
    moved[~usable] = np.nan
    return moved.astype(np.float32), likeness.astype(np.float32)


def patches(grey: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    """Cut a float32 N×`PATCH`×`PATCH` stack around whole-pixel points of a picture."""
    half = PATCH // 2
    padded = np.pad(grey, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH))
    whole = points.astype(np.int64)
    return np.ascontiguousarray(windows[whole[:, 1], whole[:, 0]])


def refit(points: Points, moved: NDArray[Any], loss: float = 0.5) -> Homography | None:
    """The small correction that takes `points` to `points + moved`, outliers notwithstanding.

    Args:
        points: float32 N×2.
        moved: N×2, pixels.
        loss: distance in pixels from which a point counts as an outlier.

    Returns:
        A homography near the identity, or None if the points do not hold one together.
    """
    if len(points) < 12:
        return None
    matrix, kept = cv2.findHomography(
        points, (points + moved).astype(np.float32), cv2.USAC_MAGSAC, loss, None, 2000, 0.999
    )
    if matrix is None or kept is None or int(kept.sum()) < 12:
        return None
    chosen = kept.ravel() > 0
    refined, _ = cv2.findHomography(points[chosen], (points + moved)[chosen].astype(np.float32), 0)
    return None if refined is None else np.asarray(refined, np.float64)
