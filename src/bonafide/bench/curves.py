"""Curves from scores to evidence, and the weights by which evidence is added."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bonafide.errors import MissingExtra

SMALLEST_BLOCK = 3  # files of one class behind each step of a calibration curve
LEAST_WEIGHT = 0.05  # under which a detector does not weigh at all

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def fit_knots(scores: Floats, truth: Bools) -> list[list[float]]:
    """Monotone map from score to log-likelihood ratio, as (score, llr) knots.

    Isotonic regression with balanced classes, steps merged until each holds enough files of one
    class, each step's ratio smoothed by half a count (Jeffreys), so that no step claims more than
    its counts support. A step has a knot at either end; evidence rises between steps.
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
        llr = round(max(math.log(ratio), knots[-1][1] if knots else -math.inf), 4)
        for end in (scores[block].min(), scores[block].max()):
            place = round(float(end), 5)
            if knots and place <= knots[-1][0]:  # scores that only rounding tells apart
                knots[-1][1] = llr
            else:
                knots.append([place, llr])
    return knots


def two_weights(llr: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """A weight per detector, and what is left of its evidence against an alteration.

    Alterations differ: a clone shows to one detector and not to the others. That the others found
    nothing says less about a file in which one found something, so evidence against is weighed on
    its own, and never more than evidence for.

    Returns:
        (detectors,) weights in [0, 1], and (detectors,) shares in [0, 1] by which negative
        log-likelihood ratios are multiplied before.
    """
    count = llr.shape[1]
    found = fit_weights(np.hstack([np.maximum(llr, 0), np.minimum(llr, 0)]), truth)
    weights, against = np.round(found[:count], 3), found[count:]
    share = np.divide(against, weights, out=np.zeros(count), where=weights > 0)
    return weights, np.round(np.clip(share, 0, 1), 3)


def fit_weights(llr: Floats, truth: Bools) -> Floats:
    """Weights in [0, 1] of a balanced logistic model without intercept, lightly drawn to 0.

    Below one, because detectors that see the same trace would otherwise count it twice. What adds
    nothing is drawn under `LEAST_WEIGHT`, counts as 0, and the others are fitted without it.

    Args:
        llr: (n, detectors), 0 where one did not speak.
        truth: (n,).
    """
    sign = np.where(truth, 1.0, -1.0)
    share = np.where(truth, 0.5 / max(truth.sum(), 1), 0.5 / max((~truth).sum(), 1))
    weighing = np.arange(llr.shape[1])
    weights = np.zeros(llr.shape[1])
    while len(weighing):
        known = llr[:, weighing]

        def loss(weights: Floats, known: Floats = known) -> tuple[float, Floats]:
            margin = sign * (known @ weights)
            value = float((share * np.logaddexp(0.0, -margin)).sum() + 1e-3 * (weights**2).sum())
            slope = -sign * share / (1.0 + np.exp(np.clip(margin, -50, 50)))
            return value, known.T @ slope + 2e-3 * weights

        start, bounds = np.full(len(weighing), 0.5), [(0.0, 1.0)] * len(weighing)
        found: Floats = minimize(loss, start, jac=True, bounds=bounds).x
        weights[:] = 0.0
        weights[weighing] = found
        if (found >= LEAST_WEIGHT).all():
            break
        weighing = weighing[found >= LEAST_WEIGHT]
        weights[weights < LEAST_WEIGHT] = 0.0
    return weights


def _steps(scores: Floats, truth: Bools, weight: Floats) -> list[NDArray[np.intp]]:
    """Rows by rising score, in the steps of an isotonic regression of `truth` on `scores`."""
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError:
        raise MissingExtra("bench", "fitting a calibration") from None
    target = truth.astype(np.float64)
    risen = IsotonicRegression().fit(scores, target, sample_weight=weight).predict(scores)
    order = np.lexsort((scores, risen))
    return list(np.split(order, np.flatnonzero(np.diff(risen[order]) > 1e-12) + 1))


def _merged(blocks: list[list[int]], truth: Bools) -> list[list[int]]:
    """Neighbours joined until each block holds `SMALLEST_BLOCK` files of one class."""

    def supported(block: list[int]) -> bool:
        altered = int(truth[block].sum())
        return max(altered, len(block) - altered) >= SMALLEST_BLOCK

    merged: list[list[int]] = []
    for block in blocks:
        if merged and not supported(merged[-1]):
            merged[-1] += block
        else:
            merged.append(block)
    while len(merged) > 1 and not supported(merged[-1]):
        last = merged.pop()
        merged[-1] += last
    return merged
