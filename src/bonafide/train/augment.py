"""What may happen to a picture on its way, alike for both classes.

Every operation is a function of uint8 H×W×3 RGB pixels and a random generator. A `Chain` decides
what happens to a picture before it looks at it, and hands every operation random numbers of its
own: neither class, content nor size of a picture moves what is done to it, and a picture and its
aligned twin, given equal random states, go through exactly the same.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Pixels = NDArray[np.uint8]
Random = np.random.Generator
T = TypeVar("T")
Operation = Callable[[Pixels, Random], Pixels]

KERNELS = (
    Pillow.Resampling.NEAREST,
    Pillow.Resampling.BOX,
    Pillow.Resampling.BILINEAR,
    Pillow.Resampling.HAMMING,
    Pillow.Resampling.BICUBIC,
    Pillow.Resampling.LANCZOS,
)
SUBSAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")
_SUBSAMPLING_SHARES = (0.7, 0.1, 0.2)  # roughly those of JPEGs met in the wild
_GRID = 8  # pixels between the block borders of a JPEG
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Step(Generic[T]):
    """One link of a chain over pictures, or over sound.

    Attributes:
        name: of the operation.
        probability: that it happens, in [0, 1].
        run: the operation.
    """

    name: str
    probability: float
    run: Callable[[T, Random], T]


@dataclass(frozen=True)
class Chain(Generic[T]):
    """Operations one after the other; over pixels an `Augment` of `bonafide.train.recipe`."""

    steps: tuple[Step[T], ...]

    def plan(self, random: Random) -> list[tuple[Step[T], int]]:
        """What will happen, each step with the seed of its random numbers.

        As many numbers are drawn whatever comes out, so that equal states stay equal.
        """
        chances = random.random(len(self.steps))
        seeds = random.integers(2**63, size=len(self.steps))
        return [
            (step, int(seed))
            for step, chance, seed in zip(self.steps, chances, seeds, strict=True)
            if chance < step.probability
        ]

    def __call__(self, given: T, random: Random) -> T:
        """Carry the plan out."""
        for step, seed in self.plan(random):
            given = step.run(given, np.random.default_rng(seed))
        return given


def framewise(change: Callable[..., Pixels]) -> Callable[..., Pixels]:
    """A change of pictures as one of clips, uint8 H×W×3T: alike for all frames."""

    def changed(pixels: Pixels, random: Random, **options: Any) -> Pixels:
        state = int(random.integers(2**63))
        frames = np.split(pixels, pixels.shape[2] // 3, axis=2)
        return np.concatenate(
            [
                change(np.ascontiguousarray(frame), np.random.default_rng(state), **options)
                for frame in frames
            ],
            axis=2,
        )

    return changed


def standard(side: int) -> Chain[Pixels]:
    """Everything below in sensible doses, ending in crops of `side` pixels with a levelled codec.

    Resizing comes with and without an earlier save, since most pictures in the wild were saved,
    shrunk and saved again.
    """
    return Chain(
        (
            Step("turn", 1.0, turn),
            Step("saved before", 0.3, saved),
            Step("resize", 0.5, partial(resize, low=0.4, high=1.6)),
            Step("crop", 1.0, partial(crop, side=side)),
            Step("blur", 0.1, partial(blur, low=0.3, high=1.5)),
            Step("sharpen", 0.1, partial(sharpen, low=0.2, high=1.5)),
            Step("noise", 0.1, partial(noise, low=0.5, high=6.0)),
            Step("gamma", 0.1, partial(gamma, low=0.7, high=1.4)),
            Step("light", 0.2, partial(light, strength=0.2)),
            Step("grey", 0.05, grey),
            Step("level", 1.0, level),
        )
    )


def level(pixels: Pixels, random: Random) -> Pixels:
    """End on a codec drawn from one distribution for every sample, so that format tells nothing.

    Half of the saves lie off the block grid of the crop, since a picture may be cut after saving.
    One sample in seven is left alone: what it went through before is all that it shows.
    """
    return saved(pixels, random) if random.random() < 6 / 7 else pixels


def saved(pixels: Pixels, random: Random) -> Pixels:
    """Save and read again: JPEG 60–100 four times in five, else WebP 50–100."""
    lossy_webp = random.random() < 0.2
    if lossy_webp:
        return webp(pixels, random, 50, 100)
    return jpeg(pixels, random, 60, 100)


def jpeg(pixels: Pixels, random: Random, low: int, high: int) -> Pixels:
    """Save as JPEG at a quality from `low` to `high`, half of the time off the block grid."""
    quality = int(random.integers(low, high + 1))
    subsampling = str(random.choice(SUBSAMPLINGS, p=_SUBSAMPLING_SHARES))
    left, top = (int(phase) for phase in random.integers(_GRID, size=2))
    on_grid = random.random() < 0.5
    return resaved(pixels, quality, subsampling, *((0, 0) if on_grid else (left, top)))


def resaved(pixels: Pixels, quality: int, subsampling: str, left: int = 0, top: int = 0) -> Pixels:
    """Pixels as a JPEG gives them back.

    Args:
        pixels: uint8 H×W×3 RGB.
        quality: libjpeg quality, 1 to 100.
        subsampling: of chroma, one of `SUBSAMPLINGS`.
        left, top: place of the pixels in the picture that is saved; its block grid starts there
            at (0, 0).
    """
    left, top = left % _GRID, top % _GRID
    padded = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), "edge") if left or top else pixels
    return _coded(padded, "JPEG", quality=quality, subsampling=subsampling)[top:, left:]


def webp(pixels: Pixels, random: Random, low: int, high: int) -> Pixels:
    """Save as lossy WebP at a quality from `low` to `high`."""
    return _coded(pixels, "WEBP", quality=int(random.integers(low, high + 1)), method=2)


def crop(pixels: Pixels, random: Random, side: int) -> Pixels:
    """A square of `side` pixels at a random place; a smaller picture is tiled, never resized."""
    across, down = random.random(2)  # as shares, so that the size of a picture moves no draw
    height, width = pixels.shape[:2]
    if min(height, width) < side:
        pixels = tiled(pixels, side)
        height, width = pixels.shape[:2]
    top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
    return pixels[top : top + side, left : left + side]


def tiled(pixels: Pixels, side: int) -> Pixels:
    """The picture repeated until it is at least `side` pixels high and wide.

    Mirroring instead would shift the phase of a periodic trace at every seam.
    """
    height, width = pixels.shape[:2]
    missing = ((0, max(0, side - height)), (0, max(0, side - width)), (0, 0))
    return np.pad(pixels, missing, "wrap")


def turn(pixels: Pixels, random: Random) -> Pixels:
    """One of the eight flips and quarter turns."""
    quarter, mirrored = int(random.integers(4)), random.random() < 0.5
    turned = np.rot90(pixels, quarter)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def mirror(pixels: Pixels, random: Random) -> Pixels:
    """Left and right swapped: a backbone knows the world upright, so that it is not turned."""
    return np.ascontiguousarray(pixels[:, ::-1])


def resize(pixels: Pixels, random: Random, low: float, high: float) -> Pixels:
    """Resize by a factor from `low` to `high`, uniform in its logarithm, with any kernel."""
    factor = float(np.exp(random.uniform(np.log(low), np.log(high))))
    kernel = KERNELS[int(random.integers(len(KERNELS)))]
    height, width = (max(1, round(length * factor)) for length in pixels.shape[:2])
    return np.asarray(Pillow.fromarray(pixels).resize((width, height), kernel))


def blur(pixels: Pixels, random: Random, low: float, high: float) -> Pixels:
    """Gaussian of `low` to `high` pixels."""
    return _uint8(cv2.GaussianBlur(pixels, (0, 0), float(random.uniform(low, high))))


def sharpen(pixels: Pixels, random: Random, low: float, high: float) -> Pixels:
    """Unsharp mask of radius 1 pixel and an amount from `low` to `high`."""
    amount = float(random.uniform(low, high))
    soft = cv2.GaussianBlur(pixels, (0, 0), 1.0)
    return _uint8(cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0))


def noise(pixels: Pixels, random: Random, low: float, high: float) -> Pixels:
    """Gaussian noise of `low` to `high` levels, independent in every channel."""
    sigma = float(random.uniform(low, high))
    return _uint8(pixels + sigma * random.standard_normal(pixels.shape, np.float32))


def gamma(pixels: Pixels, random: Random, low: float, high: float) -> Pixels:
    """Raise levels to a power from `low` to `high`; below 1 brightens."""
    levels = 255 * (np.arange(256) / 255) ** float(random.uniform(low, high))
    return _uint8(levels)[pixels]


def light(pixels: Pixels, random: Random, strength: float) -> Pixels:
    """Brightness, contrast and saturation, each times a factor from 1 − to 1 + `strength`."""
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, 3)
    values = pixels.astype(np.float32) * np.float32(brightness)
    values = (values - values.mean()) * np.float32(contrast) + values.mean()
    luma = (values @ _LUMA)[..., None]
    return _uint8((values - luma) * np.float32(saturation) + luma)


def grey(pixels: Pixels, random: Random) -> Pixels:
    """Luma in all three channels."""
    return np.repeat(_uint8(pixels.astype(np.float32) @ _LUMA)[..., None], 3, axis=2)


def _coded(pixels: Pixels, container: str, **options: Any) -> Pixels:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return np.asarray(Pillow.open(buffer))


def _uint8(values: NDArray[Any]) -> Pixels:
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded
