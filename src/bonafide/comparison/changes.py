"""What differs between a picture and its copy, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.comparison import difference, registration
from bonafide.comparison.difference import Noise, Scale
from bonafide.comparison.registration import Homography
from bonafide.comparison.result import Change
from bonafide.comparison.tone import Tone, fit_tone
from bonafide.comparison.warp import Warp, tiles
from bonafide.types import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 1024
MARGIN = 48  # pixels around a tile that filters may look at
UNIT = 32  # of the strength map: a difference beyond doubt; eight times that saturates
_SAMPLED_TILES = 16
_SAMPLE_STEP = 5
_TEXTURED = 2.0  # grey levels of spread from which a region has structure
_TONE_TOLERANCE = 0.04  # share of a colour's shift by the tone map that may be wrong


@dataclass(frozen=True)
class Difference:
    """What differs, over the suspect.

    Attributes:
        strength: uint8 H×W, `UNIT` and above is a difference.
        mask: bool H×W.
        changes: regions, largest first.
        known: pixels that both pictures show.
        noise: of the difference in flat places, luma, grey levels; None between captures.
        tone: median shift of colours, grey levels; None between captures.
    """

    strength: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    changes: tuple[Change, ...]
    known: int
    noise: float | None
    tone: float | None


def of_a_copy(
    reference: NDArray[np.uint8],
    suspect: NDArray[np.uint8],
    homography: Homography,
    trusted: NDArray[np.bool_],
) -> Difference:
    """Differences at the suspect's own resolution, between a picture and its copy.

    Args:
        reference, suspect: uint8 H×W×3 RGB in [0, 255].
        homography: reference → suspect.
        trusted: bool h×w, a small picture of the suspect: where tone and noise are learned.
    """
    height, width = suspect.shape[:2]
    warp = Warp(reference, homography, (width, height))
    tone = _tone(warp, suspect, trusted)
    # What was enlarged holds no finer detail than it had before.
    enlarged = max(1.0, warp.magnification)
    scales = (Scale(1.2 * enlarged, 0.8, 9.0), Scale(5.0 * enlarged, 0.45, 9.0))
    noises = _noises(warp, suspect, tone, scales, trusted)
    strength = np.zeros((height, width), np.uint8)
    known = 0
    for box in tiles(width, height, TILE):
        left, top, wide, high = box
        toned, own, inside, inner = _piece(warp, suspect, tone, box)
        tolerance = _TONE_TOLERANCE * np.abs(toned[1] - toned[0]).max(axis=2)
        ratio = np.zeros(inside.shape, np.float32)
        for scale, noise in zip(scales, noises, strict=True):
            one = np.where(inside[..., None], toned[1], own)
            changed, activity = difference.contrast(one, own, scale.blur)
            found = difference.deviations(changed, activity, noise, tolerance) / scale.seed
            ratio = np.maximum(ratio, difference.narrowed(found, scale.blur))
        ratio[~inside] = 0
        strength[top : top + high, left : left + wide] = np.clip(ratio * UNIT, 0, 255)[inner]
        known += int(inside[inner].sum())
    closing = max(3, round(0.012 * min(width, height)))
    fewest = max(32, round(5e-5 * width * height))
    labels, blobs = difference.grow(strength, UNIT, closing, fewest)
    changes, mask = [], labels > 0
    for blob in blobs:
        change = _change(blob, labels, warp, suspect, homography, reference.shape[1::-1], tone)
        if _worth(change, tone):
            changes.append(change)
        else:
            window = slice(blob.y, blob.y + blob.height), slice(blob.x, blob.x + blob.width)
            mask[window][labels[window] == blob.label] = False
    return Difference(strength, mask, tuple(changes), known, float(noises[0].flat[0]), tone.moved)


def _tone(warp: Warp, suspect: NDArray[np.uint8], trusted: NDArray[np.bool_]) -> Tone:
    """The tone map, from tiles spread over the frame where it is large."""
    width, height = warp.size
    step = max(1.0, (width * height / 1_000_000) ** 0.5)
    small = max(1, round(width / step)), max(1, round(height / step))
    shrink = registration.scaling(small[0] / width, small[1] / height)
    seen, inside = Warp(warp.pixels, shrink @ warp.homography, small).whole()
    own = np.asarray(cv2.resize(suspect, small, interpolation=cv2.INTER_AREA), np.uint8)
    inside = cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return fit_tone(seen, own, inside & _part(trusted, (0, 0, *small), small))


def _part(
    trusted: NDArray[np.bool_], box: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The tile (left, top, width, height) of a small mask stretched to `size`."""
    left, top, wide, high = box
    rows = np.arange(top, top + high) * trusted.shape[0] // size[1]
    columns = np.arange(left, left + wide) * trusted.shape[1] // size[0]
    return np.asarray(trusted[rows][:, columns], np.bool_)


def _piece(
    warp: Warp, suspect: NDArray[np.uint8], tone: Tone, box: tuple[int, int, int, int]
) -> tuple[
    tuple[NDArray[np.float32], NDArray[np.float32]],
    NDArray[np.float32],
    NDArray[np.bool_],
    tuple[slice, slice],
]:
    """A tile with its margin: reference before and after toning, suspect, where known, inner."""
    left, top, wide, high = box
    width, height = warp.size
    x0, y0 = max(0, left - MARGIN), max(0, top - MARGIN)
    x1, y1 = min(width, left + wide + MARGIN), min(height, top + high + MARGIN)
    seen, inside = warp.tile(x0, y0, x1 - x0, y1 - y0)
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    raw = seen.astype(np.float32)
    x = (2 * np.arange(x0, x1, dtype=np.float32) / max(width - 1, 1) - 1)[None, :]
    y = (2 * np.arange(y0, y1, dtype=np.float32) / max(height - 1, 1) - 1)[:, None]
    toned = tone(raw, x.astype(np.float32), y.astype(np.float32))
    own = suspect[y0:y1, x0:x1].astype(np.float32)
    inner = slice(top - y0, top - y0 + high), slice(left - x0, left - x0 + wide)
    return (raw, toned), own, inside, inner


def _noises(
    warp: Warp,
    suspect: NDArray[np.uint8],
    tone: Tone,
    scales: tuple[Scale, ...],
    trusted: NDArray[np.bool_],
) -> list[Noise]:
    samples: list[list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = [[] for _ in scales]
    boxes = [
        box
        for box in tiles(*warp.size, TILE // 2)
        if _part(trusted, box, warp.size)[::_SAMPLE_STEP, ::_SAMPLE_STEP].any()
    ]
    for box in boxes[:: max(1, len(boxes) // _SAMPLED_TILES)]:
        toned, own, inside, inner = _piece(warp, suspect, tone, box)
        chosen = inside[inner] & _part(trusted, box, warp.size)
        chosen = chosen[::_SAMPLE_STEP, ::_SAMPLE_STEP]
        if not chosen.any():
            continue
        for scale, kept in zip(scales, samples, strict=True):
            one = np.where(inside[..., None], toned[1], own)
            pair = difference.contrast(one, own, scale.blur)
            first, second = (part[inner][::_SAMPLE_STEP, ::_SAMPLE_STEP][chosen] for part in pair)
            kept.append((first, second))
    return [
        difference.fit_noise(kept, scale.floor) for scale, kept in zip(scales, samples, strict=True)
    ]


def _change(
    blob: difference.Blob,
    labels: NDArray[np.int32],
    warp: Warp,
    suspect: NDArray[np.uint8],
    homography: Homography,
    reference_size: tuple[int, int],
    tone: Tone,
) -> Change:
    # Large regions are looked at in a window: what was changed in it stands for the rest.
    wide, high = min(blob.width, TILE), min(blob.height, TILE)
    left = blob.x + (blob.width - wide) // 2
    top = blob.y + (blob.height - high) // 2
    toned, own, inside, inner = _piece(warp, suspect, tone, (left, top, wide, high))
    here = (labels[top : top + high, left : left + wide] == blob.label) & inside[inner]
    return describe(
        blob,
        toned[1][inner][here],
        own[inner][here],
        homography,
        reference_size,
        blob.area / labels.size,
    )


def describe(
    blob: difference.Blob,
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    homography: Homography,
    reference_size: tuple[int, int],
    share: float,
) -> Change:
    """A region in numbers.

    Args:
        blob: in pixels of the suspect.
        before, after: float32 N×3, colours in it, of the reference and of the suspect.
        homography: reference → suspect.
        reference_size: (width, height), pixels.
        share: of the suspect's area.
    """
    strength = round(blob.strength, 3)
    region = Region(blob.x, blob.y, blob.width, blob.height, strength)
    levels, detail = (0.0, 0.0, 0.0), None
    if len(before):
        red, green, blue = (round(float(level), 2) for level in (after - before).mean(axis=0))
        levels = (red, green, blue)
        first, second = before.mean(axis=1), after.mean(axis=1)
        if len(first) >= 64 and min(first.std(), second.std()) > _TEXTURED:
            detail = round(float(np.corrcoef(first, second)[0, 1]), 3)
    origin = _origin(region, homography, reference_size)
    return Change(region, origin, share, strength, levels, detail)


def _worth(change: Change, tone: Tone) -> bool:
    """Whether a region is more than saving does to colourful drawings, or an inexact tone map.

    Both leave structure as it is and differ faintly.
    """
    kept = change.kept_detail is None or change.kept_detail > 0.9
    red, green, blue = change.levels
    lighter = abs(0.299 * red + 0.587 * green + 0.114 * blue)
    explained = lighter < 6 or tone.weights is not None
    return not (kept and explained and change.strength < 3)


def _origin(region: Region, homography: Homography, size: tuple[int, int]) -> Region | None:
    corners = np.array(
        [
            [region.x, region.y],
            [region.x + region.width, region.y],
            [region.x + region.width, region.y + region.height],
            [region.x, region.y + region.height],
        ],
        np.float64,
    )
    there = registration.project(np.linalg.inv(homography), corners)
    low = np.clip(np.floor(there.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(there.max(axis=0)), 0, size).astype(int)
    if (high <= low).any():
        return None
    return Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
