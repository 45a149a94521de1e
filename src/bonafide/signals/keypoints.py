"""Keypoints of one picture that look alike, and the maps that many of them obey.

Source: I. Amerini et al., "A SIFT-Based Forensic Method for Copy-Move Attack Detection and
Transformation Recovery", IEEE TIFS, 2011 (SIFT, g2NN, RANSAC).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.signals.copies import Proposal, plausible

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 16.0  # keypoints nearer than this, in pixels, are not a pair


def keypoint_pairs(
    luma: NDArray[np.float32], ratio: float = 0.6, limit: int = 4000
) -> NDArray[np.float32]:
    """Pairs of SIFT keypoints with unusually similar descriptors (g2NN, Amerini 2011).

    Args:
        luma: float32 H×W in [0, 255].
        ratio: neighbours are accepted while each is nearer than this times the next one.
        limit: most keypoints considered, strongest first.

    Returns:
        float32 N×4: x, y and the x, y of the lookalike, each pair in both directions.
    """
    picture = np.clip(luma + 0.5, 0, 255).astype(np.uint8)
    found = cv2.SIFT.create(nfeatures=limit, contrastThreshold=0.02)
    keypoints, descriptors = found.detectAndCompute(picture, None)
    if descriptors is None or len(keypoints) < 8:
        return np.zeros((0, 4), np.float32)
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32)[:limit]
    unit = descriptors[:limit] / np.maximum(descriptors[:limit].sum(axis=1, keepdims=True), 1e-6)
    unit = np.sqrt(unit)  # Hellinger kernel: Euclidean distance then weighs small bins more
    neighbours = min(8, len(points) - 1)  # the last one only ends the run of ratios
    pairs = []
    for start in range(0, len(points), 1000):
        similarity = unit[start : start + 1000] @ unit.T
        offsets = points[start : start + 1000, None] - points[None]
        similarity[(offsets**2).sum(axis=2) < NEAR**2] = -1
        best = np.argpartition(-similarity, neighbours, axis=1)[:, : neighbours + 1]
        values = np.take_along_axis(similarity, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        distance = np.sqrt(np.maximum(2 - 2 * np.take_along_axis(values, order, 1), 1e-9))
        steps = distance[:, :-1] < ratio * distance[:, 1:]
        accepted = np.logical_or.accumulate(steps[:, ::-1], axis=1)[:, ::-1]
        rows, ranks = np.nonzero(accepted)
        pairs.append(np.stack([rows + start, best[rows, ranks]], axis=1))
    both = np.concatenate(pairs)
    both = np.unique(np.concatenate([both, both[:, ::-1]]), axis=0)
    return np.concatenate([points[both[:, 0]], points[both[:, 1]]], axis=1)


def keypoint_proposals(
    pairs: NDArray[np.float32], fewest: int = 4, most: int = 10
) -> list[Proposal]:
    """Similarity maps that many keypoint pairs obey, found one after another by RANSAC.

    Args:
        pairs: float32 N×4 from `keypoint_pairs`.
        fewest: pairs that a map needs.
        most: maps returned.
    """
    proposals: list[Proposal] = []
    left = pairs
    while len(left) >= fewest and len(proposals) < most:
        here = np.ascontiguousarray(left[:, :2])
        there = np.ascontiguousarray(left[:, 2:])
        matrix, inliers = cv2.estimateAffinePartial2D(
            here, there, method=cv2.RANSAC, ransacReprojThreshold=2.0, maxIters=2000
        )
        if matrix is None or int(inliers.sum()) < fewest:
            break
        chosen = inliers.ravel() > 0
        inverse = _inverse_inliers(matrix, left)
        if plausible(matrix):
            proposals.append(Proposal(matrix, here[chosen]))
        left = left[~(chosen | inverse)]
    return proposals


def _inverse_inliers(matrix: NDArray[np.float64], pairs: NDArray[np.float32]) -> NDArray[np.bool_]:
    moved = pairs[:, 2:] @ matrix[:, :2].T + matrix[:, 2]
    close: NDArray[np.bool_] = ((moved - pairs[:, :2]) ** 2).sum(axis=1) < 9.0
    return close
