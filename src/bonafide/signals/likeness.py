"""What two places of one picture have in common, and whether one was copied from the other.

Lookalikes share structure. A copy also shares its light to a fraction of a level, and texture
that varies in two directions and resembles nothing beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bonafide.signals.heavy import cv2
from bonafide.signals.masks import filled, tidy, touching

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW = 11  # side of the windows that are compared, in pixels
DETAIL_SIGMA = 1.5  # detail is what a Gaussian of this width, in pixels, removes
COARSE_SIGMA = 2.0  # … and what this one leaves is light
AGREEMENT = 0.6  # a window repeats when this much of its detail is common to both places
STRICT = (0.8, 0.9, 0.96)  # the same where a copy lies among lookalikes of itself
FLOOR = 1.0  # energy of detail, in square levels, that counts as nothing
VISIBLE = 2.0  # energy of detail, in square levels, from which a window shows something
SMALLEST = 150  # pixels of the smallest part that is judged
LEVEL = (0.6, 2.5)  # least and most difference of coarse light, in levels, that may be chance
RIM = 2  # pixels given back around an outlined part
NUDGES = (3, 6)  # pixels by which a part is moved to see how much it resembles itself
SAMPLES = 4000  # pixels of a part on which it is measured
HOPELESS = -2.5  # log odds under which a part is neither outlined nor followed further
RICHER = 0.05  # log odds by which a stricter outline must surpass a looser one
LIKE = 0.98  # share of a part's pixels from which a stricter outline is the same part
FRAME = 12  # pixels kept around a part when its surroundings are cut off
OUTSIDE = -1e3  # warped values below lie outside of the picture

# Logistic regression of 144 maps of made copies against 4,543 lookalikes in 260 untouched pictures.
LIGHT_WEIGHT, DIRECTIONS_WEIGHT, SELF_WEIGHT = -3.18, 2.88, -1.77
CORRELATION_WEIGHT, SIZE_WEIGHT, CONSTANT = 1.94, 0.43, -2.51
NOTHING, CERTAIN = -10.0, 30.0  # bounds of the log odds


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

    @property
    def log_odds(self) -> float:
        """Natural log odds of a copy against a lookalike, in [-10, 30]."""
        odds = (
            CONSTANT
            + LIGHT_WEIGHT * math.log(self.light + 0.1)
            + DIRECTIONS_WEIGHT * math.log(self.directions + 0.02)
            + SELF_WEIGHT * self.self_likeness
            + CORRELATION_WEIGHT * math.atanh(max(-0.99, min(self.correlation, 0.99)))
            + SIZE_WEIGHT * math.log(self.visible + 50)
        )
        return min(max(odds, NOTHING), CERTAIN)

    def carry(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Where the map carries points, N×2 (x, y) in pixels of the picture."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2], np.float64)

    def holds(self, points: NDArray[Any]) -> NDArray[np.bool_]:
        """bool N: which of the points, N×2 (x, y) in pixels of the picture, are marked."""
        places = np.round(points - (self.left, self.top)).astype(np.int64)
        height, width = self.mask.shape
        inside = ((places >= 0) & (places < (width, height))).all(axis=1)
        held = np.zeros(len(places), bool)
        held[inside] = self.mask[places[inside, 1], places[inside, 0]]
        return held


@dataclass(frozen=True)
class Place:
    """A place of the picture, which may be compared with several lookalikes, float32 h×w each.

    Attributes:
        luma: in [0, 255].
        fine: its detail.
        energy: of the detail, mean over the window around each pixel, in square levels.
    """

    luma: NDArray[np.float32]
    fine: NDArray[np.float32]
    energy: NDArray[np.float32]

    @classmethod
    def of(cls, luma: NDArray[np.float32]) -> Place:
        """The place that shows `luma`."""
        fine = detail(luma, COARSE_SIGMA)
        return cls(luma, fine, _mean(fine * fine))


@dataclass(frozen=True)
class Comparison:
    """Surroundings of a place beside what a map brings from elsewhere, float32 h×w each.

    Attributes:
        here, there: luma, and that of the lookalike at the same pixels.
        known: where the lookalike lies inside the picture.
        fine, other: detail of both.
        first, second: energy of detail in the window around each pixel, of both.
        common: the energy that they share.
    """

    here: NDArray[np.float32]
    there: NDArray[np.float32]
    known: NDArray[np.bool_]
    fine: NDArray[np.float32]
    other: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    common: NDArray[np.float32]

    @cached_property
    def _energy(self) -> NDArray[np.float32]:
        return self.first + self.second + 2 * FLOOR

    @cached_property
    def _strength(self) -> NDArray[np.float32]:
        return np.asarray(np.sqrt(0.5 * self._energy), np.float32)

    @cached_property
    def one(self) -> NDArray[np.float32]:
        """Detail here, brought to equal strength everywhere."""
        return self.fine / self._strength

    @cached_property
    def two(self) -> NDArray[np.float32]:
        """Detail of the lookalike, brought to equal strength everywhere."""
        return self.other / self._strength

    @cached_property
    def weaker(self) -> NDArray[np.float32]:
        """Energy of detail in the window around each pixel, of the weaker of both."""
        return np.minimum(self.first, self.second)

    @cached_property
    def agreement(self) -> NDArray[np.float32]:
        """Share of the energy that is common; 0 in windows without detail."""
        return 2 * self.common / self._energy

    @cached_property
    def unopposed(self) -> NDArray[np.float32]:
        """The same, but 1 in windows without detail."""
        return 2 * (self.common + FLOOR) / self._energy

    @cached_property
    def gap(self) -> NDArray[np.float32]:
        """Difference of coarse light, in levels."""
        gap = cv2.GaussianBlur(self.here - self.there, (0, 0), COARSE_SIGMA)
        return np.asarray(gap, np.float32)

    @cached_property
    def directions(self) -> NDArray[np.float32]:
        """Twice the smaller eigenvalue of the structure tensor over its trace, in [0, 1].

        A straight edge fits anywhere along itself, so it must not count as agreement: it has 0,
        and a texture without direction has 1.
        """
        common = detail(0.5 * (self.here + self.there))
        x = cv2.Scharr(common, cv2.CV_32F, 1, 0, scale=1 / 32)
        y = cv2.Scharr(common, cv2.CV_32F, 0, 1, scale=1 / 32)
        xx, yy, xy = _mean(x * x), _mean(y * y), _mean(x * y)
        weak = xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
        return np.asarray(weak / (xx + yy + 0.1), np.float32)

    def agreeing(
        self, seeds: NDArray[np.bool_], least: float = AGREEMENT
    ) -> NDArray[np.bool_] | None:
        """The connected parts that agree and touch `seeds`, holes filled; None if too small."""
        alike = tidy((self.agreement > least) & self.known)
        part = filled(touching(alike, seeds)) & self.known
        return part if np.count_nonzero(part) >= SMALLEST else None

    def self_likeness(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
        """Largest correlation of some pixels here with the lookalike a few pixels aside."""
        height, width = self.here.shape
        one, two = self.one[rows, columns], self.two.ravel()
        energy = float((one * one).sum())
        largest = -math.inf
        for step in NUDGES:
            for y, x in ((step, 0), (0, step), (-step, 0), (0, -step)):
                down = np.clip(rows + y, 0, height - 1) if y else rows
                right = np.clip(columns + x, 0, width - 1) if x else columns
                aside = two.take(down * width + right)
                both = math.sqrt(energy * float((aside * aside).sum()))
                largest = max(largest, float((one * aside).sum()) / max(both, 1e-6))
        return largest

    def difference(self, part: NDArray[np.bool_]) -> float:
        """Energy of the difference of detail relative to that of the detail, over all of `part`."""
        return _difference(self.one[part], self.two[part])

    def cropped(self, rows: slice, columns: slice) -> Comparison:
        """The same for a part of the surroundings."""
        box = (rows, columns)
        return Comparison(**{field.name: getattr(self, field.name)[box] for field in fields(self)})


def places(mask: NDArray[Any], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns (int64 N each) of at most about `most` set pixels of `mask`, in order."""
    every = np.flatnonzero(mask)
    chosen = every[:: max(1, len(every) // most)]
    rows = chosen // mask.shape[1]
    return rows, chosen - rows * mask.shape[1]


def detail(luma: NDArray[np.float32], sigma: float = DETAIL_SIGMA) -> NDArray[np.float32]:
    """What is left of `luma` (float32 H×W) after subtracting a Gaussian blur of it."""
    return luma - np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma), np.float32)


def compare(place: Place, there: NDArray[np.float32]) -> Comparison:
    """Compare a place with its lookalike, float32 h×w; below `OUTSIDE` nothing is known."""
    inside = there > OUTSIDE
    known = np.asarray(cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8)), bool)
    there = np.where(inside, there, np.float32(0))
    other = detail(there, COARSE_SIGMA)
    return Comparison(
        place.luma,
        there,
        known,
        place.fine,
        other,
        first=place.energy,
        second=_mean(other * other),
        common=_mean(place.fine * other),
    )


def measure(
    comparison: Comparison,
    part: NDArray[np.bool_],
    matrix: NDArray[np.float64],
    corner: tuple[int, int],
) -> Match | None:
    """Judge a part, or the better agreeing core of it; None if it shows too little.

    A copy put among lookalikes of itself (a window into a facade) agrees better than its
    surroundings, so stricter outlines are tried too and the one with the best odds is returned.

    Args:
        comparison: of the surroundings.
        part: bool h×w, in them.
        matrix: float64 2×3, of the whole picture.
        corner: left and top of the surroundings in the picture.
    """
    rows, columns = (_span(part, axis, FRAME) for axis in (0, 1))
    best = _core(comparison.cropped(rows, columns), part[rows, columns], matrix, corner)
    if best is None:
        return None
    core = np.zeros(part.shape, bool)
    core[rows, columns] = best.mask
    hopeless = best.log_odds < HOPELESS
    whole = core if hopeless else _outlined(comparison, core, best.light)
    rows, columns = (_span(whole, axis, 0) for axis in (0, 1))
    return replace(
        best,
        left=corner[0] + columns.start,
        top=corner[1] + rows.start,
        mask=whole[rows, columns],
    )


def _core(
    comparison: Comparison,
    part: NDArray[np.bool_],
    matrix: NDArray[np.float64],
    corner: tuple[int, int],
) -> Match | None:
    """The best judgement of `part` and its stricter outlines; None if all show too little."""
    best = _judge(comparison, part, matrix, corner)
    size = np.count_nonzero(part)
    for least in STRICT:
        core = comparison.agreeing(part, least)
        if core is None:
            break
        if np.count_nonzero(core) > LIKE * size:
            continue
        size = np.count_nonzero(core)
        needed = -math.inf if best is None else best.log_odds + RICHER
        found = _judge(comparison, core, matrix, corner, needed)
        if found and found.log_odds > needed:
            best = found
    return best


def _judge(
    comparison: Comparison,
    part: NDArray[np.bool_],
    matrix: NDArray[np.float64],
    corner: tuple[int, int],
    needed: float = -math.inf,
) -> Match | None:
    """The judgement of `part`; None if it shows too little, or cannot have `needed` log odds."""
    shown = part & (comparison.weaker > VISIBLE)
    visible = int(np.count_nonzero(shown))
    if visible < SMALLEST // 2:
        return None
    rows, columns = places(part, SAMPLES)
    one, two = comparison.one[rows, columns], comparison.two[rows, columns]
    gap = comparison.gap[rows, columns]
    judged = Match(
        matrix=matrix,
        left=corner[0],
        top=corner[1],
        mask=part,
        visible=visible,
        correlation=_correlation(one, two),
        light=float(np.median(np.abs(gap - np.median(gap)))),
        directions=1.0,  # the best that can be, of this and of the next
        self_likeness=-1.0,
        difference=_difference(one, two),
    )
    if judged.log_odds <= needed:
        return None
    return replace(
        judged,
        directions=float(np.median(comparison.directions[places(shown, SAMPLES)])),
        self_likeness=comparison.self_likeness(rows, columns),
    )


def _span(mask: NDArray[np.bool_], axis: int, margin: int) -> slice:
    """From the first to the last marked row (axis 0) or column (1), and `margin` more each way."""
    every = np.flatnonzero(mask.any(axis=1 - axis))
    last = min(mask.shape[axis], int(every[-1]) + 1 + margin)
    return slice(max(0, int(every[0]) - margin), last)


def _outlined(comparison: Comparison, part: NDArray[np.bool_], light: float) -> NDArray[np.bool_]:
    """`part` with its smooth surroundings that agree too."""
    apart = np.abs(comparison.gap - np.median(comparison.gap[places(part, SAMPLES)]))
    alike = (apart < min(max(LEVEL[0], 4 * light), LEVEL[1])) & (comparison.unopposed > AGREEMENT)
    joined = touching(tidy(part | (alike & comparison.known)), part)
    # Windows across its border disagree; what they took from it is given back.
    grown = cv2.dilate(joined.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8))
    return filled(grown > 0) & comparison.known


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    energy = math.sqrt(float((one * one).sum()) * float((two * two).sum()))
    return float((one * two).sum()) / max(energy, 1e-6)


def _difference(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    energy = float((one * one).sum() + (two * two).sum())
    return 2 * float(((one - two) ** 2).sum()) / max(energy, 1e-6)


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(values, (WINDOW, WINDOW)), np.float32)
