"""Measure how maps speak inside and outside of edits, and fit the tables that join them.

    bonafide tamper FOLDER --out MADE --count 400 --seed 1
    python tools/fit_regions.py measure MADE/manifest.csv DATA/generated_images.csv --evidence DIR
    python tools/fit_regions.py fit --evidence DIR

Manifests hold tampering that was made, with masks (`bonafide tamper`), and untouched bona fide
pictures; never the pictures that the fusion is judged on, and none that a learned detector was
trained on (`--collections` names the folders that may be used). `measure` is resumable and asks
only for what is missing or was measured by another version. `fit` writes the key "regions" of
the shipped table: for each detector, value of its map → log-likelihood ratio, and
two weights, of a finding at its threshold and below it; and the prior, chosen for the best mean F1
among those that mark anything in at most `--false-regions` of untouched pictures. What is reported
is out of fold, with folds by collection, the prior included; it and the prior rest on pictures that
every detector was asked about.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from bonafide import registry
from bonafide.bench.fitting import fit_threshold, fit_weights
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.evidence import edited_regions as edits
from region_evidence import PIXELS, Json, Picture, measure, read_evidence, usual_detectors

ROOT = Path(__file__).resolve().parent.parent
CALIBRATION = ROOT / "src/bonafide/evidence/calibration.json"
BINS = 16  # of a map's values, half of them under the decision
SMOOTHING = 0.5  # pictures that are added to each bin, so that no table claims what it did not see
FOLDS = 5
PRIORS = tuple(np.arange(-8.0, 0.01, 0.25))
HIT_RATE = 0.01  # of untouched pictures at a detector's threshold

Floats = NDArray[np.float64]


def fit(evidence: Path, calibration: Path, false_regions: float) -> Json:
    """Fit the tables and write them into a calibration; return what was written."""
    pictures = list(read_evidence(evidence))
    names = sorted(frozenset().union(*(one.asked for one in pictures)))
    whole = np.array([one.asked >= set(names) for one in pictures])
    edited = np.array([one.edited.any() for one in pictures])
    collections = np.array([one.collection for one in pictures])
    outcome = np.zeros((len(pictures), len(PRIORS)))
    folds = folds_by_collection(collections)
    for training, held_out in folds:
        tables = fit_tables([pictures[index] for index in training], names)
        for index in held_out[whole[held_out]]:
            outcome[index] = outcomes(pictures[index], tables)
    held = np.zeros(len(pictures))
    for training, held_out in folds:
        known = training[whole[training]]
        prior = best_prior(outcome[known], edited[known], false_regions)
        held[held_out] = outcome[held_out, prior]
    held, truth = held[whole], edited[whole]
    fitted = {
        "fitted": date.today().isoformat(),
        "pictures": {"edited": int(edited.sum()), "untouched": int((~edited).sum())},
        "collections": sorted(set(collections.tolist())),
        "held_out": {
            "edited": int(truth.sum()),
            "untouched": int((~truth).sum()),
            "f1": round(float(held[truth].mean()), 4),
            "found": round(float((held[truth] > 0).mean()), 4),
            "false_region_rate": round(float(held[~truth].mean()), 4),
        },
        "prior": float(PRIORS[best_prior(outcome[whole], truth, false_regions)]),
        "detectors": fit_tables(pictures, names),
    }
    table = json.loads(calibration.read_text())
    table["regions"] = fitted
    calibration.write_text(json.dumps(table, indent=1) + "\n")
    return fitted


def folds_by_collection(
    groups: NDArray[np.str_],
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(training, held out) indices; every collection is held out once."""
    names, sizes = np.unique(groups, return_counts=True)
    number, full = {}, np.zeros(FOLDS)
    for index in np.argsort(-sizes, kind="stable"):  # the largest first, each into the emptiest
        number[names[index]] = int(full.argmin())
        full[number[names[index]]] += sizes[index]
    fold = np.array([number[name] for name in groups])
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
    ratios = np.log(shares[0] / shares[1])
    rising = isotonic_regression(ratios, weights=both[seen] + SMOOTHING).x.tolist()
    knots = list(zip(middles.tolist(), rising, strict=True))
    below = [knot for knot in knots if knot[0] < edits.MARKED]
    above = [knot for knot in knots if knot[0] >= edits.MARKED]
    if below and above:  # a map either marks a pixel or does not: a step at one half
        step = [(edits.MARKED - 1e-3, below[-1][1]), (edits.MARKED, above[0][1])]
        knots = [*below, *step, *above]
    return [[round(value, 4), round(ratio, 4)] for value, ratio in knots]


def outcomes(picture: Picture, tables: Json) -> Floats:
    """(priors,) F1 of an edited picture; of an untouched one 1.0 where anything is marked."""
    layers = edits.read_layers(list(picture.findings.values()), {"detectors": tables})
    found = np.zeros(len(PRIORS))
    if not any(layer.hit for layer in layers):
        return found
    total = np.zeros(picture.edited.shape, np.float32)
    for layer in layers:
        total += layer.evidence(slice(None), slice(None))
    for index, prior in enumerate(PRIORS):
        heatmap = (total + prior >= 0).astype(np.float32)
        edits.connect(heatmap)
        if picture.edited.any():
            found[index] = count_pixels(picture.edited, heatmap).f1
        else:
            found[index] = float((heatmap >= edits.MARKED).any())
    return found


def best_prior(outcome: Floats, truth: NDArray[np.bool_], false_regions: float) -> int:
    """Index of the prior with the best mean F1 among those that mark few untouched pictures."""
    allowed = outcome[~truth].mean(axis=0) <= false_regions
    return int(np.where(allowed, outcome[truth].mean(axis=0), -1.0).argmax())


def _sampled(
    pictures: Sequence[Picture], tables: Json, columns: Sequence[tuple[str, bool]]
) -> tuple[Floats, NDArray[np.bool_]]:
    """(pixels, columns) unweighted evidence, and whether each pixel was edited."""
    rows, truth = [], []
    for picture in pictures:
        for part, values in picture.drawn.items():
            said = np.zeros((PIXELS, len(columns)))
            for index, (name, hit) in enumerate(columns):
                if name not in values:
                    continue
                score = picture.findings[name].score
                if hit == (score is not None and score >= tables[name]["threshold"]):
                    said[:, index] = np.interp(
                        values[name], *zip(*tables[name]["knots"], strict=True)
                    )
            if any(name in values for name in tables):
                rows.append(said)
                truth.append(np.full(PIXELS, part))
    return np.concatenate(rows), np.concatenate(truth)


def main() -> None:
    """Parse arguments."""
    layout = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("manifests", type=Path, nargs="+")
    measuring.add_argument("--collections", default="", help="folders to use, comma separated")
    measuring.add_argument("--only", default="", help="detector ids, comma separated")
    measuring.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    fitting = verbs.add_parser("fit")
    fitting.add_argument("--calibration", type=Path, default=CALIBRATION)
    fitting.add_argument("--false-regions", type=float, default=0.03)
    for verb in (measuring, fitting):
        verb.add_argument("--evidence", type=Path, required=True)
    options = parser.parse_args()
    if options.verb == "measure":
        collections = frozenset(filter(None, options.collections.split(",")))
        detectors = tuple(filter(None, options.only.split(","))) or usual_detectors()
        measure(options.manifests, options.evidence, collections, detectors, options.jobs)
    else:
        fitted = fit(options.evidence, options.calibration, options.false_regions)
        print(json.dumps(fitted["held_out"]))


if __name__ == "__main__":
    main()
