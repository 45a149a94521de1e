"""What a method that reads speech is trained on: recordings, pauses cut out, stretches of them.

A recording is decoded once and kept as rows of 16 bits. For `SoundRecipe` a row is one sample of
speech at 16 kHz, below 7 kHz, pauses left out; `bonafide.train.speaking` has rows of a mouth and
its sound. Every time a recording is drawn, a stretch of equal length is cut from it. What is
shorter is left out: sound that is repeated or filled up with silence could be told by that alone.
Pauses are left out alike in both classes, since in published sets their length tells the classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from bonafide.bench.manifest import select
from bonafide.bench.protocol import Protocol
from bonafide.errors import InvalidInput, MediaError
from bonafide.media.source import open_media
from bonafide.signals.speech import band_limited
from bonafide.subjects.speech import find_speech, stretches
from bonafide.train import recipe
from bonafide.train.augment import Chain, Step
from bonafide.train.augment_sound import WAY, levelled
from bonafide.train.batches import Example, Samples
from bonafide.train.clips import OwnForgeries
from bonafide.train.data import TrainingData, of_table, wanted_of
from bonafide.train.pictures import Picture, Wanted, decode, keep
from bonafide.train.readers import open_table
from bonafide.train.recipe import Augment, Batch, Output, Recipe

LONGEST = 60.0  # seconds of speech that are kept of a recording
FULL = 32_767.0  # of 16 bits, for a sample of 1

Sound = NDArray[np.float32]
Reader = Callable[[Wanted], Picture | str]


@dataclass(frozen=True)
class Settings(recipe.Settings):
    """What every method of sound can be told; see `bonafide.train.recipe.Settings` for the rest.

    Attributes:
        samples: of a stretch, 16,000 per second.
        degraded: share of the stretches that go through rooms, noise, bands and codecs.
    """

    samples: int = 64_600
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    degraded: float = 0.8


class SoundRecipe(Recipe):
    """A training method that reads speech; its network takes float32 (N, samples) in [-1, 1].

    Unless a method says otherwise it minimises cross-entropy by Adam.
    """

    needs_sound = True
    any_size = False
    input = "sound"
    layout: ClassVar[str] = (
        "float32 (N, samples) in [-1, 1]: speech at 16 kHz, below 7 kHz, pauses cut out, peak 0.7"
    )
    Settings: ClassVar[type[recipe.Settings]] = Settings
    reader: ClassVar[Reader]  # what decodes a file into rows; a function of a module

    @property
    def length(self) -> int:
        """Rows of a stretch."""
        return int(self.settings.samples)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a stretch."""
        return (self.length,)

    def floats(self, rows: NDArray[np.int16]) -> Sound:
        """Rows as they are kept → as the network is given them."""
        return rows.astype(np.float32) / np.float32(FULL)

    def augment(self) -> Augment:
        """A room, noise, a band, codecs; then the peak is what it was."""
        return Chain((Step("way", self.settings.degraded, WAY), Step("level", 1.0, _level)))

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Binary cross-entropy."""
        output: Output = network(batch.pixels)
        bce = functional.binary_cross_entropy_with_logits(output.logit, batch.label)
        return bce, {"bce": float(bce.detach())}

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam with L2 decay in the gradient."""
        trainable = [weight for weight in network.parameters() if weight.requires_grad]
        return torch.optim.Adam(
            trainable, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )


class SoundSamples(Samples):
    """The endless table of training stretches, indexed by (step, slot)."""

    def __getitem__(self, key: tuple[int, int]) -> list[Example]:
        """One stretch; genuine and forged ones take turns."""
        step, slot = key
        random = np.random.default_rng((self.seed, step, slot))
        forged = (step * self.slots + slot) % 2 == 1
        if forged and isinstance(self.recipe, OwnForgeries):
            made = random.random() < self.recipe.blended
            if made or not self.has(forged):
                changed, share = self.recipe.forge(
                    self._cut(self.picture(0, random), random), random
                )
                return [Example(self.augment(changed, random), 1.0, share[None])]
        picture = self.picture(int(forged), random)
        sound = self.augment(self._cut(picture, random), random)
        source = self._sources[picture.source]
        return [Example(sound, float(picture.positive), source=source)]

    def _cut(self, picture: Picture, random: np.random.Generator) -> Sound:
        """A stretch at a random place."""
        return stretch(self.recipe, picture, float(random.random()))


class SoundViews(Dataset[Example]):
    """Validation: the middle of every recording, the same in every validation."""

    def __init__(
        self, recipe: SoundRecipe, pictures: Sequence[Picture], own: Sequence[int]
    ) -> None:
        """Take the recordings, and which of them this process listens to."""
        self.recipe, self.pictures, self.own = recipe, pictures, own

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, place: int) -> Example:
        """A stretch and its label."""
        picture = self.pictures[self.own[place]]
        return Example(stretch(self.recipe, picture, 0.5), float(picture.positive))


def stretch(recipe: Recipe, picture: Picture, place: float) -> Sound:
    """A stretch of a recording, as the network is given it; `place` in [0, 1) says where."""
    assert isinstance(recipe, SoundRecipe)
    rows: Any = np.load(picture.array, mmap_mode="r", allow_pickle=False)
    first = int(place * (len(rows) - recipe.length + 1))
    return recipe.floats(np.array(rows[first : first + recipe.length]))


def some(recipe: SoundRecipe, data: TrainingData, count: int = 4) -> NDArray[np.float32]:
    """At most `count` real stretches, to compare networks on."""
    every = data.validation or data.pictures
    chosen = range(0, len(every), max(1, len(every) // count))[:count]
    return np.stack([stretch(recipe, every[number], 0.5) for number in chosen])


def read_speech(wanted: Wanted) -> Picture | str:
    """Keep the speech of a recording: int16 (n,), at most `LONGEST` seconds of it."""
    try:
        media = open_media(wanted.place.read(), wanted.name)
        if media.audio is None:
            return "it has no sound"
        speech = find_speech(media.audio)
        if speech.out_of_scope is not None:
            return speech.out_of_scope
        first = next(stretches(media.audio, speech, LONGEST, 1), None)
        if first is None:
            return "there is no speech in it"
    except MediaError as error:
        return error.why
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    target = wanted.cache / f"{media.sha256}-speech.npy"
    samples = levelled(band_limited(first.samples))
    keep(target, np.rint(samples.clip(-1, 1) * FULL).astype(np.int16))
    return Picture(wanted.name, wanted.positive, wanted.source, wanted.group, target)


SoundRecipe.reader = staticmethod(read_speech)


def load(
    manifest: Path,
    protocol: Protocol,
    cache: Path,
    recipe: SoundRecipe,
    held_out: float = 0.2,
    seed: int = 0,
    jobs: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Read a table of recordings, decode what is not in the cache yet, and hold groups out.

    Args:
        manifest: labelled recordings (see `bonafide.train.readers`).
        protocol: says what labels and columns mean.
        cache: folder of decoded recordings; may be shared between trainings.
        recipe: says what is kept of a recording, and how long a stretch is.
        held_out: share of the recordings of each class to hold out, in [0, 1).
        seed: of the choice.
        jobs: processes that decode; 0 for one per core.
        progress: called with the numbers of files read and of all files.

    Raises:
        InvalidInput: the table cannot be followed, nothing in it is long enough, or a class has
            too few groups to hold one out.
    """
    table = open_table(manifest, cache)
    rows = [row for row in table.rows if row.get("path")]
    chosen = select(rows, protocol, table.folder, both_classes=held_out > 0)
    wanted = wanted_of(chosen.samples, table, cache)
    left_out: dict[str, str] = {}
    kept = []
    for one in decode(wanted, jobs, left_out, progress, type(recipe).reader):
        if one is None:
            continue
        if len(np.load(one.array, mmap_mode="r")) < recipe.length:
            left_out[one.name] = "there is less speech in it than a stretch"
        else:
            kept.append(one)
    if not kept:
        why = Counter(left_out.values()).most_common(1)[0][0] if left_out else "it is empty"
        raise InvalidInput(f"nothing in {manifest} can be used: {why}")
    return of_table(kept, left_out, table, held_out, seed)


def _level(samples: Sound, _: np.random.Generator) -> Sound:
    return levelled(samples)
