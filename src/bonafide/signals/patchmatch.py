"""For every pixel, where else in the same picture looks most like it.

PatchMatch (C. Barnes et al., ACM TOG 2009) on feature vectors, with the first-order propagation
that lets offsets grow linearly, as rotated and scaled copies need (D. Cozzolino, G. Poggi,
L. Verdoliva, IEEE TIFS 2015). Every step runs on whole arrays: neighbours are reached by shifts
of 8, 4, 2 and 1 pixels instead of by scanning, and the start is a nearest-neighbour search on a
coarse grid instead of chance alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import scipy  # loads its parts at first use

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class MatchField:
    """A field of best matches under improvement.

    Attributes:
        rows, columns: int32 H×W, the matched pixel's coordinates.
        distance: float32 H×W, squared feature distance to it; inf where nothing was found.
    """

    def __init__(self, features: NDArray[np.float32], min_distance: float, seed: int = 0) -> None:
        """Start from a random field.

        Args:
            features: float32 H×W×K.
            min_distance: matches nearer than this, in pixels, are not considered.
            seed: of the local random generator.
        """
        height, width, count = features.shape
        self._flat = np.ascontiguousarray(features.reshape(-1, count))
        self._parts = [np.ascontiguousarray(self._flat[:, k : k + 4]) for k in range(0, count, 4)]
        self._min_distance = float(min_distance)
        self._random = np.random.default_rng(seed)
        self._y, self._x = np.mgrid[:height, :width].astype(np.int32)
        self.rows = self._y.copy()
        self.columns = self._x.copy()
        self.distance = np.full((height, width), np.inf, np.float32)
        self.offer(
            self._random.integers(0, height, (height, width), np.int32),
            self._random.integers(0, width, (height, width), np.int32),
        )

    def offer(self, rows: NDArray[np.int32], columns: NDArray[np.int32]) -> None:
        """Take candidate matches (int32 H×W each) wherever they are allowed and nearer."""
        height, width = self.distance.shape
        dy, dx = rows - self._y, columns - self._x
        useful = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        useful &= (rows != self.rows) | (columns != self.columns)
        useful &= dy * dy + dx * dx >= self._min_distance**2
        here = np.flatnonzero(useful)
        if here.size == 0:
            return
        there = rows.ravel()[here] * width + columns.ravel()[here]
        current = self.distance.ravel()[here]
        distance = np.zeros(here.size, np.float32)
        for part in self._parts:  # the first features alone already rule most candidates out
            difference = part[here]
            difference -= part[there]
            distance += np.einsum("ij,ij->i", difference, difference)
            kept = np.flatnonzero(distance < current)
            here, there = here[kept], there[kept]
            distance, current = distance[kept], current[kept]
        self.distance.ravel()[here] = distance
        self.rows.ravel()[here] = there // width
        self.columns.ravel()[here] = there % width

    def offsets(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Row and column offsets of the matches, float32 H×W each, in pixels."""
        return (self.rows - self._y).astype(np.float32), (self.columns - self._x).astype(np.float32)

    def seed_by_tree(self, stride: int = 3, neighbours: int = 12) -> None:
        """Offer each pixel of a coarse grid its nearest allowed neighbours in feature space."""
        height, width = self.distance.shape
        grid = (self._y % stride == 0) & (self._x % stride == 0)
        grid &= self._flat[:, 1:].any(axis=1).reshape(height, width)  # flat areas match anything
        queries = np.flatnonzero(grid)
        count = min(neighbours, queries.size)
        if count < 2:
            return
        tree = scipy.spatial.cKDTree(self._flat[queries], balanced_tree=False)
        _, found = tree.query(self._flat[queries], k=count, eps=1.0)
        for k in range(1, count):
            there = queries[found[:, k]]
            rows, columns = self._y.copy(), self._x.copy()
            rows.ravel()[queries] = there // width
            columns.ravel()[queries] = there % width
            self.offer(rows, columns)

    def propagate(self, stride: int) -> None:
        """Offer every pixel what fits its neighbours at `stride`: same offset, same slope."""
        for down, right in SHIFTS:
            dy, dx = down * stride, right * stride
            near_rows, near_columns = _shift(self.rows, dy, dx), _shift(self.columns, dy, dx)
            self.offer(near_rows + dy, near_columns + dx)
            far_rows = _shift(self.rows, 2 * dy, 2 * dx)
            far_columns = _shift(self.columns, 2 * dy, 2 * dx)
            self.offer(2 * near_rows - far_rows, 2 * near_columns - far_columns)

    def search(self, radius: int) -> None:
        """Offer every pixel a random place within `radius` of its match."""
        shape = self.distance.shape
        self.offer(
            self.rows + self._random.integers(-radius, radius + 1, shape, np.int32),
            self.columns + self._random.integers(-radius, radius + 1, shape, np.int32),
        )


def match_field(
    features: NDArray[np.float32],
    min_distance: float,
    iterations: int = 3,
    seed: int = 0,
) -> MatchField:
    """Best matches of every pixel of one picture within itself.

    Args:
        features: float32 H×W×K, one vector per pixel.
        min_distance: smallest allowed distance between a pixel and its match, in pixels.
        iterations: rounds of propagation and random search.
        seed: of the local random generator; equal seeds give equal fields.
    """
    field = MatchField(features, min_distance, seed)
    field.seed_by_tree()
    for round_ in range(iterations):
        for stride in (8, 4, 2, 1) if round_ == 0 else (2, 1):
            field.propagate(stride)
        for radius in (4, 1):
            field.search(radius)
    return field


def linear_fit_error(
    rows: NDArray[np.float32], columns: NDArray[np.float32], radius: int = 6
) -> NDArray[np.float32]:
    """How far offsets in a disc are from an affine law of position (Cozzolino 2015, eq. 9–13).

    Args:
        rows, columns: float32 H×W offsets of the match, in pixels.
        radius: of the disc, in pixels.

    Returns:
        float32 H×W, mean squared error of the best affine fit, in square pixels, ≥ 0.
    """
    axis = np.arange(-radius, radius + 1, dtype=np.float64)
    x, y = np.meshgrid(axis, axis)
    disc = (x * x + y * y <= (radius + 0.5) ** 2).astype(np.float64)
    # On a disc the three regressors 1, x, y are orthogonal, so each is projected out by itself.
    count = float(disc.sum())
    mean = disc / count
    slopes = [disc * axis / np.sqrt(count * (disc * axis * axis).sum()) for axis in (x, y)]
    error = np.zeros(rows.shape, np.float32)
    for offsets in (rows, columns):
        centred = offsets - np.float32(offsets.mean())
        energy = _filter(centred * centred, mean)
        for taps in (mean, *slopes):
            energy -= _filter(centred, taps) ** 2
        error += energy
    clipped: NDArray[np.float32] = np.maximum(error, 0)
    return clipped


def _filter(values: NDArray[np.float32], taps: NDArray[np.float64]) -> NDArray[np.float32]:
    filtered = cv2.filter2D(
        values, cv2.CV_32F, taps.astype(np.float32), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(filtered, np.float32)


def _shift(values: NDArray[np.int32], dy: int, dx: int) -> NDArray[np.int32]:
    """`values` at (row − dy, column − dx); edge values repeat."""
    height, width = values.shape
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    columns = np.clip(np.arange(width) - dx, 0, width - 1)
    shifted: NDArray[np.int32] = values[rows][:, columns]
    return shifted
