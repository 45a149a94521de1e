"""How a piece of one picture gets into another: moved, matched in colour, and blended.

Every blend ends at the border of the region: pixels outside stay as they were, so that a mask is
exact. Pictures are uint8 H×W×3 RGB, regions bool H×W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.train.augment import Pixels, Random

Mask = NDArray[np.bool_]
Alpha = NDArray[np.float32]


@dataclass(frozen=True)
class Placement:
    """Where a piece goes.

    Attributes:
        angle: by which it is turned, degrees.
        scale: by which it is enlarged.
        mirrored: whether left and right change places before that.
        shift: to the right and down, of the centre of its region, pixels.
    """

    angle: float
    scale: float
    mirrored: bool
    shift: tuple[int, int]

    def __str__(self) -> str:
        flip = ", mirrored" if self.mirrored else ""
        right, down = self.shift
        return (
            f"moved {right:+d} {down:+d}, turned {self.angle:.1f}°, scaled ×{self.scale:.2f}{flip}"
        )

    @property
    def rigid(self) -> bool:
        """Whether pixels are copied as they are, without interpolation."""
        return self.angle == 0 and self.scale == 1


def moved(
    pixels: Pixels, region: Mask, placement: Placement, size: tuple[int, int], kernel: int
) -> tuple[Pixels, Mask, Mask]:
    """A region of a picture at its new place.

    Args:
        pixels: the picture that the piece comes from.
        region: which part of it.
        placement: where it goes.
        size: height and width of the picture that it goes into.
        kernel: interpolation of OpenCV.

    Returns:
        The piece on a canvas of `size`, whose pixels mean nothing outside the second, its region
        there; and the part of `region` that arrived.
    """
    rows, columns = np.nonzero(region)
    x, y = (int(columns.min()) + int(columns.max())) // 2, (int(rows.min()) + int(rows.max())) // 2
    matrix = cv2.getRotationMatrix2D((x, y), placement.angle, placement.scale)
    if placement.mirrored:
        matrix = matrix @ np.array([[-1, 0, 2 * x], [0, 1, 0], [0, 0, 1]], np.float64)
    matrix[:, 2] += placement.shift
    if placement.rigid:
        kernel = cv2.INTER_NEAREST
    there = (size[1], size[0])
    piece = cv2.warpAffine(pixels, matrix, there, flags=kernel, borderMode=cv2.BORDER_REFLECT_101)
    flat = region.astype(np.uint8)
    target = cv2.warpAffine(flat, matrix, there, flags=cv2.INTER_NEAREST)
    back = cv2.warpAffine(
        target, matrix, flat.shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    return np.asarray(piece, np.uint8), target.astype(bool), region & back.astype(bool)


def blend(
    base: Pixels, piece: Pixels, region: Mask, random: Random, poisson: bool = True
) -> tuple[Pixels, str]:
    """A piece laid over a base within a region, by one of five ways.

    Args:
        base: the picture.
        piece: of its size.
        region: what is covered.
        random: chooses the way.
        poisson: whether gradients may be blended, which changes the colours of the piece.

    Returns:
        The result, and the name of the way.
    """
    ways = _BLENDS if poisson else _BLENDS[:3]
    shares = np.array([share for _, share, _ in ways])
    name, _, way = ways[int(random.choice(len(ways), p=shares / shares.sum()))]
    result = way(base, piece, region, random)
    if result is None:
        name, result = "hard", _hard(base, piece, region, random)
    return result, name


def feathered(base: Pixels, piece: Pixels, region: Mask, width: float) -> Pixels:
    """The piece, faded in from the border of the region over `width` pixels."""
    if width < 1:
        return np.where(region[..., None], piece, base)
    inside = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return _mixed(base, piece, region, np.clip(inside / (width + 0.5), 0, 1))


def with_colours_of(piece: Pixels, region: Mask, model: Pixels) -> Pixels:
    """A piece with the mean and the spread of a model's colours.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 2001, in the Lab space of OpenCV.
    """
    lab, wanted = (
        cv2.cvtColor(one, cv2.COLOR_RGB2LAB).astype(np.float32) for one in (piece, model)
    )
    here, there = lab[region], wanted.reshape(-1, 3)
    spread = np.clip(there.std(axis=0) / np.maximum(here.std(axis=0), 1), 0.5, 2)
    lab = (lab - here.mean(axis=0)) * spread + there.mean(axis=0)
    levels = np.clip(np.rint(lab), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_LAB2RGB), np.uint8)


def _hard(base: Pixels, piece: Pixels, region: Mask, random: Random) -> Pixels:
    return np.where(region[..., None], piece, base)


def _feathered(base: Pixels, piece: Pixels, region: Mask, random: Random) -> Pixels:
    return feathered(base, piece, region, float(random.uniform(1, 8)))


def _matted(base: Pixels, piece: Pixels, region: Mask, random: Random) -> Pixels:
    """Opacity that follows the edges of the piece, as a matting tool gives it.

    He et al., "Guided Image Filtering", ECCV 2010, section 3.4, with the piece as guide.
    """
    guide = cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    opaque = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    size = (2 * int(random.integers(2, 7)) + 1,) * 2
    mean_guide, mean = cv2.blur(guide, size), cv2.blur(opaque, size)
    slope = cv2.blur(guide * opaque, size) - mean_guide * mean
    slope /= cv2.blur(guide * guide, size) - mean_guide**2 + 1e-3
    offset = mean - slope * mean_guide
    alpha = cv2.blur(slope, size) * guide + cv2.blur(offset, size)
    return _mixed(base, piece, region, np.clip(alpha, 0, 1))


def _poisson(base: Pixels, piece: Pixels, region: Mask, random: Random) -> Pixels | None:
    return _cloned(base, piece, region, cv2.NORMAL_CLONE)


def _poisson_mixed(base: Pixels, piece: Pixels, region: Mask, random: Random) -> Pixels | None:
    return _cloned(base, piece, region, cv2.MIXED_CLONE)


def _cloned(base: Pixels, piece: Pixels, region: Mask, way: int) -> Pixels | None:
    """Gradients of the piece, colours of the border: Pérez et al., "Poisson Image Editing", 2003.

    None for regions too thin or too large for OpenCV's solver, which wants a border around them.
    """
    inner = region.astype(np.uint8)
    inner[[0, 1, -2, -1]] = 0
    inner[:, [0, 1, -2, -1]] = 0
    left, top, width, height = cv2.boundingRect(inner)
    if width < 8 or height < 8:
        return None
    around = np.s_[top - 2 : top + height + 2, left - 2 : left + width + 2]
    centre = 2 + width // 2, 2 + height // 2
    patch = np.ascontiguousarray(base[around])
    result = cv2.seamlessClone(
        np.ascontiguousarray(piece[around]), patch, 255 * inner[around], centre, way
    )
    whole = base.copy()
    whole[around] = np.where(inner[around][..., None] > 0, result, patch)
    # The border that the solver needs is laid over hard.
    rest = region & ~inner.astype(bool)
    whole[rest] = piece[rest]
    return whole


def _mixed(base: Pixels, piece: Pixels, region: Mask, alpha: NDArray[np.floating]) -> Pixels:
    alpha = np.where(region, alpha, 0).astype(np.float32)[..., None]
    values = base + alpha * (piece.astype(np.float32) - base)
    rounded: Pixels = np.rint(values).astype(np.uint8)
    return rounded


_Blend = Callable[[Pixels, Pixels, Mask, Random], Pixels | None]
_BLENDS: tuple[tuple[str, float, _Blend], ...] = (
    ("hard", 0.35, _hard),
    ("feathered", 0.3, _feathered),
    ("matted", 0.15, _matted),
    ("poisson", 0.15, _poisson),
    ("poisson mixed", 0.05, _poisson_mixed),
)
