"""Score a manifest under a protocol: every core, resumable, nothing scored twice.

Each file and degradation is one task in a process that can be stopped; its outcome is in the
journal before the next is asked for. A rerun, after a kill or with more detectors, hashes the files
and asks only for what neither journal nor table holds.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bonafide import registry
from bonafide.batch import workers
from bonafide.bench import manifest as manifests
from bonafide.bench import scores as store
from bonafide.bench.foreign import read_foreign
from bonafide.bench.manifest import Manifest
from bonafide.bench.masks import MARKS
from bonafide.bench.protocol import Protocol
from bonafide.bench.samples import Sample
from bonafide.bench.scores import Key, Row
from bonafide.bench.scoring import (
    VERDICT,
    Task,
    canonical,
    digests,
    failed,
    perform,
    version_of,
)
from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import default_calibration
from bonafide.media.limits import Limits
from bonafide.networks.environment import versions
from bonafide.types import Question, Status

SECONDS = 300.0  # for all detectors on one file; some take long on large pictures

Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Plan:
    """What is to be scored.

    Attributes:
        manifest: the samples.
        protocol: how they are set apart and degraded.
        degradations: canonical names.
        detectors: ids and `VERDICT`, foreign ones aside.
        foreign: name → file of scores that were computed elsewhere.
        used: numbers of the samples that calibrate or are tested in some fold.
        folds: packed, see `scores.pack`.
        tested: sample number → name of the fold that tests it.
    """

    manifest: Manifest
    protocol: Protocol
    degradations: tuple[str, ...]
    detectors: tuple[str, ...]
    foreign: Mapping[str, Path]
    used: tuple[int, ...]
    folds: list[dict[str, Any]]
    tested: Mapping[int, str]


def usual_detectors(question: str) -> tuple[str, ...]:
    """Detectors that answer a question, and those that read what a file says of itself."""
    fitting = (question, Question.PROVENANCE)
    return tuple(name for name in registry.ids() if registry.card(name).question in fitting)


def plan(
    manifest_path: str | Path,
    protocol: Protocol,
    detectors: Sequence[str] = (),
    foreign: Mapping[str, str | Path] | None = None,
) -> Plan:
    """Check everything that can be wrong before the first file is read.

    Args:
        manifest_path: CSV or Parquet.
        protocol: what to do with it.
        detectors: ids, and perhaps `VERDICT`; empty for `usual_detectors`, unless only foreign
            scores are wanted.
        foreign: name → CSV of scores computed elsewhere.

    Raises:
        InvalidInput: the manifest, the protocol or a file of scores cannot be followed.
        UnknownDetector: an id names no detector.
    """
    manifest = manifests.load(manifest_path, protocol)
    try:
        degradations = tuple(dict.fromkeys(map(canonical, protocol.degradations)))
    except ValueError as error:
        raise InvalidInput(f"protocol {protocol.name}: {error}") from None
    chosen = tuple(dict.fromkeys(detectors)) or (
        () if foreign else usual_detectors(protocol.question)
    )
    for name in chosen:
        version_of(name)
    names = {name: Path(path) for name, path in (foreign or {}).items()}
    for name, path in names.items():
        if name in chosen or name in registry.ids() or name == VERDICT:
            raise InvalidInput(f"{name} is the name of a detector here; call its scores otherwise")
        if not path.is_file():
            raise InvalidInput(f"{path}: there are no scores")
    folds = protocol.folds(manifest.samples)
    used = sorted({index for fold in folds for index in (*fold.calibrate, *fold.test)})
    tested = {index: fold.name for fold in folds for index in fold.test}
    packed = store.pack(folds, len(manifest.samples))
    return Plan(
        manifest, protocol, degradations, chosen, names, tuple(used), packed, tested
    )  # fmt: skip


def run(
    plan: Plan,
    out: str | Path,
    jobs: int = 0,
    seed: int = 0,
    limits: Limits | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
    debug: bool = False,
) -> Path:
    """Score what is missing and write the table.

    Args:
        plan: from `plan`.
        out: folder of the run; made if it is missing, gone on with if it holds the same protocol.
        jobs: processes; 0 for one per core.
        seed: of the degradations.
        limits: what one file may cost; `seconds` is raised to at least `SECONDS` by default.
        retry_failed: ask again where a file or a detector failed before.
        progress: called with (done, all, failed) tasks.
        debug: let decoders' complaints through.

    Returns:
        The path of `scores.parquet`.

    Raises:
        InvalidInput: the folder holds another run, or another process is writing to it.
        MissingExtra: pyarrow is not installed.
    """
    limits = limits or replace(Limits(), seconds=SECONDS)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    store.need_parquet()
    previous = _previous(folder, plan, seed)
    with store.open_journal(folder) as journal:
        rows = _Rows(plan, limits)
        rows.read(folder, previous, retry_failed)
        about = _about(plan, seed, previous)
        store.write_json(folder / store.ABOUT, {**about, "finished": None})
        count = min(jobs or os.cpu_count() or 1, max(1, len(plan.used)))
        total = len(plan.used) * len(plan.degradations)
        lost = scored = 0
        report = progress or (lambda done, all_, failed_: None)
        report(0, total, 0)
        results = workers.run(
            perform, _tasks(plan, rows, seed), count, limits.seconds, quiet=not debug
        )
        for task, outcome in results:
            record = _lost(task, outcome) if isinstance(outcome, workers.Lost) else outcome
            store.append(journal, record)
            rows.add(record)
            scored += 1
            lost += any(said["status"] == Status.FAILED.value for said in record["said"])
            report(task.number, total, lost)
        report(total, total, lost)
        about["finished"] = _now()
        about["sessions"][-1] |= {"finished": about["finished"], "scored": scored}
        table = store.write_table(folder, about, list(rows.table(about["detectors"])))
        store.write_json(folder / store.ABOUT, about)
    (folder / store.JOURNAL).unlink(missing_ok=True)
    return table


class _Rows:
    """What is known so far, by what it depends on."""

    def __init__(self, plan: Plan, limits: Limits) -> None:
        self.plan, self.limits = plan, limits
        self.known: dict[Key, Row] = {}
        self.digests: dict[str, tuple[str, str]] = {}
        self.given: dict[tuple[str, str, str], Row] = {}

    def read(self, folder: Path, previous: Mapping[str, Any] | None, retry_failed: bool) -> None:
        """Take over what an earlier run left, and what was computed elsewhere."""
        foreign = {
            name
            for name, about in (previous or {}).get("detectors", {}).items()
            if about["foreign"]
        }
        earlier: list[Row] = []
        if (folder / store.TABLE).is_file():
            earlier += store.rows_of(store.read_table(folder))
        earlier += store.read_journal(folder)
        for row in earlier:
            if row["detector"] in foreign:
                self.given[row["detector"], row["path"], row["degradation"]] = row
            elif not (retry_failed and row["status"] == Status.FAILED.value):
                self.known[store.key(row)] = row
        for name, path in self.plan.foreign.items():
            self.given |= read_foreign(name, path, self.plan.manifest, self.plan.degradations)

    def digest(self, sample: Sample) -> tuple[str, str]:
        """SHA-256 of a sample and of its mask, "" for what cannot be read or is not used."""
        if sample.path not in self.digests:
            mask = self.plan.manifest.mask(sample) if self.plan.protocol.pixel else None
            file = str(self.plan.manifest.file(sample))
            self.digests[sample.path] = digests(
                file, str(mask) if mask else None, _marks(sample), self.limits
            )
        return self.digests[sample.path]

    def missing(self, sample: Sample, degradation: str) -> tuple[str, ...]:
        """Detectors that have not yet spoken about a sample."""
        sha256, mask = self.digest(sample)
        name = sha256 or f"path:{sample.path}"
        return tuple(
            detector
            for detector in self.plan.detectors
            if (name, mask, degradation, detector, version_of(detector)) not in self.known
        )

    def add(self, record: Row) -> None:
        """Take in a record of the journal."""
        self.digests[record["path"]] = (record["sha256"], record["mask_sha256"])
        base = {name: value for name, value in record.items() if name != "said"}
        for said in record["said"]:
            row = {**base, **said}
            self.known[store.key(row)] = row

    def table(self, detectors: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
        """Every row of the table, in the order of samples, degradations and detectors."""
        plan = self.plan
        for number in plan.used:
            sample = plan.manifest.samples[number]
            base = {
                "sample": number,
                "path": sample.path,
                "group": sample.group,
                "cluster": sample.cluster,
                "pool": "" if plan.protocol.pool.how == "none" else _pool(sample, plan.protocol),
                "generator": sample.generator,
                "label": sample.label,
                "positive": sample.positive,
                "split": sample.split,
                "fold": plan.tested.get(number, ""),
            }
            for degradation in plan.degradations:
                for name, about in detectors.items():
                    found = self._find(sample, degradation, name, about) or {
                        "status": Status.FAILED.value,
                        "why": "it was not scored",
                        "version": about["version"],
                    }
                    yield {**found, **base, "degradation": degradation, "detector": name}

    def _find(
        self, sample: Sample, degradation: str, name: str, about: Mapping[str, Any]
    ) -> Row | None:
        if about["foreign"]:
            return self.given.get((name, sample.path, degradation))
        sha256, mask = self.digest(sample)
        place = sha256 or f"path:{sample.path}"
        return self.known.get((place, mask, degradation, name, about["version"]))


def _marks(sample: Sample) -> str:
    return sample.value("mask_marks") or MARKS[0]


def _pool(sample: Sample, protocol: Protocol) -> str:
    return sample.value(protocol.pool.by) or sample.cluster


def _tasks(plan: Plan, rows: _Rows, seed: int) -> Iterator[Task]:
    number = 0
    fresh = not rows.known
    for index in plan.used:
        sample = plan.manifest.samples[index]
        mask = plan.manifest.mask(sample)
        for degradation in plan.degradations:
            number += 1
            # Without anything to go on with, no file need be hashed before it is scored.
            missing = plan.detectors if fresh else rows.missing(sample, degradation)
            if missing:
                yield Task(
                    number=number,
                    path=sample.path,
                    file=str(plan.manifest.file(sample)),
                    mask=str(mask) if mask else None,
                    marks=_marks(sample),
                    authentic=sample.positive is False,
                    pixel=plan.protocol.pixel,
                    degradation=degradation,
                    detectors=missing,
                    question=plan.protocol.question,
                    seed=seed,
                    limits=rows.limits,
                )


def _lost(task: Task, lost: workers.Lost) -> Row:
    if lost.timed_out:
        why = f"stopped after {lost.seconds:.0f} seconds, the limit (raise it with --max-seconds)"
    else:
        why = f"the process that scored it died (exit code {lost.exit_code})"
    sha256, mask = digests(task.file, task.mask if task.pixel else None, task.marks, task.limits)
    return {
        "path": task.path,
        "sha256": sha256,
        "mask_sha256": mask,
        "degradation": task.degradation,
        "megapixels": None,
        "notes": "",
        "said": failed(task.detectors, why, round(lost.seconds, 4)),
    }


def _previous(folder: Path, plan: Plan, seed: int) -> Mapping[str, Any] | None:
    """What an earlier run in the same folder says of itself."""
    path = folder / store.ABOUT
    if not path.is_file():
        return None
    about: Mapping[str, Any] = store.read_json(path)
    for what, there, here in (
        ("protocol", about["protocol_sha256"], plan.protocol.sha256),
        ("seed", about["seed"], seed),
    ):
        if there != here:
            raise InvalidInput(f"{folder} holds a run with another {what}; name another folder")
    return about


def _about(plan: Plan, seed: int, previous: Mapping[str, Any] | None) -> dict[str, Any]:
    known: dict[str, Any] = dict((previous or {}).get("detectors", {}))
    for name in plan.detectors:
        question = plan.protocol.question if name == VERDICT else registry.card(name).question.value
        known[name] = {"version": version_of(name), "question": question, "foreign": None}
    for name, path in plan.foreign.items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        known[name] = {
            "version": digest[:12],
            "question": plan.protocol.question,
            "foreign": str(path),
        }
    return {
        "schema": 1,
        "manifest": {
            "folder": str(plan.manifest.folder.absolute()),
            "sha256": plan.manifest.sha256,
            "samples": len(plan.manifest.samples),
            "used": len(plan.used),
            "left_out": plan.manifest.left_out,
        },
        "protocol": plan.protocol.to_dict(),
        "protocol_sha256": plan.protocol.sha256,
        "degradations": list(plan.degradations),
        "detectors": known,
        "seed": seed,
        "versions": versions(default_calibration().id),
        "sessions": [
            *(previous or {}).get("sessions", []),
            {
                "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
                "started": _now(),
                "finished": None,  # null where it was stopped
                "scored": None,
            },
        ],
        "finished": None,
        "folds": plan.folds,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
