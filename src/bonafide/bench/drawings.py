"""Which charts a report has, drawn from the figures of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from bonafide.bench import charts, degrade
from bonafide.bench.charts import Axis, Bar, Series
from bonafide.bench.results import FEWEST
from bonafide.bench.scoring import NATIVE

Json = Mapping[str, Any]


def curves(
    detectors: Mapping[str, Json], names: Sequence[str]
) -> Iterator[tuple[str, str, Markup]]:
    """ROC, precision over recall and risk over coverage: (title, remark, chart)."""

    def series(key: str) -> list[Series]:
        return [Series(name, [(x, y) for x, y in detectors[name]["curves"][key]]) for name in names]

    if not names:
        return
    share = charts.unit_axis
    yield (
        "ROC.",
        "The dotted diagonal is chance.",
        charts.lines("ROC curves", series("roc"), share("false alarms (share of negatives)"),
                     share("found (share of positives)"), diagonal=True),
    )  # fmt: skip
    yield (
        "Precision over recall.",
        "At the proportion of classes in these files.",
        charts.lines("Precision over recall", series("precision_recall"),
                     share("recall (share of positives found)"), share("precision")),
    )  # fmt: skip
    likely = [one for one in series("risk_coverage") if one.points]
    if likely:
        largest = max(y for one in likely for _, y in one.points)
        top = next(step for step in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if largest <= step)
        ticks = tuple((top * part / 4, f"{top * part / 4:.3g}") for part in range(5))
        axis = Axis("wrong among the answered", 0.0, top, ticks)
        yield (
            "Risk over coverage.",
            "Errors as ever less sure answers are given, at a probability of one half.",
            charts.lines("Risk over coverage", likely, share("answered (share of scored files)"),
                         axis),
        )  # fmt: skip


def reliability(
    detectors: Mapping[str, Json], names: Sequence[str]
) -> Iterator[tuple[str, Markup]]:
    """One diagram for each detector that reports probabilities."""
    axes = charts.unit_axis("announced probability"), charts.unit_axis("observed share")
    for name in names:
        bins = detectors[name]["curves"]["reliability"]
        total = sum(one["files"] for one in bins)
        points = [(one["announced"], one["observed"], one["files"] / total) for one in bins]
        if points:
            yield name, charts.dots(f"Reliability of {name}", points, *axes)


def robustness(parts: Sequence[Json], names: Sequence[str]) -> Iterator[tuple[str, Markup]]:
    """One chart per ladder of degradations, files as they are at its beginning."""
    there = {part["name"]: part for part in parts}
    taken: set[str] = set()
    ladders: list[tuple[str, list[str]]] = []
    for title, rungs in degrade.LADDERS.items():
        chosen = [step for step in rungs if step in there and step not in taken]
        if len(chosen) > 1:
            taken.update(chosen)
            ladders.append((title, chosen))
    rest = [name for name in there if name not in taken and name != NATIVE]
    if rest and len(there) > 1:
        ladders.append(("other", rest))
    for title, chosen in ladders:
        steps = ([NATIVE] if NATIVE in there else []) + chosen
        ticks = tuple((float(n), _step(title, step)) for n, step in enumerate(steps))
        axis = Axis("", -0.3, len(steps) - 0.7, ticks)
        series = []
        for name in names:
            aucs = [there[step]["detectors"][name]["figures"]["auc"] for step in steps]
            values = [{k: math.nan if v is None else v for k, v in auc.items()} for auc in aucs]
            points = [(float(n), auc["value"]) for n, auc in enumerate(values)]
            low, high = ([auc[side] for auc in values] for side in ("low", "high"))
            series.append(Series(name, points, low, high, marks=True))
        chart = charts.lines(f"AUC under {title}", series, axis, charts.unit_axis("AUC"), level=0.5)
        yield title, chart


def _step(ladder: str, name: str) -> str:
    return name.removeprefix(f"{ladder}:").removeprefix("resize:0.5:")


def generators(detectors: Mapping[str, Json], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """AUC of each generator, one chart per detector, where there are several generators."""
    nan = math.nan
    for name in names:
        every = detectors[name]["generators"]
        rows = [row for row in every if row["positive"] >= FEWEST]
        if len(every) < 2 or not rows:
            continue
        bars = []
        for row in sorted(rows, key=lambda row: -(row["auc"]["value"] or 0.0)):
            auc = {k: nan if v is None else v for k, v in row["auc"].items() if k != "resampled"}
            text = f"{row['generator']} ({row['positive']})"
            bars.append(Bar(text, auc["value"], auc["low"], auc["high"]))
        chart = charts.bars(f"AUC by generator, {name}", bars, charts.unit_axis("AUC"), 0.5)
        yield {
            "name": name,
            "macro": detectors[name]["macro_auc"],
            "chart": chart,
            "count": len(rows),
            "few": len(every) - len(rows),
            "files": sum(row["auc"]["resampled"] == "files" for row in rows),
        }
