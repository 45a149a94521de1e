"""A calibration of the user's own, fitted on a run of the benchmark.

A detector that ships without one (published weights, a plugin) has a score and no vote. Measured on
labelled files together with the detectors that weigh already, it gets knots and ranges, and its
question new weights and a new bound: these belong together and are replaced together.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide import registry
from bonafide.bench import run as running
from bonafide.bench import scores as store
from bonafide.bench.fitting import Column, Fitted, Floats, fit_question
from bonafide.bench.protocol import Protocol
from bonafide.bench.scoring import NATIVE
from bonafide.errors import InvalidInput, MediaError
from bonafide.evidence.calibration import default_calibration, load_calibration, measures
from bonafide.media.source import open_media
from bonafide.networks import runtime
from bonafide.types import Status


def calibrate(folder: str | Path, detectors: Sequence[str]) -> dict[str, Any]:
    """Fit a calibration on a finished run.

    Args:
        folder: of the run; its first degradation counts, "native" if that is among them. Ranges of
            size and quality are taken from native files only.
        detectors: ids that are to join the verdict.

    Returns:
        A table in the form of the shipped `calibration.json`.

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
    truth = np.array([row["positive"] for row in first], np.bool_)
    groups = np.array([row["cluster"] for row in first])
    home = Path(table.about["manifest"]["folder"]) if degradation == NATIVE else None
    measured = _measured(home, [row["path"] for row in first]) if home else {}
    columns = [
        _column(name, [row for row in rows if row["detector"] == name], name in detectors, measured)
        for name in names
    ]
    fitted = fit_question(question, columns, truth, groups)
    source = (
        f"{int(truth.sum())} altered and {int((~truth).sum())} bona fide pictures of your own, "
        f"protocol {table.about['protocol']['name']}, {degradation}"
    )
    return _table(question, detectors, fitted, source, table.about)


def calibrate_manifest(
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
        return calibrate(folder, detectors)


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
    weights = default_calibration().fusion.get(question, {}).get("weights", {})
    weighing = [name for name in weights if weights[name] > 0 and name in registry.ids()]
    return tuple(dict.fromkeys([*detectors, *weighing]))


def write(table: dict[str, Any], path: str | Path | None = None) -> Path:
    """Write a table, which appears whole or not at all, and check that it can be used.

    Args:
        table: from `calibrate`.
        path: by default one named by its detectors in the user's data folder.
    """
    target = Path(path) if path else _home() / f"{'-'.join(table['detectors'])}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    store.write_json(target, table)
    load_calibration(str(target))
    return target


def _home() -> Path:
    return runtime.user_folder().parent / "calibrations"


def _column(
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


def _measured(folder: Path, paths: Sequence[str]) -> dict[str, Floats]:
    """`calibration.measures` of files; NaN where one cannot be read any more."""
    found: list[dict[str, float]] = []
    for path in paths:
        found.append({})
        with contextlib.suppress(MediaError):
            found[-1] = measures(open_media(folder / path))
    names = {name for values in found for name in values}
    return {name: _values(found, name) for name in sorted(names)}


def _values(found: Sequence[dict[str, float]], name: str) -> NDArray[np.float64]:
    return np.array([values.get(name, np.nan) for values in found], np.float64)


def _table(
    question: str, detectors: Sequence[str], fitted: Fitted, source: str, about: Any
) -> dict[str, Any]:
    return {
        "schema": 1,
        "fitted": datetime.now(UTC).date().isoformat(),
        "command": f"bonafide bench calibrate … --detector {' --detector '.join(detectors)}",
        "source": source,
        "manifest_sha256": about["manifest"]["sha256"],
        "detectors": {name: fitted.detectors[name] for name in detectors},
        "claims": {},
        "fusion": {question: fitted.fusion},
    }
