"""Follow persons from frame to frame, and through cuts.

Between two frames of a shot, a face is the same person where it stays in its place; everywhere,
where its vector is near those of the person. Frames may lie half a second apart or more, so place
alone is not enough, and vectors alone fail on small or turned faces: both are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonafide.regions import Box
from bonafide.signals.heavy import scipy

SAME = 0.36  # cosine from which two faces are one person, the value published for the network
_LEAST_IN_PLACE = 0.1  # cosine that a face needs where it overlaps its place before
_OVERLAP = 0.3


class Tracked(Protocol):
    """What is followed."""

    @property
    def box(self) -> Box:
        """Where it is."""
        ...

    @property
    def vector(self) -> NDArray[np.float32]:
        """Of unit length; near for one person."""
        ...


T = TypeVar("T", bound=Tracked)


def follow(frames: Sequence[Sequence[T]], cuts: Sequence[bool]) -> list[list[T]]:
    """The faces of a video by person.

    Args:
        frames: faces of each frame, in the order of time.
        cuts: whether a shot begins with the frame.

    Returns:
        Persons, each with at most one face per frame.
    """
    tracks: list[list[T]] = []
    places: list[list[int]] = []  # numbers of the frames of each track
    for number, (faces, cut) in enumerate(zip(frames, cuts, strict=True)):
        taken = _assign(faces, tracks, places, number, cut)
        for face, track in zip(faces, taken, strict=True):
            if track is None:
                tracks.append([face])
                places.append([number])
            else:
                tracks[track].append(face)
                places[track].append(number)
    return _joined(tracks, places)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(0, width) * max(0, height)
    return shared / (one.width * one.height + other.width * other.height - shared)


def _assign(
    faces: Sequence[T],
    tracks: Sequence[Sequence[T]],
    places: Sequence[Sequence[int]],
    number: int,
    cut: bool,
) -> list[int | None]:
    """The track that each face goes on with, None for a new one."""
    found: list[int | None] = [None] * len(faces)
    if not faces or not tracks:
        return found
    cosine = np.array([[float(face.vector @ _mean(track)) for track in tracks] for face in faces])
    placed = np.array(
        [
            [
                0.0 if cut or where[-1] != number - 1 else overlap(face.box, track[-1].box)
                for track, where in zip(tracks, places, strict=True)
            ]
            for face in faces
        ]
    )
    possible = (cosine >= SAME) | ((placed >= _OVERLAP) & (cosine >= _LEAST_IN_PLACE))
    worth = np.where(possible, cosine + placed, -1.0)
    rows, columns = scipy.optimize.linear_sum_assignment(-worth)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if possible[row, column]:
            found[row] = column
    return found


def _joined(tracks: list[list[T]], places: list[list[int]]) -> list[list[T]]:
    """Tracks of one person that was lost and found again become one, the nearest first."""
    while True:
        best, pair = SAME, None
        means = [_mean(track) for track in tracks]
        for a in range(len(tracks)):
            for b in range(a + 1, len(tracks)):
                near = float(means[a] @ means[b])
                if near >= best and not set(places[a]) & set(places[b]):
                    best, pair = near, (a, b)
        if pair is None:
            return tracks
        a, b = pair
        order = sorted(zip(places[a] + places[b], tracks[a] + tracks[b], strict=True),
                       key=lambda one: one[0])  # fmt: skip
        places[a], tracks[a] = [n for n, _ in order], [face for _, face in order]
        del places[b], tracks[b]


def _mean(track: Sequence[T]) -> NDArray[np.float32]:
    """The mean vector of a track, of unit length."""
    mean = np.mean([face.vector for face in track], axis=0)
    found: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return found
