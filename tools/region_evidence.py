"""What detectors say of edited and untouched pictures, kept on disk with reduced maps.

A file per picture; a rerun asks only for what is missing or was said by another version.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from rich.progress import track

from bonafide import registry

from bonafide.batch import workers
from bonafide.bench.manifest import read_table, select
from bonafide.bench.masks import marked
from bonafide.bench.protocol import load_protocol
from bonafide.errors import MediaError
from bonafide.examination import Settings, examine
from bonafide.types import Finding, Kind, Profile, Question, Status

SIDE = 640  # pixels of the longer side of the maps that are kept
PIXELS = 500  # drawn from each picture, inside and outside, with repetition

Json = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a worker measures."""

    file: str
    mask: str | None
    collection: str
    evidence: str
    detectors: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """What the detectors said of one picture.

    Attributes:
        collection: that it, or what it was made of, comes from.
        edited: bool H×W, all False for an untouched one.
        asked: detectors that were asked, whatever came of it.
        findings: with their maps, reduced.
    """

    collection: str
    edited: NDArray[np.bool_]
    asked: frozenset[str]
    findings: Mapping[str, Finding]

    @cached_property
    def drawn(self) -> dict[bool, dict[str, NDArray[np.float32]]]:
        """Inside of the edit (True) and outside → detector → `PIXELS` values of its map."""
        random = np.random.default_rng(0)
        values: dict[bool, dict[str, NDArray[np.float32]]] = {}
        for part in (True, False):
            rows, columns = np.nonzero(self.edited == part)
            if len(rows):
                chosen = random.integers(len(rows), size=PIXELS)
                values[part] = {
                    name: finding.heatmap[rows[chosen], columns[chosen]]
                    for name, finding in self.findings.items()
                    if finding.heatmap is not None
                }
        return values


def measure(
    manifests: Sequence[Path],
    evidence: Path,
    collections: frozenset[str],
    detectors: Sequence[str],
    jobs: int,
) -> None:
    """Keep what detectors say of every picture of the manifests in `evidence`."""
    evidence.mkdir(parents=True, exist_ok=True)
    tasks = [
        task
        for manifest in manifests
        for task in _tasks(manifest, evidence, tuple(detectors))
        if task.detectors and (not collections or task.collection in collections)
    ]
    results = workers.run(_measure, tasks, jobs, 300.0)
    for task, result in track(results, "measuring", total=len(tasks), disable=not tasks):
        if result is not None:
            print(f"{task.file}: {result}", file=sys.stderr)


def usual_detectors() -> tuple[str, ...]:
    """Those that say where a picture was edited and whose maps are more than for the eye."""
    return tuple(
        card.id
        for card in map(registry.card, registry.ids())
        if card.question is Question.EDITED
        and Profile.STANDARD.includes(card.profile)
        and Kind.IMAGE in card.kinds
    )


def read_evidence(folder: Path) -> Iterator[Picture]:
    """Pictures that were measured, with what detectors of the present versions said."""
    for file in sorted(folder.glob("*.npz")):
        with np.load(file, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            findings = {
                name: Finding(name, one["version"], Question.EDITED, Status.OK, score=one["score"],
                              heatmap=_map(stored, name))
                for name, one in about["said"].items()
                if one["status"] == Status.OK.value and _current(name, one)
            }  # fmt: skip
            asked = frozenset(name for name, one in about["said"].items() if _current(name, one))
            yield Picture(about["collection"], stored["edited"], asked, findings)


def _current(name: str, said: Json) -> bool:
    return name in registry.ids() and said["version"] == registry.card(name).version


def _map(stored: Mapping[str, Any], name: str) -> NDArray[np.float32] | None:
    if name not in stored:
        return None
    levels = stored[name]
    if not levels.any():  # as most maps are: one zero for all pixels takes no memory
        return np.broadcast_to(np.float32(0), levels.shape)
    return np.asarray(levels.astype(np.float32) / np.float32(255))


def _tasks(manifest: Path, evidence: Path, detectors: tuple[str, ...]) -> Iterator[Task]:
    protocol = load_protocol("edited")
    chosen = select(read_table(manifest), protocol, manifest.parent, both_classes=False)
    for sample in chosen.samples:
        file, mask = chosen.file(sample), chosen.mask(sample)
        if sample.positive and mask is None:
            continue
        name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:24]
        kept = evidence / f"{name}.npz"
        known: Json = {}
        if kept.exists():
            with np.load(kept, allow_pickle=False) as stored:
                known = json.loads(str(stored["about"]))["said"]
        missing = tuple(
            detector
            for detector in detectors
            if known.get(detector, {}).get("version") != registry.card(detector).version
        )
        collection = Path(sample.extra.get("base") or sample.path).parent.name
        yield Task(str(file), str(mask) if mask else None, collection, str(kept), missing)


def _measure(task: Task) -> str | None:
    """Add what the detectors of a task say to the evidence of its picture; why not, if not."""
    settings = Settings(profile=Profile.THOROUGH, only=task.detectors, threads=1)
    try:
        report = examine(task.file, settings)
    except MediaError as error:
        return str(error)
    shape = (report.media.height or 0, report.media.width or 0)
    edited = np.zeros(shape, np.bool_)
    if task.mask:
        edited = marked(np.asarray(Pillow.open(task.mask).convert("RGB")))
        if edited.shape != shape:
            return "its mask has another size"
    kept = Path(task.evidence)
    arrays: dict[str, Any] = {}
    about: Json = {"file": task.file, "collection": task.collection, "said": {}}
    if kept.exists():
        with np.load(kept, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = json.loads(str(arrays["about"]))
    for finding in report.findings:
        about["said"][finding.detector] = {
            "version": finding.version,
            "status": finding.status.value,
            "score": finding.score,
        }
        arrays.pop(finding.detector, None)
        if finding.heatmap is not None:
            levels = np.rint(_reduced(finding.heatmap) * 255)
            arrays[finding.detector] = levels.astype(np.uint8)
    arrays |= {"about": json.dumps(about), "edited": _reduced(edited.astype(np.float32)) >= 0.5}
    partial = kept.with_suffix(f".{os.getpid()}.partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(kept)
    return None


def _reduced(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = heatmap.shape
    scale = SIDE / max(height, width)
    if scale >= 1:
        return heatmap
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(heatmap, size, interpolation=cv2.INTER_AREA), np.float32)
