"""From photographs to an enrolled person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import InvalidInput, MediaError
from bonafide.media.context import Context
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.persons import store
from bonafide.subjects.faces import FACES
from bonafide.subjects.tracking import SAME

MOST_PHOTOGRAPHS = 50


@dataclass(frozen=True)
class Enrolled:
    """What became of photographs.

    Attributes:
        person: as it is kept.
        skipped: path of a photograph → why it was not used.
    """

    person: store.Person
    skipped: Mapping[str, str]


def enrol(name: str, photographs: Iterable[str], replace: bool, limits: Limits) -> Enrolled:
    """Learn a face from photographs.

    Args:
        name: of the person.
        photographs: paths; at most `MOST_PHOTOGRAPHS` are used.
        replace: whether a person of the same name may be overwritten.
        limits: on what is decoded.

    Raises:
        InvalidInput: no photograph can be used, or the name cannot.
        WeightsError: a network cannot be opened.
        OSError: a folder cannot be written.
    """
    store.slug(name)  # before any work
    vectors: dict[str, NDArray[np.float32]] = {}
    skipped: dict[str, str] = {}
    for path in photographs:
        if len(vectors) >= MOST_PHOTOGRAPHS:
            skipped[str(path)] = f"{MOST_PHOTOGRAPHS} photographs are the most"
            continue
        try:
            vectors[str(path)] = _vector(path, limits)
        except (MediaError, InvalidInput) as error:
            skipped[str(path)] = getattr(error, "why", str(error))
    others = _others(vectors)
    skipped |= dict.fromkeys(others, "it shows another person than most do")
    used = [vector for path, vector in vectors.items() if path not in others]
    if not used:
        why = next(iter(skipped.values()), "none was given")
        raise InvalidInput(f"no photograph of {name} can be used: {why}")
    return Enrolled(store.keep(name, used, replace), skipped)


def _vector(path: str, limits: Limits) -> NDArray[np.float32]:
    media = open_media(path, limits=limits)
    if media.image is None:
        raise InvalidInput("it is no picture")
    faces = Context(media).get(FACES)
    if not faces.tracks:
        raise InvalidInput(faces.why_none)
    if len(faces.tracks) > 1:
        raise InvalidInput(f"it shows {len(faces.tracks)} faces")
    return faces.tracks[0].faces[0].vector


def _others(vectors: Mapping[str, NDArray[np.float32]]) -> set[str]:
    """Photographs that are like fewer than half of the rest."""
    paths, rows = list(vectors), np.array(list(vectors.values()))
    if len(paths) < 3:
        if len(paths) == 2 and float(rows[0] @ rows[1]) < SAME:
            raise InvalidInput("the two photographs show different persons: give a third")
        return set()
    alike = (rows @ rows.T >= SAME).sum(1) - 1
    return {path for path, count in zip(paths, alike, strict=True) if 2 * count < len(paths) - 1}
