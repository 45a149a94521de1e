"""Fit the tables by which the maps of detectors are joined into regions.

For each detector: value of its map → log-likelihood ratio, and two weights, of a finding at its
threshold and below it; and a prior, chosen for the best mean F1 among those that mark anything in
few untouched pictures. What is reported is out of fold, with folds by source, the prior included;
it and the prior rest on pictures that every detector was asked about.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide import registry
from bonafide.bench.calibration_file import dumps
from bonafide.bench.curves import fit_weights
from bonafide.bench.fitting import fit_threshold
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.bench.region_maps import DRAWN, Json, Picture, read_pictures
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.evidence import edited_regions as edits
from bonafide.files import atomic_write

BINS = 16  # of a map's values, half of them under the decision
SMOOTHING = 0.5  # pictures that are added to each bin, so that no table claims what it did not see
FOLDS = 5
PRIORS = tuple(np.arange(-8.0, 0.01, 0.25))
HIT_RATE = 0.01  # of untouched pictures at a detector's threshold
RIGHT = 0.4  # F1 of a map from which an edit counts as found, where its conviction is judged
LOST = 0.05  # share of these that may be lost for it, and a third of what must be gained
FEWEST_RIGHT, FEWEST_WRONG = 20, 5  # maps that tell what conviction is worth

Floats = NDArray[np.float64]


def fit_into(maps: Path, calibration: Path, false_regions: float, keep: bool = False) -> Json:
    """Fit the tables and write them into a calibration; return what was written.

    Args:
        maps: folder that `region_maps.measure_maps` filled.
        calibration: a file that `bonafide bench calibrate` wrote.
        false_regions: share of untouched pictures in which anything may be marked.
        keep: leave the tables of detectors that were not asked, and the prior, as they are.

    Raises:
        InvalidInput: there are too few pictures.
        MissingExtra: scikit-learn is not installed.
    """
    pictures = list(read_pictures(maps))
    table = json.loads(calibration.read_text(encoding="utf-8"))
    earlier = table.get("regions", {})
    fitted = added(pictures, earlier) if keep else fit(pictures, false_regions)
    table["regions"] = fitted
    with atomic_write(calibration) as partial:
        partial.write_text(dumps(table), encoding="utf-8")
    return fitted


def fit(pictures: Sequence[Picture], false_regions: float) -> Json:
    """The entry `regions` of a calibration, fitted on pictures; see `fit_into`."""
    names = sorted(frozenset().union(*(one.asked for one in pictures)))
    complete = np.array([one.asked >= set(names) for one in pictures], np.bool_)
    edited, sources = _truth(pictures)
    outcome = np.zeros((len(pictures), len(PRIORS)))
    folds = folds_by_source(sources)
    for training, held_out in folds:
        tables = fit_tables([pictures[index] for index in training], names)
        for index in held_out[complete[held_out]]:
            outcome[index] = outcomes(pictures[index], tables)
    held = np.zeros(len(pictures))
    for training, held_out in folds:
        known = training[complete[training]]
        prior = best_prior(outcome[known], edited[known], false_regions)
        held[held_out] = outcome[held_out, prior]
    held, truth = held[complete], edited[complete]
    return {
        "fitted": datetime.now(UTC).date().isoformat(),
        "pictures": {"edited": int(edited.sum()), "untouched": int((~edited).sum())},
        "sources": len(set(sources.tolist())),
        "held_out": {
            "edited": int(truth.sum()),
            "untouched": int((~truth).sum()),
            "f1": round(float(held[truth].mean()), 4),
            "found": round(float((held[truth] > 0).mean()), 4),
            "false_region_rate": round(float(held[~truth].mean()), 4),
        },
        "prior": float(PRIORS[best_prior(outcome[complete], truth, false_regions)]),
        "detectors": fit_tables(pictures, names),
    }


def added(pictures: Sequence[Picture], regions: Json) -> Json:
    """An entry `regions` with the tables of further detectors, under the prior that it has.

    `held_out` stays that of the tables that were fitted together; of the others it is kept beside
    their names in `added`, judged alone.

    Raises:
        InvalidInput: there is no entry to add to, or there are too few pictures.
    """
    if "prior" not in regions:
        raise InvalidInput("there are no tables of regions to add to: fit all detectors first")
    names = sorted(frozenset().union(*(one.asked for one in pictures)))
    edited, sources = _truth(pictures)
    nearest = int(np.abs(np.array(PRIORS) - float(regions["prior"])).argmin())
    held = np.zeros(len(pictures))
    for training, held_out in folds_by_source(sources):
        known = fit_tables([pictures[index] for index in training], names)
        for index in held_out:
            held[index] = outcomes(pictures[index], known)[nearest]
    facts = {
        "fitted": datetime.now(UTC).date().isoformat(),
        "pictures": {"edited": int(edited.sum()), "untouched": int((~edited).sum())},
        "sources": len(set(sources.tolist())),
        "f1": round(float(held[edited].mean()), 4),
        "found": round(float((held[edited] > 0).mean()), 4),
        "false_region_rate": round(float(held[~edited].mean()), 4),
    }
    tables = fit_tables(pictures, names)
    return regions | {
        "detectors": regions["detectors"] | tables,
        "added": regions.get("added", {}) | dict.fromkeys(tables, facts),
    }


def folds_by_source(
    sources: NDArray[np.str_],
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(training, held out) indices; every source is held out once."""
    names, sizes = np.unique(sources, return_counts=True)
    number, full = {}, np.zeros(FOLDS)
    for index in np.argsort(-sizes, kind="stable"):  # the largest first, each into the emptiest
        number[names[index]] = int(full.argmin())
        full[number[names[index]]] += sizes[index]
    fold = np.array([number[name] for name in sources])
    return [(np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in range(FOLDS)]


def fit_tables(pictures: Sequence[Picture], names: Sequence[str]) -> Json:
    """Detector → entry of `Calibration.regions["detectors"]`, fitted on some pictures."""
    tables: Json = {}
    for name in names:
        spoke = [picture for picture in pictures if name in picture.findings]
        quiet = [
            score
            for picture in spoke
            if not picture.edited.any() and (score := picture.findings[name].score) is not None
        ]
        if quiet:
            tables[name] = {
                "version": registry.card(name).version,
                "knots": fit_knots(spoke, name),
                "threshold": max(fit_threshold(np.array(quiet), HIT_RATE), 1e-3),
            }
            least = fit_conviction(spoke, name, tables[name]["threshold"])
            if least is not None:
                tables[name]["conviction"] = least
    columns = [(name, hit) for name in tables for hit in (True, False)]
    evidence, truth = _sampled(pictures, tables, columns)
    weights = dict(zip(columns, fit_weights(evidence, truth).tolist(), strict=True))
    for name, entry in tables.items():
        entry["weight"] = round(weights[name, True], 3)
        entry["weight_below"] = round(min(weights[name, False], weights[name, True]), 3)
    return tables


def fit_knots(pictures: Sequence[Picture], name: str) -> list[list[float]]:
    """Monotone map from a map's value to a log-likelihood ratio; every picture weighs the same."""
    counts = {True: np.zeros(BINS), False: np.zeros(BINS)}
    total = {True: 0, False: 0}
    for picture in pictures:
        for part, values in picture.drawn.items():
            if name in values:
                bins = np.minimum((values[name] * BINS).astype(np.intp), BINS - 1)
                counts[part] += np.bincount(bins, minlength=BINS) / len(bins)
                total[part] += 1
    both = counts[True] + counts[False]
    seen = both > 0
    middles = (np.arange(BINS) + 0.5)[seen] / BINS
    shares = [
        (counts[part][seen] + SMOOTHING) / (total[part] + SMOOTHING * seen.sum())
        for part in (True, False)
    ]
    rising = _rising(middles, np.log(shares[0] / shares[1]), both[seen] + SMOOTHING)
    knots = list(zip(middles.tolist(), rising.tolist(), strict=True))
    below = [knot for knot in knots if knot[0] < edits.MARKED]
    above = [knot for knot in knots if knot[0] >= edits.MARKED]
    if below and above:  # a map either marks a place or does not: a step at one half
        step = [(edits.MARKED - 1e-3, below[-1][1]), (edits.MARKED, above[0][1])]
        knots = [*below, *step, *above]
    return [[round(value, 4), round(ratio, 4)] for value, ratio in knots]


def fit_conviction(pictures: Sequence[Picture], name: str, threshold: float) -> float | None:
    """Mean of the marked cells under which a map does not count, although its score does.

    It keeps all but `LOST` of the maps that are right. None where it would not take away at least
    three times that share of the maps that mark untouched pictures, or too few maps tell.
    """
    right, wrong = [], []
    for picture in pictures:
        finding = picture.findings[name]
        if finding.map is None or finding.score is None or finding.score < threshold:
            continue
        strength = edits.conviction(finding.map.values)
        if not picture.edited.any():
            wrong += [strength] if strength else []
        elif count_pixels(picture.edited, finding.map.values).f1 >= RIGHT:
            right.append(strength)
    if len(right) < FEWEST_RIGHT or len(wrong) < FEWEST_WRONG:
        return None
    least = float(np.quantile(right, LOST))
    return round(least, 3) if np.mean(np.array(wrong) < least) >= 3 * LOST else None


def outcomes(picture: Picture, tables: Json) -> Floats:
    """(priors,) F1 of an edited picture; of an untouched one 1.0 where anything is marked."""
    findings = list(picture.findings.values())
    layers = edits.read_layers(findings, {"detectors": tables}, picture.lattice)
    found = np.zeros(len(PRIORS))
    if not any(layer.hit for layer in layers):
        return found
    total = np.zeros(picture.edited.shape, np.float32)
    for layer in layers:
        total += layer.evidence()
    for index, prior in enumerate(PRIORS):
        fused = (total + prior >= 0).astype(np.float32)
        edits.connect(fused, picture.lattice)
        if picture.edited.any():
            found[index] = count_pixels(picture.edited, fused).f1
        else:
            found[index] = float((fused >= edits.MARKED).any())
    return found


def _truth(pictures: Sequence[Picture]) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
    """Which pictures were edited, and the source of each; raises `InvalidInput` for too few."""
    edited = np.array([one.edited.any() for one in pictures], np.bool_)
    sources = np.array([one.source for one in pictures])
    if len(set(sources)) < FOLDS or not edited.any() or edited.all():
        raise InvalidInput(
            f"regions are fitted on edited and untouched pictures of at least {FOLDS} sources"
        )
    return edited, sources


def best_prior(outcome: Floats, truth: NDArray[np.bool_], false_regions: float) -> int:
    """Index of the prior with the best mean F1 among those that mark few untouched pictures."""
    allowed = outcome[~truth].mean(axis=0) <= false_regions
    return int(np.where(allowed, outcome[truth].mean(axis=0), -1.0).argmax())


def _sampled(
    pictures: Sequence[Picture], tables: Json, columns: Sequence[tuple[str, bool]]
) -> tuple[Floats, NDArray[np.bool_]]:
    """(cells, columns) unweighted evidence, and whether each cell was edited."""
    rows, truth = [], []
    for picture in pictures:
        for part, values in picture.drawn.items():
            said = np.zeros((DRAWN, len(columns)))
            for index, (name, hit) in enumerate(columns):
                if name not in values:
                    continue
                score = picture.findings[name].score
                if hit == (score is not None and score >= tables[name]["threshold"]):
                    places, ratios = np.array(tables[name]["knots"], np.float64).T
                    said[:, index] = np.interp(values[name], places, ratios)
            if any(name in values for name in tables):
                rows.append(said)
                truth.append(np.full(DRAWN, part))
    return np.concatenate(rows), np.concatenate(truth)


def _rising(places: Floats, values: Floats, weights: Floats) -> Floats:
    """The closest rising sequence to `values`."""
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError:
        raise MissingExtra("bench", "fitting a calibration") from None
    fitted = IsotonicRegression().fit(places, values, sample_weight=weights)
    return np.asarray(fitted.predict(places), np.float64)
