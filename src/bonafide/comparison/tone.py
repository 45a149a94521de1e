"""What was done to the colours of a whole picture, estimated although parts of it were changed.

Brightness, contrast, gamma, saturation, tint, grey and a vignette are all one smooth map from the
colours (and faintly the place) of one picture to those of another. Changed parts are outliers of
the estimate. Source of the weights: J. Tukey's biweight, as in P. Huber, "Robust Statistics".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_SAMPLES = 20_000
_IDENTITY = 1.5  # grey levels: a map that moves colours less than this is left out
_KNOTS = 33  # of the curve that corrects what the polynomial leaves, denser in the dark
_CLIPPED = (3, 252)  # colours beyond these were cut off, and tell nothing of the map

Colours = NDArray[np.float32]


@dataclass(frozen=True)
class Tone:
    """A map of colours.

    Attributes:
        weights: float64 13×3, of the polynomial of `_features`; None for the identity.
        curves: float64 3×`_KNOTS`, added per channel after the polynomial, grey levels.
        shade: float64 5×3, relative change by place, of the polynomial of `_place`.
        moved: median distance that colours move, grey levels.
    """

    weights: NDArray[np.float64] | None
    curves: NDArray[np.float64]
    shade: NDArray[np.float64]
    moved: float

    def __call__(self, rgb: Colours, x: NDArray[np.float32], y: NDArray[np.float32]) -> Colours:
        """Map colours.

        Args:
            rgb: float32 …×3 in [0, 255].
            x, y: float32, broadcastable to the leading shape: place in the suspect, each in
                [-1, 1] from edge to edge.

        Returns:
            float32 …×3 in [0, 255].
        """
        if self.weights is None:
            return rgb
        toned = np.clip(_features(rgb) @ self.weights.astype(np.float32), 0, 255)
        knots = _knots()
        for channel in range(3):
            toned[..., channel] += np.interp(toned[..., channel], knots, self.curves[channel])
        place = np.stack(np.broadcast_arrays(*_place(x, y)), axis=-1).astype(np.float32)
        toned *= 1 + place @ self.shade.astype(np.float32)
        return np.asarray(np.clip(toned, 0, 255), np.float32)


def fit_tone(
    reference: NDArray[np.uint8], suspect: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> Tone:
    """Estimate the map from two aligned pictures.

    Args:
        reference, suspect: uint8 H×W×3 in [0, 255], aligned.
        inside: bool H×W, where both are known.
    """
    one, two = (cv2.GaussianBlur(picture, (0, 0), 2.0) for picture in (reference, suspect))
    rows, columns = np.nonzero(inside)
    step = max(1, len(rows) // _SAMPLES)
    rows, columns = rows[step // 2 :: step], columns[step // 2 :: step]
    source = one[rows, columns].astype(np.float32)
    target = two[rows, columns].astype(np.float64)
    nothing = Tone(None, np.zeros((3, _KNOTS)), np.zeros((5, 3)), 0.0)
    if len(rows) < 200:
        return nothing
    if float(np.quantile(np.abs(target - source), 0.75, axis=0).max()) < _IDENTITY:
        return nothing
    features = _features(source).astype(np.float64)
    weights, curves = np.zeros((features.shape[1], 3)), np.zeros((3, _KNOTS))
    toned = np.empty(source.shape, np.float64)
    cut = ((suspect <= _CLIPPED[0]) | (suspect >= _CLIPPED[1])).astype(np.uint8)
    # A mean over pixels that are cut off in part would bend the map in the lights.
    cut = cv2.dilate(cut, np.ones((11, 11), np.uint8))
    for channel in range(3):
        whole = cut[rows, columns, channel] == 0
        if whole.sum() < 200:
            whole[:] = True
        weights[:, channel], trust = _robust(features[whole], target[whole, channel])
        toned[:, channel] = np.clip(features @ weights[:, channel], 0, 255)
        curves[channel] = _curve(toned[whole, channel], target[whole, channel], trust)
        toned[:, channel] += np.interp(toned[:, channel], _knots(), curves[channel])
    height, width = inside.shape
    x = 2 * columns / max(width - 1, 1) - 1
    y = 2 * rows / max(height - 1, 1) - 1
    shade = _shade(np.stack(_place(x, y), axis=1), toned, target)
    moved = float(np.median(np.abs(toned - source)))
    return Tone(weights, curves, shade, moved)


def _features(rgb: NDArray[Any]) -> NDArray[np.float32]:
    unit = np.asarray(rgb, np.float32) / 255
    r, g, b = unit[..., 0], unit[..., 1], unit[..., 2]
    ones = np.ones_like(r)
    root = np.sqrt(np.maximum(unit, 0))  # gamma curves are steep in the dark
    squares = [r * r, g * g, b * b, r * g, r * b, g * b]
    return np.stack([ones, r, g, b, *squares, root[..., 0], root[..., 1], root[..., 2]], axis=-1)


def _knots() -> NDArray[np.float64]:
    return np.asarray(255 * np.linspace(0, 1, _KNOTS) ** 1.5, np.float64)


def _place(x: NDArray[Any], y: NDArray[Any]) -> list[NDArray[Any]]:
    return [x, y, x * x, y * y, x * y]


def _robust(
    features: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted least squares with weights that fade out what does not fit: (fit, weights)."""
    trust = np.ones(len(features))
    ridge = 1e-6 * np.eye(features.shape[1]) * len(features)
    fitted: NDArray[np.float64] = np.zeros(features.shape[1])
    for turn in range(16):
        weighted = features * trust[:, None]
        square = features.T @ weighted + ridge
        fitted = np.asarray(np.linalg.solve(square, weighted.T @ target), np.float64)
        left = (target - features @ fitted).reshape(len(target), -1)
        error = np.sqrt((left**2).sum(axis=1))
        scale = max(1.4826 * float(np.median(error)), 0.5)
        if turn < 6:  # absolute errors first: the biweight needs a start near the truth
            trust = 1 / np.maximum(error, 0.5)
        else:
            trust = np.maximum(1 - (error / (4.0 * scale)) ** 2, 0) ** 2
    return fitted, trust


def _curve(
    toned: NDArray[np.float64], target: NDArray[np.float64], trust: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Median correction around each knot, 0 where too few trusted samples lie."""
    knots = _knots()
    reach = np.maximum(np.gradient(knots), 4.0)
    corrections = np.zeros(_KNOTS)
    known = trust > 0.2 * trust.max()
    for index, knot in enumerate(knots):
        near = known & (np.abs(toned - knot) < reach[index])
        if near.sum() >= 30:
            corrections[index] = np.median(target[near] - toned[near])
    return corrections


def _shade(
    place: NDArray[np.float64], toned: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Relative change by place, 0 unless it explains a good part of what is left."""
    bright = (toned.min(axis=1) > 20) & (target.max(axis=1) < _CLIPPED[1])
    if bright.sum() < 500:
        return np.zeros((5, 3))
    relative = target[bright] / toned[bright] - 1
    shade, _ = _robust(255 * place[bright], 255 * relative)
    before = np.median(np.abs(relative))
    after = np.median(np.abs(relative - place[bright] @ shade))
    return shade if after < 0.7 * before else np.zeros((5, 3))
