"""Measure every detector on labelled media and fit the calibration that ships with bonafide.

    python tools/calibrate.py score DATA --scores scores.jsonl
    python tools/calibrate.py fit DATA --scores scores.jsonl

DATA holds `generated_images.csv` (path, label, origin, source, composite …) and
`forensic_media.csv` (path, kind, label, group …). `score` is resumable: a record per file and
detector, and a rerun asks only for what is missing or was scored by another version. `fit` writes
`src/bonafide/calibration.json` and `docs/accuracy.md`. Needs scikit-learn (extra `test`).

No source brings more than 60 pictures (those with the smallest SHA-256 of their path), so that no
collection speaks for the world. Splits are by `origin` and `group`: no source and no scene is on
both sides of a fold. All fused evidence, and so the bounds of the verdict, come from out-of-fold
scores.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from rich.progress import track
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from bonafide import registry, verdict, workers
from bonafide.bench.metrics import roc_auc
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.bench.statistics import bootstrap
from bonafide.errors import MediaError
from bonafide.examination import Settings, examine
from bonafide.types import Label, Profile, Question, Status

ROOT = Path(__file__).resolve().parent.parent
FOLDS = 5
MOST_PER_SOURCE = 60
SMALLEST_BLOCK = 3  # altered pictures behind each step of a calibration curve


@dataclass(frozen=True)
class Sample:
    """One labelled file: `positive` is None where the question does not apply to it."""

    path: str
    group: str
    source: str
    synthetic: bool | None
    edited: bool | None
    mask: str | None = None


@dataclass(frozen=True)
class Task:
    """What a worker needs to score one file."""

    folder: str
    sample: Sample
    detectors: tuple[str, ...]


def read_samples(folder: Path) -> list[Sample]:
    """The files that are used, with what is known about them."""
    by_source: dict[str, list[Sample]] = defaultdict(list)
    for sample in _all_samples(folder):
        by_source[sample.source].append(sample)
    return [
        sample
        for source in by_source.values()
        for sample in sorted(source, key=_shuffled)[:MOST_PER_SOURCE]
    ]


def _shuffled(sample: Sample) -> str:
    return hashlib.sha256(sample.path.encode()).hexdigest()


def _all_samples(folder: Path) -> list[Sample]:
    samples = []
    for row in _rows(folder / "generated_images.csv"):
        if row["composite"]:
            continue
        generated = row["label"] == "generated"
        samples.append(
            Sample(
                row["path"], row["origin"], row["source"], generated, None if generated else False
            )
        )
    masks = {
        row["group"]: row["path"]
        for row in _rows(folder / "forensic_media.csv")
        if row["kind"] == "manipulation" and row["label"] == "mask"
    }
    for row in _rows(folder / "forensic_media.csv"):
        if row["kind"] == "provenance" and row["label"].startswith(("ai_", "c2pa_ai", "exif")):
            declared = "ai_" in row["label"]
            samples.append(Sample(row["path"], _scene(row["group"]), row["label"], declared, None))
        if row["kind"] != "manipulation" or row["label"] == "mask":
            continue
        edited = row["label"] != "authentic"
        samples.append(
            Sample(
                row["path"],
                _scene(row["group"]),
                row["label"],
                None if edited else False,
                edited,
                masks.get(row["group"]) if edited else None,
            )
        )
    return samples


def score_file(task: Task) -> list[dict[str, Any]]:
    """Records of one file, one per detector."""
    settings = Settings(profile=Profile.THOROUGH, only=task.detectors, threads=1)
    path = Path(task.folder) / task.sample.path
    try:
        report = examine(path, settings)
    except MediaError as error:
        return [_record(task, detector, "failed", why=str(error)) for detector in task.detectors]
    mask = _read_mask(Path(task.folder), task.sample.mask)
    megapixels = (report.media.width or 0) * (report.media.height or 0) / 1e6
    records = []
    for finding in report.findings:
        record = _record(
            task,
            finding.detector,
            finding.status.value,
            why=finding.why,
            score=finding.score,
            claim=finding.claim.value if finding.claim else None,
            seconds=finding.seconds,
            megapixels=megapixels,
        )
        if finding.heatmap is not None:
            record["marked"] = float((finding.heatmap >= 0.5).mean())
            if mask is not None and mask.shape == finding.heatmap.shape:
                counts = count_pixels(mask, finding.heatmap)
                record |= {"f1": counts.f1, "iou": counts.iou}
        elif mask is not None and finding.status is Status.OK:
            record |= {"f1": 0.0, "iou": 0.0}
        records.append(record)
    return records


def score(folder: Path, scores: Path, only: tuple[str, ...], fresh: bool, jobs: int) -> None:
    """Score every sample with every detector, appending to `scores`."""
    detectors = only or tuple(registry.ids())
    known = set() if fresh else {(r["path"], r["detector"], r["version"]) for r in _read(scores)}
    tasks = []
    for sample in read_samples(folder):
        missing = tuple(
            detector
            for detector in detectors
            if _bears_on(sample, detector)
            and (sample.path, detector, registry.card(detector).version) not in known
        )
        if missing:
            tasks.append(Task(str(folder), sample, missing))
    results = workers.run(score_file, tasks, jobs, 300.0)
    with scores.open("a") as out:
        for task, records in track(results, "scoring", total=len(tasks), disable=not tasks):
            if isinstance(records, workers.Lost):
                print(f"lost: {task.sample.path} {records}", file=sys.stderr)
                continue
            out.writelines(json.dumps(record) + "\n" for record in records)
            out.flush()


def fit(folder: Path, scores: Path) -> None:
    """Fit `calibration.json` and write `docs/accuracy.md`."""
    samples = {sample.path: sample for sample in read_samples(folder)}
    table: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for record in _read(scores):
        if (
            record["path"] in samples
            and record["detector"] in registry.ids()
            and record["version"] == registry.card(record["detector"]).version
        ):
            table[record["detector"]][record["path"]] = record
    ordered = sorted(samples.values(), key=lambda sample: sample.path)
    calibration: dict[str, Any] = {
        "schema": 1,
        "fitted": date.today().isoformat(),
        "command": "python tools/calibrate.py fit DATA --scores scores.jsonl",
        "source": _source(ordered),
        "detectors": _fit_contradictions(table, ordered),
        "claims": _fit_claims(table, ordered),
        "fusion": {},
    }
    lines: list[str] = []
    for question in (Question.SYNTHETIC, Question.EDITED):
        detectors, fusion, part = _fit_question(question, table, ordered)
        calibration["detectors"] |= detectors
        calibration["fusion"][question.value] = fusion
        lines += part
    target = ROOT / "src" / "bonafide" / "calibration.json"
    target.write_text(json.dumps(calibration, indent=1) + "\n")
    header = _header(calibration)
    (ROOT / "docs" / "accuracy.md").write_text(
        "\n".join(header + lines + _claim_lines(calibration))
    )
    print(f"wrote {target} and docs/accuracy.md")


def _fit_question(
    question: Question, table: dict[str, dict[str, dict[str, Any]]], samples: list[Sample]
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    chosen = [s for s in samples if getattr(s, question.value) is not None]
    truth = np.array([getattr(s, question.value) for s in chosen], bool)
    groups = np.array([s.group for s in chosen])
    names = [d for d in sorted(table) if registry.card(d).question is question]
    raw = np.full((len(chosen), len(names)), np.nan)
    for column, name in enumerate(names):
        for row, sample in enumerate(chosen):
            record = table[name].get(sample.path)
            if record and record["status"] == "ok" and record["score"] is not None:
                raw[row, column] = record["score"]
    names_kept = [n for k, n in enumerate(names) if np.isfinite(raw[:, k]).any()]
    raw = raw[:, [names.index(n) for n in names_kept]]
    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=0).split(raw, truth, groups))
    llr = np.zeros_like(raw)
    for training, held_out in folds:
        for column in range(raw.shape[1]):
            knots = fit_knots(raw[training, column], truth[training])
            llr[held_out, column] = _apply(knots, raw[held_out, column])
    weights = fit_weights(llr, truth)
    evidence = np.zeros(len(chosen))
    for training, held_out in folds:
        evidence[held_out] = llr[held_out] @ fit_weights(llr[training], truth[training])
    evidence = np.round(evidence, 4)
    bona_fide = sorted(float(e) for e in evidence[~truth])
    detectors, lines = {}, _table_head(question, truth)
    hit = np.zeros(len(chosen), bool)
    for column, name in enumerate(names_kept):
        scores = raw[:, column]
        spoke = np.isfinite(scores)
        negatives = scores[spoke & ~truth]
        threshold = _threshold(negatives)
        hit |= spoke & (scores >= threshold)
        interval = auc_interval(truth[spoke], scores[spoke], groups[spoke])
        detectors[name] = {
            "version": registry.card(name).version,
            "question": question.value,
            "knots": fit_knots(scores, truth),
            "threshold": threshold,
            "false_positive_rate": round(float((negatives >= threshold).mean()), 4),
            "bona_fide": int((spoke & ~truth).sum()),
            "altered": int((spoke & truth).sum()),
            "auc": interval[0],
            "auc_interval": interval[1:],
        }
        lines.append(_detector_line(name, detectors[name], table[name], chosen, weights[column]))
    fused = auc_interval(truth, evidence, groups)
    p_values = np.array([verdict.p_value(float(e), bona_fide) for e in evidence])
    quiet = (p_values >= verdict.CLEAR) & ~hit
    allowed = verdict.FALSE_ACCUSATION_RATE / 2
    certain = 1 / (1 + np.exp(-evidence)) >= verdict.LEAST_PROBABILITY
    accused = (p_values <= allowed) & certain
    fusion = {
        "weights": {n: round(float(w), 3) for n, w in zip(names_kept, weights, strict=True)},
        "bona_fide": bona_fide,
        "altered": int(truth.sum()),
        "miss_rate": round(float(quiet[truth].mean()), 3),
        "hit_rate": round(float(accused[truth].mean()), 3),
        "auc": fused[0],
        "auc_interval": fused[1:],
    }
    lines += [
        f"| **all, fused** | {fused[0]:.3f} ({fused[1]:.3f}–{fused[2]:.3f}) | | | | | "
        f"{len(bona_fide)} / {int(truth.sum())} | |",
        "",
        f"At a false-accusation rate of {allowed:.1%} for this question, "
        f"{fusion['hit_rate']:.0%} are found; {fusion['miss_rate']:.0%} show no trace.",
        "",
    ]
    lines += _by_source(chosen, evidence, truth, accused, quiet)
    return detectors, fusion, lines


def fit_knots(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[list[float]]:
    """Monotone map from score to log-likelihood ratio, as (score, llr) knots.

    Isotonic regression with balanced classes, steps merged until each holds enough altered
    pictures, each step's ratio smoothed by half a count (Jeffreys), so that no step claims more
    than its counts support.
    """
    spoke = np.isfinite(scores)
    scores, truth = scores[spoke], truth[spoke]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return [[0.0, 0.0]]
    weight = np.where(truth, 0.5 / positives, 0.5 / negatives)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, truth, weight).predict(scores)
    order = np.argsort(scores, kind="stable")
    blocks: list[list[int]] = []
    for index in order:
        if blocks and fitted[index] == fitted[blocks[-1][-1]]:
            blocks[-1].append(index)
        else:
            blocks.append([index])
    merged: list[list[int]] = []
    for block in blocks:
        if merged and int(truth[merged[-1]].sum()) < SMALLEST_BLOCK:
            merged[-1] += block
        else:
            merged.append(list(block))
    while len(merged) > 1 and int(truth[merged[-1]].sum()) < SMALLEST_BLOCK:
        last = merged.pop()
        merged[-1] += last
    knots: list[list[float]] = []
    for block in merged:
        hit = int(truth[block].sum())
        false = len(block) - hit
        ratio = ((hit + 0.5) / (positives + 1)) / ((false + 0.5) / (negatives + 1))
        middle = float(np.median(scores[block]))
        llr = max(math.log(ratio), knots[-1][1] if knots else -math.inf)
        if knots and middle <= knots[-1][0]:
            knots[-1][1] = round(llr, 4)
        else:
            knots.append([round(middle, 5), round(llr, 4)])
    return knots


def fit_weights(llr: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights in [0, 1] of a balanced logistic model without intercept, lightly drawn to ½.

    Below one, because detectors that see the same trace would otherwise count it twice.
    """
    sign = np.where(truth, 1.0, -1.0)
    share = np.where(truth, 0.5 / max(truth.sum(), 1), 0.5 / max((~truth).sum(), 1))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (llr @ weights)
        value = float(
            (share * np.logaddexp(0.0, -margin)).sum() + 1e-3 * ((weights - 0.5) ** 2).sum()
        )
        slope = -sign * share / (1.0 + np.exp(np.clip(margin, -50, 50)))
        return value, llr.T @ slope + 2e-3 * (weights - 0.5)

    start = np.full(llr.shape[1], 0.5)
    bounds = [(0.0, 1.0)] * llr.shape[1]
    result: NDArray[np.float64] = minimize(loss, start, jac=True, bounds=bounds).x
    return result


def auc_interval(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[np.str_]
) -> list[float]:
    """AUC with a 95 % interval over resampled sources and scenes: [auc, low, high]."""
    found = bootstrap(roc_auc, truth, scores, groups, repeats=500)
    return [round(value, 3) for value in (found.value, found.low, found.high)]


def _fit_claims(
    table: dict[str, dict[str, dict[str, Any]]], samples: list[Sample]
) -> dict[str, Any]:
    """How much an AI claim weighs: how often generated and bona fide files make one."""
    claims = {}
    for detector in sorted(table):
        if registry.card(detector).question is not Question.PROVENANCE:
            continue
        fired = {True: 0, False: 0}
        count = {True: 0, False: 0}
        for sample in samples:
            record = table[detector].get(sample.path)
            if sample.synthetic is None or record is None:
                continue
            count[sample.synthetic] += 1
            fired[sample.synthetic] += record["claim"] == Label.AI_GENERATED.value
        if not fired[True]:
            continue
        ratio = ((fired[True] + 0.5) / (count[True] + 1)) / (
            (fired[False] + 0.5) / (count[False] + 1)
        )
        claims[detector] = {
            "version": registry.card(detector).version,
            "llr": round(math.log(ratio), 3),
            "generated": [fired[True], count[True]],
            "bona_fide": [fired[False], count[False]],
        }
    return claims


def _bears_on(sample: Sample, detector: str) -> bool:
    """Whether this sample is labelled for what this detector asks."""
    question = registry.card(detector).question
    if question is Question.PROVENANCE:
        return sample.synthetic is not None
    return getattr(sample, question.value) is not None


def _threshold(negatives: NDArray[np.float64], rate: float = 0.01) -> float:
    """A score that at most `rate` of bona fide pictures reach, midway to the next one seen."""
    candidates = np.unique(negatives)
    for candidate in candidates[::-1]:
        if (negatives >= candidate).mean() > rate:
            above = candidates[candidates > candidate]
            return round(float((candidate + above[0]) / 2 if len(above) else candidate + 1e-3), 5)
    return round(float(candidates[0]), 5)


def _fit_contradictions(
    table: dict[str, dict[str, dict[str, Any]]], samples: list[Sample]
) -> dict[str, Any]:
    """Thresholds of provenance detectors that count contradictions; they are shown, not weighed."""
    entries = {}
    for detector in ("exif_consistency",):
        records = [
            (sample, table[detector][sample.path])
            for sample in samples
            if sample.synthetic is False and sample.path in table.get(detector, {})
        ]
        spoke = [(s, r["score"]) for s, r in records if r["status"] == "ok"]
        honest = np.array([score for sample, score in spoke if sample.source != "exif_forged"])
        forged = np.array([score for sample, score in spoke if sample.source == "exif_forged"])
        if not len(honest):
            continue
        threshold = _threshold(honest, 0.02)
        entries[detector] = {
            "version": registry.card(detector).version,
            "question": Question.PROVENANCE.value,
            "threshold": threshold,
            "false_positive_rate": round(float((honest >= threshold).mean()), 4),
            "bona_fide": len(honest),
            "altered": len(forged),
            "found": int((forged >= threshold).sum()),
        }
    return entries


def _apply(knots: list[list[float]], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.interp(scores, [k[0] for k in knots], [k[1] for k in knots])
    return np.where(np.isfinite(scores), values, 0.0)


def _table_head(question: Question, truth: NDArray[np.bool_]) -> list[str]:
    title = {"synthetic": "Made by a generator", "edited": "Edited after capture"}[question.value]
    return [
        f"## {title}",
        "",
        f"{int((~truth).sum())} bona fide and {int(truth.sum())} altered pictures.",
        "",
        "| detector | AUC (95 %) | threshold at 1 % | found there | pixel F1 at 0.5 | "
        "false regions | bona fide / altered | seconds per megapixel | weight |",
        "|---|---|---|---|---|---|---|---|---|",
    ]


def _detector_line(
    name: str,
    entry: dict[str, Any],
    records: dict[str, dict[str, Any]],
    samples: list[Sample],
    weight: float,
) -> str:
    question = entry["question"]
    altered = [records[s.path] for s in samples if s.path in records and getattr(s, question)]
    clean = [records[s.path] for s in samples if s.path in records and not getattr(s, question)]
    found = np.mean(
        [(r["score"] or 0) >= entry["threshold"] for r in altered if r["status"] == "ok"]
    )
    f1 = [r["f1"] for r in altered if "f1" in r]
    marked = [r.get("marked", 0.0) > 0 for r in clean if r["status"] == "ok"]
    has_map = any("marked" in r for r in clean)
    cost = [r["seconds"] / r["megapixels"] for r in clean if r.get("megapixels")]
    low, high = entry["auc_interval"]
    return (
        f"| {name} | {entry['auc']:.3f} ({low:.3f}–{high:.3f}) | {entry['threshold']:.3g} | "
        f"{found:.1%} | {f'{np.mean(f1):.3f} (n={len(f1)})' if f1 and has_map else '–'} | "
        f"{f'{np.mean(marked):.1%}' if has_map else '–'} | "
        f"{entry['bona_fide']} / {entry['altered']} | {np.median(cost):.2f} | {weight:.2f} |"
    )


def _by_source(
    samples: list[Sample],
    evidence: NDArray[np.float64],
    truth: NDArray[np.bool_],
    accused: NDArray[np.bool_],
    quiet: NDArray[np.bool_],
) -> list[str]:
    lines = ["By source (out of fold), those with ten pictures or more:", ""]
    lines += [
        "| source | n | bona fide | median evidence | accused | no trace |",
        "|---|---|---|---|---|---|",
    ]
    sources = np.array([s.source for s in samples])
    for source in sorted(set(sources)):
        chosen = sources == source
        if chosen.sum() < 10:
            continue
        lines.append(
            f"| {source} | {int(chosen.sum())} | {'no' if truth[chosen].mean() > 0.5 else 'yes'} | "
            f"{np.median(evidence[chosen]):+.2f} | {accused[chosen].mean():.1%} | "
            f"{quiet[chosen].mean():.0%} |"
        )
    return [*lines, ""]


def _header(calibration: dict[str, Any]) -> list[str]:
    return [
        "# Measured accuracy",
        "",
        "Written by `tools/calibrate.py`; do not edit.",
        "",
        f"Fitted {calibration['fitted']} on {calibration['source']}. Files as they were published, "
        "each in its own format, so that a figure may owe something to format and content as well "
        "as to traces; folds are by source and scene. AUC with a 95 % interval over resampled "
        "sources and scenes; "
        "*found there* is the share of altered pictures at or above the threshold that 1 % of bona "
        "fide pictures reach; *pixel F1* is the mean over pictures with a mask, at a fixed 0.5; "
        "*false regions* is the share of bona fide pictures with any pixel marked.",
        "",
    ]


def _claim_lines(calibration: dict[str, Any]) -> list[str]:
    lines = ["## What files say about themselves", ""]
    lines += ["| detector | generated that claim it | bona fide that claim it | llr |"]
    lines += ["|---|---|---|---|"]
    for name, entry in calibration["claims"].items():
        (hit, generated), (false, genuine) = entry["generated"], entry["bona_fide"]
        lines.append(
            f"| {name} | {hit} of {generated} | {false} of {genuine} | {entry['llr']:.2f} |"
        )
    for name, entry in calibration["detectors"].items():
        if entry["question"] == Question.PROVENANCE.value:
            lines += [
                "",
                f"`{name}` counts contradictions: {entry['found']} of {entry['altered']} pictures "
                f"with forged EXIF and {entry['false_positive_rate']:.1%} of {entry['bona_fide']} "
                f"with their own reach {entry['threshold']:g}. It is shown and not weighed; a hit "
                "keeps the verdict from being *no trace found*.",
            ]
    return [*lines, ""]


def _source(samples: list[Sample]) -> str:
    generated = sum(s.synthetic is True for s in samples)
    genuine = sum(s.synthetic is False for s in samples)
    edited = sum(s.edited is True for s in samples)
    return f"{generated} generated, {edited} edited and {genuine} bona fide public pictures"


def _scene(group: str) -> str:
    """Pictures of one scene share a fold: drop the last part of `set/scene/picture`."""
    parts = group.split("/")
    return "/".join(parts[:2])


def _read_mask(folder: Path, path: str | None) -> NDArray[np.bool_] | None:
    if path is None:
        return None
    return np.asarray(Pillow.open(folder / path).convert("L")) >= 128


def _record(task: Task, detector: str, status: str, **fields: Any) -> dict[str, Any]:
    base = {"score": None, "claim": None, "seconds": 0.0}
    return {
        "path": task.sample.path,
        "detector": detector,
        "version": registry.card(detector).version,
        "status": status,
        **base,
        **fields,
    }


def _read(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open() as lines:
            for line in lines:
                yield json.loads(line)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def main() -> None:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", choices=["score", "fit"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scores", type=Path, default=Path("scores.jsonl"))
    parser.add_argument("--only", default="", help="detector ids, comma separated")
    parser.add_argument("--fresh", action="store_true", help="score again what was scored")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.verb == "score":
        only = tuple(part for part in options.only.split(",") if part)
        score(options.data, options.scores, only, options.fresh, options.jobs)
    else:
        fit(options.data, options.scores)


if __name__ == "__main__":
    main()
