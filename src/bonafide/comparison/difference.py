"""What differs between two aligned pictures beyond what saving, resizing and alignment explain.

The difference has a noise of its own, which grows where the picture is busy: a shift of a tenth
of a pixel shows at every edge, quantisation shows in every texture. That noise is measured on the
difference itself, per colour channel and as a function of how busy the place is, with estimators
that a changed minority does not move. A place counts by how many such deviations it differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BINS = 24

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Scale:
    """At what size differences are looked for.

    Attributes:
        blur: standard deviation of the Gaussian before the difference, pixels.
        floor: least noise assumed, grey levels.
        seed: deviations from which a place starts a region.
    """

    blur: float
    floor: float
    seed: float


@dataclass(frozen=True)
class Noise:
    """The noise of the difference: variance = flat² + (slope · activity)².

    Attributes:
        flat: float64 3, grey levels, for luma and the two chroma channels.
        slope: float64 3, grey levels per unit of activity.
    """

    flat: NDArray[np.float64]
    slope: NDArray[np.float64]


def contrast(reference: Map, suspect: Map, blur: float) -> tuple[Map, Map]:
    """Difference and activity of two aligned pictures at one scale.

    Args:
        reference: float32 H×W×3 RGB in [0, 255], in the suspect's tone.
        suspect: float32 H×W×3 RGB in [0, 255].
        blur: standard deviation in pixels.

    Returns:
        float32 H×W×3 differences (luma, Cr, Cb) and activities: the gradient around each place,
        of the calmer of the two pictures, since what was put in or taken out brings its own.
    """
    one, two = (
        cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb), (0, 0), blur)
        for picture in (reference, suspect)
    )
    return two - one, np.minimum(_activity(one, blur), _activity(two, blur))


def _activity(channels: Map, blur: float) -> Map:
    x = cv2.Sobel(channels, cv2.CV_32F, 1, 0, scale=0.125)
    y = cv2.Sobel(channels, cv2.CV_32F, 0, 1, scale=0.125)
    energy = x * x + y * y
    # Ringing spreads an edge over its block of eight.
    around = cv2.GaussianBlur(energy, (0, 0), max(4.0, 1.5 * blur))
    return np.asarray(np.sqrt(np.maximum(around, 0.25 * energy)), np.float32)


def fit_noise(samples: Sequence[tuple[Map, Map]], floor: float) -> Noise:
    """Estimate the noise from pieces of the difference.

    Args:
        samples: (differences, activities) float32 N×3 each, from all over the picture.
        floor: least noise assumed.
    """
    difference = np.abs(np.concatenate([pair[0] for pair in samples]))
    activity = np.concatenate([pair[1] for pair in samples])
    flat, slope = np.empty(3), np.empty(3)
    for channel in range(3):
        flat[channel], slope[channel] = _line(difference[:, channel], activity[:, channel], floor)
    return Noise(flat, slope)


def _line(
    difference: NDArray[np.float32], activity: NDArray[np.float32], floor: float
) -> tuple[float, float]:
    order = np.argsort(activity, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    # The lower third of a normal law lies within 0.43 deviations; edits sit in the upper part.
    spread = np.array([np.quantile(difference[part], 1 / 3) / 0.4307 for part in bins])
    place = np.array([float(np.median(activity[part])) for part in bins])
    calm = max(1, len(bins) // 4)
    flat = max(floor, float(np.median(spread[:calm])))
    rest = np.sqrt(np.maximum(spread**2 - flat**2, 0.0))
    known = place > 0.5
    slope = float(np.median((rest / np.maximum(place, 0.5))[known])) if known.any() else 0.0
    return flat, slope


def deviations(difference: Map, activity: Map, noise: Noise, tolerance: Map | float = 0.0) -> Map:
    """By how many standard deviations each place differs, in its most different channel.

    Args:
        difference, activity: float32 H×W×3 from `contrast`.
        noise: of the whole picture.
        tolerance: float32 H×W or a number, grey levels that are added to the noise.

    Returns:
        float32 H×W.
    """
    variance = (
        (noise.flat.astype(np.float32) ** 2)
        + (noise.slope.astype(np.float32) * activity) ** 2
        + np.asarray(tolerance, np.float32)[..., None] ** 2
    )
    return np.asarray(np.sqrt((difference**2 / variance).max(axis=2)), np.float32)


def narrowed(ratio: Map, blur: float) -> Map:
    """Take back the halo that a blur puts around a change: its border lies at half its height.

    Args:
        ratio: float32 H×W, at least 0.
        blur: standard deviation of the blur behind it, pixels.
    """
    side = 2 * round(2 * blur) + 1
    highest = cv2.dilate(ratio, np.ones((side, side), np.uint8))
    return np.asarray(np.where(ratio >= 0.4 * highest, ratio, 0), np.float32)


def even(picture: Map, known: NDArray[np.bool_], blur: float) -> Map:
    """Even out illumination: local mean to 128, local contrast to 40, each channel by itself.

    Args:
        picture: float32 H×W×3 in [0, 255].
        known: bool H×W, where it holds anything.
        blur: standard deviation of the neighbourhood, pixels.
    """
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), blur)[..., None]
    weight = np.maximum(weight, 1e-3)
    masked = np.where(known[..., None], picture, 0)
    mean = cv2.GaussianBlur(masked, (0, 0), blur) / weight
    square = cv2.GaussianBlur(masked * masked, (0, 0), blur) / weight
    spread = np.sqrt(np.maximum(square - mean * mean, 25.0))
    return np.asarray(np.clip(128 + 40 * (picture - mean) / spread, 0, 255), np.float32)


@dataclass(frozen=True)
class Blob:
    """A connected part of a mask: box, pixels, and the largest value in it."""

    x: int
    y: int
    width: int
    height: int
    area: int
    strength: float
    label: int


def grow(
    ratio: NDArray[np.uint8], unit: int, closing: int, fewest: int
) -> tuple[NDArray[np.int32], list[Blob]]:
    """Connected regions around places that differ beyond doubt.

    Args:
        ratio: uint8 H×W, deviations in units of `unit` per seed threshold, saturated at 255.
        unit: the value that is just a seed; half of it belongs to a region that has seeds.
        closing: gaps up to this many pixels are bridged and holes filled.
        fewest: pixels at or above `unit` that a region needs.

    Returns:
        int32 H×W labels (0: unchanged) and the regions, largest first.
    """
    low = (ratio >= unit // 2).astype(np.uint8)
    # Regions made of a seed only; what merely trembles is dropped before gaps are bridged.
    count, parts, stats, _ = cv2.connectedComponentsWithStats(low, connectivity=8)
    seeds = np.bincount(parts[ratio >= unit].ravel(), minlength=count)
    keep = seeds >= max(4, fewest // 4)
    keep[0] = False
    if not keep.any():
        return np.zeros(ratio.shape, np.int32), []
    mask = keep[parts].astype(np.uint8)
    if closing > 1:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (closing | 1, closing | 1))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, outlines, -1, 1, thickness=cv2.FILLED)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    seeds = np.bincount(labels[ratio >= unit].ravel(), minlength=count)
    blobs = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        here = labels[y : y + height, x : x + width] == label
        if seeds[label] < fewest:
            labels[y : y + height, x : x + width][here] = 0
            continue
        peak = float(ratio[y : y + height, x : x + width][here].max()) / unit
        blobs.append(Blob(x, y, width, height, area, peak, label))
    return labels, sorted(blobs, key=lambda blob: -blob.area)
