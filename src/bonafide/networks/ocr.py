"""Reads text in pictures, by the networks that the package rapidocr ships; nothing is fetched."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import MissingExtra
from bonafide.regions import Box
from bonafide.signals.heavy import cv2

LONGEST = 1_600  # pixels of a side of the picture that is read; larger ones are reduced
LEAST_SIDE = 16  # pixels
MOST_LINES = 60  # that are read, so that a page of small print costs a bounded time
LEAST_CONFIDENCE = 0.6
LONGEST_LINE = 200  # characters
_lock = threading.Lock()  # the engine keeps state between its steps


@dataclass(frozen=True)
class Line:
    """A line of text in a picture.

    Attributes:
        text: as read, at most `LONGEST_LINE` characters; it is data of the file.
        confidence: of the reader, in [0, 1].
        box: in pixels of the picture.
    """

    text: str
    confidence: float
    box: Box


def read_lines(pixels: NDArray[np.uint8]) -> list[Line]:
    """The lines of text in a picture, from top to bottom.

    Args:
        pixels: uint8 H×W×3, RGB.

    Returns:
        At most `MOST_LINES`, those that were read with some confidence.

    Raises:
        MissingExtra: the package rapidocr is not installed.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < LEAST_SIDE:
        return []
    scale = min(1.0, LONGEST / max(height, width))
    size = max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale))
    small = pixels if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    with _lock:
        found = _engine()(np.ascontiguousarray(small[:, :, ::-1]))
    if found.boxes is None or found.txts is None or found.scores is None:
        return []
    lines = [
        Line(str(text)[:LONGEST_LINE], round(float(score), 4), _box(corners, scale, width, height))
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        if score >= LEAST_CONFIDENCE and str(text).strip()
    ]
    return lines[:MOST_LINES]


def _box(corners: Any, scale: float, width: int, height: int) -> Box:
    points = np.asarray(corners, np.float64) / scale
    left, top = (int(max(0, edge)) for edge in points.min(axis=0))
    right, bottom = (int(np.ceil(edge)) for edge in points.max(axis=0))
    left, top = min(left, width - 1), min(top, height - 1)
    return Box(left, top, max(1, min(right, width) - left), max(1, min(bottom, height) - top))


@cache
def _engine() -> Any:
    try:
        from rapidocr import RapidOCR
    except ImportError:
        raise MissingExtra("caption", "reading text in pictures") from None
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.max_candidates": MOST_LINES,
            "Global.text_score": LEAST_CONFIDENCE,
        }
    )
