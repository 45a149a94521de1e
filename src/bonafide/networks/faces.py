"""Faces in a picture, with five landmarks, and a vector that tells persons apart.

YuNet finds faces; OpenCV runs it. SFace turns an aligned face into 128 numbers whose cosine is high
for pictures of one person. `bonafide probe faces` makes both files.

Sources: W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine
Intelligence Research 20, 2023 (weights: MIT); Y. Zhong, W. Deng et al., "SFace: Sigmoid-Constrained
Hypersphere Loss for Robust Face Recognition", IEEE TIP 30, 2021 (weights: Apache-2.0); alignment:
S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
IEEE TPAMI 13, 1991.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.networks import runtime
from bonafide.signals.heavy import cv2

FINDER, RECOGNISER = "yunet", "sface"
SIDES = (640, 1280, 256)  # longer side of the picture that is searched, tried in turn
LEAST_CONFIDENCE = 0.7
_OVERLAP = 0.3  # of two boxes that are one face
_MOST = 200  # boxes before overlapping ones are removed
_SIDE = 112  # pixels of the aligned face that the recogniser reads
# Where eyes, nose and corners of the mouth lie in an aligned face, as shares of its side.
TEMPLATE = (
    np.array(
        [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float64
    )
    / _SIDE
)

_lock = threading.Lock()
_finders: dict[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Found:
    """One face in a picture.

    Attributes:
        x, y, width, height: of its box, pixels of the picture, float.
        landmarks: float64 5×2, pixels: the eye on the left of the picture, the other one, the tip
            of the nose, the corners of the mouth.
        confidence: of the finder, in [0, 1].
    """

    x: float
    y: float
    width: float
    height: float
    landmarks: NDArray[np.float64]
    confidence: float


def find_faces(pixels: NDArray[np.uint8], sides: tuple[int, ...] = SIDES) -> list[Found]:
    """Faces of a picture, the surest first.

    The picture is shrunk for the search. Further sizes are tried only where nothing was found: a
    larger one for small faces, a smaller one for a face that fills the picture.

    Args:
        pixels: uint8 H×W×3, RGB.
        sides: longer sides at which it is searched, in turn.

    Raises:
        WeightsError: the network cannot be opened.
    """
    longer = max(pixels.shape[:2])
    for number, side in enumerate(sides):
        if number and side > longer and sides[0] >= longer:
            continue  # nothing is gained by searching at native size again
        found = _search(pixels, min(1.0, side / longer))
        if found:
            return found
    return []


def embed(aligned: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Vectors of unit length of aligned faces.

    Args:
        aligned: uint8 N×112×112×3, RGB, as `align` gives them.

    Returns:
        float32 N×128. The cosine of two pictures of one person is seldom under 0.36, and of two
        persons seldom over it.

    Raises:
        WeightsError: the network cannot be opened.
    """
    opened = runtime.session(RECOGNISER)
    rows = [
        opened.run(one.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))["vector"]
        for one in aligned
    ]
    vectors = np.concatenate(rows).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-9)
    return found


def align(
    pixels: NDArray[np.uint8],
    landmarks: NDArray[np.float64],
    side: int = _SIDE,
    margin: float = 1.0,
) -> NDArray[np.uint8]:
    """A face turned upright, its landmarks in standard places.

    Args:
        pixels: uint8 H×W×3.
        landmarks: float64 5×2 in those pixels.
        side: of the result, pixels.
        margin: how much wider than the recogniser's crop the result reaches.

    Returns:
        uint8 side×side×3; what lies outside of the picture continues its border.
    """
    target = ((TEMPLATE - 0.5) / margin + 0.5) * side
    matrix = similarity(landmarks, target)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:  # shrink first, since the warp reads four neighbours alone
        factor = 2.0 * scale
        size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        matrix[:, :2] /= factor
    found: NDArray[np.uint8] = cv2.warpAffine(
        pixels, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def similarity(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 2×3: turn, scale and shift that bring points nearest to a target, Umeyama 1991."""
    middle, goal = points.mean(0), target.mean(0)
    a, b = points - middle, target - goal
    spread = max(float((a**2).sum()), 1e-9)
    cosine = float((a * b).sum()) / spread
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    if np.hypot(cosine, sine) < 1e-6:
        turn = np.eye(2) * 1e-3
    return np.concatenate([turn, (goal - turn @ middle)[:, None]], axis=1)


def _search(pixels: NDArray[np.uint8], scale: float) -> list[Found]:
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(size) < 16:
        return []
    picture = pixels if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    with _lock:  # the finder keeps the size of its input
        finder = _finder()
        finder.setInputSize(size)
        rows = finder.detect(np.ascontiguousarray(picture[:, :, ::-1]))[1]
    if rows is None:
        return []
    scales = np.array([width / size[0], height / size[1]])
    found = []
    for row in np.asarray(rows, np.float64):
        box, points = row[:4].reshape(2, 2) * scales, row[4:14].reshape(5, 2) * scales
        if np.isfinite(row).all() and (box[1] >= 1).all():
            (x, y), (wide, high) = box.tolist()
            found.append(Found(x, y, wide, high, points, float(row[14])))
    return sorted(found, key=lambda one: -one.confidence)


def _finder() -> Any:
    path = runtime.checked(FINDER).path
    if str(path) not in _finders:
        data = np.fromfile(path, np.uint8)
        _finders[str(path)] = cv2.FaceDetectorYN.create(
            "onnx", data, np.empty(0, np.uint8), (320, 320), LEAST_CONFIDENCE, _OVERLAP, _MOST
        )
    return _finders[str(path)]
