"""Measure every detector on labelled media and fit the calibration that ships with bonafide.

    python tools/calibrate.py score DATA --scores scores.jsonl
    python tools/calibrate.py fit DATA --scores scores.jsonl --scores-of DETECTOR=FILE.csv

DATA holds `generated_images.csv` (path, label, origin, source, composite …) and
`forensic_media.csv` (path, kind, label, group …). `score` is resumable: a record per file and
detector, and a rerun asks only for what is missing or was scored by another version. Detectors that
were trained are left out, since DATA may be what they were trained on: `--scores-of` takes scores
of pictures that they had not seen instead, with a row without a score for those that they do not
apply to. `fit` writes `src/bonafide/evidence/calibration.json` and `docs/accuracy.md`.

No source brings more than 60 pictures (those with the smallest SHA-256 of their path), so that no
collection speaks for the world. Splits are by `origin` and `group`: no source and no scene is on
both sides of a fold. All fused evidence, and so the bounds of the verdict, come from out-of-fold
scores.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from rich.progress import track

import accuracy
from accuracy import Part, Table
from bonafide import registry, workers
from bonafide.bench.fitting import Column, fit_question, fit_threshold
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.errors import MediaError
from bonafide.evidence.calibration import measures
from bonafide.examination import Settings, examine
from bonafide.media.source import open_media
from bonafide.types import Label, Profile, Question, Status
from labelled import Sample, read_rows, read_samples

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "bonafide"
NATIVE = "native"
UNTRAINED = "none"  # what a card says of a method without training


@dataclass(frozen=True)
class Task:
    """What a worker needs to score one file."""

    folder: str
    sample: Sample
    detectors: tuple[str, ...]


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
    detectors = tuple(
        name for name in only or registry.ids() if registry.card(name).training_data == UNTRAINED
    )
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


def fit(
    folder: Path, scores: Path, scores_of: dict[str, Path], calibration: Path, page: Path
) -> None:
    """Fit the calibration and write the page that shows how well it does."""
    samples = sorted(read_samples(folder), key=lambda sample: sample.path)
    table = read_records(scores, {sample.path for sample in samples})
    for detector, file in scores_of.items():
        table[detector] = read_scores(detector, file)
    measured = measure(folder, samples)
    earlier = json.loads(calibration.read_text()) if calibration.exists() else {}
    parts = [
        fit_part(question, table, samples, measured, tuple(scores_of))
        for question in (Question.SYNTHETIC, Question.EDITED)
    ]
    fitted: dict[str, Any] = {
        "schema": 1,
        "fitted": date.today().isoformat(),
        "command": "python tools/calibrate.py fit DATA --scores scores.jsonl"
        + "".join(f" --scores-of {name}={file.name}" for name, file in scores_of.items()),
        "source": _source(parts, tuple(scores_of)),
        "scores_of": {
            detector: {
                "file": file.name,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "how": "by models that had not seen the origin of the picture",
            }
            for detector, file in scores_of.items()
        },
        "detectors": _fit_contradictions(table, samples),
        "claims": _fit_claims(table, samples),
        "fusion": {},
        "regions": earlier.get("regions", {}),  # which `fit_regions.py` fits
    }
    for part in parts:
        fitted["detectors"] |= part.fitted.detectors
        fitted["fusion"][part.question.value] = part.fitted.fusion
    calibration.write_text(json.dumps(fitted, indent=1) + "\n")
    accuracy.write(page, fitted, parts)
    print(f"wrote {calibration} and {page}")


def read_records(scores: Path, paths: set[str]) -> Table:
    """Records of `score`: detector → path → record, of the versions and files of now."""
    table: Table = defaultdict(dict)
    for record in _read(scores):
        detector = record["detector"]
        if (
            record["path"] in paths
            and detector in registry.ids()
            and record["version"] == registry.card(detector).version
            and registry.card(detector).training_data == UNTRAINED
        ):
            table[detector][record["path"]] = record
    return table


def read_scores(detector: str, file: Path) -> dict[str, dict[str, Any]]:
    """Out-of-fold scores of a detector that was trained on these pictures.

    Args:
        detector: its id.
        file: CSV with the columns path, score (empty where it does not apply), perhaps
            degradation (rows of degraded pictures are passed over), and facts whose ranges are to
            be kept; one row per picture.

    Returns:
        path → record as `score` writes it, with `facts`.
    """
    records = {}
    for row in read_rows(file):
        if row.get("degradation", NATIVE) != NATIVE:
            continue
        facts = {
            name: float(value) if value else math.nan
            for name, value in row.items()
            if name not in ("path", "score", "degradation")
        }
        records[row["path"]] = {
            "path": row["path"],
            "detector": detector,
            "version": registry.card(detector).version,
            "status": "ok" if row["score"] else "not_applicable",
            "score": float(row["score"]) if row["score"] else None,
            "claim": None,
            "seconds": 0.0,
            "facts": facts,
        }
    return records


def measure(folder: Path, samples: list[Sample]) -> dict[str, dict[str, float]]:
    """path → `calibration.measures`, {} for what cannot be read; headers are read, no pixels."""
    found: dict[str, dict[str, float]] = {}
    for sample in samples:
        found[sample.path] = {}
        with contextlib.suppress(MediaError):
            found[sample.path] = measures(open_media(folder / sample.path))
    return found


def fit_part(
    question: Question,
    table: Table,
    samples: list[Sample],
    measured: dict[str, dict[str, float]],
    out_of_fold: tuple[str, ...],
) -> Part:
    """Fit one question on the pictures that are labelled for it.

    A picture that a trained detector was never asked about serves the curves of the others only.
    """
    names = [name for name in sorted(table) if registry.card(name).question is question]
    asked = [table[name] for name in names if name in out_of_fold]
    chosen = [sample for sample in samples if getattr(sample, question.value) is not None]
    complete = np.array([all(one.path in records for records in asked) for one in chosen], np.bool_)
    truth = np.array([getattr(sample, question.value) for sample in chosen], np.bool_)
    groups = np.array([sample.group for sample in chosen])
    columns = [_column(name, table[name], chosen, measured) for name in names]
    columns = [column for column in columns if np.isfinite(column.scores).any()]
    fitted = fit_question(question.value, columns, truth, groups, complete)
    return Part(
        question,
        [sample for sample, whole in zip(chosen, complete, strict=True) if whole],
        truth[complete],
        groups[complete],
        [replace(column, scores=column.scores[complete]) for column in columns],
        replace(fitted, evidence=fitted.evidence[complete], hit=fitted.hit[complete]),
        table,
    )


def _column(
    name: str,
    records: dict[str, dict[str, Any]],
    samples: list[Sample],
    measured: dict[str, dict[str, float]],
) -> Column:
    scores = np.full(len(samples), np.nan)
    values: dict[str, Any] = defaultdict(lambda: np.full(len(samples), np.nan))
    for row, sample in enumerate(samples):
        record = records.get(sample.path)
        if record and record["status"] == "ok" and record["score"] is not None:
            scores[row] = record["score"]
        for key, value in (measured[sample.path] | (record or {}).get("facts", {})).items():
            values[key][row] = value
    return Column(name, registry.card(name).version, scores, dict(values))


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
        threshold = fit_threshold(honest, 0.02)
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


def _source(parts: list[Part], out_of_fold: tuple[str, ...]) -> str:
    synthetic, edited = (part.truth for part in parts)
    text = (
        f"{int(synthetic.sum())} generated, {int(edited.sum())} edited and "
        f"{int((~synthetic).sum())} bona fide public pictures"
    )
    return f"{text}, scores of {', '.join(out_of_fold)} out of fold" if out_of_fold else text


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


def main() -> None:
    """Parse arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", choices=["score", "fit"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scores", type=Path, default=Path("scores.jsonl"))
    parser.add_argument(
        "--scores-of",
        action="append",
        default=[],
        metavar="DETECTOR=FILE.csv",
        help="fit: out-of-fold scores of a trained detector (path, score, facts …)",
    )
    parser.add_argument(
        "--calibration", type=Path, default=PACKAGE / "evidence" / "calibration.json"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "accuracy.md")
    parser.add_argument("--only", default="", help="detector ids, comma separated")
    parser.add_argument("--fresh", action="store_true", help="score again what was scored")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.verb == "score":
        only = tuple(part for part in options.only.split(",") if part)
        score(options.data, options.scores, only, options.fresh, options.jobs)
    else:
        pairs = (given.partition("=") for given in options.scores_of)
        scores_of = {name: Path(file) for name, _, file in pairs}
        fit(options.data, options.scores, scores_of, options.calibration, options.page)


if __name__ == "__main__":
    main()
