"""Which detectors there are. Built-ins and plugins come in by the same door.

A detector is a module with a `CARD` and a class `Detector`. Built-ins are the files below
`bonafide.detectors`; a plugin names its module under the entry-point group `bonafide.detectors`.
Nothing heavy is imported before `load`. A plugin that cannot be imported, or does not keep the
contract, is listed in `broken` and costs the others nothing.

A detector of pictures whose card says how to pool has a second id, `<id>.frames`, under which it
is asked about the frames of videos (see `bonafide.detectors.lift`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from bonafide import types
from bonafide.errors import InvalidDetector, UnknownDetector

GROUP = "bonafide.detectors"
FRAMES = ".frames"


def ids() -> tuple[str, ...]:
    """Every detector id, built-ins first, each group in alphabetical order; also broken ones."""
    return (*_modules(), *_lifted())


def usable() -> tuple[str, ...]:
    """The ids of the detectors whose card can be read."""
    return tuple(detector for detector in ids() if broken(detector) is None)


def broken(detector: str) -> str | None:
    """Why a detector cannot be used, one sentence; None if it can.

    Raises:
        UnknownDetector: no detector has that id.
    """
    try:
        card(detector)
    except InvalidDetector as error:
        return str(error)
    return None


def card(detector: str) -> types.Card:
    """The card of a detector.

    Raises:
        UnknownDetector: no detector has that id.
        InvalidDetector: its module cannot be imported or does not keep the contract.
    """
    base = detector.removesuffix(FRAMES)
    if base != detector and base in _modules():
        return _lifted_card(detector, card(base))
    found = getattr(module(detector), "CARD", None)
    if not isinstance(found, types.Card) or found.id != detector:
        raise InvalidDetector(f"{detector}: the module must define CARD with id {detector!r}")
    return found


def stub(detector: str) -> types.Card:
    """A card that stands for a detector whose own card cannot be read."""
    return types.Card(
        id=detector, version="unknown", question=types.Question.PROVENANCE, title=detector
    )


def load(detector: str, **options: Any) -> types.Detector:
    """Construct a detector, passing `options` to its constructor.

    Raises:
        UnknownDetector: no detector has that id.
        InvalidDetector: its module cannot be imported or does not keep the contract.
    """
    found = card(detector)
    base = detector.removesuffix(FRAMES)
    if base != detector:
        from bonafide.detectors.lift import Lifted

        return Lifted(load(base, **options), found)
    kind = getattr(module(detector), "Detector", None)
    if kind is None or not callable(getattr(kind, "measure", None)):
        raise InvalidDetector(f"{detector}: the module must define a class Detector with measure()")
    instance: types.Detector = kind(**options)
    return instance


def module(detector: str) -> ModuleType:
    """The imported module of a detector.

    Raises:
        UnknownDetector: no detector has that id.
        InvalidDetector: it cannot be imported.
    """
    modules = _modules()
    if detector not in modules:
        raise UnknownDetector(detector, ids())
    try:
        return import_module(modules[detector])
    except Exception as error:  # a plugin's module may raise anything
        raise InvalidDetector(
            f"{detector}: {modules[detector]} cannot be imported: {type(error).__name__}: {error}"
        ) from error


@cache
def _modules() -> dict[str, str]:
    package = Path(__file__).parent / "detectors"
    files = [path for path in package.glob("*/*.py") if not path.stem.startswith("_")]
    modules = {
        path.stem: f"bonafide.detectors.{path.parent.name}.{path.stem}"
        for path in sorted(files, key=lambda path: path.stem)
    }
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        modules.setdefault(point.name, point.value)
    return modules


def _lifted() -> tuple[str, ...]:
    return tuple(
        f"{detector}{FRAMES}"
        for detector in _modules()
        if broken(detector) is None and card(detector).pool
    )


def _lifted_card(detector: str, base: types.Card) -> types.Card:
    """The card of an image detector asked about frames.

    Raises:
        UnknownDetector: the base declares no way to pool.
    """
    from bonafide.detectors.lift import FACTS

    if not base.pool:
        raise UnknownDetector(detector, ids())
    return replace(
        base,
        id=detector,
        version=f"{base.version}.frames1",
        title=f"{base.title}, frame by frame",
        kinds=(types.Kind.VIDEO,),
        facts={
            **base.facts,
            **FACTS,
        },
        limits=f"{base.limits} Frames are decoded from a video codec, which was not part of its "
        "training.",
    )
