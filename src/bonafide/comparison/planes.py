"""What differs on the flat faces that two captures share: parcels, signs, façades.

Each face obeys a homography of its own. Light falls anew in every capture, so that only structure
is compared, after brightness and contrast are evened out around each place. Working size only:
two captures differ at every finer pixel anyway.

Source: A. Naumann et al., "TAMPAR: Visual Tampering Detection for Parcel Logistics in Postal
Supply Chains", WACV 2024, for the task; the comparison here is classical and learns nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.comparison import difference, registration
from bonafide.comparison.alignment import Alignment, shrunk
from bonafide.comparison.changes import UNIT, Difference, describe
from bonafide.comparison.difference import Scale
from bonafide.comparison.warp import Warp
from bonafide.types import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 24  # inliers of a face that is compared
_SCALE = Scale(3.0, 3.0, 9.0)


def of_planes(
    reference: NDArray[np.uint8], suspect: NDArray[np.uint8], alignment: Alignment
) -> Difference | None:
    """Differences inside the hulls of matched points; None where no face is matched well.

    Args:
        reference, suspect: uint8 H×W×3 RGB in [0, 255].
        alignment: of the two.
    """
    small = shrunk(suspect)
    height, width = small.shape[:2]
    down = registration.scaling(width / suspect.shape[1], height / suspect.shape[0])
    around = max(8.0, 0.04 * min(width, height))
    lowest = np.full((height, width), np.inf, np.float32)
    best = [np.zeros((height, width, 3), np.float32) for _ in range(2)]
    owner = np.full((height, width), -1, np.int64)
    fits = [fit for fit in alignment.fits if fit.inliers.sum() >= FEWEST]
    for index, fit in enumerate(fits):
        seen, inside = Warp(reference, down @ fit.homography, (width, height)).whole()
        points = registration.project(down, alignment.suspect_points[fit.inliers])
        face = np.zeros((height, width), np.uint8)
        hull = cv2.convexHull(points.astype(np.float32)).astype(np.int32)
        cv2.fillConvexPoly(face, hull, 1)
        face = np.asarray(cv2.dilate(face, np.ones((17, 17), np.uint8)), np.uint8)
        known = (face > 0) & inside
        if known.sum() < 1000:
            continue
        pair = [
            difference.even(picture.astype(np.float32), known, around) for picture in (seen, small)
        ]
        changed, activity = difference.contrast(pair[0], pair[1], _SCALE.blur)
        noise = difference.fit_noise([(changed[known], activity[known])], _SCALE.floor)
        ratio = difference.deviations(changed, activity, noise) / _SCALE.seed
        ratio = np.where(known, ratio, np.inf)
        nearer = cv2.GaussianBlur(np.minimum(ratio, 8), (0, 0), around) < cv2.GaussianBlur(
            np.minimum(lowest, 8), (0, 0), around
        )
        nearer = known & (nearer | ~np.isfinite(lowest))
        lowest = np.where(nearer, ratio, lowest)
        owner[nearer] = index
        for kept, picture in zip(best, pair, strict=True):
            kept[nearer] = picture[nearer]
    if (owner < 0).all():
        return None
    strength = np.clip(np.where(owner >= 0, lowest, 0) * UNIT, 0, 255).astype(np.uint8)
    closing = max(3, round(0.012 * min(width, height)))
    labels, blobs = difference.grow(strength, UNIT, closing, max(48, round(3e-4 * width * height)))
    changes = []
    for blob in blobs:
        here = (labels == blob.label) & (owner >= 0)
        plane = fits[int(np.bincount(owner[here]).argmax())] if here.any() else fits[0]
        found = describe(
            blob,
            best[0][here],
            best[1][here],
            down @ plane.homography,
            reference.shape[1::-1],
            blob.area / labels.size,
        )
        changes.append(replace(found, suspect=_enlarged(found.suspect, suspect, small)))
    size = suspect.shape[1::-1]
    return Difference(
        np.asarray(cv2.resize(strength, size, interpolation=cv2.INTER_NEAREST), np.uint8),
        cv2.resize((labels > 0).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0,
        tuple(changes),
        round(float((owner >= 0).mean()) * size[0] * size[1]),
        None,
        None,
    )


def _enlarged(region: Region, native: NDArray[np.uint8], small: NDArray[np.uint8]) -> Region:
    across, along = native.shape[1] / small.shape[1], native.shape[0] / small.shape[0]
    left, top = int(region.x * across), int(region.y * along)
    right = min(native.shape[1], round((region.x + region.width) * across))
    bottom = min(native.shape[0], round((region.y + region.height) * along))
    return Region(left, top, max(1, right - left), max(1, bottom - top), region.score)
