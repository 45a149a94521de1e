"""Costs and information of scores of speech, as the ASVspoof challenges measure them.

As everywhere in bonafide a larger score is more evidence for synthetic speech; the challenges turn
scores round. "Missed" is a bona fide recording that is refused, a "false alarm" a synthetic one
that is accepted: the words of a system that lets speakers in.

Source: X. Wang et al., "ASVspoof 5: Crowdsourced Speech Data, Deepfakes, and Adversarial Attacks at
Scale", 2024, section 3; N. Brümmer, J. du Preez, "Application-independent evaluation of speaker
detection", Computer Speech & Language 20, 2006 (Cllr).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bonafide.bench.kernels import check, sweep

SPOOFED, MISS_COST, ACCEPT_COST = 0.05, 1.0, 10.0
"""Prior of synthetic speech, cost of refusing a person, cost of accepting a machine: ASVspoof 5."""


def min_dcf(
    truth: ArrayLike,
    scores: ArrayLike,
    prior: float = SPOOFED,
    miss: float = MISS_COST,
    accept: float = ACCEPT_COST,
) -> float:
    """Detection cost at the best threshold, over the cost of always saying the same.

    Args:
        truth: (n,) booleans, True for synthetic speech.
        scores: (n,), larger for synthetic.
        prior: of synthetic speech.
        miss, accept: see above.

    Returns:
        In [0, 1], lower is better; NaN where a class is absent.
    """
    swept = sweep(*check(truth, scores))
    if not swept.both:
        return float("nan")
    positive = np.asarray(truth, bool)
    values = np.asarray(scores, float)
    thresholds = np.r_[np.unique(values), np.inf]
    refused = np.searchsorted(np.sort(-values[~positive]), -thresholds, "right")
    passed = np.searchsorted(np.sort(values[positive]), thresholds, "left")
    cost = _cost(refused / (~positive).sum(), passed / positive.sum(), prior, miss, accept)
    return float(cost.min())


def act_dcf(
    truth: ArrayLike,
    ratios: ArrayLike,
    prior: float = SPOOFED,
    miss: float = MISS_COST,
    accept: float = ACCEPT_COST,
) -> float:
    """Detection cost at the threshold that calibrated log-likelihood ratios prescribe.

    Args:
        truth: as for `min_dcf`.
        ratios: (n,) natural log-likelihood ratios, positive for synthetic speech.
        prior, miss, accept: as for `min_dcf`.

    Returns:
        At least `min_dcf`; NaN where a class is absent.
    """
    swept = sweep(*check(truth, ratios))
    if not swept.both:
        return float("nan")
    positive, values = np.asarray(truth, bool), np.asarray(ratios, float)
    threshold = np.log(miss * (1 - prior)) - np.log(accept * prior)
    refused = float((values[~positive] >= threshold).mean())
    passed = float((values[positive] < threshold).mean())
    return float(_cost(np.array([refused]), np.array([passed]), prior, miss, accept)[0])


def cllr(truth: ArrayLike, ratios: ArrayLike) -> float:
    """Cost of log-likelihood ratios: bits that are missing, 0 for perfect ones, 1 for none.

    Args:
        truth: (n,) booleans, True for synthetic speech.
        ratios: (n,) natural log-likelihood ratios, positive for synthetic speech.

    Returns:
        At least 0; NaN where a class is absent.
    """
    check(truth, ratios)
    positive, values = np.asarray(truth, bool), np.asarray(ratios, float)
    if positive.all() or not positive.any():
        return float("nan")
    synthetic = np.logaddexp(0, -values[positive]).mean()
    genuine = np.logaddexp(0, values[~positive]).mean()
    return float((synthetic + genuine) / (2 * np.log(2)))


def _cost(
    refused: np.ndarray, passed: np.ndarray, prior: float, miss: float, accept: float
) -> np.ndarray:
    refusing, accepting = miss * (1 - prior), accept * prior
    return np.asarray((refusing * refused + accepting * passed) / min(refusing, accepting))
