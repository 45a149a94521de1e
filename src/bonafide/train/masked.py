"""What a method that learns masks is trained on: made tampering, and pictures with masks.

Bona fide pictures are material for `bonafide.train.tampering`, which edits parts of them anew for
every sample. Edited pictures count where the manifest names their masks. Groups are held out whole
before anything is made, so that no picture of the validation lent pixels to the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bonafide.bench.manifest import select
from bonafide.bench.protocol import Protocol
from bonafide.errors import InvalidInput
from bonafide.train.augment import Pixels, crop, level, turn
from bonafide.train.batches import Example
from bonafide.train.data import TrainingData, of_table
from bonafide.train.pictures import Picture, Wanted, decode
from bonafide.train.readers import open_table
from bonafide.train.recipe import Recipe
from bonafide.train.reconstruct import open_passage, spelled_out
from bonafide.train.tampering import Decoder, Maker, TamperingSettings
from bonafide.train.tampering_twins import Remembered

LABELLED = 0.5  # share of the samples that come from pictures with masks, where there are any
VALIDATED = 240  # samples of a validation made of held-out pictures


def load(
    manifest: Path,
    protocol: Protocol,
    cache: Path,
    held_out: float = 0.2,
    seed: int = 0,
    jobs: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Read a table, decode what is not in the cache yet, and hold groups out.

    Args:
        manifest: bona fide pictures, edited ones with masks, or both: a manifest, shards or a
            saved data set (see `bonafide.train.readers`).
        protocol: says what labels and columns mean.
        cache: folder of decoded pictures; may be shared between trainings.
        held_out: share of the pictures of each class to hold out, in [0, 1).
        seed: of the choice.
        jobs: processes that decode; 0 for one per core.
        progress: called with the numbers of files read and of all files.

    Raises:
        InvalidInput: the table cannot be followed, or too few groups are there to hold one out.
    """
    table = open_table(manifest, cache)
    rows = table.rows
    single = [row for row in rows if not row.get("composite")]
    left_out = {row["path"]: "several pictures in one" for row in rows if row.get("composite")}
    chosen = select(single, protocol, table.folder, both_classes=False)
    wanted = []
    for sample in chosen.samples:
        if sample.positive and not sample.mask:
            left_out[sample.path] = "it has no mask"
            continue
        source = sample.value("source") or sample.cluster
        marks = sample.value("mask_marks") or "white"
        wanted.append(
            Wanted(table.place(sample.path), sample.path, bool(sample.positive), source,
                   sample.cluster, cache, None,
                   table.place(sample.mask) if sample.mask else None, marks)
        )  # fmt: skip
    pictures = [one for one in decode(wanted, jobs, left_out, progress) if one]
    if not pictures:
        raise InvalidInput(
            f"{manifest} has no bona fide picture, and none with a mask, under {protocol.name}"
        )
    return of_table(pictures, left_out, table, held_out, seed)


def open_decoders(names: Sequence[str], folder: Path) -> list[Decoder]:
    """Autoencoders, as `bonafide align --through` names them; a folder stands for its .onnx files.

    Args:
        names: of the autoencoders.
        folder: where what they made is kept, so that it is made once.

    Raises:
        InvalidInput: a name means nothing, or a folder holds none.
    """
    passages = [open_passage(one) for one in spelled_out(names)]
    return [Remembered(passage.send, passage.name, folder) for passage in passages]


class _Mixed:
    """Samples of some pictures: made ones and labelled ones, each a function of its generator."""

    def __init__(
        self,
        recipe: Recipe,
        pictures: Sequence[Picture],
        tampering: TamperingSettings,
        decoders: Sequence[Decoder] = (),
    ) -> None:
        settings = replace(tampering, side=recipe.settings.crop)
        self.read = recipe.read
        real = [picture.array for picture in pictures if picture.mask is None]
        self.side = settings.side
        self.maker = Maker(real, settings, decoders) if real else None
        self.labelled = [picture for picture in pictures if picture.mask]

    def draw(self, random: np.random.Generator) -> tuple[Example, str]:
        """A sample, and of what kind it is."""
        if self.labelled and (self.maker is None or random.random() < LABELLED):
            return self._cut(self.labelled[int(random.integers(len(self.labelled)))], random)
        assert self.maker is not None
        made = self.maker.make(random)
        return self._example(made.pixels, made.mask, random), made.kind

    def _cut(self, picture: Picture, random: np.random.Generator) -> tuple[Example, str]:
        """A crop of a labelled picture, in half of the cases saved once more."""
        assert picture.mask is not None
        mask = np.load(picture.mask, mmap_mode="r", allow_pickle=False)
        # The mask rides along as a fourth channel, so that both are cut and turned alike.
        whole = np.dstack([picture.pixels(), mask.astype(np.uint8)])
        cut = turn(crop(whole, random, self.side), random)
        pixels, edited = np.ascontiguousarray(cut[..., :3]), cut[..., 3] > 0
        if random.random() < 0.5:
            pixels = level(pixels, random)
        return self._example(pixels, edited, random), picture.source

    def _example(
        self, pixels: Pixels, mask: NDArray[np.bool_], random: np.random.Generator
    ) -> Example:
        seen, edited = self.read(pixels, mask, random)
        return Example(seen, float(edited.any()), mask=edited)


class MaskedSamples(Dataset[list[Example]]):
    """The endless table of training samples, indexed by (step, slot)."""

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingData,
        tampering: TamperingSettings,
        decoders: Sequence[Decoder] = (),
    ) -> None:
        settings = recipe.settings
        self.seed, self.slots, self.pairs_per_batch = settings.seed, settings.batch, 0
        self._mixed = _Mixed(recipe, data.pictures, tampering, decoders)

    def __getitem__(self, key: tuple[int, int]) -> list[Example]:
        """One sample, a function of seed, step and slot alone."""
        step, slot = key
        return [self._mixed.draw(np.random.default_rng((self.seed, step, slot)))[0]]


def validation_examples(
    recipe: Recipe,
    data: TrainingData,
    tampering: TamperingSettings,
    decoders: Sequence[Decoder] = (),
) -> list[tuple[Example, str]]:
    """`VALIDATED` samples of the held-out pictures and their kinds; [] without any.

    The same for a seed in every training and process; none has a twin among the samples that are
    trained on, whose generators have three numbers for a seed.
    """
    if not data.validation:
        return []
    settings = recipe.settings
    mixed = _Mixed(recipe, data.validation, tampering, decoders)
    return [
        mixed.draw(np.random.default_rng((settings.seed, number))) for number in range(VALIDATED)
    ]
