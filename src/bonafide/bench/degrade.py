"""What happens to pictures on their way: degradations that a name reproduces.

`apply(data, "resize:0.5+jpeg:75")` returns the bytes of the degraded file, and the mask moved along
with the pixels. Equal bytes, name and seed give equal bytes wherever and in whatever order files
are degraded, with equal versions of Pillow and its codecs.

- Pictures are decoded as detectors see them: upright, RGB, alpha and colour profile dropped.
  No metadata survive any degradation but "native", which leaves the bytes untouched.
- The last step that saves decides the container; if pixels changed after it, or nothing saved,
  the result is PNG.
- "normalise" removes the cues of the container, not the history of the pixels: a photograph that
  was JPEG before still carries the traces of that, and its generated twin from a PNG does not.
  Pictures smaller than the crop keep their smaller side (see `Degraded.notes`); where classes
  differ in that, leave such pictures out or choose a smaller crop.
- The social networks are approximations: size limits as the services document or examiners have
  measured, one typical quality each. The services change both over time and by client. What of it
  was measured on files of theirs stands in `docs/bench.md`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from bonafide.bench.degrade_names import Choice, Extent, Grammar, Kind, Number, random_for
from bonafide.errors import MediaError
from bonafide.media.image import Image
from bonafide.media.limits import Limits

KERNELS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

# Steps of each network: longer side (Instagram: width) in pixels and JPEG quality.
NETWORKS: Mapping[str, str] = MappingProxyType(
    {
        "facebook": "fit:2048+jpeg:85",
        "whatsapp": "fit:1600+jpeg:75",
        "x": "fit:4096+jpeg:85",
        "telegram": "fit:1280+jpeg:87",
        "instagram": "width:1080+jpeg:80",
    }
)

# Width and height of common screens, in the pixels that a screenshot holds.
_SCREENS = ((1366, 768), (1536, 864), (1920, 1080), (2560, 1440), (2880, 1800))
_PHONES = ((1080, 2400), (1170, 2532), (1440, 3120), (828, 1792))
_LARGEST_SIDE = {"JPEG": 65_535, "WEBP": 16_383, "AVIF": 65_535}
_STRIP = 256  # rows whose noise is in memory at once


@dataclass(frozen=True)
class Degraded:
    """A degraded file.

    Attributes:
        data: its bytes.
        mask: bool H×W of the new picture, None if none was given.
        name: canonical name of the degradation.
        notes: one sentence for each step that could not be carried out in full, such as a crop
            larger than the picture.
    """

    data: bytes
    mask: NDArray[np.bool_] | None
    name: str
    notes: tuple[str, ...] = ()


class _State:
    """The picture between two steps: pixels, or the bytes last saved, which hold the same."""

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None,
        random: np.random.Generator,
        limits: Limits,
    ) -> None:
        self._pixels: NDArray[np.uint8] | None = pixels
        self.saved: bytes | None = None
        self.mask = mask
        self.random = random
        self.limits = limits
        self.notes: list[str] = []

    @property
    def pixels(self) -> NDArray[np.uint8]:
        if self._pixels is None:
            assert self.saved is not None
            self._pixels = Image(self.saved, limits=self.limits).pixels
        return self._pixels

    @pixels.setter
    def pixels(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels, self.saved = np.ascontiguousarray(pixels), None

    def save(self, format: str, **options: Any) -> None:  # noqa: A002
        side, largest = max(self.pixels.shape[:2]), _LARGEST_SIDE.get(format)
        if largest and side > largest:
            raise MediaError("picture", f"{format} holds {largest:,} pixels a side, not {side:,}")
        buffer = io.BytesIO()
        Pillow.fromarray(self.pixels).save(buffer, format, **options)
        self._pixels, self.saved = None, buffer.getvalue()

    def rescale(self, width: int, height: int, kernel: str) -> None:
        self.limits.check("picture", "pixels", width * height)
        resample = Pillow.Resampling[kernel.upper()]
        picture = Pillow.fromarray(self.pixels).resize((width, height), resample)
        self.pixels = np.asarray(picture)
        if self.mask is not None:
            mask = Pillow.fromarray(self.mask.astype(np.uint8))
            moved = mask.resize((width, height), Pillow.Resampling.NEAREST)
            self.mask = np.asarray(moved) > 0

    def cut(self, width: int, height: int) -> None:
        """A window of that size at a random place; of a smaller picture what there is."""
        there = self.pixels.shape[:2]
        wanted = f"{width}×{height}"
        height, width = min(height, there[0]), min(width, there[1])
        if f"{width}×{height}" != wanted:
            self.notes.append(f"smaller than {wanted} pixels: kept {width}×{height}")
        top = int(self.random.integers(0, there[0] - height + 1))
        left = int(self.random.integers(0, there[1] - width + 1))
        self.pixels = self.pixels[top : top + height, left : left + width]
        if self.mask is not None:
            self.mask = self.mask[top : top + height, left : left + width].copy()


def apply(
    data: bytes,
    name: str,
    seed: int = 0,
    mask: NDArray[np.bool_] | None = None,
    limits: Limits | None = None,
) -> Degraded:
    """Degrade one picture file.

    Args:
        data: its bytes.
        name: which degradation, for example "crop:0.8+jpeg:75"; see `usage`.
        seed: of everything random in it.
        mask: bool H×W of the upright picture, moved along by nearest neighbour.
        limits: bounds on the picture, before and after.

    Raises:
        ValueError: the name is wrong, or the mask has another shape than the picture.
        MediaError: the file cannot be decoded, or the result is too large.
    """
    steps = GRAMMAR.parse(name)
    name = GRAMMAR.canonical(name)
    if name == "native":
        return Degraded(data, mask, name)
    limits = limits or Limits()
    pixels = Image(data, limits=limits).pixels
    if mask is not None and (mask.shape != pixels.shape[:2] or mask.dtype != np.bool_):
        raise ValueError(
            f"the mask is {mask.dtype} {mask.shape}; the picture needs bool {pixels.shape[:2]}"
        )
    state = _State(pixels, mask, random_for(data, name, seed), limits)
    for step in steps:
        step.kind.run(state, **step.values)
    if state.saved is None:
        _png(state)
    assert state.saved is not None
    return Degraded(state.saved, state.mask, name, tuple(state.notes))


def _native(state: _State) -> None:
    """Nothing: `apply` returns before."""


def _png(state: _State) -> None:
    state.save("PNG", compress_level=1)


def _jpeg(state: _State, quality: int, subsampling: str = "420") -> None:
    state.save("JPEG", quality=quality, subsampling=":".join(subsampling))


def _webp(state: _State, quality: int) -> None:
    state.save("WEBP", quality=quality, method=4)


def _avif(state: _State, quality: int) -> None:
    # One thread, since only that is sure to give the same bytes everywhere.
    state.save("AVIF", quality=quality, speed=8, max_threads=1)


def _double_jpeg(state: _State, first: int, second: int) -> None:
    _jpeg(state, first)
    _jpeg(state, second)


def _resize(state: _State, factor: float, kernel: str) -> None:
    height, width = state.pixels.shape[:2]
    state.rescale(max(1, round(width * factor)), max(1, round(height * factor)), kernel)


def _fit(state: _State, side: int, kernel: str) -> None:
    longer = max(state.pixels.shape[:2])
    if longer > side:
        _resize(state, side / longer, kernel)


def _width(state: _State, width: int, kernel: str) -> None:
    there = state.pixels.shape[1]
    if there > width:
        _resize(state, width / there, kernel)


def _crop(state: _State, extent: float | tuple[int, int]) -> None:
    height, width = state.pixels.shape[:2]
    if isinstance(extent, tuple):
        state.cut(*extent)
    else:
        state.cut(max(1, round(width * extent)), max(1, round(height * extent)))


def _blur(state: _State, sigma: float) -> None:
    state.pixels = cv2.GaussianBlur(state.pixels, (0, 0), sigma)


def _sharpen(state: _State, amount: float) -> None:
    soft = cv2.GaussianBlur(state.pixels, (0, 0), 1.0)
    state.pixels = cv2.addWeighted(state.pixels, 1 + amount, soft, -amount, 0)


def _noise(state: _State, sigma: float) -> None:
    noisy = np.empty_like(state.pixels)
    for top in range(0, len(noisy), _STRIP):
        strip = state.pixels[top : top + _STRIP]
        values = sigma * state.random.standard_normal(strip.shape, np.float32) + strip
        noisy[top : top + _STRIP] = np.clip(np.rint(values), 0, 255)
    state.pixels = noisy


def _gamma(state: _State, exponent: float) -> None:
    levels = 255 * (np.arange(256) / 255) ** exponent
    state.pixels = np.rint(levels).astype(np.uint8)[state.pixels]


def _denoise(state: _State, strength: float) -> None:
    state.pixels = cv2.bilateralFilter(state.pixels, 7, strength, 3.0)


def _tone(state: _State, limit: float) -> None:
    light, *colour = cv2.split(cv2.cvtColor(state.pixels, cv2.COLOR_RGB2YCrCb))
    light = cv2.createCLAHE(limit, (8, 8)).apply(light)
    state.pixels = cv2.cvtColor(cv2.merge((light, *colour)), cv2.COLOR_YCrCb2RGB)


def _screenshot(state: _State) -> None:
    height, width = state.pixels.shape[:2]
    screens = _PHONES if height > width else _SCREENS
    screen = screens[int(state.random.integers(len(screens)))]
    window = float(state.random.uniform(0.6, 1.0))
    largest = float(state.random.uniform(1.2, 1.9))  # viewers do not blow up small pictures
    factor = min(window * min(screen[0] / width, screen[1] / height), largest)
    while abs((whole := max(factor, 1 / factor)) - round(whole)) < 0.03:
        factor *= 0.93
    _resize(state, factor, "bilinear")
    _png(state)


def _normalise(state: _State, size: int, quality: int) -> None:
    state.cut(size, size)
    _jpeg(state, quality)


_QUALITY = Number("quality", 1, 100, whole=True)
_KERNEL = Choice("kernel", KERNELS, "lanczos")
_SIDE = Number("side", 1, 65_535, whole=True)
_KINDS = (
    Kind("native", "leave the file untouched", (), _native),
    Kind(
        "normalise",
        "cut {size}×{size} pixels at random, drop metadata, save as JPEG at quality {quality}",
        (Number("size", 8, 65_535, 256, True), replace(_QUALITY, default=90)),
        _normalise,
    ),
    Kind("png", "save as PNG", (), _png),
    Kind(
        "jpeg",
        "save as JPEG at quality {quality} with chroma sampling {subsampling}",
        (_QUALITY, Choice("subsampling", ("420", "422", "444"), "420")),
        _jpeg,
    ),
    Kind("webp", "save as lossy WebP at quality {quality}", (_QUALITY,), _webp),
    Kind("avif", "save as AVIF at quality {quality}", (_QUALITY,), _avif),
    Kind(
        "double_jpeg",
        "save as JPEG at quality {first}, then at quality {second} on the same block grid",
        (replace(_QUALITY, name="first"), replace(_QUALITY, name="second")),
        _double_jpeg,
    ),
    Kind(
        "resize",
        "resize each side by {factor} with the {kernel} kernel",
        (Number("factor", 0.01, 8), _KERNEL),
        _resize,
    ),
    Kind("fit", "shrink to a longer side of at most {side} pixels", (_SIDE, _KERNEL), _fit),
    Kind(
        "width",
        "shrink to a width of at most {width} pixels",
        (replace(_SIDE, name="width"), _KERNEL),
        _width,
    ),
    Kind("crop", "cut {extent} of it at a random place", (Extent("extent"),), _crop),
    Kind("blur", "blur with a Gaussian of {sigma} pixels", (Number("sigma", 0.1, 50),), _blur),
    Kind(
        "noise",
        "add Gaussian noise of {sigma} levels to every channel",
        (Number("sigma", 0, 128),),
        _noise,
    ),
    Kind(
        "sharpen",
        "unsharp mask of amount {amount} and radius 1 pixel",
        (Number("amount", 0, 10),),
        _sharpen,
    ),
    Kind(
        "gamma",
        "raise levels to the power of {exponent}; below 1 brightens",
        (Number("exponent", 0.1, 10),),
        _gamma,
    ),
    Kind(
        "denoise",
        "bilateral filter over 7 pixels that joins levels closer than about {strength}",
        (Number("strength", 1, 255),),
        _denoise,
    ),
    Kind(
        "tone",
        "stretch light in each of 8×8 places, contrast at most {limit} times, as HDR modes do",
        (Number("limit", 1, 40),),
        _tone,
    ),
    Kind(
        "screenshot",
        "rescale to a part of a screen by a factor that is not whole, bilinear, and save as PNG",
        (),
        _screenshot,
    ),
)


def _network(state: _State, steps: str) -> None:
    for step in _STEPS.parse(steps):
        step.kind.run(state, **step.values)


_STEPS = Grammar(_KINDS, "pictures")
GRAMMAR = Grammar(
    (
        *_KINDS,
        *(
            Kind(name, f"as {name} does, roughly: {_STEPS.describe(steps)}", (), run)
            for name, steps in NETWORKS.items()
            for run in [partial(_network, steps=steps)]
        ),
    ),
    "pictures",
)

LADDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "jpeg": tuple(f"jpeg:{quality}" for quality in (95, 90, 80, 70, 60, 50, 30)),
        "webp": tuple(f"webp:{quality}" for quality in (95, 80, 60, 40)),
        "avif": tuple(f"avif:{quality}" for quality in (90, 70, 50, 30)),
        "double_jpeg": ("double_jpeg:75:90", "double_jpeg:90:75", "double_jpeg:95:60"),
        "resize": tuple(f"resize:{factor:g}" for factor in (2, 1.5, 1.25, 0.75, 0.5, 0.25)),
        "kernel": tuple(GRAMMAR.canonical(f"resize:0.5:{kernel}") for kernel in KERNELS),
        "crop": tuple(f"crop:{share:g}" for share in (0.9, 0.75, 0.5, 0.25)),
        "blur": tuple(f"blur:{sigma:g}" for sigma in (0.5, 1, 2, 3, 4)),
        "noise": tuple(f"noise:{sigma:g}" for sigma in (1, 2, 4, 8, 16)),
        "sharpen": tuple(f"sharpen:{amount:g}" for amount in (0.5, 1, 2)),
        "gamma": tuple(f"gamma:{exponent:g}" for exponent in (0.5, 0.8, 1.25, 2)),
        "screenshot": ("screenshot", "screenshot+jpeg:80"),
        "social": tuple(NETWORKS),
    }
)
