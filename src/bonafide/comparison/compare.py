"""Two pictures in, one `Comparison` out."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bonafide.comparison import capture, changes, planes, registration
from bonafide.comparison.alignment import SURE, Alignment, align, shrunk
from bonafide.comparison.changes import Difference
from bonafide.comparison.relation import EXACT, decide
from bonafide.comparison.result import Comparison, Evidence, Relation
from bonafide.comparison.warp import Warp, tiles
from bonafide.errors import UnsupportedFormat
from bonafide.media.facts import media_facts
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.networks.environment import versions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AGREES = 0.8  # correlation of a block that shows the same detail
_GRAIN_TILE = 512
_GRAIN_TILES = 12
_ALONE = np.ones((1, 1), np.bool_)


def compare(reference: Media, suspect: Media, limits: Limits | None = None) -> Comparison:
    """Tell whether `suspect` is a copy of `reference`, and what was changed in it.

    Args:
        reference: the picture that is taken for granted.
        suspect: the picture in question.
        limits: recorded with the result; the media were opened under them.

    Returns:
        A comparison with the mask of what differs, where that can be told.

    Raises:
        UnsupportedFormat: one of them is no picture.
        DecodeError: the pixels of one of them are damaged.
    """
    began = time.perf_counter()
    first, second = _pixels(reference), _pixels(suspect)
    blank = Comparison(
        media_facts(reference),
        media_facts(suspect),
        Relation.INCONCLUSIVE,
        (),
        Evidence(),
        (),
        None,
        (),
        {"limits": dict(vars(limits or Limits()))},
        _versions(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        0.0,
    )
    same_bytes = reference.sha256 == suspect.sha256
    done = _same(blank, same_bytes, first, second) or _compared(blank, first, second)
    return replace(done, seconds=round(time.perf_counter() - began, 3))


def _versions() -> dict[str, str]:
    return {name: version for name, version in versions("").items() if name != "calibration"}


def _pixels(media: Media) -> NDArray[np.uint8]:
    if media.image is None:
        raise UnsupportedFormat(media.name, "only pictures are compared")
    return media.image.pixels


def _same(
    blank: Comparison, same_bytes: bool, reference: NDArray[np.uint8], suspect: NDArray[np.uint8]
) -> Comparison | None:
    if same_bytes:
        relation, why = Relation.IDENTICAL_BYTES, "The files are equal, byte for byte."
    elif np.array_equal(reference, suspect):
        relation, why = Relation.IDENTICAL_PIXELS, "The files differ, every pixel is equal."
    else:
        return None
    shape = suspect.shape[:2]
    return replace(
        blank,
        relation=relation,
        because=(why,),
        evidence=Evidence(scale=1.0, coverage=1.0, used=1.0),
        changed_share=0.0,
        homographies=(tuple(float(value) for value in np.eye(3).ravel()),),
        mask=np.zeros(shape, np.bool_),
        strength=np.zeros(shape, np.uint8),
    )


def _compared(
    blank: Comparison, reference: NDArray[np.uint8], suspect: NDArray[np.uint8]
) -> Comparison:
    alignment = align(reference, suspect)
    evidence = Evidence(
        keypoints=alignment.keypoints,
        matches=len(alignment.reference_points),
        log10_false_alarms=alignment.fits[0].log10_alarms if alignment.fits else 0.0,
    )
    if not alignment.fits or (alignment.fits[0].log10_alarms > SURE and not alignment.direct):
        relation, because = decide(evidence, ())
        return replace(blank, relation=relation, because=because, evidence=evidence)
    evidence, trusted = _measured(evidence, alignment, reference, suspect)
    # What differs is looked at last: whether it may be, the rest of the evidence decides.
    relation, because = decide(evidence, ())
    found: Difference | None = None
    if relation is Relation.REENCODED_COPY:
        found = changes.of_a_copy(reference, suspect, alignment.fits[0].homography, trusted)
        evidence = replace(evidence, tone=_round(found.tone), noise=_round(found.noise))
        relation, because = decide(evidence, found.changes)
    elif relation is Relation.LOOK_ALIKE:
        found = planes.of_planes(reference, suspect, alignment)
    homographies = tuple(
        tuple(float(value) for value in (fit.homography / fit.homography[2, 2]).ravel())
        for fit in alignment.fits
    )
    done = replace(
        blank, relation=relation, because=because, evidence=evidence, homographies=homographies
    )
    if found is None or not found.known:
        return done
    return replace(
        done,
        changes=found.changes,
        changed_share=round(float(found.mask.sum()) / found.known, 6),
        mask=found.mask,
        strength=found.strength,
    )


def _measured(
    evidence: Evidence,
    alignment: Alignment,
    reference: NDArray[np.uint8],
    suspect: NDArray[np.uint8],
) -> tuple[Evidence, NDArray[np.bool_]]:
    """The evidence of an alignment, and a small map of where the two agree."""
    fit = alignment.fits[0]
    small = shrunk(suspect)
    size = small.shape[1], small.shape[0]
    down = registration.scaling(size[0] / suspect.shape[1], size[1] / suspect.shape[0])
    seen, inside = Warp(reference, down @ fit.homography, size).whole()
    likeness = capture.agreement(_luma(seen), _luma(small), inside)
    known = likeness[np.isfinite(likeness)]
    alike = known[known >= _AGREES]
    shift = _shift(alignment, likeness)
    grain = capture.grain(_grain_tiles(reference, suspect, fit.homography))
    scale = registration.magnification(fit.homography, (reference.shape[1], reference.shape[0]))
    evidence = replace(
        evidence,
        inliers=int(fit.inliers.sum()),
        planes=len(alignment.fits),
        mirrored=alignment.mirrored,
        scale=_round(scale),
        perspective=_round(_perspective(fit.homography, reference.shape[1::-1])),
        coverage=_round(float(inside.mean())),
        used=_round(_used(fit.homography, reference.shape[1::-1], suspect.shape[1::-1])),
        tightness=None if alignment.direct else _round(fit.tightness),
        shift=_round(float(np.median(shift))) if len(shift) else None,
        shift_90=_round(float(np.quantile(shift, 0.9))) if len(shift) else None,
        blocks=len(known),
        agreeing=_round(len(alike) / len(known)) if len(known) else None,
        exact=_round(float((alike >= EXACT).mean())) if len(alike) else None,
        agreement=_round(float(np.median(known))) if len(known) else None,
        grain_pixels=grain.pixels,
    )
    if grain.reference:
        evidence = replace(
            evidence,
            grain_reference=_round(grain.reference),
            grain_suspect=_round(grain.suspect),
            grain_slope=_round(grain.slope),
            grain_significance=_round(grain.significance),
        )
    return evidence, capture.trusted(likeness) if likeness.size else _ALONE


def _shift(alignment: Alignment, likeness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shifts of the patches that lie in blocks which agree: changed parts move as they like."""
    if not likeness.size or not len(alignment.moved):
        return np.zeros(0, np.float32)
    cells = (alignment.places // capture.BLOCK).astype(int)
    rows = np.minimum(cells[:, 1], likeness.shape[0] - 1)
    columns = np.minimum(cells[:, 0], likeness.shape[1] - 1)
    chosen = np.isfinite(alignment.moved) & (np.nan_to_num(likeness[rows, columns]) >= _AGREES)
    return alignment.moved[chosen] if chosen.sum() >= 8 else np.zeros(0, np.float32)


def _grain_tiles(
    reference: NDArray[np.uint8],
    suspect: NDArray[np.uint8],
    homography: registration.Homography,
) -> list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]]:
    height, width = suspect.shape[:2]
    warp = Warp(reference, homography, (width, height))
    boxes = list(tiles(width, height, _GRAIN_TILE))
    found = []
    for left, top, wide, high in boxes[:: max(1, len(boxes) // _GRAIN_TILES)]:
        seen, inside = warp.tile(left, top, wide, high)
        found.append((_luma(seen), _luma(suspect[top : top + high, left : left + wide]), inside))
    return found


def _perspective(homography: registration.Homography, size: tuple[int, ...]) -> float:
    """How far the corners are from where the best affine map puts them, pixels."""
    width, height = size[0], size[1]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    there = registration.project(homography, corners)
    lifted = np.hstack([corners, np.ones((4, 1))])
    affine, *_ = np.linalg.lstsq(lifted, there, rcond=None)
    return float(np.linalg.norm(there - lifted @ affine, axis=1).max())


def _used(
    homography: registration.Homography, reference: tuple[int, ...], suspect: tuple[int, ...]
) -> float:
    """Share of the reference that falls inside the suspect."""
    x, y = np.meshgrid(np.linspace(0, reference[0] - 1, 64), np.linspace(0, reference[1] - 1, 64))
    there = registration.project(homography, np.stack([x.ravel(), y.ravel()], axis=1))
    within = (there >= -0.5).all(axis=1) & (there < np.array(suspect[:2]) - 0.5).all(axis=1)
    return float(within.mean())


def _luma(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
