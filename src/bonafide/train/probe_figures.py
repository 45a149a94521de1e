"""Figures of a probe, out of fold: by view, kind, generator and file."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from bonafide.bench.metrics import roc_auc, tpr_at_fpr
from bonafide.bench.statistics import Interval, macro
from bonafide.train.probe_features import WHOLE, Features

LEAST = 8  # pictures of a generator that gets a line
FEWEST = 30  # pictures of either class of a kind that gets a line

Pooled = dict[tuple[str, str], tuple[float | None, list[int]]]


def pooled(features: Features, scores: NDArray[np.float64], near: NDArray[np.bool_]) -> Pooled:
    """(file, view) → its score, None where no crop can be judged, and the rows of its crops."""
    rows: dict[tuple[str, str], dict[str, list[int]]] = {}
    keys = zip(features.file.tolist(), features.view.tolist(), features.subject.tolist(),
               strict=True)  # fmt: skip
    for row, (file, view, subject) in enumerate(keys):
        rows.setdefault((file, view), {}).setdefault(subject, []).append(row)
    found: Pooled = {}
    for key, subjects in rows.items():
        means = [
            float(np.mean(scores[kept])) for own in subjects.values()
            if (kept := [row for row in own if near[row]])
        ]  # fmt: skip
        every = [row for own in subjects.values() for row in own]
        found[key] = (max(means) if means else None, every)
    return found


def by_file(features: Features, files: Pooled) -> str:
    """AUC of files, native, with an interval over sources, as Markdown."""
    chosen = [
        (score, rows[0]) for (_, view), (score, rows) in files.items()
        if view == WHOLE and score is not None
    ]  # fmt: skip
    first = np.array([row for _, row in chosen])
    said, truth = np.array([score for score, _ in chosen]), features.positive[first]
    if truth.all() or not truth.any():
        return ""
    low, high = cluster_interval(truth, said, features.source[first])
    return (
        f"\nBy file, `{WHOLE}`: {int(truth.sum())} of the class, {int((~truth).sum())} bona fide, "
        f"AUC {roc_auc(truth, said):.3f} ({low:.3f} to {high:.3f} over sources).\n"
    )


def cluster_interval(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], source: NDArray[np.str_]
) -> tuple[float, float]:
    """95 % interval of the AUC by drawing whole sources again, 1,000 times."""
    random = np.random.default_rng(0)
    rows = [np.flatnonzero(source == name) for name in sorted(set(source.tolist()))]
    found = []
    for _ in range(1000):
        drawn = np.concatenate([rows[one] for one in random.integers(0, len(rows), len(rows))])
        if truth[drawn].any() and not truth[drawn].all():
            found.append(roc_auc(truth[drawn], scores[drawn]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def table(features: Features, scores: NDArray[np.float64]) -> str:
    """AUC and true-positive rates out of fold, by view, generator and content, as Markdown."""
    lines = ["| view | generated | bona fide | AUC | mean over generators | TPR at 1 % | at 5 % |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for view in _names(features.view):
        rows = features.view == view
        if features.positive[rows].any() and not features.positive[rows].all():
            lines.append(_line(view, features, scores, rows))
    native = features.view == WHOLE
    lines += ["", f"By what the pictures show, `{WHOLE}`:", "", *lines[:2]]
    for kind in _names(features.kind[native]):
        rows = native & (features.kind == kind)
        if min(features.positive[rows].sum(), (~features.positive[rows]).sum()) >= FEWEST:
            lines.append(_line(kind or "unknown", features, scores, rows))
    lines += ["", f"By generator, `{WHOLE}`, against all bona fide pictures:", ""]
    lines += ["| generator | pictures | AUC |", "|---|---|---|"]
    truth, said = features.positive[native], scores[native]
    for name, subset in _generators(truth, features.made[native]).items():
        auc = roc_auc(truth[subset], said[subset])
        lines.append(f"| {name} | {int(truth[subset].sum())} | {auc:.3f} |")
    return "\n".join(lines) + "\n"


def _line(
    name: str, features: Features, scores: NDArray[np.float64], rows: NDArray[np.bool_]
) -> str:
    truth, said = features.positive[rows], scores[rows]
    subsets = list(_generators(truth, features.made[rows]).values())
    mean = macro(roc_auc, truth, said, subsets) if subsets else Interval(*[math.nan] * 3)
    return (
        f"| {name} | {int(truth.sum())} | {int((~truth).sum())} | {roc_auc(truth, said):.3f} | "
        f"{mean.value:.3f} ({mean.low:.3f}–{mean.high:.3f}) of {len(subsets)} | "
        f"{tpr_at_fpr(truth, said, 0.01):.2f} | {tpr_at_fpr(truth, said, 0.05):.2f} |"
    )


def _generators(truth: NDArray[np.bool_], made: NDArray[np.str_]) -> dict[str, NDArray[np.intp]]:
    """Generator with at least `LEAST` pictures → its pictures and all bona fide ones."""
    counts = Counter(made[truth].tolist())
    return {
        name: np.flatnonzero(~truth | (made == name))
        for name, count in sorted(counts.items())
        if count >= LEAST
    }


def _names(values: NDArray[np.str_]) -> list[str]:
    return list(dict.fromkeys(values.tolist()))
