"""Two short clips of a face, made on the spot: one as it is, one forged for a part of it.

No package that bonafide needs brings a video. A camera that moves slowly over a photograph makes
one, with noise that is new in every frame. Everything is deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.cli.demo import DemoFile
from bonafide.errors import MissingExtra, WeightsError

GENUINE, FORGED = "14-clip-face.mp4", "15-clip-face-forged.mp4"
RATE = 12  # frames per second
SECONDS = 3.5
FORGED_FROM, FORGED_TO = 1.0, 2.25  # seconds
_SIDE = 448  # pixels of a frame
_NOISE = 2.0  # deviation, 8-bit levels
_FACE = 256  # pixels of the aligned face that is forged
_MARGIN = 1.7
_LOW = 48  # pixels of the aligned face as the forger draws it
_COLOUR = (10.0, -4.0, -6.0)  # 8-bit levels that it adds
_CRF = 20

Pixels = NDArray[np.uint8]


def make_clips(folder: str | Path) -> list[DemoFile] | str:
    """Write a clip of a face, and the same forged from `FORGED_FROM` to `FORGED_TO`.

    Args:
        folder: exists.

    Returns:
        What was made, or why nothing was, one sentence.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    try:
        import skimage.data
    except ImportError:
        raise MissingExtra("demo", "making demonstration pictures") from None
    import av

    folder = Path(folder)
    filmed = _filmed(np.asarray(skimage.data.astronaut(), np.uint8))
    first, last = round(FORGED_FROM * RATE), round(FORGED_TO * RATE)
    try:
        changed = [*filmed[:first], *_forged(filmed[first:last]), *filmed[last:]]
        _write(folder / GENUINE, filmed)
        _write(folder / FORGED, changed)
    except (av.FFmpegError, WeightsError) as error:
        for name in (GENUINE, FORGED):
            (folder / name).unlink(missing_ok=True)
        return f"No clips were made: {error}."
    return [
        DemoFile(
            folder / GENUINE,
            f"A camera moves over a portrait for {SECONDS:g} s.",
            "One person is followed and no stretch of the clip stands out. Frames of a photograph "
            "are weak evidence of a generator here, so that the answer can be inconclusive.",
        ),
        DemoFile(
            folder / FORGED,
            f"The same clip; from {FORGED_FROM:g} to {FORGED_TO:g} s the face was drawn anew at a "
            "low resolution and blended in.",
            "For that time the person has another face than in the rest: the answer is "
            "inconclusive, with the times. No clip is accused of a forged face yet.",
        ),
    ]


def _filmed(photograph: Pixels) -> list[Pixels]:
    """Frames of a camera that pans and comes nearer, uint8 n×448×448×3."""
    import cv2

    random = np.random.default_rng(14)
    count = round(SECONDS * RATE)
    frames = []
    for number in range(count):
        along = number / (count - 1)
        zoom = 1.0 + 0.06 * along
        x = 40 * along + 1.5 * math.sin(9 * along)
        y = 6 + 3 * math.sin(5 * along)
        matrix = np.array([[zoom, 0, -zoom * x], [0, zoom, -zoom * y]])
        seen = cv2.warpAffine(photograph, matrix, (_SIDE, _SIDE), flags=cv2.INTER_CUBIC)
        noisy = seen + random.normal(0, _NOISE, seen.shape)
        frames.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    return frames


def _forged(frames: Sequence[Pixels]) -> list[Pixels]:
    """The largest face of each frame drawn at a low resolution, drifting, and blended in.

    Raises:
        WeightsError: the finder of faces cannot be opened.
    """
    import cv2

    from bonafide.networks.faces import TEMPLATE, align, find_faces, similarity
    from bonafide.train.video_blending import drifts

    target = ((TEMPLATE - 0.5) / _MARGIN + 0.5) * _FACE
    middle = target.mean(0)
    mask = np.zeros((_FACE, _FACE), np.float32)
    apart = target[1, 0] - target[0, 0]
    reach = (round(1.0 * apart), round(1.3 * apart))
    cv2.ellipse(mask, (round(middle[0]), round(middle[1])), reach, 0, 0, 360, 1.0, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 5.0), np.float32)
    moved = drifts(_FACE, _MARGIN, len(frames), np.random.default_rng(14))
    made = []
    for frame, (across, down) in zip(frames, moved, strict=True):
        found = max(find_faces(frame), key=lambda one: one.width, default=None)
        if found is None:
            made.append(frame)
            continue
        face = align(frame, found.landmarks, _FACE, _MARGIN)
        drawn = cv2.resize(face, (_LOW, _LOW), interpolation=cv2.INTER_AREA)
        drawn = cv2.resize(drawn, (_FACE, _FACE), interpolation=cv2.INTER_LINEAR)
        drawn = cv2.remap(drawn, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        matrix = similarity(found.landmarks, target)
        size = (frame.shape[1], frame.shape[0])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpAffine(drawn.astype(np.float32), matrix, size, flags=flags) + _COLOUR
        weight = cv2.warpAffine(mask, matrix, size, flags=flags)[..., None]
        blend = weight * back + (1 - weight) * frame
        made.append(np.clip(np.rint(blend), 0, 255).astype(np.uint8))
    return made


def _write(path: Path, frames: Sequence[Pixels]) -> None:
    """Encode frames as H.264.

    Raises:
        FFmpegError: there is no encoder.
    """
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"crf": str(_CRF)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
