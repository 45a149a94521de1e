"""What a method that reads clips is trained on: frames of one person or scene, in order.

`bonafide probe crops` writes a manifest with a row per frame: `file` and `subject` say what the
frames belong to, `seconds` when they were. They are cut into clips of equal length without overlap.
What is shorter than a clip is left out: clips filled up with black or repeated frames could be told
by that alone.

A clip is uint8 H×W×3T: three planes for each frame. Whatever cuts or mirrors a picture does so with
a clip; what saves or colours one goes through `augment.framewise`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bonafide.bench.manifest import select
from bonafide.bench.protocol import Protocol as Labels
from bonafide.bench.samples import Sample
from bonafide.errors import InvalidInput
from bonafide.train import recipe
from bonafide.train.augment import Chain, Pixels, Step, blur, crop, framewise, jpeg, light, mirror
from bonafide.train.batches import Example, Samples
from bonafide.train.data import TrainingData, of_table, wanted_of
from bonafide.train.pictures import Picture, decode
from bonafide.train.readers import open_table
from bonafide.train.recipe import Recipe


@dataclass(frozen=True)
class Clip(Picture):
    """Frames of one person or scene.

    Attributes:
        frames: where they lie, in order; each as `Picture.array`, which is the first.
    """

    frames: tuple[Path, ...] = ()

    def pixels(self) -> Pixels:
        """uint8 H×W×3T RGB."""
        shown = [np.load(frame, mmap_mode="r", allow_pickle=False) for frame in self.frames]
        return np.concatenate(shown, axis=2)


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """What every method of clips can be told; see `bonafide.train.recipe.Settings` for the rest.

    Attributes:
        frames: of a clip.
    """

    frames: int = 8


class ClipRecipe(Recipe):
    """A training method that reads clips; its network takes float32 (N, 3T, H, W) in [0, 1]."""

    needs_clips = True
    any_size = False
    layout: ClassVar[str] = (
        "float32 (N, 3T, H, W) in [0, 1]: RGB of T frames one after the other, native resolution"
    )

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.channels = 3 * settings.frames

    def augment(self) -> Chain[Pixels]:
        """Mirroring, crops, blur, light and JPEG, alike for all frames of a clip."""
        return Chain(
            (
                Step("mirror", 0.5, mirror),
                Step("crop", 1.0, partial(crop, side=self.settings.crop)),
                Step("blur", 0.1, framewise(partial(blur, low=0.3, high=1.5))),
                Step("light", 0.5, framewise(partial(light, strength=0.1))),
                Step("jpeg", 0.5, framewise(partial(jpeg, low=40, high=100))),
            )
        )


@runtime_checkable
class OwnForgeries(Protocol):
    """A method that makes forged clips of genuine ones."""

    @property
    def blended(self) -> float:
        """Share of the forged clips that are made so, in [0, 1]; all where data have none."""
        ...

    def forge(
        self, clip: NDArray[Any], random: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """A forged clip of the same shape, and which share of each frame is forged, (T,)."""
        ...


class ClipSamples(Samples):
    """The endless table of training clips, indexed by (step, slot)."""

    def __getitem__(self, key: tuple[int, int]) -> list[Example]:
        """One clip; genuine and forged ones take turns."""
        step, slot = key
        random = np.random.default_rng((self.seed, step, slot))
        forged = (step * self.slots + slot) % 2 == 1
        if forged and isinstance(self.recipe, OwnForgeries):
            made = random.random() < self.recipe.blended
            if made or not self.has(forged):
                changed, share = self.recipe.forge(self.picture(0, random).pixels(), random)
                pixels, _, _ = self._window(changed, random)
                return [Example(self.augment(pixels, random), 1.0, share[None])]
        return [self._labelled(self.picture(int(forged), random), random)]


def frames_of(pixels: Tensor, frames: int) -> Tensor:
    """(N, 3T, H, W) → (N·T, 3, H, W)."""
    height, width = pixels.shape[2:]
    return pixels.reshape(len(pixels) * frames, 3, height, width)


def load(
    manifest: Path,
    protocol: Labels,
    cache: Path,
    frames: int,
    held_out: float = 0.2,
    seed: int = 0,
    jobs: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Read a table of frames, decode what is not in the cache yet, and hold groups out.

    Args:
        manifest: frames with their `file`, `subject` (if any) and `seconds`, as
            `bonafide probe crops` writes it.
        protocol: says what labels and columns mean.
        cache: folder of decoded frames; may be shared between trainings.
        frames: of a clip.
        held_out: share of the clips of each class to hold out, in [0, 1).
        seed: of the choice.
        jobs: processes that decode; 0 for one per core.
        progress: called with the numbers of frames read and of all frames.

    Raises:
        InvalidInput: the table cannot be followed, nothing in it is long enough, or a class has
            too few groups to hold one out.
    """
    table = open_table(manifest, cache)
    rows = [row for row in table.rows if row.get("path")]
    if not rows or "file" not in rows[0] or "seconds" not in rows[0]:
        raise InvalidInput(f"{manifest} needs the columns file and seconds of `probe crops`")
    chosen = select(rows, protocol, table.folder, both_classes=held_out > 0)
    wanted = wanted_of(chosen.samples, table, cache)
    left_out: dict[str, str] = {}
    found = decode(wanted, jobs, left_out, progress)
    tracks: dict[tuple[str, str], list[tuple[float, Picture]]] = defaultdict(list)
    for sample, picture in zip(chosen.samples, found, strict=True):
        if picture:
            tracks[sample.value("file"), sample.value("subject")].append(
                (_seconds(sample), picture)
            )
    clips: list[Picture] = []
    for (file, subject), track in tracks.items():
        ordered = [picture for _, picture in sorted(track, key=lambda one: one[0])]
        cut = _clips(ordered, frames, f"{file} {subject}".strip())
        if not cut:
            left_out[f"{file} {subject}".strip()] = f"it has not {frames} frames of one size"
        clips += cut
    if not clips:
        raise InvalidInput(f"{manifest} has no {frames} frames of one size of one subject")
    return of_table(clips, left_out, table, held_out, seed)


def _clips(track: Sequence[Picture], frames: int, name: str) -> list[Picture]:
    """Stretches of frames of one size, without overlap."""
    found: list[Picture] = []
    for first in range(0, len(track) - frames + 1, frames):
        shown = track[first : first + frames]
        if len({np.load(one.array, mmap_mode="r").shape for one in shown}) == 1:
            own = shown[0]
            arrays = tuple(one.array for one in shown)
            found.append(
                Clip(f"{name} #{first // frames}", own.positive, own.source, own.group, own.array,
                     frames=arrays)
            )  # fmt: skip
    return found


def _seconds(sample: Sample) -> float:
    try:
        return float(sample.value("seconds"))
    except ValueError:
        raise InvalidInput(f"{sample.path}: seconds must be a number") from None
