"""What detectors mark in edited and untouched pictures, kept on disk: a file per picture.

All maps of a picture are kept on one lattice, that on which they would be joined, or a coarser one.
A rerun asks only for what is missing or was said by another version.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide import registry
from bonafide.batch import workers
from bonafide.bench.labelled import Labelled
from bonafide.bench.measure import SECONDS, Progress, examiner_of, read_mask
from bonafide.errors import MediaError
from bonafide.evidence.edited_regions import Lattice
from bonafide.media.source import open_media
from bonafide.types import (
    Finding,
    Kind,
    Measurement,
    Profile,
    Question,
    ScoreMap,
    Status,
)

SIDE = 640  # cells of the longer side of the maps that are kept
DRAWN = 500  # cells drawn from each picture, inside and outside, with repetition

Json = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """What a worker measures."""

    path: str
    mask: str | None
    source: str
    kept: str
    detectors: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """What the detectors said of one picture.

    Attributes:
        source: that it, or what it was made of, comes from.
        lattice: of all maps.
        edited: bool h×w, cells that were mostly edited; all False for an untouched picture.
        asked: detectors that were asked, whatever came of it.
        findings: with their maps on the lattice.
    """

    source: str
    lattice: Lattice
    edited: NDArray[np.bool_]
    asked: frozenset[str]
    findings: Mapping[str, Finding]

    @cached_property
    def drawn(self) -> dict[bool, dict[str, NDArray[np.float32]]]:
        """Inside of the edit (True) and outside → detector → `DRAWN` values of its map."""
        random = np.random.default_rng(0)
        values: dict[bool, dict[str, NDArray[np.float32]]] = {}
        for part in (True, False):
            rows, columns = np.nonzero(self.edited == part)
            if len(rows):
                chosen = random.integers(len(rows), size=DRAWN)
                values[part] = {
                    name: finding.map.values[rows[chosen], columns[chosen]]
                    for name, finding in self.findings.items()
                    if finding.map is not None
                }
        return values


def outlining_detectors() -> tuple[str, ...]:
    """Those whose maps outline the parts of a picture that were edited."""
    cards = map(registry.card, registry.usable())
    return tuple(
        card.id
        for card in cards
        if card.question is Question.EDITED
        and card.outlines
        and Profile.STANDARD.includes(card.profile)
        and Kind.IMAGE in card.kinds
    )


def measure_maps(
    files: Sequence[Labelled],
    folder: Path,
    detectors: Sequence[str] = (),
    jobs: int = 1,
    progress: Progress | None = None,
) -> int:
    """Keep what detectors mark in edited pictures with a mask, and in untouched ones.

    Args:
        files: labelled; edited ones without a mask are passed over.
        folder: made by an earlier call or not there yet.
        detectors: ids; by default those that outline edits.
        jobs: processes.
        progress: called with (done, total, failed).

    Returns:
        How many pictures could not be measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = tuple(detectors) or outlining_detectors()
    tasks = [task for file in files if (task := _task(file, folder, chosen)) is not None]
    failed = 0
    for number, (_, result) in enumerate(workers.run(measure_picture, tasks, jobs, SECONDS), 1):
        failed += result is not None
        if progress:
            progress(number, len(tasks), failed)
    return failed


def measure_picture(task: Task) -> str | None:
    """Add what the detectors of a task say to what is kept of its picture; why not, if not."""
    try:
        media = open_media(task.path)
        if media.image is None:
            return "it is no picture"
        examiner = examiner_of(task.detectors)
        findings = examiner.ask(media, examiner.chosen)
        width, height = media.image.width, media.image.height
    except MediaError as error:
        return error.why
    edited = np.zeros((height, width), np.bool_)
    if task.mask:
        mask = read_mask(task.mask)
        if mask is None or mask.shape != edited.shape:
            return "its mask cannot be read, or has another size"
        edited = mask
    kept = Path(task.kept)
    arrays, about = _known(kept)
    maps = [finding.map for finding in findings if finding.map is not None]
    if not about:
        finest = min((scores.cell for scores in maps), default=8)
        cell = max(finest, math.ceil(max(width, height) / SIDE))
        about = {"path": task.path, "source": task.source, "said": {},
                 "cell": cell, "width": width, "height": height}  # fmt: skip
    lattice = Lattice(about["cell"], width, height)
    for finding in findings:
        about["said"][finding.detector] = {
            "version": finding.version,
            "status": finding.status.value,
            "score": finding.score,
            "kind": finding.main.kind.value,
            "outside": bool(finding.main.outside),
        }
        arrays.pop(finding.detector, None)
        if finding.map is not None:
            arrays[finding.detector] = np.rint(lattice.read(finding.map) * 255).astype(np.uint8)
    arrays["about"] = np.array(json.dumps(about))
    arrays["edited"] = _reduced(edited, lattice)
    partial = kept.with_suffix(f".{os.getpid()}.partial.npz")
    stored: dict[str, Any] = arrays
    np.savez_compressed(partial, **stored)
    partial.replace(kept)
    return None


def read_pictures(folder: Path) -> Iterator[Picture]:
    """Pictures that were measured, with what detectors of the present versions said.

    A finding on a picture outside its detector's scope is no evidence, as in `edited_regions`.
    """
    for file in sorted(folder.glob("*.npz")):
        arrays, about = _known(file)
        lattice = Lattice(about["cell"], about["width"], about["height"])
        findings = {
            name: _finding(name, one, arrays.get(name), lattice)
            for name, one in about["said"].items()
            if one["status"] == Status.OK.value and _current(name, one) and not one.get("outside")
        }
        asked = frozenset(name for name, one in about["said"].items() if _current(name, one))
        yield Picture(about["source"], lattice, arrays["edited"], asked, findings)


def _task(file: Labelled, folder: Path, detectors: tuple[str, ...]) -> Task | None:
    answer = file.answers.get(Question.EDITED)
    if answer is None or (answer and file.mask is None):
        return None
    kept = folder / f"{hashlib.sha256(file.path.encode()).hexdigest()[:24]}.npz"
    said = _known(kept)[1].get("said", {})
    missing = tuple(
        name
        for name in detectors
        if said.get(name, {}).get("version") != registry.card(name).version
    )
    mask = file.mask if answer else None
    return Task(file.path, mask, file.source, str(kept), missing) if missing else None


def _known(kept: Path) -> tuple[dict[str, NDArray[Any]], Json]:
    if not kept.exists():
        return {}, {}
    with np.load(kept, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, json.loads(str(arrays["about"]))


def _finding(name: str, said: Json, levels: NDArray[np.uint8] | None, lattice: Lattice) -> Finding:
    maps: tuple[ScoreMap, ...] = ()
    if levels is not None:
        values: NDArray[np.float32] = np.broadcast_to(np.float32(0), levels.shape)
        if levels.any():  # most maps are empty: one zero for all cells takes no memory
            values = np.asarray(levels.astype(np.float32) / np.float32(255))
        maps = (ScoreMap(values, lattice.cell, lattice.width, lattice.height),)
    part = Measurement(score=said["score"], maps=maps)
    return Finding(
        name, said["version"], Question.EDITED, Status.OK, parts=((part, None),)
    )  # fmt: skip


def _current(name: str, said: Json) -> bool:
    return name in registry.ids() and said["version"] == registry.card(name).version


def _reduced(edited: NDArray[np.bool_], lattice: Lattice) -> NDArray[np.bool_]:
    """Cells of which at least half was edited."""
    rows, columns = lattice.shape
    padded = np.zeros((rows * lattice.cell, columns * lattice.cell), np.float32)
    padded[: lattice.height, : lattice.width] = edited
    share = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    pixels = lattice.areas() / lattice.cell**2
    return np.asarray(share >= 0.5 * pixels, np.bool_)
