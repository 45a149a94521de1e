"""Parts of a result that come from the rows of one detector under one degradation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.bench import metrics, statistics
from bonafide.bench.charts import thin
from bonafide.bench.pixel_metrics import PixelCounts, PixelScores, summarise
from bonafide.bench.scores import Scores
from bonafide.bench.statistics import Interval
from bonafide.bench.units import Said, Units
from bonafide.types import Status

MOST_LISTED = 50  # failures, groups and mistakes that are named; all are counted


@dataclass(frozen=True)
class Measure:
    """How intervals are made."""

    repeats: int
    seed: int

    def __call__(
        self,
        metric: statistics.Metric,
        truth: NDArray[np.bool_],
        values: NDArray[np.float64],
        cluster: NDArray[np.intp],
    ) -> dict[str, float | None]:
        """A figure with its interval over resampled clusters."""
        return plain(statistics.bootstrap(metric, truth, values, cluster, self.repeats, self.seed))


def coverage(table: Scores, which: Units, one: Said) -> dict[str, Any]:
    """What was asked and what came back; failures are named."""
    column = table.columns
    status = Counter(column["status"][row] for row in one.rows)
    failures = [row for row in one.rows if column["status"][row] == Status.FAILED.value]
    reasons = Counter(
        column["why"][row]
        for row in one.rows
        if column["status"][row] == Status.NOT_APPLICABLE.value
    )
    scored = int(np.isfinite(one.scores[which.tested]).sum())
    return {
        "asked": len(which.tested),
        "scored": scored,
        "share": number(scored / len(which.tested)),
        "files": len(one.rows),
        "failed": len(failures),
        "not_applicable": status[Status.NOT_APPLICABLE.value],
        "failures": [
            {"path": column["path"][row], "why": column["why"][row]}
            for row in failures[:MOST_LISTED]
        ],
        "not_applicable_because": [
            {"why": why, "files": count} for why, count in reasons.most_common(5)
        ],
    }


def pixels(table: Scores, one: Said, measure: Measure) -> dict[str, Any] | None:
    """Agreement of heatmaps with masks, over tested files where both are known."""
    column = table.columns
    rows = [row for row in one.rows if column["tp"][row] is not None]
    if not rows:
        return None
    pictures = []
    for row in rows:
        counts = PixelCounts(*(column[name][row] for name in ("tp", "fp", "fn", "tn")))
        auc = column["pixel_auc"][row]
        pictures.append(PixelScores(counts, math.nan if auc is None else auc))
    names = np.array([column["cluster"][row] for row in rows])
    edited = np.array([picture.counts.edited for picture in pictures])

    def mean(values: list[float], chosen: NDArray[np.bool_]) -> dict[str, float | None]:
        known = np.array(values, np.float64)[chosen]
        cluster = names[chosen][np.isfinite(known)]
        return plain(
            statistics.bootstrap_mean(
                known[np.isfinite(known)], cluster, measure.repeats, measure.seed
            )
        )

    counts_of = [picture.counts for picture in pictures]
    return {
        **{
            name: value if isinstance(value, int) else number(value)
            for name, value in asdict(summarise(pictures)).items()
        },
        "f1": mean([counts.f1 for counts in counts_of], edited),
        "iou": mean([counts.iou for counts in counts_of], edited),
        "mcc": mean([counts.mcc for counts in counts_of], edited),
        "auc": mean([picture.auc for picture in pictures], edited),
        "false_region_rate": share(
            mean([float(counts.false_positives > 0) for counts in counts_of], ~edited),
            statistics.wilson(
                sum(counts.false_positives > 0 for counts in counts_of if not counts.edited),
                int((~edited).sum()),
            ),
        ),
        "masks_that_do_not_fit": sum(
            column["tp"][row] is None and bool(column["mask_sha256"][row]) for row in one.rows
        ),
        "has_maps": any(column["marked_share"][row] is not None for row in one.rows),
    }


def share(
    resampled: dict[str, float | None], counted: statistics.Interval
) -> dict[str, float | None]:
    """The wider of two intervals: resampling sees groups, but calls 0 of 46 certain."""
    bounds = plain(counted)
    return {
        "value": resampled["value"],
        "low": _extreme(min, resampled["low"], bounds["low"]),
        "high": _extreme(max, resampled["high"], bounds["high"]),
    }


def _extreme(choose: Callable[..., float], *values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return choose(known) if known else None


def cost(table: Scores, one: Said) -> dict[str, Any]:
    """Time of the detector alone; what detectors share is charged to the one that came first."""
    column = table.columns
    pairs = [
        (column["seconds"][row], column["megapixels"][row])
        for row in one.rows
        if column["seconds"][row] is not None
        and column["megapixels"][row]
        and column["status"][row] == Status.OK.value
    ]
    each = [seconds / size for seconds, size in pairs]
    return {
        "files": len(pairs),
        "seconds": number(math.fsum(seconds for seconds, _ in pairs)),
        "megapixels": number(math.fsum(size for _, size in pairs)),
        "seconds_per_megapixel": number(float(np.median(each)) if each else math.nan),
    }


def curves(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    likely_truth: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
) -> dict[str, Any]:
    """Points of curves, thinned to what can be seen."""
    found: dict[str, Any] = {}
    both = truth.any() and not truth.all()
    roc = metrics.roc_curve(truth, scores)
    pairs = zip(roc.false_positive_rate.tolist(), roc.true_positive_rate.tolist(), strict=True)
    found["roc"] = _points(list(pairs)) if both else []
    recall = metrics.precision_recall_curve(truth, scores)
    pairs = zip(recall.recall.tolist(), recall.precision.tolist(), strict=True)
    found["precision_recall"] = _points(list(pairs)) if both else []
    bins = metrics.reliability(likely_truth, probabilities)
    found["reliability"] = [
        {"announced": number(announced), "observed": number(observed), "files": int(count)}
        for announced, observed, count in zip(
            bins.announced, bins.observed, bins.count, strict=True
        )
        if count
    ]
    risk = metrics.risk_coverage(likely_truth, probabilities)
    pairs = zip(risk.coverage.tolist(), risk.risk.tolist(), strict=True)
    found["risk_coverage"] = _points(list(pairs))
    return found


def _points(points: list[tuple[float, float]]) -> list[list[float]]:
    return [[round(x, 5), round(y, 5)] for x, y in thin(points)] if points else []


def mistakes(
    which: Units, scores: NDArray[np.float64], tested: NDArray[np.intp], most: int = 12
) -> dict[str, list[dict[str, Any]]]:
    """Negatives with the highest scores and positives with the lowest; equals by name."""
    truth = which.truth
    falling = sorted(tested[~truth[tested]], key=lambda unit: (-scores[unit], which.names[unit]))
    rising = sorted(tested[truth[tested]], key=lambda unit: (scores[unit], which.names[unit]))
    return {
        name: [
            {
                "name": str(which.names[unit]),
                "label": str(which.label[unit]),
                "generator": str(which.generator[unit]),
                "score": number(scores[unit]),
            }
            for unit in chosen[:most]
        ]
        for name, chosen in (("false_alarms", falling), ("misses", rising))
    }


def plain(interval: Interval) -> dict[str, float | None]:
    """An interval as JSON values."""
    return {name: number(getattr(interval, name)) for name in ("value", "low", "high")}


def number(value: float | None) -> float | None:
    """A figure as a JSON value: null where it is not defined."""
    return None if value is None or not math.isfinite(value) else float(value)
