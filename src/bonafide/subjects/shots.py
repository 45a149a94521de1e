"""Where a video cuts: a bounded measure on the frames that are looked at anyway.

Two neighbouring frames belong to different shots where their small grey pictures differ nearly
everywhere, or their colours are distributed differently. Frames half a second apart within one shot
differ where something moves; frames of two shots differ in layout and in colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.heavy import cv2

_SIDE = 16  # of the small picture
_BINS = 4  # of each colour channel
_LEAST = 0.3  # distance from which two frames are of different shots

Thumbnail = NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """One shot, by the frames that were looked at.

    Attributes:
        start, end: times of its first and last frame, seconds.
    """

    start: float
    end: float


def thumbnail(pixels: NDArray[np.uint8]) -> Thumbnail:
    """What of a frame is compared: a small grey picture and a histogram of colours.

    Args:
        pixels: uint8 H×W×3, RGB.

    Returns:
        float32 (320,): 16×16 luma in [0, 1], then 64 shares of colours.
    """
    small = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA)
    luma = cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).mean(2) / 255
    colours = (small // (256 // _BINS)).reshape(-1, 3).astype(np.int64) @ [_BINS**2, _BINS, 1]
    shares = np.bincount(colours, minlength=_BINS**3) / len(colours)
    return np.concatenate([luma.ravel(), shares]).astype(np.float32)


def distance(one: Thumbnail, other: Thumbnail) -> float:
    """How far two frames are apart, in [0, 1]: mean of the difference in layout and in colour."""
    cells = _SIDE**2
    a, b = one[:cells] - one[:cells].mean(), other[:cells] - other[:cells].mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    layout = 0.5 - 0.5 * float(a @ b) / scale if scale > 1e-6 else 0.0
    colour = 0.5 * float(np.abs(one[cells:] - other[cells:]).sum())
    return 0.5 * (min(1.0, 2.0 * layout) + colour)


def split(times: Sequence[float], thumbnails: Sequence[Thumbnail]) -> tuple[Shot, ...]:
    """The shots of a video.

    Args:
        times: of the frames, seconds, rising.
        thumbnails: of the same frames.

    Returns:
        In the order of time; () without frames.
    """
    if not times:
        return ()
    cuts = [
        number
        for number in range(1, len(times))
        if distance(thumbnails[number - 1], thumbnails[number]) >= _LEAST
    ]
    edges = [0, *cuts, len(times)]
    return tuple(Shot(times[first], times[last - 1]) for first, last in pairwise(edges))
