"""Keypoints of one picture that look alike, and the maps that several of them obey.

Source: I. Amerini et al., "A SIFT-Based Forensic Method for Copy-Move Attack Detection and
Transformation Recovery", IEEE TIFS, 2011 (SIFT, g2NN). A pair of keypoints already gives a
similarity map by the sizes and angles of the two, so maps are found by counting who agrees with
whom, without chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bonafide.signals.copies import Proposal, invert, plausible
from bonafide.signals.heavy import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 16.0  # keypoints nearer than this, in pixels, are not a pair
RATIO = 0.85  # a neighbour is accepted while it is nearer than this times the next one
NEIGHBOURS = 4
EQUAL = 0.02  # distance of descriptors under which they are equal, well above rounding
BLOCK = 40  # columns in a group, of which only the largest is looked at first
NEARBY = 8  # keypoints that may crowd around one place
MOST_KEYPOINTS = 5000
MOST_PAIRS = 1500
REACH = 160.0  # farthest that one pair's map is trusted, in pixels
LOOSE = (3.0, 0.15)  # error of a map from one pair: pixels, and pixels per pixel of distance
TURN = 0.35  # largest difference of angle, in radians, and of log scale
TIGHT = 2.5  # error of a map fitted to several pairs, in pixels


@dataclass(frozen=True)
class Keypoints:
    """SIFT keypoints.

    Attributes:
        points: float32 N×2, x and y in pixels.
        sizes: float32 N, diameters in pixels.
        angles: float32 N, in radians.
        descriptors: float32 N×128 of unit length, all ≥ 0.
    """

    points: NDArray[np.float32]
    sizes: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.float32]


@dataclass(frozen=True)
class _Pairs:
    """Ends of N pairs (float32 N×2 each), and the scale and turn from one to the other."""

    here: NDArray[np.float32]
    there: NDArray[np.float32]
    scale: NDArray[np.float32]
    turn: NDArray[np.float32]


def keypoint_proposals(
    luma: NDArray[np.float32], most: int = 12, most_mirrored: int = 6
) -> list[Proposal]:
    """Similarity maps that several pairs of lookalike keypoints obey, most pairs first.

    Args:
        luma: float32 H×W in [0, 255].
        most: proposals without mirroring.
        most_mirrored: proposals with mirroring, which need three pairs instead of two.
    """
    found = detect(luma)
    if len(found.points) < 8:
        return []
    plain = _agreeing(_pairs(found, mirrored=False), mirrored=False, fewest=2, most=most)
    return plain + _agreeing(_pairs(found, mirrored=True), True, fewest=3, most=most_mirrored)


def detect(luma: NDArray[np.float32]) -> Keypoints:
    """SIFT keypoints down to low contrast, strongest first; descriptors in Hellinger form."""
    picture = np.clip(luma + 0.5, 0, 255).astype(np.uint8)
    sift = cv2.SIFT.create(nfeatures=MOST_KEYPOINTS, contrastThreshold=0.004, edgeThreshold=30)
    keypoints, descriptors = sift.detectAndCompute(picture, None)
    if descriptors is None:
        descriptors = np.zeros((0, 128), np.float32)
    values = np.array([(*k.pt, k.size, np.radians(k.angle)) for k in keypoints], np.float32)
    values = values.reshape(-1, 4)[:MOST_KEYPOINTS]
    # The square root makes Euclidean distance weigh small bins more (Hellinger kernel).
    unit = descriptors[:MOST_KEYPOINTS]
    unit = np.sqrt(unit / np.maximum(unit.sum(axis=1, keepdims=True), 1e-6))
    return Keypoints(values[:, :2], values[:, 2], values[:, 3], unit.astype(np.float32))


def mirror(descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Descriptors (N×128) of the same keypoints seen in a mirror, angles reversed."""
    cells = descriptors.reshape(-1, 4, 4, 8)[:, ::-1]
    return np.ascontiguousarray(cells[..., [0, 7, 6, 5, 4, 3, 2, 1]]).reshape(-1, 128)


def _pairs(found: Keypoints, mirrored: bool) -> _Pairs:
    """The most alike pairs by g2NN (Amerini 2011), of plausible scale."""
    asked = mirror(found.descriptors) if mirrored else found.descriptors
    count = min(NEIGHBOURS + 1, len(found.points))
    enough = min(count + NEARBY, len(found.points))  # since some of the best are too near
    rows, columns, distances = [], [], []
    for start in range(0, len(asked), 1000):
        similarity = asked[start : start + 1000] @ found.descriptors.T
        best = largest(similarity, enough)
        values = np.take_along_axis(similarity, best, 1)
        offsets = found.points[start : start + 1000, None] - found.points[best]
        values[(offsets * offsets).sum(axis=2) < NEAR**2] = -1
        order = np.argsort(-values, axis=1, kind="stable")[:, :count]
        best, values = np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1)
        distance = np.sqrt(np.maximum(2 - 2 * values, EQUAL**2))
        steps = distance[:, :-1] < RATIO * distance[:, 1:]
        accepted = np.logical_or.accumulate(steps[:, ::-1], axis=1)[:, ::-1]
        row, rank = np.nonzero(accepted)
        rows.append(row + start)
        columns.append(best[row, rank])
        distances.append(distance[row, rank])
    here, there, distance = (np.concatenate(parts) for parts in (rows, columns, distances))
    scale = found.sizes[there] / found.sizes[here]
    alike = np.flatnonzero((scale > 0.45) & (scale < 2.2))
    alike = alike[_order(found.points[here[alike]], distance[alike])[:MOST_PAIRS]]
    here, there = here[alike], there[alike]
    sign = -1 if mirrored else 1
    turn = found.angles[there] - sign * found.angles[here]
    return _Pairs(found.points[here], found.points[there], scale[alike], turn)


def largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """int64 N×count: columns of the `count` largest values of each row of N×M, in no order.

    They lie in the `count` groups of columns with the largest maxima, so only those are searched.
    """
    groups = values.shape[1] // BLOCK
    if groups <= 2 * count:
        return np.asarray(np.argpartition(values, -count, axis=1)[:, -count:], np.int64)
    even = groups * BLOCK
    tops = values[:, :even].reshape(-1, BLOCK, groups).max(axis=1)
    chosen = np.argpartition(tops, -count, axis=1)[:, -count:]
    columns = (chosen[:, :, None] + np.arange(0, even, groups)).reshape(len(values), -1)
    rest = np.arange(even, values.shape[1])
    columns = np.hstack([columns, np.broadcast_to(rest, (len(values), len(rest)))])
    best = np.argpartition(np.take_along_axis(values, columns, 1), -count, axis=1)[:, -count:]
    return np.asarray(np.take_along_axis(columns, best, 1), np.int64)


def _order(points: NDArray[np.float32], distance: NDArray[np.float32]) -> NDArray[np.int64]:
    """Nearest first; those equally near by place, so that last digits do not decide."""
    x, y = np.round(points).T
    return np.asarray(np.lexsort((x, y, np.round(distance, 3))), np.int64)


def _agreeing(pairs: _Pairs, mirrored: bool, fewest: int, most: int) -> list[Proposal]:
    """Maps by clusters of pairs, one after another, the largest first."""
    if len(pairs.here) < fewest:
        return []
    agree = _agreement(pairs, mirrored)
    alive = np.ones(len(pairs.here), bool)
    proposals: list[Proposal] = []
    for _ in range(3 * most):
        counts = (agree & alive).sum(axis=1) * alive
        chosen = int(counts.argmax())
        if counts[chosen] < fewest or len(proposals) == most:
            break
        members = agree[chosen] & alive
        alive[members] = False
        matrix, members = _settle(pairs, members, chosen, mirrored, fewest)
        if len(np.unique(np.round(pairs.here[members]), axis=0)) < fewest:
            continue
        alive &= ~(members | (_errors(invert(matrix), pairs) < TIGHT))
        if plausible(matrix):
            proposals.append(Proposal(matrix, pairs.here[members]))
    return proposals


def _agreement(pairs: _Pairs, mirrored: bool) -> NDArray[np.bool_]:
    """bool N×N: whether the map of pair i, from its size and angle alone, predicts pair j."""
    sign = -1.0 if mirrored else 1.0
    x, y = (pairs.here[None, :, k] - pairs.here[:, None, k] for k in (0, 1))
    squared = x * x + y * y
    # Most pairs lie too far apart to speak of each other; only the others are looked at.
    i, j = np.nonzero(squared < REACH**2)
    x, y, distance = x[i, j], y[i, j], np.sqrt(squared[i, j])
    cosine, sine = np.cos(pairs.turn) * pairs.scale, np.sin(pairs.turn) * pairs.scale
    dx = pairs.there[i, 0] + cosine[i] * x - sign * sine[i] * y - pairs.there[j, 0]
    dy = pairs.there[i, 1] + sine[i] * x + sign * cosine[i] * y - pairs.there[j, 1]
    turn = np.abs((pairs.turn[j] - pairs.turn[i] + np.pi) % (2 * np.pi) - np.pi)
    size = np.abs(np.log(pairs.scale[j] / pairs.scale[i]))
    alike = np.hypot(dx, dy) < LOOSE[0] + LOOSE[1] * distance
    agree = np.zeros((len(pairs.here), len(pairs.here)), bool)
    agree[i, j] = alike & (turn < TURN) & (size < TURN)
    return agree


def _settle(
    pairs: _Pairs, members: NDArray[np.bool_], middle: int, mirrored: bool, fewest: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The least-squares map of `members`, and who obeys it tightly, found in turns."""
    matrix = _fit(pairs.here[members], pairs.there[members], mirrored)
    near = np.hypot(*(pairs.here - pairs.here[middle]).T) < 2 * REACH
    for _ in range(3):
        members = (_errors(matrix, pairs) < TIGHT) & near
        if members.sum() < fewest:
            break
        matrix = _fit(pairs.here[members], pairs.there[members], mirrored)
    return matrix, members


def _errors(matrix: NDArray[np.float64], pairs: _Pairs) -> NDArray[np.float64]:
    moved = pairs.here @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(np.hypot(*(moved - pairs.there).T), np.float64)


def _fit(
    here: NDArray[np.float32], there: NDArray[np.float32], mirrored: bool
) -> NDArray[np.float64]:
    """The similarity (float64 2×3) that carries `here` nearest to `there`."""
    flip = np.diag([1.0, -1.0 if mirrored else 1.0])
    one, two = here.mean(axis=0).astype(np.float64), there.mean(axis=0).astype(np.float64)
    a, b = (here - one) @ flip, there - two
    energy = float((a * a).sum()) + 1e-9
    cosine = float((a * b).sum()) / energy
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / energy
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ flip
    return np.column_stack([linear, two - linear @ one])
