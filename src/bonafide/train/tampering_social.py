"""What happens to a whole picture after it was edited, or was not: saving, resizing, sharing.

An `Aftermath` is drawn before anything is known about the picture, and is carried out alike on
authentic and edited ones, so that it tells nothing. Masks go through every resize with the
pixels, by the nearest one.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.train import augment
from bonafide.train.augment import Pixels, Random

Mask = NDArray[np.bool_]

KERNELS = {
    "box": Pillow.Resampling.BOX,
    "bilinear": Pillow.Resampling.BILINEAR,
    "bicubic": Pillow.Resampling.BICUBIC,
    "lanczos": Pillow.Resampling.LANCZOS,
}
_KERNEL_SHARES = (0.1, 0.3, 0.35, 0.25)
_SUBSAMPLING_SHARES = (0.7, 0.1, 0.2)  # of 4:2:0, 4:2:2, 4:4:4, roughly as met in the wild
_GLOBAL_EDIT = 0.1  # probability that the whole frame was adjusted, which is no local edit


@dataclass(frozen=True)
class Link:
    """One thing done to a whole picture.

    Attributes:
        name: "resize", "jpeg", "webp", "noise", "blur", "sharpen", "light" or "gamma".
        amount: the factor of a resize, the quality of a codec; unused by the others.
        manner: the kernel of a resize, the subsampling of a JPEG.
        corner: left and top of the picture on the block grid of a JPEG.
        seed: of what is random in the others.
    """

    name: str
    amount: float = 0.0
    manner: str = ""
    corner: tuple[int, int] = (0, 0)
    seed: int = 0

    def __str__(self) -> str:
        if self.name == "resize":
            return f"whole frame: resize ×{self.amount:.3f} {self.manner}"
        if self.name == "jpeg":
            grid = f" grid at {self.corner}" if any(self.corner) else ""
            return f"whole frame: jpeg {self.amount:.0f} {self.manner}{grid}"
        return f"whole frame: {self.name}" + (f" {self.amount:.0f}" if self.amount else "")


@dataclass(frozen=True)
class Aftermath:
    """What is done, in order."""

    links: tuple[Link, ...]

    @property
    def factor(self) -> float:
        """By how much the sides change in all."""
        return float(np.prod([link.amount for link in self.links if link.name == "resize"]))

    def carry_out(
        self, pixels: Pixels, masks: tuple[Mask, ...], side: int
    ) -> tuple[Pixels, tuple[Mask, ...], bytes | None]:
        """Do it.

        Args:
            pixels: uint8 S×S×3 RGB.
            masks: bool S×S.
            side: of the result, pixels; the last resize takes up what rounding left.

        Returns:
            Pixels and masks of that side; and the bytes of the file that was saved last, None if
            pixels were changed, or cut off its block grid, after it.
        """
        last = max((i for i, link in enumerate(self.links) if link.name == "resize"), default=-1)
        data = None
        for place, link in enumerate(self.links):
            data = None
            if link.name == "resize":
                now = side if place == last else max(1, round(len(pixels) * link.amount))
                pixels = _resized(pixels, now, KERNELS[link.manner])
                masks = tuple(_nearest(mask, now) for mask in masks)
            elif link.name in ("jpeg", "webp"):
                pixels, data = _saved(pixels, link)
            else:
                pixels = _ADJUSTMENTS[link.name](pixels, np.random.default_rng(link.seed))
        return pixels, masks, data


def draw(random: Random, on_grid: float, least: float) -> Aftermath:
    """One of many ways in which pictures go.

    Args:
        random: decides.
        on_grid: probability that a JPEG's block grid starts at the corner of the picture.
        least: the smallest factor by which the picture may be resized in all; where it is above
            1, a resize comes first.
    """
    links: list[Link] = []
    if random.random() < _GLOBAL_EDIT:
        links.append(_seeded(str(random.choice(("light", "gamma", "sharpen"))), random))
    way = str(random.choice(list(_WAYS), p=_WAY_SHARES))
    links += _WAYS[way](random, on_grid, min(1.0, least))
    if least > 1:
        enlarge = least * float(random.uniform(1, 1.05))
        links.insert(0, _resize(random, enlarge, enlarge))
    return Aftermath(tuple(links))


def jpeg(random: Random, low: int, high: int, on_grid: float) -> Link:
    """A JPEG save of a quality from `low` to `high`."""
    corner = tuple(int(phase) for phase in random.integers(8, size=2))
    return Link(
        "jpeg",
        int(random.integers(low, high + 1)),
        str(random.choice(augment.SUBSAMPLINGS, p=_SUBSAMPLING_SHARES)),
        (0, 0) if random.random() < on_grid else (corner[0], corner[1]),
    )


def _resize(random: Random, low: float, high: float) -> Link:
    factor = float(np.exp(random.uniform(np.log(low), np.log(high))))
    return Link("resize", factor, str(random.choice(list(KERNELS), p=_KERNEL_SHARES)))


def _seeded(name: str, random: Random) -> Link:
    return Link(name, seed=int(random.integers(2**31)))


def _untouched(random: Random, on_grid: float, least: float) -> list[Link]:
    return []


def _one_save(random: Random, on_grid: float, least: float) -> list[Link]:
    return [jpeg(random, 60, 100, on_grid)]


def _fine_save(random: Random, on_grid: float, least: float) -> list[Link]:
    return [jpeg(random, 88, 100, on_grid)]


def _shrunk(random: Random, on_grid: float, least: float) -> list[Link]:
    return [_resize(random, max(0.5, least), 1.2), jpeg(random, 60, 100, on_grid)]


def _webp(random: Random, on_grid: float, least: float) -> list[Link]:
    return [Link("webp", int(random.integers(60, 101)))]


def _shared_twice(random: Random, on_grid: float, least: float) -> list[Link]:
    """Two services, each of which fits the picture into its frame and saves it."""
    first = _resize(random, max(0.6, least), 1.0)
    second = _resize(random, max(0.8, min(1.0, least / first.amount)), 1.0)
    links = [first, jpeg(random, 70, 85, 1.0), second, jpeg(random, 70, 85, on_grid)]
    return [link for link in links if link.name != "resize" or link.amount < 0.999]


def _noisy(random: Random, on_grid: float, least: float) -> list[Link]:
    return [_seeded("noise", random), jpeg(random, 70, 100, on_grid)]


def _blurred(random: Random, on_grid: float, least: float) -> list[Link]:
    return [_seeded("blur", random), jpeg(random, 70, 100, on_grid)]


_WAYS: dict[str, Callable[[Random, float, float], list[Link]]] = {
    "none": _untouched,
    "saved": _one_save,
    "saved finely": _fine_save,
    "shrunk": _shrunk,
    "webp": _webp,
    "shared": _shared_twice,
    "noisy": _noisy,
    "blurred": _blurred,
}
_WAY_SHARES = (0.15, 0.2, 0.2, 0.15, 0.07, 0.13, 0.05, 0.05)

_ADJUSTMENTS: dict[str, Callable[[Pixels, Random], Pixels]] = {
    "noise": lambda pixels, random: augment.noise(pixels, random, 0.5, 3.0),
    "blur": lambda pixels, random: augment.blur(pixels, random, 0.3, 0.8),
    "sharpen": lambda pixels, random: augment.sharpen(pixels, random, 0.2, 1.0),
    "light": lambda pixels, random: augment.light(pixels, random, 0.15),
    "gamma": lambda pixels, random: augment.gamma(pixels, random, 0.8, 1.25),
}


def saved(pixels: Pixels, link: Link) -> Pixels:
    """Pixels as the file that a "jpeg" or "webp" link writes gives them back."""
    return _saved(pixels, link)[0]


def _saved(pixels: Pixels, link: Link) -> tuple[Pixels, bytes | None]:
    quality = int(link.amount)
    if any(link.corner):
        return augment.resaved(pixels, quality, link.manner, *link.corner), None
    buffer = io.BytesIO()
    picture = Pillow.fromarray(pixels)
    if link.name == "webp":
        picture.save(buffer, "WEBP", quality=quality, method=2)
    else:
        picture.save(buffer, "JPEG", quality=quality, subsampling=link.manner)
    return np.asarray(Pillow.open(buffer)), buffer.getvalue()


def _resized(pixels: Pixels, side: int, kernel: Pillow.Resampling) -> Pixels:
    return np.asarray(Pillow.fromarray(pixels).resize((side, side), kernel))


def _nearest(mask: Mask, side: int) -> Mask:
    picture = Pillow.fromarray(mask.astype(np.uint8))
    return np.asarray(picture.resize((side, side), Pillow.Resampling.NEAREST)).astype(bool)
