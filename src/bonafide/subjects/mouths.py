"""The mouth of the person who is seen most, frame after frame, for as long as they are in view.

Faces are searched in every third frame, at a small size; the landmarks in between are interpolated,
and smoothed over time, so that the mouth does not move because the landmarks tremble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonafide.media.sampling import Sampling
from bonafide.media.video import VideoTrack
from bonafide.networks.faces import align, find_faces
from bonafide.subjects.faces import LEAST_SIDE, MOST_TURNED, turned

FPS = 25.0  # frames per second that are looked at
SIDE = 48  # pixels of a mouth
EVERY = 3  # frames from one search for faces to the next
_SEARCHED = (400,)  # longer side of a frame as it is searched, pixels
_FACE, _MARGIN = 128, 1.25  # of the aligned face that the mouth is cut out of
_LEFT, _TOP, _CUT = 32, 68, 64  # where: from nose to chin, in pixels of the aligned face
_GAP = 12  # frames without a face over which landmarks are still interpolated
_SMOOTH = np.array([1, 2, 3, 2, 1], float) / 9  # of landmarks, over frames
_LEAST = 25  # frames in a row


@dataclass(frozen=True, eq=False)
class Mouth:
    """One mouth without a break.

    Attributes:
        times: float64 (n,), seconds from the start of the file, rising.
        crops: uint8 n×48×48, grey, from the nose to the chin, upright.
        side: median of the shorter side of the face, pixels.
    """

    times: NDArray[np.float64]
    crops: NDArray[np.uint8] = field(repr=False)
    side: float


def mouths_of(track: VideoTrack, start: float, end: float) -> list[Mouth]:
    """The mouths of the person who is largest in view, from one break to the next.

    Args:
        track: the video.
        start, end: the part of it that is looked at, seconds.

    Raises:
        MediaError: no frame can be decoded.
        WeightsError: the network that finds faces cannot be opened.
    """
    count = max(0, int((end - start) * FPS))
    times = tuple(start + number / FPS for number in range(count))
    seen: list[float] = []
    pictures: list[NDArray[np.uint8]] = []  # of the face, so that no frame is kept
    shifts: list[NDArray[np.float64]] = []
    marks: list[NDArray[np.float64] | None] = []
    sides: list[float] = []
    near: tuple[float, float, float] | None = None  # middle and side of the face, pixels
    for number, frame in enumerate(track.frames(Sampling(times=times, max_kept=count + 1))):
        found = None
        if number % EVERY == 0:
            found = _one(frame.pixels, near)
            marks.append(None if found is None else found[0])
            if found is not None:
                near = found[1]
                sides.append(near[2])
        else:
            marks.append(None)
        part, shift = _around(frame.pixels, near)
        seen.append(frame.seconds)
        pictures.append(part)
        shifts.append(shift)
    if not sides:
        return []
    return list(_unbroken(np.array(seen), pictures, shifts, marks, float(np.median(sides))))


def _one(
    pixels: NDArray[np.uint8], near: tuple[float, float, float] | None
) -> tuple[NDArray[np.float64], tuple[float, float, float]] | None:
    """The landmarks of the face that was followed, or of the largest one."""
    best, most = None, 0.0
    for one in find_faces(pixels, _SEARCHED):
        side = min(one.width, one.height)
        if side < LEAST_SIDE or turned(one.landmarks) > MOST_TURNED:
            continue
        middle = (one.x + one.width / 2, one.y + one.height / 2)
        if near is not None:
            away = np.hypot(middle[0] - near[0], middle[1] - near[1])
            side /= 1 + 4 * away / near[2]
        if side > most:
            best, most = (one.landmarks, (*middle, min(one.width, one.height))), side
    return best


def _around(
    pixels: NDArray[np.uint8], near: tuple[float, float, float] | None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What is around the face, and where it begins, pixels."""
    if near is None:
        return pixels[:1, :1].copy(), np.zeros(2)
    x, y, side = near
    reach = 1.3 * side
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    part = pixels[top : int(y + reach) + 1, left : int(x + reach) + 1]
    return part.copy(), np.array([left, top], float)


def _unbroken(
    times: NDArray[np.float64],
    pictures: Sequence[NDArray[np.uint8]],
    shifts: Sequence[NDArray[np.float64]],
    marks: Sequence[NDArray[np.float64] | None],
    side: float,
) -> list[Mouth]:
    known = [number for number, one in enumerate(marks) if one is not None]
    runs: list[list[int]] = []
    for number in known:
        if runs and number - runs[-1][-1] <= _GAP and _near(marks, runs[-1][-1], number, side):
            runs[-1].append(number)
        else:
            runs.append([number])
    found = []
    for run in runs:
        numbers = np.arange(run[0], run[-1] + 1)
        if len(numbers) < _LEAST:
            continue
        given = np.array([marks[number] for number in run]).reshape(len(run), 10)
        points = np.stack([np.interp(numbers, run, given[:, axis]) for axis in range(10)], 1)
        padded = np.pad(points, ((2, 2), (0, 0)), "edge")
        smooth = np.stack([np.convolve(padded[:, axis], _SMOOTH, "valid") for axis in range(10)], 1)
        crops = [
            _mouth(pictures[number], row.reshape(5, 2) - shifts[number])
            for number, row in zip(numbers.tolist(), smooth, strict=True)
        ]
        found.append(Mouth(times[numbers], np.stack(crops), side))
    return found


def _near(marks: Sequence[NDArray[np.float64] | None], one: int, two: int, side: float) -> bool:
    first, second = marks[one], marks[two]
    assert first is not None and second is not None
    return float(np.hypot(*(first - second).mean(0))) < 0.5 * side


def _mouth(picture: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    from bonafide.signals.heavy import cv2

    face = align(picture, points, _FACE, _MARGIN)
    cut = face[_TOP : _TOP + _CUT, _LEFT : _LEFT + _CUT]
    grey = cv2.cvtColor(np.ascontiguousarray(cut), cv2.COLOR_RGB2GRAY)
    small: NDArray[np.uint8] = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small
