"""Figures of a run, computed from its table of scores and nothing else.

Every figure comes from files that some fold tests, pooled over folds, so that each file counts
once. Thresholds come from the calibration part of the fold that a file is tested in; what is
searched on the tested files themselves stands under `oracle`. Intervals hold thresholds fixed and
resample groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide import __version__
from bonafide.bench import degrade, degrade_video, metrics, statistics
from bonafide.bench import scores as store
from bonafide.bench.delong import delong
from bonafide.bench.figures import (
    MOST_LISTED,
    Measure,
    cost,
    coverage,
    curves,
    mistakes,
    number,
    pixels,
    plain,
    share,
)
from bonafide.bench.presentation import presentation_errors
from bonafide.bench.scores import Scores
from bonafide.bench.scoring import NATIVE
from bonafide.bench.statistics import Interval
from bonafide.bench.units import Said, Units, said, units
from bonafide.types import Question

RESULTS = "results.json"
FALSE_ALARMS = 0.01
FEWEST = 5  # files of a generator that counts in the mean over generators

_RANKING: Mapping[str, statistics.Metric] = {
    "auc": metrics.roc_auc,
    "average_precision": metrics.average_precision,
    "tpr_at_fpr_1_percent": partial(metrics.tpr_at_fpr, rate=0.01),
    "tpr_at_fpr_0_1_percent": partial(metrics.tpr_at_fpr, rate=0.001),
    "eer": metrics.eer_value,
}
_AT_THRESHOLD: Mapping[str, statistics.Metric] = {
    "accuracy": partial(metrics.accuracy, threshold=0.0),
    "balanced_accuracy": partial(metrics.balanced_accuracy, threshold=0.0),
    "hter": partial(metrics.hter, threshold=0.0),
}
_AT_RATE: Mapping[str, statistics.Metric] = {
    "tpr_at_calibrated_1_percent": partial(metrics.true_positive_rate, threshold=0.0),
    "fpr_at_calibrated_1_percent": partial(metrics.false_positive_rate, threshold=0.0),
}
_OF_PROBABILITY: Mapping[str, statistics.Metric] = {
    "accuracy_at_half": partial(metrics.accuracy, threshold=0.5),
    "brier": metrics.brier,
    "ece": metrics.ece,
    "risk_coverage_area": lambda truth, p: metrics.risk_coverage(truth, p).area,
}

Progress = Callable[[int, int], None]


def results(
    out: str | Path, repeats: int = 1000, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Every figure of a run, as JSON values that `docs/bench.schema.json` describes.

    Args:
        out: folder of a finished run, or the path of its table.
        repeats: resamples behind each interval.
        seed: of the resampling.
        progress: called with (done, all) pairs of detector and degradation.

    Raises:
        InvalidInput: there is no table.
        MissingExtra: pyarrow is not installed.
    """
    table = store.read_table(out)
    about = table.about
    which = units(table)
    measure = Measure(repeats, seed)
    total = len(about["degradations"]) * len(about["detectors"])
    parts: dict[str, dict[str, Said]] = {name: {} for name in about["degradations"]}
    measured: dict[str, dict[str, Any]] = {name: {} for name in about["degradations"]}
    for done, (degradation, detector, one) in enumerate(said(table, which), 1):
        parts[degradation][detector] = one
        measured[degradation][detector] = _detector(table, which, one, measure)
        if progress:
            progress(done, total)
    tested = which.tested
    return {
        "schema": 1,
        "bonafide": __version__,
        "run": {name: value for name, value in about.items() if name not in ("schema", "folds")},
        "intervals": {"level": 0.95, "repeats": repeats, "seed": seed},
        "samples": {
            "unit": which.pooled or "file",
            "tested": len(tested),
            "positive": int(which.truth[tested].sum()),
            "negative": int((~which.truth[tested]).sum()),
            "groups": len(np.unique(which.cluster[tested])),
            "folds": [
                {"name": fold.name, "calibrate": len(fold.calibrate), "test": len(fold.test)}
                for fold in which.folds
            ],
        },
        "degradations": [
            {
                "name": name,
                "meaning": meaning(name),
                "detectors": measured[name],
                "pairs": _pairs(which, parts[name], measure, place == 0),
            }
            for place, name in enumerate(about["degradations"])
        ],
    }


def write_results(out: str | Path, content: Mapping[str, Any]) -> Path:
    """Write `results.json` beside the table."""
    folder = Path(out) if Path(out).is_dir() else Path(out).parent
    store.write_json(folder / RESULTS, content)
    return folder / RESULTS


def _detector(table: Scores, which: Units, one: Said, measure: Measure) -> dict[str, Any]:
    tested = which.tested[np.isfinite(one.scores[which.tested])]
    truth, scores, cluster = which.truth[tested], one.scores[tested], which.cluster[tested]
    figures = {name: measure(metric, truth, scores, cluster) for name, metric in _RANKING.items()}
    thresholds, margins = relative_scores(which, one.scores)
    for chosen, table_of in (("best", _AT_THRESHOLD), ("rate", _AT_RATE)):
        margin = margins[chosen][tested]
        known = np.isfinite(margin)
        for name, metric in table_of.items():
            figures[name] = measure(metric, truth[known], margin[known], cluster[known])
    for name, side in (
        ("tpr_at_calibrated_1_percent", True),
        ("fpr_at_calibrated_1_percent", False),
    ):
        passed = margins["rate"][tested][truth == side]
        passed = passed[np.isfinite(passed)] >= 0
        figures[name] = share(figures[name], statistics.wilson(int(passed.sum()), passed.size))
    figures["accuracy_of_all"] = _accuracy_of_all(which, margins["best"], measure)
    likely = which.tested[np.isfinite(one.probabilities[which.tested])]
    for name, metric in _OF_PROBABILITY.items():
        figures[name] = measure(
            metric, which.truth[likely], one.probabilities[likely], which.cluster[likely]
        )
    return {
        "coverage": coverage(table, which, one),
        "figures": figures,
        "oracle": {
            "accuracy": measure(metrics.oracle_accuracy, truth, scores, cluster),
            "threshold": number(metrics.best_threshold(truth, scores).threshold),
        },
        "thresholds": thresholds,
        **_by_generator(which, one.scores, tested, measure),
        **_attacks(table, which, margins["best"][tested], tested),
        "groups": _by_group(which, one.scores, margins["best"], tested),
        "pixels": pixels(table, one, measure),
        "cost": cost(table, one),
        "curves": curves(truth, scores, which.truth[likely], one.probabilities[likely]),
        "mistakes": mistakes(which, one.scores, tested),
    }


def relative_scores(
    which: Units, scores: NDArray[np.float64]
) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.float64]]]:
    """Thresholds of each fold, and scores of tested units relative to them (NaN where none)."""
    margins = {name: np.full(len(which), np.nan) for name in ("best", "rate")}
    thresholds = []
    for fold in which.folds:
        calibrate = np.array(fold.calibrate, np.intp)
        calibrate = calibrate[np.isfinite(scores[calibrate])]
        truth, known = which.truth[calibrate], scores[calibrate]
        chosen = {
            "best": metrics.best_threshold(truth, known, balanced=True).threshold,
            "rate": metrics.threshold_at_fpr(truth, known, FALSE_ALARMS).threshold,
        }
        test = list(fold.test)
        for name, threshold in chosen.items():
            margins[name][test] = scores[test] - threshold
        thresholds.append(
            {
                "fold": fold.name,
                "calibrated_on": len(calibrate),
                "best": number(chosen["best"]),
                "at_1_percent": number(chosen["rate"]),
            }
        )
    return thresholds, margins


def _accuracy_of_all(
    which: Units, margin: NDArray[np.float64], measure: Measure
) -> dict[str, float | None]:
    """Accuracy over every tested unit; one without a score counts as answered wrongly."""
    tested = which.tested
    truth, values = which.truth[tested], margin[tested].copy()
    silent = ~np.isfinite(values)
    if silent.all():
        return plain(Interval(math.nan, math.nan, math.nan))
    values[silent] = np.where(truth[silent], -1.0, 1.0)
    accuracy = partial(metrics.accuracy, threshold=0.0)
    return measure(accuracy, truth, values, which.cluster[tested])


def _by_generator(
    which: Units, scores: NDArray[np.float64], tested: NDArray[np.intp], measure: Measure
) -> dict[str, Any]:
    """AUC of each generator's positives against every tested negative, and their mean.

    Where all of a generator's files are of one group, groups have no spread to draw from: files
    are drawn instead, which is said, since such an interval is too narrow. The mean is over
    generators with `FEWEST` files or more.
    """
    truth, values = which.truth[tested], scores[tested]
    generator, cluster = which.generator[tested], which.cluster[tested]
    names = sorted(set(generator[truth]) - {""})
    subsets = [np.flatnonzero(~truth | (truth & (generator == name))) for name in names]

    def mean(parts: list[NDArray[np.intp]], drawn: str = "groups") -> dict[str, Any]:
        units_drawn = cluster if drawn == "groups" else None
        found = statistics.macro(
            metrics.roc_auc, truth, values, parts, units_drawn, measure.repeats, measure.seed
        )
        if math.isnan(found.low) and drawn == "groups":
            return mean(parts, "files")
        return {**plain(found), "resampled": drawn}

    rows: list[dict[str, Any]] = [
        {
            "generator": str(name),
            "positive": int((truth & (generator == name)).sum()),
            "auc": mean([part]),
        }
        for name, part in zip(names, subsets, strict=True)
    ]
    enough = [part for row, part in zip(rows, subsets, strict=True) if row["positive"] >= FEWEST]
    return {"generators": rows, "macro_auc": mean(enough) if enough else None}


def _attacks(
    table: Scores, which: Units, margin: NDArray[np.float64], tested: NDArray[np.intp]
) -> dict[str, Any]:
    """APCER by species of attack, and BPCER, where presentation attacks are asked about."""
    if table.about["protocol"]["question"] != Question.SPOOFED.value:
        return {}
    known = np.isfinite(margin)
    found = presentation_errors(
        which.truth[tested][known], margin[known], which.label[tested][known], 0.0
    )
    rows = [
        {"species": name, "attacks": found.count[name], "apcer": number(value)}
        for name, value in found.apcer.items()
    ]
    return {
        "attacks": {
            "species": rows,
            "apcer_worst": number(found.apcer_worst),
            "apcer_pooled": number(found.apcer_pooled),
            "bpcer": number(found.bpcer),
            "acer": number(found.acer),
        }
    }


def _by_group(
    which: Units,
    scores: NDArray[np.float64],
    margin: NDArray[np.float64],
    tested: NDArray[np.intp],
) -> list[dict[str, Any]]:
    """The largest groups: AUC where a group has both classes, else the share called positive."""
    group = which.group[tested]
    sizes = Counter(str(name) for name in group if name)
    rows = []
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:MOST_LISTED]:
        part = tested[group == name]
        known = part[np.isfinite(margin[part])]
        called = float((margin[known] >= 0).mean()) if len(known) else math.nan
        rows.append(
            {
                "group": name,
                "scored": size,
                "positive": int(which.truth[part].sum()),
                "auc": number(metrics.roc_auc(which.truth[part], scores[part])),
                "called_positive": number(called),
            }
        )
    return rows


def _pairs(
    which: Units, parts: Mapping[str, Said], measure: Measure, intervals: bool
) -> list[dict[str, Any]]:
    """DeLong's test by group between every two detectors, on the units that both scored."""
    rows: list[dict[str, Any]] = []
    for first, second in combinations(parts, 2):
        one, two = parts[first].scores, parts[second].scores
        both = which.tested[np.isfinite(one[which.tested]) & np.isfinite(two[which.tested])]
        truth = which.truth[both]
        if truth.all() or not truth.any():
            continue
        tested = delong(truth, one[both], two[both], which.cluster[both])
        row: dict[str, Any] = {
            "first": first,
            "second": second,
            "common": len(both),
            "first_auc": number(tested.first),
            "second_auc": number(tested.second),
            "difference": {"value": number(tested.value), "low": None, "high": None},
            "p": number(tested.p),
        }
        if intervals:
            row["difference"] = plain(
                statistics.bootstrap_difference(
                    metrics.roc_auc, truth, one[both], two[both], which.cluster[both],
                    measure.repeats, measure.seed,
                )
            )  # fmt: skip
        rows.append(row)
    adjusted = statistics.holm([math.nan if row["p"] is None else row["p"] for row in rows])
    for row, p in zip(rows, adjusted.tolist(), strict=True):
        row["p_holm"] = number(p)
    return rows


def meaning(degradation: str) -> str:
    """What a degradation does, in words."""
    if degradation == NATIVE:
        return "files as they are"
    try:
        return degrade.GRAMMAR.describe(degradation)
    except ValueError:
        return degrade_video.GRAMMAR.describe(degradation)
