"""Ask detectors about labelled files as they are, and keep what they said: a line per file.

Nothing is re-encoded. A rerun asks only for what is missing or was said by another version of a
detector; of several lines about a file the later ones add to the earlier.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bonafide import registry
from bonafide.batch import workers
from bonafide.bench.labelled import Labelled
from bonafide.bench.masks import marked
from bonafide.bench.pixel_metrics import count_pixels
from bonafide.errors import InvalidInput, MediaError
from bonafide.evidence.calibration import measures
from bonafide.evidence.edited_regions import fuse_maps
from bonafide.evidence.reference import Stratum
from bonafide.types import Finding, Profile, Question, ScoreMap, Status

SECONDS = 600.0  # for all detectors on one file

if TYPE_CHECKING:
    from bonafide.examination import Examiner
    from bonafide.explain.judge import Judge

Record = dict[str, Any]
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Task:
    """What a worker needs to measure one file."""

    path: str
    mask: str | None
    detectors: tuple[str, ...]
    judge: Judge | None = None


def usual_detectors(
    profile: Profile = Profile.THOROUGH, given: Collection[str] = ()
) -> tuple[str, ...]:
    """Usable detectors of a profile, in the order of the registry.

    Args:
        profile: the most expensive that is run.
        given: names of settings that are made; a detector that requires another is left out.
    """
    cards = [registry.card(name) for name in registry.usable()]
    return tuple(
        card.id
        for card in cards
        if profile.includes(card.profile) and card.requires in ("", *given)
    )


def measure(
    files: Sequence[Labelled],
    out: Path,
    detectors: Sequence[str] = (),
    jobs: int = 1,
    progress: Progress | None = None,
    judge: Judge | None = None,
) -> int:
    """Measure what is missing in `out`, and append it.

    Args:
        files: which.
        out: JSON Lines, made by an earlier call or not there yet.
        detectors: ids; by default all that are usable. One that answers a question which the file
            is not labelled for is not asked about it.
        jobs: processes.
        progress: called with (done, total, failed).
        judge: a model that is asked about every picture, over the network; None for none.

    Returns:
        How many files could not be measured.

    Raises:
        UnknownDetector: an id names no detector.
        InvalidInput: `out` is no file of measurements.
    """
    chosen = tuple(detectors) or usual_detectors(given=("judge",) if judge else ())
    cards = {name: registry.card(name) for name in chosen}
    known = read_records(out) if out.exists() else {}
    tasks = []
    for file in files:
        said = known.get(file.path, {}).get("said", {})
        missing = tuple(
            name
            for name, card in cards.items()
            if _bears_on(file, card.question)
            and (name not in said or said[name]["version"] != card.version)
        )
        if missing:
            tasks.append(Task(file.path, file.mask, missing, judge))
    failed = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    _cut_broken_line(out)
    with out.open("a", encoding="utf-8") as stream:
        done = workers.run(measure_file, tasks, max(1, jobs), SECONDS)
        for number, (task, result) in enumerate(done, 1):
            if isinstance(result, workers.Lost):
                why = "took too long" if result.timed_out else "ended its process"
                result = _failed(task, why)
            failed += "why" in result
            stream.write(json.dumps(result, separators=(",", ":")) + "\n")
            stream.flush()
            if progress:
                progress(number, len(tasks), failed)
    return failed


def measure_file(task: Task) -> Record:
    """What the detectors of a task say of its file; `why` beside it where it cannot be read."""
    from bonafide.media.source import open_media

    try:
        media = open_media(task.path)
        if media.image is not None:
            _ = media.image.pixels  # what cannot be decoded is one failure, not one per detector
        examiner = examiner_of(task.detectors, task.judge)
        findings = examiner.ask(media, examiner.chosen)
        measured = measures(media)
    except MediaError as error:
        return _failed(task, error.why)
    edits = fuse_maps(findings, examiner.calibration)
    mask = read_mask(task.mask)
    record: Record = {
        "path": task.path,
        "container": Stratum.of(measured).container,
        "measured": measured,
        "said": {finding.detector: _said(finding, mask) for finding in findings},
    }
    if edits is not None and edits.map is not None:
        record["edits"] = _on_pixels(edits.map, mask)
    return record


@lru_cache(maxsize=4)
def examiner_of(detectors: tuple[str, ...], judge: Judge | None = None) -> Examiner:
    """One per choice of detectors, so that networks stay open."""
    from bonafide.examination import Examiner, Settings

    # As the standard profile asks them.
    return Examiner(Settings(only=detectors, threads=1, judge=judge))


def read_records(*scores: str | Path) -> dict[str, Record]:
    """path → record, from files that `measure` wrote.

    Raises:
        InvalidInput: one cannot be read.
    """
    found: dict[str, Record] = {}
    for name in scores:
        try:
            with Path(name).open(encoding="utf-8") as lines:
                for record in map(json.loads, filter(_whole, lines)):
                    earlier = found.setdefault(record["path"], {"said": {}})
                    said = {**earlier["said"], **record["said"]}
                    found[record["path"]] = {**earlier, **record, "said": said}
        except OSError as error:
            raise InvalidInput(f"{name} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise InvalidInput(f"{name} is no file that `bonafide bench measure` wrote") from None
    return found


def _whole(line: str) -> bool:
    """Whether a line is complete; one that was cut off by a kill is measured again."""
    return line.endswith("\n")


def _cut_broken_line(out: Path) -> None:
    if out.exists():
        written = out.read_bytes()
        if not written.endswith(b"\n"):
            with out.open("r+b") as stream:
                stream.truncate(written.rfind(b"\n") + 1)


def _bears_on(file: Labelled, question: Question) -> bool:
    return question.accusation is None or question in file.answers


def _said(finding: Finding, mask: NDArray[np.bool_] | None) -> Record:
    said: Record = {
        "version": finding.version,
        "status": finding.status.value,
        "seconds": round(finding.seconds, 3),
    }
    if finding.status is not Status.OK:
        return said | {"why": finding.why}
    said["score"] = finding.score
    said["facts"] = {
        name: value
        for name, value in finding.facts.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if finding.main.laundered is not None:
        said["laundered"] = finding.main.laundered
    if finding.main.outside:
        said["outside"] = True
    if finding.claim is not None:
        said["claim"] = [finding.claim.label.value, finding.claim.carrier.value]
    if finding.map is not None:
        said |= _on_pixels(finding.map, mask)
    return said


def _on_pixels(found: ScoreMap, mask: NDArray[np.bool_] | None) -> Record:
    said: Record = {"marked": round(found.marked_share, 5)}
    if mask is not None and mask.shape == (found.height, found.width):
        counts = count_pixels(mask, found.enlarge())
        said["f1"] = round(counts.f1, 4)
    return said


def read_mask(path: str | None) -> NDArray[np.bool_] | None:
    """bool H×W of a mask that marks in white; None without one, or where it cannot be read."""
    from bonafide.media.source import open_media

    if path is None:
        return None
    try:
        image = open_media(path).image
        return None if image is None else marked(image.pixels)
    except MediaError:
        return None


def _failed(task: Task, why: str) -> Record:
    said = {
        name: {"version": registry.card(name).version, "status": "failed", "why": why}
        for name in task.detectors
    }
    return {"path": task.path, "container": "", "measured": {}, "said": said, "why": why}
