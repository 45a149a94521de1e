"""From labelled scores to a calibration: knots, ranges, weights, and the evidence behind bounds.

What is fitted is always judged on other sources and scenes: fused evidence, from which the bounds
of the verdict come, is out of fold, with the folds by group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from bonafide import verdict
from bonafide.bench.metrics import roc_auc
from bonafide.bench.statistics import bootstrap
from bonafide.calibration import OUTSIDE_SHARE, limits_above
from bonafide.errors import InvalidInput

FOLDS = 5
SMALLEST_BLOCK = 3  # altered pictures behind each step of a calibration curve
PERCENTILES = (1, 99)  # of what is measured of the calibration pictures

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """What one detector said about the labelled files of a question.

    Attributes:
        detector, version: whose scores they are.
        scores: (n,) raw; NaN where it had nothing to say.
        measured: name of a measure or fact → (n,) values, NaN where unknown; each gets a range.
        fixed: an entry of a calibration whose knots and ranges are to be kept; None to fit them.
    """

    detector: str
    version: str
    scores: Floats
    measured: Mapping[str, Floats] = field(default_factory=dict)
    fixed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Fitted:
    """A question, fitted.

    Attributes:
        detectors: id → entry for `Calibration.detectors`.
        fusion: entry for `Calibration.fusion`.
        weights: (detectors,) in the order of the columns.
        evidence: (n,) fused log-likelihood ratio, out of fold.
        hit: (n,) whether some detector is at its own threshold.
    """

    detectors: dict[str, dict[str, Any]]
    fusion: dict[str, Any]
    weights: Floats
    evidence: Floats
    hit: Bools


def fit_question(
    question: str,
    columns: Sequence[Column],
    truth: Bools,
    groups: NDArray[np.str_],
    complete: Bools | None = None,
) -> Fitted:
    """Fit everything that the verdict needs to weigh one question.

    Args:
        question: value of a `Question`.
        columns: one per detector.
        truth: (n,) whether the answer is yes.
        groups: (n,) names of sources or scenes; none is divided between folds.
        complete: (n,) which files every detector was asked about; all by default. The others
            serve the curves of the detectors that were asked, and neither weights nor bounds:
            counted as files that a detector had nothing to say about, they would make bona fide
            ones look more alike than they are.

    Raises:
        InvalidInput: fewer than two groups hold complete files of a class.
    """
    folds = list(group_folds(truth, groups, complete))
    llr = np.zeros((len(truth), len(columns)))
    for number, column in enumerate(columns):
        for training, held_out in folds:
            knots, ranges = _map(column, truth, training)
            llr[held_out, number] = _evidence(column, held_out, knots, ranges)
    whole = np.ones(len(truth), np.bool_) if complete is None else complete
    weights = fit_weights(llr[whole], truth[whole])
    evidence = np.zeros(len(truth))
    for training, held_out in folds:
        known = training[whole[training]]
        evidence[held_out] = llr[held_out] @ fit_weights(llr[known], truth[known])
    evidence = np.round(evidence, 4)
    bona_fide = sorted(float(value) for value in evidence[~truth & whole])
    everything = np.arange(len(truth))
    detectors, hit = {}, np.zeros(len(truth), np.bool_)
    for column in columns:
        knots, ranges = _map(column, truth, everything)
        detectors[column.detector] = _entry(question, column, knots, ranges, truth, groups)
        hit |= column.scores >= detectors[column.detector]["threshold"]  # NaN is no hit
    bounds = outcomes(evidence, hit, bona_fide, verdict.FALSE_ACCUSATION_RATE)
    auc = auc_interval(truth[whole], evidence[whole], groups[whole])
    fusion = {
        "weights": {
            column.detector: round(float(value), 3)
            for column, value in zip(columns, weights, strict=True)
        },
        "bona_fide": bona_fide,
        "altered": int((truth & whole).sum()),
        "miss_rate": round(float(bounds.quiet[truth & whole].mean()), 3),
        "hit_rate": round(float(bounds.accused[truth & whole].mean()), 3),
        "auc": auc[0],
        "auc_interval": auc[1:],
    }
    return Fitted(detectors, fusion, weights, evidence, hit)


@dataclass(frozen=True)
class Outcomes:
    """What a bound makes of evidence, (n,) each; what is neither is inconclusive."""

    accused: Bools
    quiet: Bools


def outcomes(evidence: Floats, hit: Bools, bona_fide: Sequence[float], rate: float) -> Outcomes:
    """The verdict on one of two questions, as `verdict` draws it at a false-accusation rate."""
    p = np.array([verdict.p_value(float(value), bona_fide) for value in evidence])
    likely = expit(evidence) >= verdict.LEAST_PROBABILITY
    return Outcomes((p <= rate / 2) & likely, (p >= verdict.CLEAR) & ~hit)


def expit(llr: Floats) -> Floats:
    """P at even prior odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(llr, -50, 50))), np.float64)


def group_folds(
    truth: Bools, groups: NDArray[np.str_], complete: Bools | None = None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(training, held out) indices of up to `FOLDS` folds; no group is in both parts of a fold.

    Among the complete files, both parts of every fold hold both classes.

    Args:
        truth: (n,) bool.
        groups: (n,) names of sources or scenes, which may hold one class or both.
        complete: (n,) bool, as in `fit_question`; all by default.

    Raises:
        InvalidInput: fewer than two groups hold complete files of a class.
    """
    known = np.ones(len(truth), np.bool_) if complete is None else complete
    positive, negative = np.unique(groups[truth & known]), np.unique(groups[~truth & known])
    mixed = np.intersect1d(positive, negative)
    only = [np.setdiff1d(kind, mixed) for kind in (positive, negative)]
    count = min(FOLDS, len(positive), len(negative))
    if count < 2:
        raise InvalidInput(
            "a calibration needs pictures of at least two sources or scenes on either side; "
            "name them in the column `group`"
        )
    others = np.setdiff1d(groups, np.concatenate([positive, negative]))
    random = np.random.default_rng(0)
    number = np.zeros(len(truth), np.intp)
    # A fold needs a mixed group, or one group of each class. Mixed ones fill folds from the first
    # on and the others from the last on, so that together they reach every fold.
    for kind, backwards in ((mixed, False), (only[0], True), (only[1], True), (others, False)):
        for place, name in enumerate(random.permutation(kind)):
            fold = place % count
            number[groups == name] = count - 1 - fold if backwards else fold
    for fold in range(count):
        yield np.flatnonzero(number != fold), np.flatnonzero(number == fold)


def fit_knots(scores: Floats, truth: Bools) -> list[list[float]]:
    """Monotone map from score to log-likelihood ratio, as (score, llr) knots.

    Isotonic regression with balanced classes, steps merged until each holds enough altered
    pictures, each step's ratio smoothed by half a count (Jeffreys), so that no step claims more
    than its counts support.
    """
    spoke = np.isfinite(scores)
    scores, truth = scores[spoke], truth[spoke]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return [[0.0, 0.0]]
    weight = np.where(truth, 0.5 / positives, 0.5 / negatives)
    blocks = _merged([list(block) for block in _steps(scores, truth, weight)], truth)
    knots: list[list[float]] = []
    for block in blocks:
        hit = int(truth[block].sum())
        false = len(block) - hit
        ratio = ((hit + 0.5) / (positives + 1)) / ((false + 0.5) / (negatives + 1))
        middle = round(float(np.median(scores[block])), 5)
        llr = max(math.log(ratio), knots[-1][1] if knots else -math.inf)
        if knots and middle <= knots[-1][0]:
            knots[-1][1] = round(llr, 4)
        else:
            knots.append([middle, round(llr, 4)])
    return knots


def fit_weights(llr: Floats, truth: Bools) -> Floats:
    """Weights in [0, 1] of a balanced logistic model without intercept, lightly drawn to ½.

    Below one, because detectors that see the same trace would otherwise count it twice.
    """
    sign = np.where(truth, 1.0, -1.0)
    share = np.where(truth, 0.5 / max(truth.sum(), 1), 0.5 / max((~truth).sum(), 1))

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (llr @ weights)
        value = float(
            (share * np.logaddexp(0.0, -margin)).sum() + 1e-3 * ((weights - 0.5) ** 2).sum()
        )
        slope = -sign * share / (1.0 + np.exp(np.clip(margin, -50, 50)))
        return value, llr.T @ slope + 2e-3 * (weights - 0.5)

    start = np.full(llr.shape[1], 0.5)
    bounds = [(0.0, 1.0)] * llr.shape[1]
    result: Floats = minimize(loss, start, jac=True, bounds=bounds).x
    return result


def fit_threshold(negatives: Floats, rate: float = 0.01) -> float:
    """A score that at most `rate` of bona fide pictures reach, midway to the next one seen."""
    candidates = np.unique(negatives)
    for candidate in candidates[::-1]:
        if (negatives >= candidate).mean() > rate:
            above = candidates[candidates > candidate]
            return round(float((candidate + above[0]) / 2 if len(above) else candidate + 1e-3), 5)
    return round(float(candidates[0]), 5)


def fit_ranges(measured: Mapping[str, Floats]) -> dict[str, list[float]]:
    """Name → [1st, 99th percentile] of the known values; none where nothing is known."""
    return {
        name: [round(float(bound), 4) for bound in np.nanpercentile(values, PERCENTILES)]
        for name, values in measured.items()
        if np.isfinite(values).any()
    }


def auc_interval(truth: Bools, scores: Floats, groups: NDArray[np.str_]) -> list[float]:
    """AUC with a 95 % interval over resampled sources and scenes: [auc, low, high]."""
    found = bootstrap(roc_auc, truth, scores, groups, repeats=500)
    return [round(value, 3) for value in (found.value, found.low, found.high)]


def _map(
    column: Column, truth: Bools, training: NDArray[np.intp]
) -> tuple[Sequence[Sequence[float]], Mapping[str, Sequence[float]]]:
    """Knots and ranges of a detector: those that it has, or fitted on some of the files."""
    if column.fixed is not None:
        return column.fixed["knots"], column.fixed.get("range", {})
    spoke = training[np.isfinite(column.scores[training])]
    measured = {name: values[spoke] for name, values in column.measured.items()}
    return fit_knots(column.scores[training], truth[training]), fit_ranges(measured)


def _evidence(
    column: Column,
    rows: NDArray[np.intp],
    knots: Sequence[Sequence[float]],
    ranges: Mapping[str, Sequence[float]],
) -> Floats:
    """Log-likelihood ratios as `calibration.calibrate` gives them; 0 where it did not speak."""
    scores = column.scores[rows]
    llr = np.interp(scores, [knot[0] for knot in knots], [knot[1] for knot in knots])
    outside = np.zeros(len(rows), np.bool_)
    for name, (low, high) in ranges.items():
        if name in column.measured:
            values = column.measured[name][rows]
            outside |= (values < low) | ((values > high) & limits_above(name))
    return np.where(np.isfinite(scores), llr * np.where(outside, OUTSIDE_SHARE, 1.0), 0.0)


def _entry(
    question: str,
    column: Column,
    knots: Sequence[Sequence[float]],
    ranges: Mapping[str, Sequence[float]],
    truth: Bools,
    groups: NDArray[np.str_],
) -> dict[str, Any]:
    if column.fixed is not None:
        return dict(column.fixed)
    spoke = np.isfinite(column.scores)
    negatives = column.scores[spoke & ~truth]
    if not len(negatives):
        raise InvalidInput(f"{column.detector} spoke of no bona fide picture")
    threshold = fit_threshold(negatives)
    auc = auc_interval(truth[spoke], column.scores[spoke], groups[spoke])
    return {
        "version": column.version,
        "question": question,
        "knots": knots,
        "range": ranges,
        "threshold": threshold,
        "false_positive_rate": round(float((negatives >= threshold).mean()), 4),
        "bona_fide": int((spoke & ~truth).sum()),
        "altered": int((spoke & truth).sum()),
        "auc": auc[0],
        "auc_interval": auc[1:],
    }


def _steps(scores: Floats, truth: Bools, weight: Floats) -> list[NDArray[np.intp]]:
    """Rows by rising score, in the steps of an isotonic regression of `truth` on `scores`."""
    member = np.unique(scores, return_inverse=True)[1].reshape(-1)
    order = np.argsort(member, kind="stable")
    total = np.bincount(member, weight)
    fitted = isotonic_regression(np.bincount(member, weight * truth) / total, weights=total)
    first = np.searchsorted(member[order], fitted.blocks[1:-1])  # row at which a step begins
    return np.split(order, first)


def _merged(blocks: list[list[int]], truth: Bools) -> list[list[int]]:
    """Neighbours joined until each block holds `SMALLEST_BLOCK` altered pictures."""
    merged: list[list[int]] = []
    for block in blocks:
        if merged and int(truth[merged[-1]].sum()) < SMALLEST_BLOCK:
            merged[-1] += block
        else:
            merged.append(block)
    while len(merged) > 1 and int(truth[merged[-1]].sum()) < SMALLEST_BLOCK:
        last = merged.pop()
        merged[-1] += last
    return merged
