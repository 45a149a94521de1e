"""Methods side by side on the same files: AUC, mean over generators, true-positive rate.

Scores come from tables (path, score, perhaps degradation), as `bonafide bench run` and
`bonafide probe fit` write them; a method that learned has to be scored out of fold. Only files
that every method scored are counted, so that all figures are of the same files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.bench import scores as store
from bonafide.bench.labelled import Labelled
from bonafide.bench.manifest import read_table
from bonafide.bench.metrics import roc_auc, tpr_at_fpr
from bonafide.bench.scoring import NATIVE
from bonafide.bench.statistics import Interval, bootstrap, macro
from bonafide.errors import InvalidInput
from bonafide.types import Question

LEAST = 5  # files of a generator that counts in the mean, and of a group that gets a row
RATE = 0.01  # of bona fide files, at which true-positive rates are given
UNKNOWN = "unknown"

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Board:
    """The files that every method scored.

    Attributes:
        files: in the order of all arrays.
        truth: (n,) whether the answer is yes.
        scores: method → (n,) scores, larger for yes.
    """

    files: Sequence[Labelled]
    truth: Bools
    scores: Mapping[str, Floats]

    @property
    def sources(self) -> NDArray[np.str_]:
        """(n,) what is drawn together for intervals."""
        return np.array([file.source for file in self.files])

    def generators(self) -> dict[str, NDArray[np.intp]]:
        """Generator with at least `LEAST` files → its files and all bona fide ones."""
        made = np.array([file.made for file in self.files])
        names = sorted(set(made[self.truth].tolist()))
        rows = {name: self.truth & (made == name) for name in names}
        return {
            name: np.flatnonzero(own | ~self.truth)
            for name, own in rows.items()
            if own.sum() >= LEAST
        }


def board(
    files: Sequence[Labelled],
    tables: Mapping[str, Path],
    degradation: str = NATIVE,
    question: Question = Question.SYNTHETIC,
) -> Board:
    """Read the scores of methods on labelled files.

    Args:
        files: those that leave the question open are passed over.
        tables: method → CSV or Parquet (path, score, degradation), or the folder of a run, of which
            the detector named like the method counts.
        degradation: whose scores count; a table without that column is taken as it is.
        question: whose labels count.

    Raises:
        InvalidInput: a table cannot be read, or no file was scored by all methods in both classes.
    """
    own = [file for file in files if question in file.answers]
    said = {name: _scores(name, path, degradation) for name, path in tables.items()}
    kept = [file for file in own if all(file.path in one for one in said.values())]
    truth = np.array([file.answers[question] for file in kept], np.bool_)
    if not truth.any() or truth.all():
        raise InvalidInput(f"no files of both classes were scored ({degradation}) by every method")
    scores = {name: np.array([one[f.path] for f in kept]) for name, one in said.items()}
    return Board(kept, truth, scores)


def whole(found: Board, repeats: int) -> list[str]:
    """One row per method, as Markdown."""
    generators = list(found.generators().values())
    lines = [
        f"{int(found.truth.sum())} of the class and {int((~found.truth).sum())} bona fide files of "
        f"{len(set(found.sources.tolist()))} sources. Intervals of 95 % draw sources.",
        "",
        f"| method | AUC | mean over {len(generators)} generators | TPR at {RATE:.0%} |",
        "|---|---|---|---|",
    ]
    for name, scores in found.scores.items():
        auc = bootstrap(roc_auc, found.truth, scores, found.sources, repeats)
        mean = Interval(math.nan, math.nan, math.nan)
        if generators:
            mean = macro(roc_auc, found.truth, scores, generators, found.sources, repeats)
        rate = tpr_at_fpr(found.truth, scores, RATE)
        lines.append(f"| {name} | {_words(auc)} | {_words(mean)} | {rate:.2f} |")
    return lines


def by_group(found: Board, groups: Mapping[str, str], what: str) -> list[str]:
    """AUC and true-positive rate of each group of the class against all bona fide files.

    Args:
        found: the files.
        groups: path → name of the group of a file of the class.
        what: heading of the first column.
    """
    named = np.array([groups.get(file.path, UNKNOWN) for file in found.files])
    head = "".join(f" {name}: AUC | TPR at {RATE:.0%} |" for name in found.scores)
    lines = [f"| {what} | files | sources |{head}", "|---" * (3 + 2 * len(found.scores)) + "|"]
    for name in sorted(set(named[found.truth].tolist())):
        own = found.truth & (named == name)
        if own.sum() < LEAST:
            continue
        rows = own | ~found.truth
        cells = "".join(
            f" {roc_auc(found.truth[rows], scores[rows]):.3f} | "
            f"{tpr_at_fpr(found.truth[rows], scores[rows], RATE):.2f} |"
            for scores in found.scores.values()
        )
        sources = len(set(found.sources[own].tolist()))
        lines.append(f"| {name} | {int(own.sum())} | {sources} |{cells}")
    return lines


def by_kind(found: Board) -> list[str]:
    """Files of the class against bona fide ones that show the same, as Markdown."""
    kinds = np.array([file.kind for file in found.files])
    head = "".join(f" {name}: AUC |" for name in found.scores)
    lines = [f"| shows | of the class | bona fide |{head}", "|---" * (3 + len(found.scores)) + "|"]
    for name in sorted(set(kinds.tolist())):
        rows = kinds == name
        truth = found.truth[rows]
        if not name or min(truth.sum(), (~truth).sum()) < LEAST:
            continue
        cells = "".join(f" {roc_auc(truth, s[rows]):.3f} |" for s in found.scores.values())
        lines.append(f"| {name} | {int(truth.sum())} | {int((~truth).sum())} |{cells}")
    return lines


def years(files: Sequence[Labelled], table: Path) -> dict[str, str]:
    """Path → year of the generator, from a table of patterns.

    Args:
        files: labelled.
        table: CSV (pattern, year, source); the first pattern counts that is part of the name of the
            generator, letter case aside.

    Raises:
        InvalidInput: the table cannot be read, or lacks one of these columns.
    """
    rows = read_table(table)
    if not rows or not {"pattern", "year", "source"} <= set(rows[0]):
        raise InvalidInput(f"{table} needs the columns pattern, year and source")
    found = {}
    for file in files:
        name = file.made.lower()
        year = next((row["year"] for row in rows if row["pattern"].lower() in name), UNKNOWN)
        found[file.path] = year
    return found


def _scores(name: str, place: Path, degradation: str) -> dict[str, float]:
    """Path → score."""
    if place.is_dir():
        table = store.read_table(place)
        home = Path(table.about["manifest"]["folder"])
        return {
            str((home / row["path"]).absolute()): float(row["score"])
            for row in store.rows_of(table)
            if row["detector"] == name
            and row["degradation"] == degradation
            and row["score"] is not None
        }
    rows = read_table(place)
    if rows and not {"path", "score"} <= set(rows[0]):
        raise InvalidInput(f"{place} needs the columns path and score")
    return {
        str((place.parent / row["path"]).absolute()): float(row["score"])
        for row in rows
        if row["score"] and row.get("degradation", degradation) == degradation
    }


def _words(one: Interval) -> str:
    if math.isnan(one.value):
        return "–"
    interval = "" if math.isnan(one.low) else f" ({one.low:.3f}–{one.high:.3f})"
    return f"{one.value:.3f}{interval}"
