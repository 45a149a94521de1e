"""Which detectors there are. Built-ins and plugins come in by the same door.

A detector is a module with a `CARD` and a class `Detector`. Built-ins are the files of
`bonafide.detectors`; a plugin names its module under the entry-point group
`bonafide.detectors`. Nothing heavy is imported before `load`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from bonafide import types
from bonafide.errors import InvalidDetector, UnknownDetector

GROUP = "bonafide.detectors"


def ids() -> tuple[str, ...]:
    """Every detector id, built-ins first, each group in alphabetical order."""
    return tuple(_modules())


def card(detector: str) -> types.Card:
    """The card of a detector.

    Raises:
        UnknownDetector: no detector has that id.
        InvalidDetector: its module does not keep the contract.
    """
    found = getattr(module(detector), "CARD", None)
    if not isinstance(found, types.Card) or found.id != detector:
        raise InvalidDetector(f"{detector}: the module must define CARD with id {detector!r}")
    return found


def load(detector: str, **options: Any) -> types.Detector:
    """Construct a detector, passing `options` to its constructor.

    Raises:
        UnknownDetector: no detector has that id.
        InvalidDetector: its module does not keep the contract.
    """
    card(detector)
    kind = getattr(module(detector), "Detector", None)
    if kind is None:
        raise InvalidDetector(f"{detector}: the module must define a class Detector")
    instance: types.Detector = kind(**options)
    return instance


def module(detector: str) -> ModuleType:
    """The imported module of a detector.

    Raises:
        UnknownDetector: no detector has that id.
    """
    modules = _modules()
    if detector not in modules:
        raise UnknownDetector(detector, tuple(modules))
    return import_module(modules[detector])


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
