"""Whether two runs, or two detectors, differ: paired on the files that both scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.bench import metrics, statistics
from bonafide.bench import scores as store
from bonafide.bench.delong import delong
from bonafide.bench.figures import number, plain
from bonafide.bench.pixel_metrics import PixelCounts
from bonafide.bench.results import relative_scores
from bonafide.bench.scores import Scores
from bonafide.bench.units import Said, Units, said, units
from bonafide.errors import InvalidInput

_ACCURACY = partial(metrics.balanced_accuracy, threshold=0.0)


@dataclass(frozen=True)
class _Side:
    """One of the two: a table, and which of its detectors is meant."""

    name: str
    table: Scores
    which: Units
    parts: Mapping[tuple[str, str], Said]


def compare(first: str, second: str, repeats: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Compare two runs detector by detector, or two detectors.

    Args:
        first, second: a folder of a run, or `FOLDER:DETECTOR`. Two folders compare every detector
            that both hold; with a detector named on either side just that pair is compared.
        repeats: resamples behind each interval.
        seed: of the resampling.

    Returns:
        JSON values: `rows`, one per degradation and pair, each with AUC, balanced accuracy at
        calibrated thresholds and, where both were compared with masks, pixel F1; and `notes`,
        sentences that qualify them. Differences are second minus first: positive is better.

    Raises:
        InvalidInput: there is no such run or detector, or nothing that both scored.
    """
    (left, one), (right, two) = _open(first), _open(second)
    pairs: list[tuple[str, str]]
    if one or two:
        pairs = [(one or two, two or one)]
    else:
        known = right.table.about["detectors"]
        pairs = [(name, name) for name in left.table.about["detectors"] if name in known]
    for side, names in ((left, {p[0] for p in pairs}), (right, {p[1] for p in pairs})):
        unknown = sorted(names - set(side.table.about["detectors"]))
        if unknown:
            there = ", ".join(side.table.about["detectors"])
            raise InvalidInput(f"{side.name} has no {', '.join(unknown)}; there are: {there}")
    rows = [
        row
        for a, b in pairs
        for degradation in left.table.about["degradations"]
        if (row := _row(left, a, right, b, degradation, repeats, seed)) is not None
    ]
    if not rows:
        raise InvalidInput(f"{first} and {second} have no file that both scored")
    adjusted = statistics.holm([math.nan if row["p"] is None else row["p"] for row in rows])
    for row, p in zip(rows, adjusted.tolist(), strict=True):
        row["p_holm"] = number(p)
    return {
        "schema": 1,
        "first": first,
        "second": second,
        "notes": list(_notes(left, right)),
        "rows": rows,
    }


def _open(text: str) -> tuple[_Side, str]:
    folder, detector = text, ""
    if not Path(text).exists() and ":" in text:
        folder, _, detector = text.rpartition(":")
    table = store.read_table(folder)
    which = units(table)
    parts = {(degradation, name): one for degradation, name, one in said(table, which)}
    return _Side(folder, table, which, parts), detector


def _notes(left: _Side, right: _Side) -> Iterator[str]:
    for what, key in (("protocol", "protocol_sha256"), ("seed", "seed")):
        if left.table.about[key] != right.table.about[key]:
            yield f"The two runs have another {what}; only files and degradations of one name meet."
    if left.table.about["manifest"]["sha256"] != right.table.about["manifest"]["sha256"]:
        yield "The two runs have another manifest; only files in both are compared."


def _row(
    left: _Side,
    first: str,
    right: _Side,
    second: str,
    degradation: str,
    repeats: int,
    seed: int,
) -> dict[str, Any] | None:
    one = left.parts.get((degradation, first))
    two = right.parts.get((degradation, second))
    if one is None or two is None:
        return None
    here, there = _common(left, one, right, two)
    truth, cluster = left.which.truth[here], left.which.cluster[here]
    if truth.all() or not truth.any():
        return None
    a, b = one.scores[here], two.scores[there]
    tested = delong(truth, b, a, cluster)
    auc = statistics.bootstrap_difference(metrics.roc_auc, truth, b, a, cluster, repeats, seed)
    relative = [
        relative_scores(side.which, part.scores)[1]["best"][chosen]
        for side, part, chosen in ((left, one, here), (right, two, there))
    ]
    known = np.isfinite(relative[0]) & np.isfinite(relative[1])
    values = [_ACCURACY(truth[known], margin[known]) for margin in relative]
    accuracy = statistics.bootstrap_difference(
        _ACCURACY, truth[known], relative[1][known], relative[0][known], cluster[known],
        repeats, seed,
    )  # fmt: skip
    return {
        "degradation": degradation,
        "first": first,
        "second": second,
        "common": len(here),
        "auc": {"first": number(tested.second), "second": number(tested.first), **plain(auc)},
        "balanced_accuracy": {
            "first": number(values[0]),
            "second": number(values[1]),
            **plain(accuracy),
        },
        "pixel_f1": _pixel_f1(left, one, right, two, repeats, seed),
        "p": number(tested.p),
    }


def _common(
    left: _Side, one: Said, right: _Side, two: Said
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Units that both tested and scored, in each one's numbers, paired by name and truth."""

    def known(side: _Side, part: Said) -> dict[tuple[str, bool], int]:
        return {
            (str(side.which.names[unit]), bool(side.which.truth[unit])): int(unit)
            for unit in side.which.tested
            if np.isfinite(part.scores[unit])
        }

    here, there = known(left, one), known(right, two)
    names = sorted(here.keys() & there.keys())
    return (
        np.array([here[name] for name in names], np.intp),
        np.array([there[name] for name in names], np.intp),
    )


def _pixel_f1(
    left: _Side, one: Said, right: _Side, two: Said, repeats: int, seed: int
) -> dict[str, float | None] | None:
    here, there = _f1_of(left, one), _f1_of(right, two)
    paths = sorted(here.keys() & there.keys())
    if not paths:
        return None
    before = np.array([here[path][0] for path in paths])
    after = np.array([there[path][0] for path in paths])
    cluster = [here[path][1] for path in paths]
    difference = statistics.bootstrap_mean(after - before, cluster, repeats, seed)
    means = {"first": number(float(before.mean())), "second": number(float(after.mean()))}
    return {**means, **plain(difference)}


def _f1_of(side: _Side, part: Said) -> dict[str, tuple[float, str]]:
    column = side.table.columns
    found = {}
    for row in part.rows:
        if column["tp"][row] is None:
            continue
        counts = PixelCounts(*(column[name][row] for name in ("tp", "fp", "fn", "tn")))
        if counts.edited:
            found[column["path"][row]] = (counts.f1, column["cluster"][row])
    return found
