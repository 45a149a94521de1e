"""Persons are followed by place and by vector, also through cuts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.regions import Box
from bonafide.subjects.shots import distance, split, thumbnail
from bonafide.subjects.tracking import follow, overlap

RANDOM = np.random.default_rng(3)


@dataclass(frozen=True, eq=False)
class Seen:
    name: str
    box: Box
    vector: NDArray[np.float32]


def unit(vector: NDArray[np.float64]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


PERSONS = {name: unit(RANDOM.normal(size=128)) for name in "abc"}


def seen(name: str, x: int, near: float = 1.0) -> Seen:
    noise = unit(RANDOM.normal(size=128))
    return Seen(name, Box(x, 0, 50, 60), unit(near * PERSONS[name] + 0.5 * noise))


def names(tracks: list[list[Seen]]) -> list[str]:
    return sorted("".join(one.name for one in track) for track in tracks)


def test_two_who_change_places_at_a_cut_keep_their_identity() -> None:
    before = [[seen("a", 0), seen("b", 200)] for _ in range(4)]
    after = [[seen("b", 0), seen("a", 200)] for _ in range(4)]
    cuts = [True, False, False, False, True, False, False, False]
    assert names(follow(before + after, cuts)) == ["aaaaaaaa", "bbbbbbbb"]


def test_someone_who_leaves_and_comes_back_is_the_same_person() -> None:
    frames = [[seen("a", 0)], [seen("a", 5), seen("b", 200)], [], [seen("a", 300)]]
    assert names(follow(frames, [True, False, False, True])) == ["aaa", "b"]


def test_a_face_that_stays_in_its_place_is_followed_though_its_vector_is_poor() -> None:
    frames = [[seen("a", 0)], [seen("a", 3, near=0.12)], [seen("a", 6)]]
    assert names(follow(frames, [True, False, False])) == ["aaa"]


def test_two_faces_of_one_frame_are_never_one_person() -> None:
    twins = [[seen("a", 0), seen("a", 200)] for _ in range(3)]
    assert all(len(track) == 3 for track in follow(twins, [True, False, False]))


def test_nobody_at_all() -> None:
    assert follow([[], []], [True, False]) == []


def test_overlap_is_a_share() -> None:
    assert overlap(Box(0, 0, 10, 10), Box(0, 0, 10, 10)) == 1.0
    assert overlap(Box(0, 0, 10, 10), Box(20, 0, 10, 10)) == 0.0
    assert overlap(Box(0, 0, 10, 10), Box(5, 0, 10, 10)) == 50 / 150


def test_a_cut_is_found_and_a_moving_frame_is_none() -> None:
    from skimage import data

    coffee, cat = data.coffee(), data.chelsea()
    frames = [np.roll(coffee, 4 * step, axis=1) for step in range(4)]
    frames += [np.roll(cat, 4 * step, axis=1) for step in range(4)]
    small = [thumbnail(frame) for frame in frames]
    assert distance(small[0], small[0]) < 1e-6
    shots = split([0.5 * step for step in range(8)], small)
    assert [(shot.start, shot.end) for shot in shots] == [(0.0, 1.5), (2.0, 3.5)]
    assert split([], []) == ()
