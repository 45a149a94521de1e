"""From a table of scores to arrays: what is measured as one, and what each detector said of it.

A unit is a file or, where the protocol pools, the files of one video or scene.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from bonafide.bench import metrics
from bonafide.bench.samples import Fold
from bonafide.bench.scores import Scores
from bonafide.types import Status


@dataclass(frozen=True)
class Units:
    """What is measured, the same for every detector; all arrays have one entry per unit.

    Attributes:
        names: path of the file, or name of the pool.
        truth: bool.
        cluster: what is resampled together, as numbers.
        generator, group, label: text.
        folds: indices of units; their tests are disjoint.
        tested: indices of all units that some fold tests, ascending.
        pooled: "" for files, else how their scores are joined.
        member: sample number → unit.
    """

    names: NDArray[np.str_]
    truth: NDArray[np.bool_]
    cluster: NDArray[np.intp]
    generator: NDArray[np.str_]
    group: NDArray[np.str_]
    label: NDArray[np.str_]
    folds: tuple[Fold, ...]
    tested: NDArray[np.intp]
    pooled: str
    member: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Said:
    """What one detector said under one degradation.

    Attributes:
        scores, probabilities: float64 (units,), NaN where there is none.
        rows: numbers of its rows in the table, of the tested files.
    """

    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    rows: tuple[int, ...]


def units(scores: Scores) -> Units:
    """Find the units of a table."""
    pool = scores.about["protocol"]["pool"]
    pooled = "" if pool["how"] == "none" else f"{pool['how']} of {pool['by']}"
    columns = scores.columns
    first: dict[str, int] = {}  # unit → its first row
    member: dict[int, int] = {}
    order: dict[str, int] = {}
    for row, sample in enumerate(columns["sample"]):
        if sample in member:
            continue
        name = columns["pool"][row] if pooled else columns["path"][row]
        # A video whose frames have both labels would be two units; so it is then.
        whole = f"{name}\0{columns['positive'][row]}"
        member[sample] = order.setdefault(whole, len(order))
        first.setdefault(whole, row)
    rows = list(first.values())

    def text(column: str) -> NDArray[np.str_]:
        return np.array([columns[column][row] for row in rows], np.str_)

    folds = tuple(_of_units(fold, member) for fold in scores.folds)
    tested = sorted({unit for fold in folds for unit in fold.test})
    clusters = np.unique(text("cluster"), return_inverse=True)[1].reshape(-1)
    return Units(
        names=text("pool" if pooled else "path"),
        truth=np.array([columns["positive"][row] for row in rows], np.bool_),
        cluster=clusters.astype(np.intp),
        generator=text("generator"),
        group=text("group"),
        label=text("label"),
        folds=folds,
        tested=np.array(tested, np.intp),
        pooled=pooled,
        member=member,
    )


def said(scores: Scores, which: Units) -> Iterator[tuple[str, str, Said]]:
    """Yield (degradation, detector, what it said), in the order of the run."""
    columns = scores.columns
    rows: dict[tuple[str, str], list[int]] = {
        (degradation, detector): []
        for degradation in scores.about["degradations"]
        for detector in scores.about["detectors"]
    }
    for row, place in enumerate(zip(columns["degradation"], columns["detector"], strict=True)):
        rows[place].append(row)
    how = cast(Literal["mean", "max"], scores.about["protocol"]["pool"]["how"])
    for (degradation, detector), chosen in rows.items():
        arrays = [_per_unit(columns, name, chosen, which, how) for name in ("score", "probability")]
        tested = tuple(row for row in chosen if columns["fold"][row])
        yield degradation, detector, Said(arrays[0], arrays[1], tested)


def _per_unit(
    columns: Mapping[str, list[Any]],
    name: str,
    rows: list[int],
    which: Units,
    how: Literal["mean", "max"],
) -> NDArray[np.float64]:
    result = np.full(len(which), np.nan)
    known = [
        row
        for row in rows
        if columns["status"][row] == Status.OK.value and columns[name][row] is not None
    ]
    values = np.array([columns[name][row] for row in known], np.float64)
    places = np.array([which.member[columns["sample"][row]] for row in known], np.intp)
    if which.pooled and len(known):
        pooled = metrics.pool(values, places, how)
        result[pooled.groups] = pooled.scores
    else:
        result[places] = values
    return result


def _of_units(fold: Fold, member: Mapping[int, int]) -> Fold:
    test = {member[sample] for sample in fold.test if sample in member}
    calibrate = {member[sample] for sample in fold.calibrate if sample in member} - test
    return Fold(fold.name, tuple(sorted(calibrate)), tuple(sorted(test)))
