"""The edits: splices, copies within a picture, removals, regenerated regions, local adjustments.

Each takes a base picture and a random generator and gives an `Edit`, whose pixels equal the base
outside the mask. Pictures are uint8 H×W×3 RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from bonafide.train import augment, tampering_blend, tampering_regions, tampering_social
from bonafide.train.augment import Pixels, Random
from bonafide.train.tampering_blend import Placement

Mask = NDArray[np.bool_]

_KERNELS = {
    cv2.INTER_LINEAR: "bilinear",
    cv2.INTER_CUBIC: "bicubic",
    cv2.INTER_LANCZOS4: "lanczos",
}
_FILLED_BY_DIFFUSION = 0.06  # share of a picture above which cv2.inpaint is slow and unlike anyone
_LARGEST_HOLE = 0.15  # share of a picture above which nothing nearby can fill a hole
_OFFSETS = 24  # places that a patch fill chooses from


class Filler(Protocol):
    """Something that fills holes: a network, say."""

    def fill(self, pixels: Pixels, mask: Mask) -> Pixels:
        """The picture with plausible content where `mask` is True; other pixels are ignored."""


@dataclass(frozen=True)
class Edit:
    """An edited picture.

    Attributes:
        pixels: uint8 H×W×3 RGB.
        mask: bool H×W, what was changed.
        steps: what was done, in order, for a person.
        source: bool H×W, where copied pixels came from in the same picture; None for none.
    """

    pixels: Pixels
    mask: Mask
    steps: tuple[str, ...]
    source: Mask | None = None


def splice(base: Pixels, donor: Pixels, share: float, random: Random) -> Edit | None:
    """Part of another picture, with a history of its own, put into this one.

    Returns:
        The edit, or None where the piece came to lie outside.
    """
    steps = []
    if random.random() < 0.5:
        save = tampering_social.jpeg(random, 50, 100, 0.3)
        donor = tampering_social.saved(donor, save)
        steps.append(f"donor: jpeg {save.amount:.0f}")
    if random.random() < 0.15:
        name = str(random.choice(("noise", "blur", "sharpen")))
        donor = _whole(name, donor, random)
        steps.append(f"donor: {name}")
    wished = min(0.9, share * base[..., 0].size / donor[..., 0].size)
    region, shape = tampering_regions.draw(donor, wished, random)
    placement = _placement(region, base.shape[:2], random, exact=0.4)
    kernel = _kernel(random)
    piece, target, _ = tampering_blend.moved(donor, region, placement, _size(base), kernel)
    if target.sum() < tampering_regions.LEAST:
        return None
    if random.random() < 0.3:
        piece = tampering_blend.with_colours_of(piece, target, base)
        steps.append("donor: colours of the base")
    pixels, blend = tampering_blend.blend(base, piece, target, random)
    steps.append(f"splice: {shape}, {placement}, {_KERNELS[kernel]}, {blend}")
    return Edit(pixels, target, tuple(steps))


def copy_move(base: Pixels, share: float, random: Random) -> Edit | None:
    """Part of the picture put elsewhere in it.

    Returns:
        The edit, or None where the copy came to lie outside, or on what it was copied from.
    """
    region, shape = tampering_regions.draw(base, share, random)
    placement = _placement(region, base.shape[:2], random, exact=0.5)
    kernel = _kernel(random)
    piece, target, source = tampering_blend.moved(base, region, placement, _size(base), kernel)
    source &= ~target
    if source.sum() < 0.5 * region.sum() or target.sum() < tampering_regions.LEAST:
        return None
    steps = [f"copy-move: {shape}, {placement}, {_KERNELS[kernel]}"]
    if random.random() < 0.25:
        name = str(random.choice(("light", "gamma")))
        piece = _whole(name, piece, random)
        steps.append(f"copy: {name}")
    pixels, blend = tampering_blend.blend(base, piece, target, random)
    return Edit(pixels, target, (*steps, f"blend: {blend}"), source)


def removal(base: Pixels, share: float, random: Random, fillers: Sequence[Filler] = ()) -> Edit:
    """A region filled as if nothing had been there.

    By diffusion (Telea 2004, or Bertalmio et al. 2001) where it is small, by texture from nearby,
    or, half of the time where there are any, by one of `fillers`.
    """
    region, shape = tampering_regions.draw(base, min(share, _LARGEST_HOLE), random)
    region = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if fillers and random.random() < 0.5:
        filler = fillers[int(random.integers(len(fillers)))]
        pixels = np.where(region[..., None], filler.fill(base, region), base)
        return Edit(
            pixels,
            region,
            (f"removal: {shape}, filled by {getattr(filler, 'name', type(filler).__name__)}",),
        )
    if region.mean() < _FILLED_BY_DIFFUSION and random.random() < 0.5:
        telea = random.random() < 0.5
        pixels, way = _diffused(base, region, telea), "Telea" if telea else "Navier-Stokes"
        if random.random() < 0.2:
            grain = augment.noise(pixels, random, 1, 4)
            pixels, way = np.where(region[..., None], grain, base), f"{way}, noise"
        return Edit(pixels, region, (f"removal: {shape}, {way}",))
    offset, source = _nearby(base, region, random)
    piece = np.roll(base, offset, axis=(0, 1))
    pixels, blend = tampering_blend.blend(base, piece, region, random)
    down, right = offset
    step = f"removal: {shape}, filled from {-right:+d} {-down:+d}, {blend}"
    return Edit(pixels, region, (step,), source)


def regenerated(base: Pixels, twin: Pixels, share: float, random: Random) -> Edit:
    """A region as a decoder gave it back; `twin` is what it made of the whole of `base`."""
    region, shape = tampering_regions.draw(base, share, random)
    pixels, blend = tampering_blend.blend(base, twin, region, random, poisson=False)
    return Edit(pixels, region, (f"regenerated: {shape}, {blend}",))


def local(base: Pixels, share: float, random: Random) -> Edit:
    """A region adjusted: saved, recoloured, blurred, sharpened, made noisy, resampled, painted."""
    region, shape = tampering_regions.draw(base, share, random)
    painted = shape == "text" or random.random() < 0.05
    name = "painted" if painted else str(random.choice(list(_LOCAL)))
    piece = _painted(base, random) if painted else _whole(name, base, random)
    width = 0.0 if random.random() < 0.5 else float(random.uniform(1, 6))
    pixels = tampering_blend.feathered(base, piece, region, width)
    return Edit(pixels, region, (f"local: {shape}, {name}, feathered {width:.1f}",))


def _placement(region: Mask, size: tuple[int, int], random: Random, exact: float) -> Placement:
    """A random place for the centre of a region in a picture of `size`, height and width."""
    rows, columns = np.nonzero(region)
    centre = (columns.min() + columns.max()) // 2, (rows.min() + rows.max()) // 2
    goal = random.uniform(0.12, 0.88, 2) * size[::-1]
    shift = int(goal[0]) - int(centre[0]), int(goal[1]) - int(centre[1])
    angle = scale = None
    if random.random() >= exact:
        way = random.random(3)
        large = float(random.uniform(-180, 180)), float(random.uniform(-25, 25))
        angle = large[int(way[0] < 0.7)] if way[1] < 0.6 else None
        scale = float(np.exp(random.uniform(np.log(0.5), np.log(1.6)))) if way[2] < 0.7 else None
    return Placement(angle or 0.0, scale or 1.0, bool(random.random() < 0.25), shift)


def _kernel(random: Random) -> int:
    return int(random.choice(list(_KERNELS)))


def _diffused(base: Pixels, region: Mask, telea: bool) -> Pixels:
    """The region filled from its rim; only its surroundings are handed over, for speed."""
    left, top, width, height = cv2.boundingRect(region.astype(np.uint8))
    around = np.s_[max(0, top - 8) : top + height + 8, max(0, left - 8) : left + width + 8]
    pixels = base.copy()
    pixels[around] = cv2.inpaint(
        np.ascontiguousarray(base[around]),
        region[around].astype(np.uint8),
        3,
        cv2.INPAINT_TELEA if telea else cv2.INPAINT_NS,
    )
    return pixels


def _nearby(base: Pixels, region: Mask, random: Random) -> tuple[tuple[int, int], Mask]:
    """The offset, down and right, whose texture fits the rim of a region best; its source.

    Texture that would come from the region itself, or from beyond the picture's border, counts as
    a bad fit.
    """
    height, width = region.shape
    flat = region.astype(np.uint8)
    rim = np.argwhere(cv2.dilate(flat, np.ones((7, 7), np.uint8)) > flat)
    inside = np.argwhere(region)
    inside = inside[random.integers(len(inside), size=400)]
    rim = rim[random.integers(len(rim), size=min(len(rim), 400))] if len(rim) else inside[:1]
    _, _, columns, rows = cv2.boundingRect(flat)
    best, least = (0, 0), np.inf
    for _ in range(_OFFSETS):
        reach = random.uniform(0.6, 1.6, 2) * random.choice((-1, 1), 2) * (rows, columns)
        reach *= random.choice(((1, 1), (1, 0.2), (0.2, 1)))
        down, right = int(reach[0]), int(reach[1])
        from_rim = (rim - (down, right)) % (height, width)
        gap = np.abs(
            base[rim[:, 0], rim[:, 1]].astype(np.int16) - base[from_rim[:, 0], from_rim[:, 1]]
        ).mean()
        from_inside = inside - (down, right)
        beyond = ((from_inside < 0) | (from_inside >= (height, width))).any(axis=1)
        row, column = (from_inside % (height, width)).T
        cost = float(gap) + 200 * float(np.mean(beyond | region[row, column]))
        if cost < least:
            best, least = (down, right), cost
    source = np.roll(region, (-best[0], -best[1]), (0, 1)) & ~region
    return best, source


def _painted(base: Pixels, random: Random) -> Pixels:
    """One colour, mostly black or white or one of the picture's own."""
    height, width = base.shape[:2]
    own = base[int(random.integers(height)), int(random.integers(width))]
    choices = (np.zeros(3, np.uint8), np.full(3, 255, np.uint8), own, random.integers(256, size=3))
    colour = choices[int(random.integers(len(choices)))]
    return np.broadcast_to(np.asarray(colour, np.uint8), base.shape)


def _saved(pixels: Pixels, random: Random) -> Pixels:
    return tampering_social.saved(pixels, tampering_social.jpeg(random, 40, 90, 0.3))


def _resampled(pixels: Pixels, random: Random) -> Pixels:
    """Made smaller and enlarged again, or enlarged and made smaller."""
    height, width = pixels.shape[:2]
    factor = float(np.exp(random.uniform(np.log(0.4), np.log(1.5))))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    kernel = _kernel(random)
    there = cv2.resize(pixels, size, interpolation=kernel)
    return np.asarray(cv2.resize(there, (width, height), interpolation=kernel), np.uint8)


def _recoloured(pixels: Pixels, random: Random) -> Pixels:
    """Every hue turned by the same angle."""
    colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    turn = int(random.integers(10, 171))
    colours[..., 0] = (colours[..., 0].astype(np.int16) + turn) % 180
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB), np.uint8)


def _denoised(pixels: Pixels, random: Random) -> Pixels:
    return np.asarray(cv2.medianBlur(pixels, int(random.choice((3, 5)))), np.uint8)


def _size(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def _whole(name: str, pixels: Pixels, random: Random) -> Pixels:
    return _LOCAL[name](pixels, random)


_LOCAL: dict[str, Callable[[Pixels, Random], Pixels]] = {
    "jpeg": _saved,
    "light": partial(augment.light, strength=0.35),
    "gamma": partial(augment.gamma, low=0.6, high=1.6),
    "hue": _recoloured,
    "grey": augment.grey,
    "blur": partial(augment.blur, low=0.7, high=5.0),
    "median": _denoised,
    "sharpen": partial(augment.sharpen, low=0.5, high=2.0),
    "noise": partial(augment.noise, low=2.0, high=12.0),
    "resampled": _resampled,
}
