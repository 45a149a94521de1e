"""Lay a reference over a suspect, to a fraction of a pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.comparison import registration
from bonafide.comparison.capture import agreement
from bonafide.comparison.registration import Fit, Homography, Keypoints, Points
from bonafide.comparison.warp import Warp

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORKING_PIXELS = 2_000_000
SURE = -8.0  # log10 of the false alarms of an alignment that is worth a look
_CLEAR = -40.0  # from here on, a mirror image need not be tried
_POINTS = 500
_FAR = 2.5  # pixels: shifts beyond this are not measured but missed


_NOWHERE = np.zeros(0, np.float32), np.zeros((0, 2), np.float32)


@dataclass(frozen=True)
class Alignment:
    """How a reference lies in a suspect.

    Attributes:
        fits: planes, the best supported first; homographies are reference → suspect in native
            pixels. () if none was found.
        reference_points, suspect_points: float32 N×2 matches, native pixels.
        keypoints: numbers found in reference and suspect.
        mirrored: whether the reference was mirrored for it.
        moved: float32 N, how far textured patches are still shifted, pixels of the suspect at
            working size; NaN where a patch was not found again.
        places: float32 N×2, where these patches are, pixels of the suspect at working size.
        direct: whether it rests on the frames alone, without keypoints.
    """

    fits: tuple[Fit, ...]
    reference_points: Points
    suspect_points: Points
    keypoints: tuple[int, int]
    mirrored: bool
    moved: NDArray[np.float32]
    places: Points
    direct: bool = False


def working_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) shrunk to at most `WORKING_PIXELS`."""
    scale = min(1.0, (WORKING_PIXELS / (width * height)) ** 0.5)
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture at working size."""
    size = working_size(pixels.shape[1], pixels.shape[0])
    if size == pixels.shape[1::-1]:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def align(reference: NDArray[np.uint8], suspect: NDArray[np.uint8]) -> Alignment:
    """Find where the reference lies in the suspect.

    Args:
        reference, suspect: uint8 H×W×3 RGB in [0, 255].
    """
    small = [shrunk(picture) for picture in (reference, suspect)]
    best = _by_keypoints(small[0], small[1], binary=False)
    if not _sure(best):
        best = max(
            best, _by_keypoints(small[0], small[1], binary=True), key=lambda found: -_alarms(found)
        )
    if not _sure(best):
        best = _by_frame(small[0], small[1], best)
    best = _native(best, reference, suspect, small[0], small[1])
    return best if not best.fits else _refined(best, reference, suspect, small[1])


def _sure(found: Alignment) -> bool:
    return _alarms(found) < SURE


def _alarms(found: Alignment) -> float:
    return found.fits[0].log10_alarms if found.fits else 0.0


def _by_keypoints(
    reference: NDArray[np.uint8], suspect: NDArray[np.uint8], binary: bool
) -> Alignment:
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (reference, suspect)]
    here = registration.keypoints(np.asarray(greys[1], np.uint8), binary)
    there = registration.keypoints(np.asarray(greys[0], np.uint8), binary)
    straight = _matched(there, here, reference, suspect)
    if _alarms(straight) < _CLEAR:
        return straight
    mirrored = np.ascontiguousarray(greys[0][:, ::-1])
    turned = _matched(
        registration.keypoints(np.asarray(mirrored, np.uint8), binary), here, reference, suspect
    )
    if _alarms(turned) >= _alarms(straight):
        return straight
    mirror = registration.mirroring(reference.shape[1])
    fits = tuple(replace(fit, homography=fit.homography @ mirror) for fit in turned.fits)
    points = registration.project(mirror, turned.reference_points).astype(np.float32)
    return replace(turned, fits=fits, reference_points=points, mirrored=True)


def _matched(
    there: Keypoints, here: Keypoints, reference: NDArray[np.uint8], suspect: NDArray[np.uint8]
) -> Alignment:
    first, second = registration.match(there, here)
    sizes = (reference.shape[1], reference.shape[0]), (suspect.shape[1], suspect.shape[0])
    fits = registration.planes(first, second, sizes)
    counts = len(there.points), len(here.points)
    return Alignment(tuple(fits), first, second, counts, False, *_NOWHERE)


def _by_frame(
    reference: NDArray[np.uint8], suspect: NDArray[np.uint8], found: Alignment
) -> Alignment:
    """Try the whole frame over the whole frame: smooth pictures have few keypoints."""
    height, width = suspect.shape[:2]
    luma = np.asarray(cv2.cvtColor(suspect, cv2.COLOR_RGB2GRAY), np.float32)
    everywhere = np.ones(luma.shape, np.bool_)
    for mirrored in (False, True):
        turned = np.ascontiguousarray(reference[:, ::-1]) if mirrored else reference
        resized = cv2.resize(turned, (width, height), interpolation=cv2.INTER_AREA)
        other = np.asarray(cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY), np.float32)
        likeness = agreement(other, luma, everywhere)
        known = likeness[np.isfinite(likeness)]
        if len(known) < 6 or float(np.median(known)) < 0.7:
            continue
        frame = registration.scaling(width / reference.shape[1], height / reference.shape[0])
        if mirrored:
            frame = frame @ registration.mirroring(reference.shape[1])
        nothing = np.zeros(len(found.reference_points), np.bool_)
        fit = Fit(frame, nothing, 0.0, 1.0)
        return replace(found, fits=(fit,), mirrored=mirrored, direct=True)
    return found


def _native(
    found: Alignment,
    reference: NDArray[np.uint8],
    suspect: NDArray[np.uint8],
    small_reference: NDArray[np.uint8],
    small_suspect: NDArray[np.uint8],
) -> Alignment:
    """From working pixels to the pixels of the files."""
    down = _scaling(reference, small_reference)
    up = np.linalg.inv(_scaling(suspect, small_suspect))
    back = np.linalg.inv(down)
    return replace(
        found,
        fits=tuple(replace(fit, homography=up @ fit.homography @ down) for fit in found.fits),
        reference_points=registration.project(back, found.reference_points).astype(np.float32),
        suspect_points=registration.project(up, found.suspect_points).astype(np.float32),
    )


def _scaling(native: NDArray[np.uint8], small: NDArray[np.uint8]) -> Homography:
    return registration.scaling(small.shape[1] / native.shape[1], small.shape[0] / native.shape[0])


def _refined(
    found: Alignment,
    reference: NDArray[np.uint8],
    suspect: NDArray[np.uint8],
    small: NDArray[np.uint8],
) -> Alignment:
    """Improve the best plane by the shifts of patches: at working size, then at full size."""
    down = _scaling(suspect, small)
    luma = _soft(small)
    homography = down @ found.fits[0].homography
    moved, places = _NOWHERE
    for turn in range(4):
        warped, inside = Warp(reference, homography, small.shape[1::-1]).whole()
        inside = cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        points = registration.textured_points(luma, _POINTS, inside)
        if len(points) < 12:
            break
        shift, likeness = registration.shifts(
            registration.patches(_soft(warped), points), registration.patches(luma, points)
        )
        distance = np.linalg.norm(shift, axis=1)
        known = np.isfinite(distance) & (likeness > 0.5) & (distance < _FAR)
        moved, places = np.where(known, distance, np.nan).astype(np.float32), points
        correction = registration.refit(points[known], shift[known]) if turn < 3 else None
        if correction is None:
            break
        homography = correction @ homography
    homography = np.linalg.inv(down) @ homography
    if small.shape != suspect.shape:
        homography = _sharpened(homography, reference, suspect, small)
    first = replace(found.fits[0], homography=homography)
    judged = registration.judge(
        homography, found.reference_points, found.suspect_points, suspect.shape[1::-1]
    )
    if judged is not None:
        first = replace(first, tightness=judged.tightness)
    return replace(found, fits=(first, *found.fits[1:]), moved=moved, places=places)


def _sharpened(
    homography: Homography,
    reference: NDArray[np.uint8],
    suspect: NDArray[np.uint8],
    small: NDArray[np.uint8],
) -> Homography:
    """The same at full size, looking at patches only, since the whole would cost memory."""
    up = np.linalg.inv(_scaling(suspect, small))
    height, width = suspect.shape[:2]
    half = registration.PATCH // 2
    corners = registration.textured_points(
        _soft(small), _POINTS, np.ones(small.shape[:2], np.bool_)
    )
    points = np.round(registration.project(up, corners)).astype(np.float32)
    most = np.array([width - half - 1, height - half - 1])
    points = points[((points >= half + 1) & (points < most)).all(axis=1)]
    for _ in range(3):
        warp = Warp(reference, homography, (width, height))
        pairs, kept = [], []
        for x, y in points.astype(int):
            cut, inside = warp.tile(x - half, y - half, registration.PATCH, registration.PATCH)
            if inside.all():
                own = suspect[y - half : y + half + 1, x - half : x + half + 1]
                pairs.append((_soft(cut), _soft(own)))
                kept.append((x, y))
        if len(kept) < 12:
            break
        shift, likeness = registration.shifts(
            np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
        )
        known = np.isfinite(shift).all(axis=1) & (likeness > 0.5)
        known &= np.linalg.norm(np.nan_to_num(shift), axis=1) < 2 * _FAR
        correction = registration.refit(np.array(kept, np.float32)[known], shift[known])
        if correction is None:
            break
        homography = correction @ homography
    return homography


def _soft(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), np.float32)
