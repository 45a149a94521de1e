"""Faces of a picture, or of the frames of a video, followed as persons.

A bounded number of frames is looked at, spread over the length; of each, a bounded number of faces
is kept. Faces of one person become a track, also through cuts. Persons are named "person 1",
"person 2"… from left to right; in a video those who are seen most come first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonafide.media.context import Context, Signal
from bonafide.media.sampling import Sampling
from bonafide.networks.faces import SIDES, Found, align, embed, find_faces
from bonafide.regions import Box
from bonafide.signals.heavy import cv2
from bonafide.subjects.shots import Shot, split, thumbnail
from bonafide.subjects.tracking import follow

FRAMES = 24  # of a video that are looked at
CROP_SIDE = 256  # pixels of an aligned face as detectors read it
CROP_MARGIN = 1.7  # how much wider it reaches than the recogniser's crop: hair, ears and chin
MOST_FACES = 8  # of one frame, the largest
LEAST_SIDE = 32  # pixels of the shorter side of a face's box
MOST_TURNED = 0.75  # of `Face.turned`
VIEW = 2.7  # how much wider than the face the pixels reach that are kept of it
LONGEST_VIEW = 512  # pixels

TINY = f"smaller than {LEAST_SIDE} pixels"
PROFILE = "turned to the side"


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one picture or frame.

    Attributes:
        seconds: when; 0.0 in a picture.
        box: in pixels of the picture.
        landmarks: float64 5×2, pixels of the picture: eyes, tip of the nose, corners of the mouth.
        confidence: of the finder, in [0, 1].
        sharpness: standard deviation of the Laplacian of the aligned face [8-bit levels].
        turned: how far the nose lies from the middle of the eyes, as a share of their distance;
            0 from the front, about 1 in profile.
        vector: float32 (128,), of unit length, tells persons apart.
        view: uint8 h×w×3, the face and what is around it, shrunk to `LONGEST_VIEW` if larger.
        left, top: where the view begins in the picture, pixels.
        scale: pixels of the view per pixel of the picture.
    """

    seconds: float
    box: Box
    landmarks: NDArray[np.float64]
    confidence: float
    sharpness: float
    turned: float
    vector: NDArray[np.float32] = field(repr=False)
    view: NDArray[np.uint8] = field(repr=False)
    left: int
    top: int
    scale: float

    @property
    def side(self) -> int:
        """The shorter side of its box, pixels."""
        return min(self.box.width, self.box.height)

    def aligned(self, side: int, margin: float) -> NDArray[np.uint8]:
        """The face upright, uint8 side×side×3; see `networks.faces.align`."""
        return align(self.view, self.in_view(self.landmarks), side, margin)

    def in_view(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points n×2 of the picture in pixels of the view."""
        return (points - [self.left, self.top]) * self.scale


@dataclass(frozen=True)
class FaceTrack:
    """One person, followed through the media.

    Attributes:
        subject: "person 1".
        faces: in the order of time.
    """

    subject: str
    faces: tuple[Face, ...]

    @property
    def best(self) -> Face:
        """The face to show: large, sharp, from the front."""
        return max(self.faces, key=lambda face: face.side * face.confidence * (1.5 - face.turned))

    @property
    def vector(self) -> NDArray[np.float32]:
        """Mean of the vectors of its faces, float32 (128,) of unit length."""
        mean = np.mean([face.vector for face in self.faces], axis=0)
        unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return unit


@dataclass(frozen=True)
class Faces:
    """All faces of a media.

    Attributes:
        tracks: persons in the order of their names.
        times: of the frames that were looked at, seconds; (0.0,) of a picture.
        shots: of the video; () of a picture.
        passed_over: why a face was not kept → how many.
    """

    tracks: tuple[FaceTrack, ...]
    times: tuple[float, ...]
    shots: tuple[Shot, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def why_none(self) -> str:
        """Why there is no track, one sentence."""
        where = "in the picture" if not self.shots else f"in {len(self.times)} frames"
        if not self.passed_over:
            return f"no face was found {where}"
        reasons = " and ".join(f"{count} {why}" for why, count in self.passed_over.items())
        return f"the faces that were found {where} cannot be judged: {reasons}"


def face_crop(face: Face) -> NDArray[np.uint8]:
    """A face as detectors read it: upright, uint8 256×256×3."""
    return face.aligned(CROP_SIDE, CROP_MARGIN)


def scene(face: Face, side: int) -> NDArray[np.uint8]:
    """A face with what is around it, uint8 side×side×3; short sides continue their border."""
    height, width = face.view.shape[:2]
    down, across = max(0, width - height), max(0, height - width)
    square = cv2.copyMakeBorder(
        face.view, down // 2, down - down // 2, across // 2, across - across // 2,
        cv2.BORDER_REPLICATE,
    )  # fmt: skip
    found: NDArray[np.uint8] = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    return found


def faces_of(ctx: Context, frames: int = FRAMES, seconds: float = math.inf) -> Faces:
    """The faces of a picture, or of the frames of a video.

    Args:
        ctx: of the media.
        frames: of a video that are looked at.
        seconds: length of the part of a video that is looked at, from its start.

    Raises:
        MediaError: the picture, or every frame, cannot be decoded.
        WeightsError: a network cannot be opened.
    """
    passed: Counter[str] = Counter()
    if ctx.media.image is not None:
        found = list(_faces(ctx.image.pixels, 0.0, passed))
        return Faces(_named([[face] for face in found], 1), (0.0,), (), dict(passed))
    track = ctx.video
    seen: list[list[Face]] = []
    times, thumbnails = [], []
    for frame in track.frames(sampling(min(track.duration, seconds), frames)):
        times.append(frame.seconds)
        thumbnails.append(thumbnail(frame.pixels))
        seen.append(list(_faces(frame.pixels, frame.seconds, passed)))
    shots = split(times, thumbnails)
    starts = {shot.start for shot in shots}
    cuts = [time in starts for time in times]
    return Faces(_named(follow(seen, cuts), len(times)), tuple(times), shots, dict(passed))


FACES: Signal[Faces] = Signal("faces", "1", faces_of)
"""The faces of a media as tracks; raises `MediaError` and `WeightsError`."""


def sampling(duration: float, frames: int = FRAMES) -> Sampling:
    """Which frames of a video are looked at, by its duration in seconds; 0.0 for unknown."""
    if duration <= 0:
        return Sampling(fps=2.0, max_kept=frames)
    return Sampling.spread(duration, frames)


def _faces(pixels: NDArray[np.uint8], seconds: float, passed: Counter[str]) -> Iterator[Face]:
    """The faces of one picture that can be judged, the largest first; counts the others."""
    found = sorted(find_faces(pixels, SIDES), key=lambda one: -min(one.width, one.height))
    kept: list[Found] = []
    for one in found:
        if min(one.width, one.height) < LEAST_SIDE:
            passed[TINY] += 1
        elif turned(one.landmarks) > MOST_TURNED:
            passed[PROFILE] += 1
        elif len(kept) >= MOST_FACES:
            passed[f"beyond the {MOST_FACES} largest of a frame"] += 1
        else:
            kept.append(one)
    if kept:
        aligned = np.stack([align(*_near(pixels, one)) for one in kept])
        vectors = embed(aligned)
        for one, crop, vector in zip(kept, aligned, vectors, strict=True):
            yield _face(pixels, seconds, one, crop, vector)


def _face(
    pixels: NDArray[np.uint8],
    seconds: float,
    found: Found,
    crop: NDArray[np.uint8],
    vector: NDArray[np.float32],
) -> Face:
    height, width = pixels.shape[:2]
    side = VIEW * max(found.width, found.height)
    middle_x, middle_y = found.x + found.width / 2, found.y + found.height / 2
    left, top = max(0, int(middle_x - side / 2)), max(0, int(middle_y - side / 2))
    right, bottom = (
        min(width, int(middle_x + side / 2) + 1),
        min(height, int(middle_y + side / 2) + 1),
    )
    view = pixels[top:bottom, left:right]
    scale = min(1.0, LONGEST_VIEW / max(view.shape[:2]))
    if scale < 1.0:
        size = (max(1, round(view.shape[1] * scale)), max(1, round(view.shape[0] * scale)))
        view = cv2.resize(view, size, interpolation=cv2.INTER_AREA)
    x, y = max(0, round(found.x)), max(0, round(found.y))
    box = Box(
        x,
        y,
        max(1, min(width - x, round(found.width))),
        max(1, min(height - y, round(found.height))),
    )
    return Face(
        seconds=seconds,
        box=box,
        landmarks=found.landmarks,
        confidence=found.confidence,
        sharpness=float(cv2.Laplacian(crop.mean(2).astype(np.float32), cv2.CV_32F).std()),
        turned=turned(found.landmarks),
        vector=vector,
        view=np.ascontiguousarray(view).copy(),  # a slice would keep the whole frame in memory
        left=left,
        top=top,
        scale=scale,
    )


def _near(pixels: NDArray[np.uint8], found: Found) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of a picture around a face, and its landmarks in it."""
    height, width = pixels.shape[:2]
    reach = max(found.width, found.height)
    left, top = max(0, int(found.x - reach)), max(0, int(found.y - reach))
    right = min(width, int(found.x + found.width + reach) + 1)
    bottom = min(height, int(found.y + found.height + reach) + 1)
    if right <= left or bottom <= top:
        return pixels, found.landmarks
    return pixels[top:bottom, left:right], found.landmarks - [left, top]


def turned(landmarks: NDArray[np.float64]) -> float:
    """How far a face is turned to the side, see `Face.turned`."""
    eyes = landmarks[1] - landmarks[0]
    apart = max(float(np.hypot(*eyes)), 1e-6)
    along = float((landmarks[2] - landmarks[:2].mean(0)) @ eyes) / apart
    return abs(along) / apart


def _named(tracks: Iterable[list[Face]], frames: int) -> tuple[FaceTrack, ...]:
    """Tracks by name: those seen most first, in steps of a quarter, each step left to right."""

    def order(faces: list[Face]) -> tuple[float, float]:
        middle = float(np.mean([face.box.x + face.box.width / 2 for face in faces]))
        return -round(4 * len(faces) / frames), middle

    return tuple(
        FaceTrack(f"person {number}", tuple(faces))
        for number, faces in enumerate(sorted(tracks, key=order), 1)
    )
