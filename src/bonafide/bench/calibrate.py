"""Fit a calibration, the shipped one included, on files that `bonafide bench measure` measured."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bonafide import registry
from bonafide.bench.fitting import Column, Files, Fitted, Floats, fit_question, fit_threshold
from bonafide.bench.labelled import Labelled, read_labelled
from bonafide.bench.manifest import read_table
from bonafide.bench.measure import Record, read_records
from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import ANY, SCHEMA, default_calibration
from bonafide.types import Kind, Question, Status

NATIVE = "native"  # a file as it is
UNTRAINED = "none"  # what a card says of a method without training
CONTRADICTION_RATE = 0.02  # of bona fide files at the threshold of what counts contradictions


@dataclass(frozen=True)
class Part:
    """One fitted question, with what its page shows.

    Attributes:
        question: which.
        files: the labelled files, in the order of all arrays.
        records: what was measured of each.
        columns: scores per detector.
        known: the same files as arrays.
        fitted: the fit.
    """

    question: Question
    files: Sequence[Labelled]
    records: Sequence[Record]
    columns: Sequence[Column]
    known: Files
    fitted: Fitted


@dataclass(frozen=True)
class Outcome:
    """A calibration, the parts that it was made of, and why questions were left out."""

    table: dict[str, Any]
    parts: Sequence[Part]
    skipped: Mapping[str, str]


def from_scores(
    scores: Sequence[str | Path],
    manifests: Sequence[str | Path],
    detectors: Sequence[str] = (),
    scores_of: Mapping[str, Path] | None = None,
    trained_on: Mapping[str, Path] | None = None,
) -> Outcome:
    """Fit a calibration on files that `bonafide bench measure` asked detectors about.

    Args:
        scores: files of measurements.
        manifests: what says the labels and sources of those files.
        detectors: ids; by default all with scores of their present version.
        scores_of: id → CSV (path, score, facts …) with out-of-fold scores that stand in place of
            those measured; `degradation` other than "native" is passed over.
        trained_on: id → manifest of what a trained detector has seen. Files of its sources are
            left out for that detector.

    Raises:
        InvalidInput: no measured file is labelled, or a question cannot be fitted.
    """
    records = read_records(*scores)
    files = [one for one in read_labelled(manifests) if one.path in records]
    if not files:
        raise InvalidInput("no file of the scores is labelled in the manifests")
    for name, file in (scores_of or {}).items():
        _replace(records, files, name, file, manifests)
    for name, file in (trained_on or {}).items():
        _leave_out(records, files, name, file)
    entries: dict[str, Any] = {}
    parts: list[Part] = []
    skipped: dict[str, str] = {}
    for question in Question:
        if question.accusation is None:
            entries |= _contradictions(files, records, detectors)
            continue
        names = _names(question, records, detectors)
        own = [one for one in files if question in one.answers]
        if names and any(one.answers[question] for one in own):
            try:
                parts.append(_part(question, names, own, records))
            except InvalidInput as error:
                skipped[question.value] = str(error)
    if not parts:
        raise InvalidInput(
            "; ".join(f"{name}: {why}" for name, why in skipped.items())
            or "no detector spoke of files that are labelled for its question"
        )
    for part in parts:
        entries |= part.fitted.detectors
    table = table_of(
        entries,
        {part.question.value: part.fitted.table for part in parts},
        _source(files),
        "bonafide bench calibrate",
    )
    if scores_of:
        table["scores_of"] = {
            name: {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
            for name, file in scores_of.items()
        }
    table["regions"] = dict(default_calibration().regions)
    return Outcome(table, parts, skipped)


def _part(
    question: Question,
    names: Sequence[str],
    files: Sequence[Labelled],
    records: Mapping[str, Record],
) -> Part:
    columns = [_column(name, files, records) for name in names]
    truth = np.array([one.answers[question] for one in files], np.bool_)
    spoke = [np.isfinite(column.scores) for column in columns]
    columns = [c for c, s in zip(columns, spoke, strict=True) if (s & ~truth).any()]
    said = np.any([np.isfinite(column.scores) for column in columns], axis=0)
    chosen = [one for one, kept in zip(files, said, strict=True) if kept]
    columns = [column.of(said) for column in columns]
    own = [records[one.path] for one in chosen]
    known = Files(
        truth[said],
        np.array([one.source for one in chosen]),
        [one.made for one in chosen],
        [record["container"] for record in own],
        values_of([record["measured"] for record in own], "megapixels"),
    )
    fitted = fit_question(question.value, columns, known)
    return Part(question, chosen, own, columns, known, fitted)


def _names(
    question: Question, records: Mapping[str, Record], detectors: Sequence[str]
) -> list[str]:
    """Detectors of a question with scores of their present version."""
    known = registry.usable()
    seen = {
        (name, said["version"])
        for record in records.values()
        for name, said in record["said"].items()
        if said.get("score") is not None
    }
    return [
        name
        for name in known
        if registry.card(name).question is question
        and (name, registry.card(name).version) in seen
        and (not detectors or name in detectors)
    ]


def _column(name: str, files: Sequence[Labelled], records: Mapping[str, Record]) -> Column:
    card = registry.card(name)
    shipped = default_calibration().detectors.get(name, {}).get("range", {})
    seen = ("short_side", "jpeg_quality") if Kind.IMAGE in card.kinds else ()
    ranged = tuple(dict.fromkeys((*seen, *shipped)))
    scores, found = [], []
    for file in files:
        record = records[file.path]
        said = record["said"].get(name, {})
        spoke = said.get("status") == Status.OK.value and said["version"] == card.version
        spoke = spoke and not said.get("outside")  # it is shown and does not vote
        score = said.get("score") if spoke else None
        scores.append(math.nan if score is None else float(score))
        found.append({**record["measured"], **said.get("facts", {})})
    measured = {name: values_of(found, name) for name in ranged}
    several = {Kind.IMAGE, Kind.VIDEO} <= set(card.kinds)
    kind = Kind.IMAGE.value if Kind.IMAGE in card.kinds else card.kinds[0].value
    kind = ANY if several else kind
    return Column(name, card.version, np.array(scores, np.float64), measured, None, kind)


def _contradictions(
    files: Sequence[Labelled], records: Mapping[str, Record], detectors: Sequence[str]
) -> dict[str, Any]:
    """Thresholds of detectors of provenance that count contradictions; shown, and not weighed."""
    entries = {}
    for name, shipped in default_calibration().detectors.items():
        if shipped["question"] != Question.PROVENANCE.value or name not in registry.ids():
            continue
        if detectors and name not in detectors:
            continue
        card = registry.card(name)
        said = [records[one.path]["said"].get(name, {}) for one in files if one.bona_fide]
        honest = [
            one["score"]
            for one in said
            if one.get("score") is not None and one["version"] == card.version
        ]
        if honest:
            scores = np.array(honest, np.float64)
            threshold = fit_threshold(scores, CONTRADICTION_RATE)
            entries[name] = {
                "version": card.version,
                "question": card.question.value,
                "threshold": threshold,
                "false_positive_rate": round(float((scores >= threshold).mean()), 4),
                "bona_fide": len(honest),
            }
    return entries


def _replace(
    records: dict[str, Record],
    files: Sequence[Labelled],
    name: str,
    file: Path,
    manifests: Sequence[str | Path],
) -> None:
    """Put out-of-fold scores in place of what a trained detector said of the sources it has seen.

    Files of sources of which the table lists none were not trained on, and keep what was measured.
    """
    version = registry.card(name).version
    folders = [file.parent, *(Path(one).parent for one in manifests)]
    listed = {}
    for row in read_table(file):
        if row.get("degradation", NATIVE) not in ("", NATIVE):
            continue
        paths = [str((folder / row["path"]).absolute()) for folder in folders]
        path = next((one for one in paths if one in records), None)
        if path is not None:
            listed[path] = row
    seen = {one.source for one in files if one.path in listed}
    for one in files:
        if one.source in seen:
            records[one.path]["said"].pop(name, None)
    for path, row in listed.items():
        score = row.get("score", "")
        facts = {
            key: float(value)
            for key, value in row.items()
            if value and key not in ("path", "score", "degradation")
        }
        records[path]["said"][name] = {
            "version": version,
            "status": Status.OK.value if score else Status.NOT_APPLICABLE.value,
            "score": float(score) if score else None,
            "facts": facts,
        }


def _leave_out(
    records: dict[str, Record], files: Sequence[Labelled], name: str, manifest: Path
) -> None:
    """Drop what a trained detector said of files of the sources that it has seen."""
    seen = {one.source for one in read_labelled([manifest], most=10**9)}
    for one in files:
        if one.source in seen:
            records[one.path]["said"].pop(name, None)


def values_of(found: Sequence[Mapping[str, Any]], name: str) -> Floats:
    """(n,) float64 values by name, NaN where absent."""
    return np.array([values.get(name, np.nan) for values in found], np.float64)


def _source(files: Sequence[Labelled]) -> str:
    sources = len({one.source for one in files if one.bona_fide})
    counts = [f"{sum(one.bona_fide for one in files)} bona fide files of {sources} sources"]
    for question in Question:
        altered = sum(one.answers.get(question, False) for one in files)
        if altered:
            counts.append(f"{altered} {question.altered}")
    return ", ".join(counts)


def table_of(
    detectors: Mapping[str, Any], questions: Mapping[str, Any], source: str, command: str
) -> dict[str, Any]:
    """A calibration as it is written to disk, without regions."""
    return {
        "schema": SCHEMA,
        "fitted": datetime.now(UTC).date().isoformat(),
        "command": command,
        "source": source,
        "detectors": dict(detectors),
        "questions": dict(questions),
    }
