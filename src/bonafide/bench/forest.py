"""A small random forest, enough to tell whether a few columns give the classes away.

It exists so that the audit needs no machine-learning library, and it is a measuring instrument, not
a detector: no pixel ever reaches it.

Source: L. Breiman, "Random Forests", Machine Learning 45, 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BINS = 32


@dataclass(frozen=True)
class _Tree:
    """A full binary tree; level k has 2**k nodes.

    Attributes:
        features, cuts: per level, int64 (2**k,): what is compared, and the last bin that goes left.
        values: float64 (2**depth,): share of positives in each leaf, in [0, 1].
    """

    features: list[NDArray[np.int64]]
    cuts: list[NDArray[np.int64]]
    values: NDArray[np.float64]

    def predict(self, bins: NDArray[np.uint8]) -> NDArray[np.float64]:
        rows = np.arange(len(bins))
        node = np.zeros(len(bins), np.int64)
        for features, cuts in zip(self.features, self.cuts, strict=True):
            node = 2 * node + (bins[rows, features[node]] > cuts[node])
        return self.values[node]


def out_of_fold(
    features: NDArray[np.float64],
    truth: NDArray[np.bool_],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    trees: int = 40,
    depth: int = 7,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Score every sample by a forest that was grown without it.

    Args:
        features: (n, k), finite.
        truth: (n,).
        folds: (grow, score) index arrays; a fold that cannot be grown, for want of a class, scores
            its samples 0.5.
        trees: number of trees of a forest.
        depth: number of questions that a tree asks.
        seed: of bootstrap samples and of the features offered to a node.

    Returns:
        float64 (n,) in [0, 1], NaN for samples that no fold scores.
    """
    scores = np.full(len(truth), np.nan)
    for number, (grow, score) in enumerate(folds):
        known = truth[grow]
        if known.all() or not known.any():
            scores[score] = 0.5
            continue
        edges = [np.unique(np.quantile(column, _QUANTILES)) for column in features[grow].T]
        inside, outside = (_bin(features[part], edges) for part in (grow, score))
        total = np.zeros(len(score))
        for tree in range(trees):
            random = np.random.default_rng((seed, number, tree))
            drawn = np.bincount(random.integers(0, len(grow), len(grow)), minlength=len(grow))
            # Both classes weigh the same, so that a fold's share of positives moves no score.
            weights = drawn / np.where(
                known, max(drawn[known].sum(), 1), max(drawn[~known].sum(), 1)
            )
            total += _grow(inside, known, weights, depth, random).predict(outside)
        scores[score] = total / trees
    return scores


_QUANTILES = np.linspace(0, 1, _BINS + 1)[1:-1]


def _bin(features: NDArray[np.float64], edges: list[NDArray[np.float64]]) -> NDArray[np.uint8]:
    columns = [
        np.searchsorted(edge, column, side="left")
        for edge, column in zip(edges, features.T, strict=True)
    ]
    return np.stack(columns, axis=1).astype(np.uint8)


def _grow(
    bins: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    weights: NDArray[np.float64],
    depth: int,
    random: np.random.Generator,
) -> _Tree:
    """One tree, level by level; a node that cannot improve passes everything to its left."""
    width = bins.shape[1]
    offered = max(1, round(width**0.5) + 1)
    column = np.arange(width) * _BINS
    node = np.zeros(len(bins), np.int64)
    rows = np.arange(len(bins))
    features, cuts = [], []
    for level in range(depth):
        nodes = 2**level
        cell = (node[:, None] * (width * _BINS) + column + bins).ravel()
        shape = (nodes, width, _BINS)
        total, positive = (
            np.bincount(cell, np.repeat(w, width), nodes * width * _BINS)
            .reshape(shape)
            .cumsum(axis=2)
            for w in (weights, weights * truth)
        )
        gain = _purity(positive, total) + _purity(
            positive[..., -1:] - positive, total[..., -1:] - total
        )
        hidden = random.random((nodes, width)).argsort(axis=1).argsort(axis=1) >= offered
        gain[hidden] = -1.0
        best = gain.reshape(nodes, -1).argmax(axis=1)
        before = _purity(positive[:, 0, -1], total[:, 0, -1])
        useless = gain.reshape(nodes, -1).max(axis=1) <= before + 1e-12
        features.append(best // _BINS)
        cuts.append(np.where(useless, _BINS, best % _BINS))
        node = 2 * node + (bins[rows, features[-1][node]] > cuts[-1][node])
    held = np.bincount(node, weights, 2**depth)
    positives = np.bincount(node, weights * truth, 2**depth)
    # A little of the even prior keeps a leaf of one sample from shouting.
    prior = weights.sum() / len(weights)
    return _Tree(features, cuts, (positives + prior) / (held + 2 * prior))


def _purity(positive: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of squared class weights over the weight: larger for purer nodes, 0 for empty ones."""
    negative = total - positive
    return np.divide(
        positive**2 + negative**2, total, out=np.zeros_like(total), where=total > 1e-12
    )
