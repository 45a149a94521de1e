"""The tools with which a model may look closer at a file, each call in a process of its own.

`detect` asks one detector, `provenance` all that read where a file comes from, `numbers` measures a
part of the picture. `zoom`, `residual` and `spectrum` return pictures, and are offered only where
pictures may be sent.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide import registry
from bonafide.batch import workers
from bonafide.errors import BonafideError, InvalidInput, MediaError
from bonafide.examination import Settings, examine
from bonafide.explain.agent import Result, Tool
from bonafide.explain.sending import Picture
from bonafide.media.source import open_media
from bonafide.report.to_dict import to_dict
from bonafide.signals.residual import residual
from bonafide.signals.spectrum import periodogram
from bonafide.types import Question, Step

LARGEST = 768  # side of a part that is looked at, pixels
SMALLEST = 16
_BOX = ("x", "y", "width", "height")
_WORDS = (
    Tool("detect", "ask one detector again and see all that it measured", ("detector",)),
    Tool("provenance", "what the file declares about its origin"),
    Tool("numbers", "brightness, contrast and noise of a part beside those of the rest", _BOX),
)
_SIGHTS = (
    Tool("zoom", f"see a part as it is, at most {LARGEST} pixels a side", _BOX),
    Tool("residual", "see the noise of a part, without its content", _BOX),
    Tool("spectrum", "see the spectrum of a part; regular dots are traces of enlarging", _BOX),
)


@dataclass(frozen=True)
class Task:
    """One call.

    Attributes:
        tool: its name.
        arguments: as they were checked.
        path: of the file.
        settings: limits, and what was asked for in the examination.
    """

    tool: str
    arguments: Mapping[str, Any]
    path: str
    settings: Settings


@dataclass(frozen=True)
class Instruments:
    """The tools for one file.

    Attributes:
        path: of the file.
        settings: as it was examined.
        pictures: whether pictures may be sent.
        detectors: that may be asked; all that are installed by default.
    """

    path: str
    settings: Settings
    pictures: bool = False
    detectors: tuple[str, ...] = field(default_factory=lambda: tuple(registry.ids()))

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What may be called."""
        return _WORDS + (_SIGHTS if self.pictures else ())

    @property
    def arguments(self) -> Mapping[str, Mapping[str, Any]]:
        """JSON schema of every argument."""
        whole = {name: {"type": "integer"} for name in _BOX}
        return {"detector": {"type": "string", "enum": list(self.detectors)}, **whole}

    def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Do it in a process of its own, within the limits of the examination."""
        seconds = self.settings.limits.seconds
        task = Task(name, dict(arguments), self.path, replace(self.settings, threads=1))
        ((_, done),) = workers.run(_CALL, [task], 1, seconds)
        if isinstance(done, workers.Lost):
            return Result(trouble="it took too long" if done.timed_out else "the decoder crashed")
        return done


def replay(
    path: str, settings: Settings, steps: Iterable[Step]
) -> Sequence[tuple[Step, Result, bool]]:
    """Make the calls of a trajectory again.

    Returns:
        Each step with its result now, and whether the digests are equal.
    """
    instruments = Instruments(path, settings, True)
    found = []
    known = {tool.name for tool in instruments.tools}
    for step in steps:
        if step.tool in known and not step.trouble:
            result = instruments.call(step.tool, step.arguments)
        else:  # what could not be called then
            result = Result(trouble=step.summary)
        found.append((step, result, result.digest == step.digest))
    return found


def perform(task: Task) -> Result:
    """Do it in this process."""
    try:
        if task.tool in ("detect", "provenance"):
            return _asked(task)
        media = open_media(task.path, Path(task.path).name, task.settings.limits)
        if media.image is None:
            return Result(trouble="the file is no picture")
        return _measured(task, media.image.pixels)
    except MediaError as error:
        return Result(trouble=f"the file cannot be read: {error.why}")
    except BonafideError as error:
        return Result(trouble=str(error))


def _asked(task: Task) -> Result:
    if task.tool == "detect":
        only: tuple[str, ...] = (str(task.arguments["detector"]),)
    else:
        only = tuple(
            name for name in registry.ids() if registry.card(name).question is Question.PROVENANCE
        )
    media = open_media(task.path, Path(task.path).name, task.settings.limits)
    findings = to_dict(examine(media, replace(task.settings, only=only)))["findings"]
    return Result({"findings": [_brief(one) for one in findings]})


def _brief(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A finding without what differs between two runs, and without what makes it long."""
    kept = {name: finding[name] for name in ("detector", "question", "status", "why", "summary")}
    parts = [
        {name: part[name] for name in ("score", "summary", "facts", "regions", "calibrated")}
        for part in finding["parts"][:8]
    ]
    return {**kept, "parts": parts}


def _measured(task: Task, pixels: NDArray[np.uint8]) -> Result:
    height, width = pixels.shape[:2]
    left, top, wide, high = (int(task.arguments[name]) for name in _BOX)
    right, bottom = min(width, left + wide), min(height, top + high)
    left, top = max(0, left), max(0, top)
    if min(right - left, bottom - top) < SMALLEST or max(right - left, bottom - top) > LARGEST:
        told = f"a part has {SMALLEST} to {LARGEST} pixels a side"
        return Result(trouble=f"{told}, inside {width} × {height}")
    where = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    part = pixels[top:bottom, left:right]
    if task.tool == "zoom":
        return Result(where, (_picture("zoom", part),))
    luma = part.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    noise = residual(luma)
    if task.tool == "residual":
        shown = np.clip(128 + 16 * noise, 0, 255).astype(np.uint8)
        return Result(where, (_picture("residual", shown),))
    if task.tool == "spectrum":
        side = min(luma.shape) // 2 * 2
        power = np.log1p(periodogram(np.ascontiguousarray(luma[:side, :side])))
        span = float(power.max() - power.min()) or 1.0
        shown = np.rint(255 * (power - power.min()) / span).astype(np.uint8)
        return Result(where, (_picture("spectrum", shown),))
    rest = pixels[::4, ::4].astype(np.float32).mean(axis=2)
    values = {
        "mean": float(luma.mean()),
        "contrast": float(luma.std()),
        "noise": float(np.median(np.abs(noise)) / 0.6745),
        "mean_of_the_whole": float(rest.mean()),
        "contrast_of_the_whole": float(rest.std()),
    }
    return Result({**where, **values})


def _picture(name: str, pixels: NDArray[np.uint8]) -> Picture:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return Picture(name, buffer.getvalue(), "image/png", pixels.shape[1], pixels.shape[0])


def _told(task: Task) -> dict[str, Any]:
    done = perform(task)
    pictures = [
        {**vars(one), "data": base64.b64encode(one.data).decode("ascii")} for one in done.pictures
    ]
    return {"record": dict(done.record), "trouble": done.trouble, "pictures": pictures}


def _heard(task: Task, values: Any) -> Result:
    """What `_told` wrote, from a process that a hostile file may have taken over.

    Raises:
        InvalidInput: it is no result.
    """
    del task
    try:
        record, trouble = values["record"], values["trouble"]
        if not isinstance(record, dict) or not isinstance(trouble, str):
            raise TypeError("record")
        pictures = tuple(
            Picture(
                str(one["name"])[:40],
                base64.b64decode(one["data"], validate=True),
                "image/png",
                int(one["width"]),
                int(one["height"]),
            )
            for one in values["pictures"][:2]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"this is no result of a tool: {type(error).__name__}") from None
    return Result(record, pictures, trouble[:400])


_CALL = workers.InJson(_told, _heard)
