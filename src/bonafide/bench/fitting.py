"""From labelled scores to a calibration: knots, ranges, weights, and the files behind the bounds.

What is fitted is always judged on other sources: the evidence of a calibration file, from which the
bounds of the verdict come, is out of fold, with the folds by source.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.bench.curves import fit_knots, two_weights
from bonafide.bench.metrics import roc_auc
from bonafide.bench.statistics import bootstrap
from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import OUTSIDE_SHARE
from bonafide.evidence.reference import DIGITS, HEAD

FOLDS = 5
PERCENTILES = (1, 99)  # of what is measured of the calibration files

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """What one detector said about the labelled files of a question.

    Attributes:
        detector, version: whose scores they are.
        scores: (n,) raw; NaN where it had nothing to say.
        measured: name of a measure or fact → (n,) values, NaN where unknown; each gets a range.
        fixed: an entry of a calibration whose knots and ranges are to be kept; None to fit them.
        kind: of media that it reads, a value of `bonafide.types.Kind`; "" for several.
    """

    detector: str
    version: str
    scores: Floats
    measured: Mapping[str, Floats] = field(default_factory=dict)
    fixed: Mapping[str, Any] | None = None
    kind: str = "image"

    def of(self, rows: NDArray[np.intp] | Bools) -> Column:
        """What it said about some of the files, by their indices or a mask."""
        measured = {name: values[rows] for name, values in self.measured.items()}
        return replace(self, scores=self.scores[rows], measured=measured)


@dataclass(frozen=True)
class Files:
    """The labelled files of a question, (n,) each.

    Attributes:
        truth: whether the answer is yes.
        sources: names of what is held together: the unit of folds and of the bound.
        made: generator or kind of edit; "" where unknown.
        containers: "jpeg", "other", "video", "audio" or "".
        megapixels: NaN where there is no size.
    """

    truth: Bools
    sources: NDArray[np.str_]
    made: Sequence[str] = ()
    containers: Sequence[str] = ()
    megapixels: Floats | None = None

    def of(self, rows: NDArray[np.intp]) -> Files:
        """Some of the files, by their indices."""
        return Files(
            self.truth[rows],
            self.sources[rows],
            [self.made[row] for row in rows] if self.made else (),
            [self.containers[row] for row in rows] if self.containers else (),
            None if self.megapixels is None else self.megapixels[rows],
        )


@dataclass(frozen=True)
class Fitted:
    """A question, fitted.

    Attributes:
        detectors: id → entry for `Calibration.detectors`.
        table: entry for the questions of a calibration file.
        evidence: (n, detectors) weighted log-likelihood ratios out of fold, NaN where silent.
        hit: (n, detectors) whether a score is at its own threshold.
    """

    detectors: dict[str, dict[str, Any]]
    table: dict[str, Any]
    evidence: Floats
    hit: Bools

    @property
    def total(self) -> Floats:
        """(n,) evidence of all detectors together; 0 where none spoke."""
        return np.asarray(np.nansum(self.evidence, axis=1), np.float64)


def fit_question(question: str, columns: Sequence[Column], files: Files) -> Fitted:
    """Fit everything that the verdict needs to weigh one question, each kind of media on its own.

    Detectors of frames speak of other files than detectors of pictures, so neither may move the
    other's weights. A kind with too few sources is left out, unless it is the only one.
    """
    kinds = list(dict.fromkeys(column.kind for column in columns))
    if len(kinds) == 1:
        return _fit_kind(question, columns, files)
    shape = (len(files.truth), len(columns))
    evidence, hit = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    parts: list[Fitted] = []
    for kind in kinds:
        own = np.array([n for n, column in enumerate(columns) if column.kind == kind], np.intp)
        said = np.isfinite(np.stack([columns[number].scores for number in own])).any(axis=0)
        rows = np.flatnonzero(said)
        try:
            part = _fit_kind(question, [columns[n].of(rows) for n in own], files.of(rows))
        except InvalidInput:
            continue
        parts.append(part)
        place = np.ix_(rows, own)
        evidence[place], hit[place] = part.evidence, part.hit
    if not parts:
        return _fit_kind(question, columns, files)
    largest = max(parts, key=lambda part: len(part.evidence))
    fitted = {name: entry for part in parts for name, entry in part.detectors.items()}
    weights = {name: value for part in parts for name, value in part.table["weights"].items()}
    kept = [number for number, column in enumerate(columns) if column.detector in fitted]
    table = largest.table | {
        "weights": weights,
        "columns": [*HEAD, *(columns[number].detector for number in kept)],
        "files": _rows(files, evidence[:, kept], hit[:, kept]),
    }
    return Fitted(fitted, table, evidence, hit)


def _fit_kind(question: str, columns: Sequence[Column], files: Files) -> Fitted:
    """Fit one question on the files of one kind of media.

    Args:
        question: value of a `Question`.
        columns: one per detector.
        files: what is known of each file.

    Raises:
        InvalidInput: fewer than two sources hold files of a class, or a detector spoke of no bona
            fide file.
        MissingExtra: scikit-learn is not installed.
    """
    truth = files.truth
    folds = list(group_folds(truth, files.sources))
    llr = np.full((len(truth), len(columns)), np.nan)
    for number, column in enumerate(columns):
        for training, held_out in folds:
            knots, ranges = _map(column, truth, training)
            llr[held_out, number] = _evidence(column, held_out, knots, ranges)
    known = np.nan_to_num(llr)
    weights, against = two_weights(known, truth)
    evidence = np.full_like(llr, np.nan)
    for training, held_out in folds:
        fold, fold_against = two_weights(known[training], truth[training])
        # What does not weigh in the end must not weigh in the bound.
        weighed = np.where(weights > 0, fold, 0.0) * llr[held_out]
        evidence[held_out] = np.where(weighed < 0, weighed * fold_against, weighed)
    evidence = np.asarray(np.round(evidence, DIGITS), np.float64)
    everything = np.arange(len(truth))
    detectors, hit = {}, np.zeros(llr.shape, np.bool_)
    for number, column in enumerate(columns):
        knots, ranges = _map(column, truth, everything)
        less = float(against[number])
        knots = [[score, llr_ if llr_ > 0 else round(llr_ * less, 4)] for score, llr_ in knots]
        entry = _entry(question, column, knots, ranges, files)
        detectors[column.detector] = entry
        hit[:, number] = column.scores >= entry["threshold"]  # NaN is no hit
    auc = auc_interval(truth, np.nansum(evidence, axis=1), files.sources)
    table = {
        "weights": {
            column.detector: float(value) for column, value in zip(columns, weights, strict=True)
        },
        "auc": auc[0],
        "auc_interval": auc[1:],
        "columns": [*HEAD, *(column.detector for column in columns)],
        "files": _rows(files, evidence, hit),
    }
    return Fitted(detectors, table, evidence, hit)


def _rows(files: Files, evidence: Floats, hit: Bools) -> list[list[Any]]:
    """The files as a calibration stores them, see `bonafide.evidence.reference`."""
    count = len(files.truth)
    made = files.made or [""] * count
    containers = files.containers or [""] * count
    megapixels = np.full(count, np.nan) if files.megapixels is None else files.megapixels
    bits = hit @ (1 << np.arange(hit.shape[1], dtype=np.int64))
    return [
        [
            str(files.sources[row]),
            int(files.truth[row]),
            made[row],
            containers[row],
            _plain(float(megapixels[row])),
            int(bits[row]),
            *(_plain(value) for value in evidence[row].tolist()),
        ]
        for row in range(count)
    ]


def _plain(value: float) -> float | int | None:
    """A number as JSON writes it shortest; None for NaN."""
    if math.isnan(value):
        return None
    short = round(value, DIGITS)
    return int(short) if short == int(short) else short


def expit(llr: Floats) -> Floats:
    """P at even prior odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(llr, -50, 50))), np.float64)


def group_folds(
    truth: Bools, groups: NDArray[np.str_]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(training, held out) indices of up to `FOLDS` folds; no group is in both parts of a fold.

    Both parts of every fold hold both classes.

    Args:
        truth: (n,) bool.
        groups: (n,) names of sources or scenes, which may hold one class or both.

    Raises:
        InvalidInput: fewer than two groups hold files of a class.
    """
    positive, negative = np.unique(groups[truth]), np.unique(groups[~truth])
    mixed = np.intersect1d(positive, negative)
    only = [np.setdiff1d(kind, mixed) for kind in (positive, negative)]
    count = min(FOLDS, len(positive), len(negative))
    if count < 2:
        raise InvalidInput(
            "a calibration needs pictures of at least two sources or scenes on either side; "
            "name them in the column `origin` or `group`"
        )
    random = np.random.default_rng(0)
    number = np.zeros(len(truth), np.intp)
    # A fold needs a mixed group, or one group of each class. Mixed ones fill folds from the first
    # on and the others from the last on, so that together they reach every fold.
    for kind, backwards in ((mixed, False), (only[0], True), (only[1], True)):
        for place, name in enumerate(random.permutation(kind)):
            fold = place % count
            number[groups == name] = count - 1 - fold if backwards else fold
    for fold in range(count):
        yield np.flatnonzero(number != fold), np.flatnonzero(number == fold)


def fit_threshold(negatives: Floats, rate: float = 0.01) -> float:
    """A score that at most `rate` of bona fide files reach, midway to the next one seen."""
    candidates = np.unique(negatives)
    for candidate in candidates[::-1]:
        if (negatives >= candidate).mean() > rate:
            above = candidates[candidates > candidate]
            return round(float((candidate + above[0]) / 2 if len(above) else candidate + 1e-3), 5)
    return round(float(candidates[0]), 5)


def fit_ranges(measured: Mapping[str, Floats]) -> dict[str, list[float]]:
    """Name → [1st, 99th percentile] of the known values; none where nothing is known."""
    return {
        name: [round(float(bound), 4) for bound in np.nanpercentile(values, PERCENTILES)]
        for name, values in measured.items()
        if np.isfinite(values).any()
    }


def auc_interval(truth: Bools, scores: Floats, groups: NDArray[np.str_]) -> list[float]:
    """AUC with a 95 % interval over resampled sources and scenes: [auc, low, high]."""
    found = bootstrap(roc_auc, truth, scores, groups, repeats=500)
    return [round(value, 3) for value in (found.value, found.low, found.high)]


def _map(
    column: Column, truth: Bools, training: NDArray[np.intp]
) -> tuple[Sequence[Sequence[float]], Mapping[str, Sequence[float]]]:
    """Knots and ranges of a detector: those that it has, or fitted on some of the files."""
    if column.fixed is not None:
        return column.fixed["knots"], column.fixed.get("range", {})
    spoke = training[np.isfinite(column.scores[training])]
    measured = {name: values[spoke] for name, values in column.measured.items()}
    return fit_knots(column.scores[training], truth[training]), fit_ranges(measured)


def _evidence(
    column: Column,
    rows: NDArray[np.intp],
    knots: Sequence[Sequence[float]],
    ranges: Mapping[str, Sequence[float]],
) -> Floats:
    """Log-likelihood ratios as `calibration.calibrate` gives them; NaN where it did not speak."""
    scores = column.scores[rows]
    llr = np.interp(scores, [knot[0] for knot in knots], [knot[1] for knot in knots])
    outside = np.zeros(len(rows), np.bool_)
    for name, (low, high) in ranges.items():
        if name in column.measured:
            values = column.measured[name][rows]
            outside |= (values < low) | (values > high)
    return np.where(np.isfinite(scores), llr * np.where(outside, OUTSIDE_SHARE, 1.0), np.nan)


def _entry(
    question: str,
    column: Column,
    knots: Sequence[Sequence[float]],
    ranges: Mapping[str, Sequence[float]],
    files: Files,
) -> dict[str, Any]:
    if column.fixed is not None:
        return dict(column.fixed)
    spoke, truth = np.isfinite(column.scores), files.truth
    negatives = column.scores[spoke & ~truth]
    if not len(negatives):
        raise InvalidInput(f"{column.detector} spoke of no bona fide file")
    threshold = fit_threshold(negatives)
    entry: dict[str, Any] = {
        "version": column.version,
        "question": question,
        "kind": column.kind,
        "knots": knots,
        "range": ranges,
        "threshold": threshold,
        "false_positive_rate": round(float((negatives >= threshold).mean()), 4),
        "bona_fide": int((spoke & ~truth).sum()),
        "altered": int((spoke & truth).sum()),
    }
    if (spoke & truth).any():
        auc = auc_interval(truth[spoke], column.scores[spoke], files.sources[spoke])
        entry |= {"auc": auc[0], "auc_interval": auc[1:]}
    return entry
