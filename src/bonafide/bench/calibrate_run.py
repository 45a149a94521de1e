"""A calibration of the user's own: detectors that join the verdict, from a run of the benchmark.

A detector that ships without a calibration (published weights, a plugin) has a score and no vote.
Measured together with the detectors that weigh already, it gets knots and ranges, and its question
new weights and new calibration files: these belong together and are replaced together.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bonafide import registry
from bonafide.bench import run as running
from bonafide.bench import scores as store
from bonafide.bench.calibrate import table_of, values_of
from bonafide.bench.fitting import Column, Files, Floats, fit_question
from bonafide.bench.protocol import Protocol
from bonafide.bench.scoring import NATIVE
from bonafide.errors import InvalidInput, MediaError
from bonafide.evidence.calibration import default_calibration, measures
from bonafide.evidence.reference import Stratum
from bonafide.media.source import open_media
from bonafide.types import Kind, Status


def from_run(folder: str | Path, detectors: Sequence[str]) -> dict[str, Any]:
    """Fit a calibration on a finished run of the benchmark.

    Args:
        folder: of the run; its first degradation counts, "native" if that is among them. Ranges of
            size and quality are taken from native files only.
        detectors: ids that are to join the verdict.

    Returns:
        A table in the form of the shipped `calibration.json`, of one question.

    Raises:
        InvalidInput: there are no scores, or not of every detector that weighs.
        UnknownDetector: an id names no detector.
    """
    table = store.read_table(folder)
    question = table.about["protocol"]["question"]
    degradations = table.about["degradations"]
    degradation = NATIVE if NATIVE in degradations else degradations[0]
    names = needed(question, detectors)
    rows = [row for row in store.rows_of(table) if row["degradation"] == degradation]
    absent = sorted(set(names) - {row["detector"] for row in rows})
    if absent:
        raise InvalidInput(
            f"{folder} has no scores of {', '.join(absent)}, and weights are fitted jointly; go on "
            f"with the run: bonafide bench run … --detectors {','.join(names)} --out {folder}"
        )
    first = [row for row in rows if row["detector"] == names[0]]
    home = Path(table.about["manifest"]["folder"]) if degradation == NATIVE else None
    found = [_measured(home, row["path"]) for row in first]
    known = Files(
        truth=np.array([row["positive"] for row in first], np.bool_),
        sources=np.array([row["cluster"] for row in first]),
        containers=[Stratum.of(one).container for one in found],
        megapixels=values_of(found, "megapixels"),
    )
    measured = {name: values_of(found, name) for name in ("short_side", "jpeg_quality")}
    columns = [
        _run_column(name, [row for row in rows if row["detector"] == name], name in detectors,
                    measured if home else {})
        for name in names
    ]  # fmt: skip
    fitted = fit_question(question, columns, known)
    source = (
        f"{int(known.truth.sum())} altered and {int((~known.truth).sum())} bona fide files of your "
        f"own, protocol {table.about['protocol']['name']}, {degradation}"
    )
    made = table_of(
        {name: fitted.detectors[name] for name in detectors},
        {question: fitted.table},
        source,
        f"bonafide bench calibrate … --detector {' --detector '.join(detectors)}",
    )
    made["manifest_sha256"] = table.about["manifest"]["sha256"]
    return made


def from_manifest(
    manifest: str | Path,
    protocol: Protocol,
    detectors: Sequence[str],
    jobs: int = 0,
    progress: running.Progress | None = None,
) -> dict[str, Any]:
    """Score a labelled manifest with every detector that is needed, and fit on that.

    Raises:
        InvalidInput: the manifest or the protocol cannot be followed.
        UnknownDetector: an id names no detector.
    """
    plan = running.plan(manifest, protocol, needed(protocol.question, detectors))
    with tempfile.TemporaryDirectory() as folder:
        running.run(plan, folder, jobs, progress=progress)
        return from_run(folder, detectors)


def needed(question: str, detectors: Sequence[str]) -> tuple[str, ...]:
    """The detectors to calibrate and those that weigh in their question already.

    Raises:
        InvalidInput: a detector answers another question.
        UnknownDetector: an id names no detector.
    """
    for name in detectors:
        answers = registry.card(name).question.value
        if answers != question:
            raise InvalidInput(f"{name} answers {answers}; the protocol asks {question}")
    reference = default_calibration().questions.get(question)
    known = registry.ids()
    weighing = [
        name for name, weight in (reference.weights if reference else {}).items()
        if weight > 0 and name in known and Kind.IMAGE in registry.card(name).kinds
    ]  # fmt: skip
    return tuple(dict.fromkeys([*detectors, *weighing]))


def _run_column(
    name: str, rows: Sequence[store.Row], fresh: bool, measured: dict[str, Floats]
) -> Column:
    entry = None if fresh else default_calibration().detectors[name]
    versions = {row["version"] for row in rows if row["version"]}
    wanted = registry.card(name).version if entry is None else entry["version"]
    if versions != {wanted}:
        raise InvalidInput(
            f"the run has scores of {name} {', '.join(sorted(versions))}, needed are those of "
            f"{wanted}; run it again"
        )
    spoke = [row["status"] == Status.OK.value and row["score"] is not None for row in rows]
    scores = [row["score"] if said else np.nan for row, said in zip(rows, spoke, strict=True)]
    return Column(name, wanted, np.array(scores, np.float64), measured, entry)


def _measured(folder: Path | None, path: str) -> dict[str, float]:
    """`calibration.measures` of a file; {} where it cannot be read any more."""
    if folder is not None:
        with contextlib.suppress(MediaError):
            return measures(open_media(folder / path))
    return {}
