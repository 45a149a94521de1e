"""Shapes of edited regions: what a person outlines, what follows the edges of a picture, writing.

Every shape is drawn to an area that the caller asks for and met roughly; `draw` sees to it that a
region is neither empty nor most of the picture. Masks are bool H×W. What is random comes from the
generator that is passed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.train.augment import Pixels, Random

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

LEAST = 64  # pixels below which a region could not be found again
MOST = 0.6  # share of a picture above which an edit is the picture
_COARSE = 96  # pixels of the longer side on which edges are followed
_ATTEMPTS = 8
_SEVERAL = 0.2  # probability of more than one region
_LETTERS = "ABCDEFGHIKLMNOPRSTUVWXYZabcdefghiklmnoprstuvwz0123456789"


def draw(pixels: Pixels, share: float, random: Random) -> tuple[Mask, str]:
    """A region of about `share` of a picture, at a random place, in one to four parts.

    Args:
        pixels: uint8 H×W×3 RGB, at least 32×32; some shapes follow its edges.
        share: wished area, as a part of the picture's.
        random: decides shape and place.

    Returns:
        The region, of at least `LEAST` pixels and at most `MOST` of the picture; and its name.
    """
    parts = int(random.integers(2, 5)) if random.random() < _SEVERAL else 1
    name = str(random.choice(list(SHAPES), p=_SHARES))
    area = share * pixels.shape[0] * pixels.shape[1]
    for _ in range(_ATTEMPTS):
        mask = np.zeros(pixels.shape[:2], bool)
        for _ in range(parts):
            mask |= SHAPES[name](pixels, area / parts, random)
        if LEAST <= mask.sum() <= MOST * mask.size:
            return mask, name
    return _rectangle(pixels, max(area, 4 * LEAST), random), "rectangle"


def _blob(pixels: Pixels, area: float, random: Random) -> Mask:
    """A closed curve whose distance from its centre is a random sum of few waves."""
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    waves = np.arange(2, 7)
    heights = random.uniform(0, 0.6, len(waves)) / waves
    radii = 1 + heights @ np.cos(np.outer(waves, angles) + random.uniform(0, 7, (len(waves), 1)))
    return _placed(_circle(angles) * np.maximum(radii, 0.1)[:, None], pixels, area, random)


def _polygon(pixels: Pixels, area: float, random: Random) -> Mask:
    """Three to nine corners in order of their angle."""
    angles = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(3, 10))))
    radii = random.uniform(0.5, 1.0, len(angles))
    return _placed(_circle(angles) * radii[:, None], pixels, area, random)


def _ellipse(pixels: Pixels, area: float, random: Random) -> Mask:
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return _placed(_circle(angles), pixels, area, random)


def _rectangle(pixels: Pixels, area: float, random: Random) -> Mask:
    """Upright, as tools select it; no part lies outside."""
    height, width = pixels.shape[:2]
    longest = float(np.exp(random.uniform(np.log(0.4), np.log(2.5))))
    rows = int(np.clip(np.sqrt(area * longest), 4, height - 1))
    columns = int(np.clip(area / rows, 4, width - 1))
    top, left = int(random.integers(height - rows)), int(random.integers(width - columns))
    mask = np.zeros((height, width), bool)
    mask[top : top + rows, left : left + columns] = True
    return mask


def _strokes(pixels: Pixels, area: float, random: Random) -> Mask:
    """Where a brush of one width went, as a person wipes something away."""
    height, width = pixels.shape[:2]
    brush = max(3, round(np.sqrt(area) * float(random.uniform(0.2, 0.6))))
    length = max(area / brush, brush)
    count = int(random.integers(3, 9))
    turns = np.cumsum(random.normal(0, 0.8, count)) + random.uniform(0, 2 * np.pi)
    path = np.cumsum(_circle(turns) * length / count, axis=0)
    path += random.uniform(0.15, 0.85, 2) * (width, height) - path.mean(axis=0)
    canvas = np.zeros((height, width), np.uint8)
    cv2.polylines(canvas, [np.rint(path).astype(np.int32)], False, 1, brush)
    return canvas.astype(bool)


def _text(pixels: Pixels, area: float, random: Random) -> Mask:
    """A word in one of OpenCV's stroke fonts."""
    height, width = pixels.shape[:2]
    word = "".join(random.choice(list(_LETTERS), int(random.integers(2, 9))))
    font = int(random.choice((cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX,
                              cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)))  # fmt: skip
    # A letter at scale 1 is about 20 pixels wide and inks an eighth of its box.
    scale = float(np.clip(np.sqrt(area / (len(word) * 90)), 0.6, height / 40))
    thickness = max(2, round(scale * float(random.uniform(1.5, 4))))
    (across, down), _ = cv2.getTextSize(word, font, scale, thickness)
    left = int(random.integers(max(1, width - across)))
    bottom = int(random.integers(min(down, height - 1), height))
    canvas = np.zeros((height, width), np.uint8)
    cv2.putText(canvas, word, (left, bottom), font, scale, 1, thickness)
    return canvas.astype(bool)


def _segments(pixels: Pixels, area: float, random: Random) -> Mask:
    """Neighbouring watershed basins of alike colour: a region that ends where the picture does.

    Meyer, "Un algorithme optimal pour la ligne de partage des eaux", 1991, from random markers.
    """
    small = _coarse(pixels)
    rows, columns = small.shape[:2]
    wished = area * small.shape[0] * small.shape[1] / (pixels.shape[0] * pixels.shape[1])
    count = int(np.clip(4 * rows * columns / max(wished, 1), 12, 150))
    markers = np.zeros((rows, columns), np.int32)
    seeds = random.integers(0, (rows, columns), (count, 2))
    markers[seeds[:, 0], seeds[:, 1]] = np.arange(1, count + 1)
    cv2.watershed(small, markers)
    # Ridges between basins are marked -1; each pixel of one joins its largest neighbour's basin.
    labels = np.where(markers < 1, cv2.dilate(markers.astype(np.float32), _CROSS), markers)
    labels = np.maximum(labels, 0).astype(np.int64)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    sums = [np.bincount(labels.ravel(), small[..., i].ravel(), count + 1) for i in range(3)]
    colours = np.stack(sums, 1) / np.maximum(areas, 1)[:, None]
    chosen = {int(labels[tuple(random.integers(0, (rows, columns)))])}
    start = colours[next(iter(chosen))]
    while sum(areas[label] for label in chosen) < 0.75 * wished:
        region = np.isin(labels, list(chosen)).astype(np.uint8)
        border = set(np.unique(labels[cv2.dilate(region, _CROSS) > region]).tolist()) - chosen
        if not border:
            break
        chosen.add(min(border, key=lambda label: float(np.abs(colours[label] - start).sum())))
    return _enlarged(np.isin(labels, list(chosen)), pixels)


def _object(pixels: Pixels, area: float, random: Random) -> Mask:
    """What stands out in a random box from what lies around it.

    Rother et al., "GrabCut: interactive foreground extraction using iterated graph cuts", 2004.
    """
    small = _coarse(pixels)
    share = 1.6 * area / (pixels.shape[0] * pixels.shape[1])  # an object leaves corners of its box
    box = _rectangle(small, share * small.shape[0] * small.shape[1], random)
    state = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    state[box] = cv2.GC_PR_FGD
    models = np.zeros((2, 1, 65))
    try:
        cv2.grabCut(small, state, None, models[0], models[1], 1, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # a box without contrast has no foreground
        return _enlarged(box, pixels)
    found = np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(found)
    if len(facts) < 2:
        return _enlarged(box, pixels)
    return _enlarged(labels == 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA])), pixels)


SHAPES: dict[str, Callable[[Pixels, float, Random], Mask]] = {
    "blob": _blob,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "rectangle": _rectangle,
    "strokes": _strokes,
    "text": _text,
    "segments": _segments,
    "object": _object,
}
_SHARES = (0.25, 0.12, 0.06, 0.1, 0.07, 0.05, 0.2, 0.15)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def _circle(angles: Points) -> Points:
    return np.stack((np.cos(angles), np.sin(angles)), axis=1)


def _placed(outline: Points, pixels: Pixels, area: float, random: Random) -> Mask:
    """An outline, stretched and turned at random, filled at its area at a random place."""
    height, width = pixels.shape[:2]
    stretch = float(np.exp(random.uniform(-0.5, 0.5)))
    angle = float(random.uniform(0, np.pi))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    outline = outline * (stretch, 1 / stretch) @ turn
    x, y = outline.T
    enclosed = abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    outline = (outline - outline.mean(axis=0)) * np.sqrt(area / max(enclosed, 1e-3))
    outline = outline + random.uniform(0.1, 0.9, 2) * (width, height)
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline).astype(np.int32)], 1)
    return canvas.astype(bool)


def _coarse(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    factor = min(1.0, _COARSE / max(height, width))
    size = max(16, round(width * factor)), max(16, round(height * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarged(mask: Mask, pixels: Pixels) -> Mask:
    """A coarse mask at full size with a smooth outline."""
    height, width = pixels.shape[:2]
    soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(soft > 0.5)
