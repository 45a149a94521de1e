"""What the tools of `bonafide mcp` do with a file, in a process that can be stopped."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.batch import workers
from bonafide.errors import BonafideError, MediaError
from bonafide.examination import Settings, examine
from bonafide.explain import words
from bonafide.media.source import open_media
from bonafide.report import preview, provenance
from bonafide.report.to_dict import to_dict
from bonafide.types import Question, Report, ScoreMap

LONGEST = 768  # of a picture in a result, pixels
MOST_PICTURES = 4


class ToolTrouble(BonafideError):
    """A tool cannot do what was asked; the message is for the model that asked."""


@dataclass(frozen=True)
class Task:
    """What a tool asks of one or two files.

    Attributes:
        tool: "examine", "report", "provenance", "detect" or "compare".
        paths: inside the folder that is served.
        settings: how to examine.
        pictures: whether maps come back as pictures.
    """

    tool: str
    paths: tuple[str, ...]
    settings: Settings
    pictures: bool = True


@dataclass(frozen=True)
class Result:
    """What comes back: JSON values, and pictures with what each shows."""

    record: dict[str, Any]
    pictures: tuple[tuple[str, bytes], ...] = ()
    trouble: str = ""


def resolve(folder: Path, path: str) -> Path:
    """A file below a folder, links followed.

    Raises:
        ToolTrouble: it is an address, lies elsewhere, or is no file.
    """
    if "://" in path or "\0" in path or len(path) > 1024:
        raise ToolTrouble("give the path of a file below the served folder, not an address")
    try:
        found = (folder / path).resolve()
    except (OSError, RuntimeError, ValueError):
        raise ToolTrouble("that is no path") from None
    # The same words for a file elsewhere and for none, so that nothing is told of other files.
    if not found.is_relative_to(folder.resolve()) or not found.is_file():
        raise ToolTrouble("there is no such file below the served folder")
    return found


def run(task: Task) -> Result:
    """Do it in a process of its own, within `task.settings.limits`.

    Raises:
        ToolTrouble: a file cannot be read, or takes too long.
    """
    seconds = task.settings.limits.seconds
    ((_, done),) = workers.run(perform, [task], 1, seconds)
    if isinstance(done, workers.Lost):
        why = f"it took more than {seconds:g} seconds" if done.timed_out else "its decoder crashed"
        raise ToolTrouble(f"the file could not be examined: {why}")
    if done.trouble:
        raise ToolTrouble(done.trouble)
    return done


def perform(task: Task) -> Result:
    """Do it in this process; trouble with a file is a result."""
    try:
        if task.tool == "compare":
            return _compare(task)
        media = open_media(task.paths[0], Path(task.paths[0]).name, task.settings.limits)
        report = examine(media, task.settings)
    except MediaError as error:
        return Result({}, trouble=f"the file cannot be read: {error.why}")
    except BonafideError as error:
        return Result({}, trouble=str(error))
    pixels = media.image.pixels if media.image is not None else None
    pictures = tuple(_pictures(report, pixels)) if task.pictures and pixels is not None else ()
    return Result(_record(task.tool, report), pictures)


def _record(tool: str, report: Report) -> dict[str, Any]:
    whole = to_dict(report)
    whole["media"]["path"] = None
    if tool == "report":
        said = words.statements(
            report.media, report.findings, report.verdict, report.stability, report.edits
        )
        return {
            "verdict": whole["verdict"],
            "statements": [{"text": one.text, "cites": list(one.cites)} for one in said],
        }
    if tool == "detect":
        return {"findings": whole["findings"]}
    if tool == "provenance":
        return {
            "claims": [
                finding
                for finding in whole["findings"]
                if finding["question"] == Question.PROVENANCE.value
            ],
            "history": [vars(event) for event in provenance.timeline(report.findings)],
            "note": provenance.NOTHING_PROVED,
        }
    return whole


def _pictures(report: Report, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, bytes]]:
    """The picture under the joint map, and under the maps that mark something."""
    maps: list[tuple[str, ScoreMap]] = []
    if report.edits is not None and report.edits.map is not None and report.edits.regions:
        maps.append(("where it was edited, all maps together", report.edits.map))
    maps += [
        (words.title(finding.detector), finding.map)
        for finding in report.findings
        if finding.map is not None and finding.map.peak >= preview.MARKED
    ]
    for name, one in maps[:MOST_PICTURES]:
        yield name, _under(pixels, preview.overlay(preview.sample(one, LONGEST)).data)


def _under(pixels: NDArray[np.uint8], overlay: bytes) -> bytes:
    with Pillow.open(io.BytesIO(overlay)) as opened:
        above = opened.convert("RGBA")
    below = Pillow.fromarray(pixels).resize(above.size).convert("RGBA")
    buffer = io.BytesIO()
    Pillow.alpha_composite(below, above).convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _compare(task: Task) -> Result:
    from bonafide.comparison.compare import compare
    from bonafide.report.comparison_dict import comparison_dict
    from bonafide.report.comparison_map import heatmap

    limits = task.settings.limits
    one, other = (open_media(path, Path(path).name, limits) for path in task.paths)
    found = compare(one, other, limits)
    changed, pictures = heatmap(found), ()
    if task.pictures and changed is not None and other.image is not None:
        height, width = changed.shape
        if (height, width) == other.image.pixels.shape[:2]:
            shown = preview.sample(ScoreMap(changed, 1, width, height), LONGEST)
            picture = _under(other.image.pixels, preview.overlay(shown).data)
            return Result(comparison_dict(found), (("what was changed", picture),))
    return Result(comparison_dict(found), pictures)
