"""Endless labelled tampering from real pictures, for networks that learn where one was changed.

A base picture is cut at native size, with the JPEG history it has, sometimes shrunk or saved
first; part of it is edited; then the whole is saved, resized or shared. That last part is drawn
alike for authentic and edited pictures, so that it tells nothing. A region is whatever differs
from the base, exactly: every blend ends at its border, and masks go through resizes by the
nearest pixel.

    maker = Maker(paths, TamperingSettings(side=256))
    tampered = maker.make(numpy.random.default_rng(7))

Equal generators give equal results, whatever was made before. Makers can be pickled; every
process then keeps decoded pictures of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.errors import InvalidInput, MediaError
from bonafide.media.image import Image
from bonafide.train import tampering_edits as edits
from bonafide.train import tampering_social
from bonafide.train.augment import Pixels, Random
from bonafide.train.tampering_edits import Edit, Filler
from bonafide.train.tampering_regions import MOST

Mask = NDArray[np.bool_]
Decoder = Callable[[Pixels], Pixels]

KINDS = ("authentic", "splice", "copy_move", "removal", "regenerated", "local")
_MULTIPLE = 32  # divides the sides of what a decoder gets, pixels
_ATTEMPTS = 6  # at an edit that shows
_SHOWS = 0.5  # share of a region's pixels that an edit must change
_SHOWS_BY = 1.0  # mean change of a region that an edit must make, levels of 255
_LARGEST_ENLARGEMENT = 1.5  # of a picture smaller than the crops
_LARGEST_CUT = 2.1  # sides of a crop that it is ever made from
_LEAST_DONOR = 96  # pixels of the shorter side
_SHRUNK_BEFORE = 0.3


@dataclass(frozen=True)
class TamperingSettings:
    """What is made, and how often.

    Attributes:
        side: of the crops, pixels.
        authentic: share of crops that are not edited.
        splice, copy_move, removal, regenerated, local: relative frequency of the edits among the
            others; without decoders nothing is regenerated.
        smallest, largest: area of what is edited, as a part of the crop; uniform in its logarithm.
        on_grid: probability that a crop, or a JPEG, starts at a corner of the 8×8 block grid.
        reframed: share of the regenerated whose whole frame went through a decoder as well.
        saved_before: share of the crops that were saved once more before they were edited.
        aftermath: False leaves out what happens after the edit, for a method that saves the crop
            itself.
        cache_bytes: memory for decoded pictures.
    """

    side: int = 320
    authentic: float = 0.3
    splice: float = 0.35
    copy_move: float = 0.2
    removal: float = 0.15
    regenerated: float = 0.15
    local: float = 0.15
    smallest: float = 0.003
    largest: float = 0.4
    on_grid: float = 0.75
    reframed: float = 0.3
    saved_before: float = 0.4
    aftermath: bool = True
    cache_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        if self.side < 64:
            raise InvalidInput("tampering needs crops of at least 64 pixels a side")
        if not 0 < self.smallest <= self.largest <= MOST:
            raise InvalidInput(f"areas of edits must satisfy 0 < smallest ≤ largest ≤ {MOST}")


@dataclass(frozen=True)
class Tampered:
    """One crop.

    Attributes:
        pixels: uint8 side×side×3 RGB.
        mask: bool side×side, True where it was changed after capture; of a copy, the target.
        source: bool side×side, where copied pixels came from; None for none.
        kind: one of `KINDS`.
        steps: what was done, in order, with its parameters, for a person.
        picture: index of the base among the maker's pictures.
        data: the file that was saved last, JPEG or WebP, if nothing came after it.
    """

    pixels: Pixels
    mask: Mask
    source: Mask | None
    kind: str
    steps: tuple[str, ...]
    picture: int
    data: bytes | None = None


class Maker:
    """Makes labelled crops.

    Args:
        pictures: real ones: files that bonafide decodes, ".npy" files of uint8 H×W×3 RGB, or
            such arrays. Those much smaller than the crops, and those that cannot be read, are left
            out when they are met, and named in `left_out`.
        settings: what is made.
        decoders: autoencoders, uint8 → uint8 at equal size; they get sides that 32 divides.
        fillers: networks that fill holes.

    Raises:
        InvalidInput: no picture was given.
    """

    def __init__(
        self,
        pictures: Sequence[Path | Pixels],
        settings: TamperingSettings,
        decoders: Sequence[Decoder] = (),
        fillers: Sequence[Filler] = (),
    ) -> None:
        if not len(pictures):
            raise InvalidInput("tampering needs at least one picture")
        self.pictures = list(pictures)
        self.settings = settings
        self.decoders = tuple(decoders)
        self.fillers = tuple(fillers)
        self.left_out: dict[str, str] = {}
        self._cache = _Cache(settings.cache_bytes)

    def make(self, random: Random) -> Tampered:
        """The next crop.

        Raises:
            InvalidInput: none of the pictures can be used.
        """
        settings = self.settings
        if settings.aftermath:
            index, picture = self._drawn(random, settings.side / _LARGEST_ENLARGEMENT)
            after = tampering_social.draw(random, settings.on_grid, settings.side / _room(picture))
        else:
            index, picture = self._drawn(random, settings.side)
            after = tampering_social.Aftermath(())
        canvas = min(_room(picture), round(settings.side / after.factor))
        kind = self._kind(random)
        part = self._part(picture) if kind == "regenerated" else picture
        cut, steps = _drawn_cut(part, canvas, settings.on_grid, random)
        base = cut(part)
        if random.random() < settings.saved_before:
            save = tampering_social.jpeg(random, 50, 100, settings.on_grid)
            base = tampering_social.saved(base, save)
            steps = (*steps, f"base: jpeg {save.amount:.0f} grid at {save.corner}")
        if kind == "regenerated":
            edit = self._regenerated(index, part, cut, base, random)
        else:
            edit = self._edited(kind, index, base, random)
        if edit is None and kind != "authentic":  # in a flat crop, what comes from outside shows
            kind, edit = "splice", self._edited("splice", index, base, random)
        if edit is None:
            kind, edit = "authentic", Edit(base, np.zeros(base.shape[:2], bool), ())
        masks: tuple[Mask, ...] = (edit.mask,)
        masks += () if edit.source is None else (edit.source,)
        pixels, masks, data = after.carry_out(edit.pixels, masks, settings.side)
        steps = (*steps, *edit.steps, *map(str, after.links))
        source = masks[1] if len(masks) > 1 else None
        return Tampered(pixels, masks[0], source, kind, steps, index, data)

    def _kind(self, random: Random) -> str:
        settings = self.settings
        if random.random() < settings.authentic:
            return "authentic"
        shares = np.array([getattr(settings, kind) for kind in KINDS[1:]], float)
        if not self.decoders:
            shares[KINDS[1:].index("regenerated")] = 0
        return KINDS[1 + int(random.choice(len(shares), p=shares / shares.sum()))]

    def _edited(self, kind: str, index: int, base: Pixels, random: Random) -> Edit | None:
        """An edit of a kind that shows; None for "authentic", and where none shows."""
        if kind == "authentic":
            return None
        for _ in range(_ATTEMPTS):
            share = self._share(random)
            if kind == "splice":
                edit = edits.splice(base, self._donor(index, len(base), random), share, random)
            elif kind == "copy_move":
                edit = edits.copy_move(base, share, random)
            elif kind == "removal":
                edit = edits.removal(base, share, random, self.fillers)
            else:
                edit = edits.local(base, share, random)
            if edit is not None and _shows(base, edit):
                return edit
        return None

    def _regenerated(
        self,
        index: int,
        part: Pixels,
        cut: Callable[[Pixels], Pixels],
        base: Pixels,
        random: Random,
    ) -> Edit | None:
        """A region as a decoder gives it back, in a frame that went through none or another."""
        order = random.permutation(len(self.decoders))
        first, last = int(order[0]), int(order[-1])
        twin = cut(self._twin(index, first, part))
        steps: tuple[str, ...] = ()
        if random.random() < self.settings.reframed:
            base, steps = twin, (f"base: whole frame through {_name(self.decoders[first])}",)
            if first == last:
                filled = edits.removal(base, self._share(random), random, self.fillers)
                return replace(filled, steps=steps + filled.steps)
            twin = cut(self._twin(index, last, part))
            first = last
        for _ in range(_ATTEMPTS):
            edit = edits.regenerated(base, twin, self._share(random), random)
            if _shows(base, edit):
                through = (f"region: through {_name(self.decoders[first])}",)
                return replace(edit, steps=steps + through + edit.steps)
        return None

    def _share(self, random: Random) -> float:
        settings = self.settings
        return float(np.exp(random.uniform(np.log(settings.smallest), np.log(settings.largest))))

    def _drawn(self, random: Random, least: float, but: int = -1) -> tuple[int, Pixels]:
        """A picture with sides of at least `least` pixels, not number `but` if there are others."""
        for _ in range(100 + 10 * len(self.pictures)):
            index = int(random.integers(len(self.pictures)))
            if index == but and len(self.pictures) > 1:
                continue
            pixels = self._pixels(index)
            if pixels is not None and _room(pixels) >= least:
                return index, pixels
            if pixels is not None:
                self.left_out[self._name(index)] = f"smaller than {least:.0f} pixels"
        raise InvalidInput("none of the pictures can be read and is large enough to be tampered")

    def _donor(self, base: int, side: int, random: Random) -> Pixels:
        """Up to side×side pixels of another picture."""
        _, picture = self._drawn(random, _LEAST_DONOR, base)
        height, width = (min(length, side) for length in picture.shape[:2])
        top = int(random.integers(picture.shape[0] - height + 1))
        left = int(random.integers(picture.shape[1] - width + 1))
        return np.ascontiguousarray(picture[top : top + height, left : left + width])

    def _part(self, picture: Pixels) -> Pixels:
        """The middle of a picture, as large as a crop can need."""
        side = round(_LARGEST_CUT * self.settings.side)
        top, left = (max(0, (length - side) // 2) // 8 * 8 for length in picture.shape[:2])
        return picture[top : top + side, left : left + side]

    def _twin(self, index: int, decoder: int, part: Pixels) -> Pixels:
        """What a decoder makes of a part; sides are filled up to what it can take."""

        def compute() -> Pixels:
            height, width = part.shape[:2]
            padding = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
            padded = np.ascontiguousarray(np.pad(part, padding, "reflect"))
            return self.decoders[decoder](padded)[:height, :width]

        return self._cache.get((index, decoder), compute)

    def _pixels(self, index: int) -> Pixels | None:
        """The pixels of a picture, None if it cannot be read."""
        picture = self.pictures[index]
        if not isinstance(picture, Path):
            return picture
        if picture.suffix == ".npy":
            pixels: Pixels = np.load(picture, mmap_mode="r", allow_pickle=False)
            return pixels
        if self._name(index) in self.left_out:
            return None
        try:
            return self._cache.get((index, -1), lambda: _decoded(picture))
        except MediaError as error:
            self.left_out[self._name(index)] = error.why
            return None

    def _name(self, index: int) -> str:
        picture = self.pictures[index]
        return str(picture) if isinstance(picture, Path) else f"picture {index}"


class _Cache:
    """Arrays by key, those used last kept within a number of bytes; pickled empty."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[int, int], compute: Callable[[], Pixels]) -> Pixels:
        """The array of a key, computed unless it is kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = compute()
        self._kept[key] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > self.most and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels

    def __getstate__(self) -> dict[str, Any]:
        return {"most": self.most, "_kept": OrderedDict(), "_bytes": 0}


def _drawn_cut(
    picture: Pixels, side: int, on_grid: float, random: Random
) -> tuple[Callable[[Pixels], Pixels], tuple[str, ...]]:
    """A square of a picture, sometimes shrunk to `side`, as a function of equally large ones."""
    taken, kernel = side, "bicubic"
    if random.random() < _SHRUNK_BEFORE:
        taken = round(side * float(random.uniform(1.0, min(2.5, _room(picture) / side))))
        kernel = str(random.choice(list(tampering_social.KERNELS)))
    taken = min(taken, _room(picture))
    step = 8 if random.random() < on_grid else 1
    top, left = (step * int(random.integers((n - taken) // step + 1)) for n in picture.shape[:2])

    def cut(pixels: Pixels) -> Pixels:
        square = np.ascontiguousarray(pixels[top : top + taken, left : left + taken])
        if taken == side:
            return square
        shrunk = Pillow.fromarray(square).resize((side, side), tampering_social.KERNELS[kernel])
        return np.asarray(shrunk)

    steps = (f"base: resize ×{side / taken:.3f} {kernel}",) if taken != side else ()
    return cut, (f"base: cut at {left}, {top}", *steps)


def _shows(base: Pixels, edit: Edit) -> bool:
    change = np.abs(edit.pixels[edit.mask].astype(np.int16) - base[edit.mask]).max(axis=1)
    if not len(change):
        return False
    return float((change > 0).mean()) >= _SHOWS and float(change.mean()) >= _SHOWS_BY


def _room(pixels: Pixels) -> int:
    return int(min(pixels.shape[:2]))


def _name(decoder: Decoder) -> str:
    return str(getattr(decoder, "name", getattr(decoder, "__name__", type(decoder).__name__)))


def _decoded(path: Path) -> Pixels:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(path.name, f"it cannot be read: {error.strerror}") from None
    return np.array(Image(data, path.name).pixels)
