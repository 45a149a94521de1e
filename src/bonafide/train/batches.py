"""Batches: which picture comes when, and what it has gone through.

The k-th sample of a step is a function of (seed, step, k) alone. Training goes on after a stop
from the number of the step, whatever the number of loading processes. A step's samples are dealt
into parts, which the processes of a distributed training share out without talking to each other.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from bonafide.errors import InvalidInput
from bonafide.train.augment import Pixels, framewise, level, resaved, tiled
from bonafide.train.data import History, Pair, Picture, TrainingData, source_numbers
from bonafide.train.recipe import Augment, Batch, Recipe
from bonafide.train.weighted import Weighted


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn; told with `--set name=value` like the settings of a method.

    Attributes:
        source_exponent: a source of n pictures of a class is drawn with a weight of n to this
            power: 0 draws all sources alike, 1 all pictures.
        paired: share of a batch that comes from aligned pairs, in [0, 1]; None stands for 1 where
            the method trains on pairs or nothing else is there, else for a half.
        window: side, in crops, of the window at native size that augmentations see.
        equalised: share of the pictures without a JPEG history that are given one, drawn from
            those of the JPEGs among the training pictures; a twin gets that of its original.
    """

    source_exponent: float = 0.5
    paired: float | None = None
    window: float = 2.0
    equalised: float = 1.0


@dataclass(frozen=True)
class Example:
    """One picture of a batch.

    Attributes:
        pixels: uint8 crop×crop×3 RGB, or float32 of any shape, which a batch holds as it is.
        label: 1 for synthetic or edited, 0 for bona fide.
        replaced: float32 h×w in [0, 1], share of each patch that is synthetic; None where the
            method does not ask.
        mask: bool crop×crop, True where the picture was edited; None where the method does not
            ask.
        source: number of its source among those of the training data, -1 where nobody asks.
    """

    pixels: NDArray[Any]
    label: float
    replaced: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    source: int = -1


@dataclass(frozen=True)
class Twins:
    """An original crop and its twin, before anything was done to them.

    Attributes:
        original, twin: uint8 H×W×3 RGB of equal size.
        history: how the original was saved; None for what was no JPEG.
        left, top: place of the original crop in its picture, pixels: modulo 8, where the block
            grid of its JPEG lies.
    """

    original: Pixels
    twin: Pixels
    history: History | None
    left: int
    top: int


@runtime_checkable
class OwnPairs(Protocol):
    """A recipe that makes the examples of a pair itself: aligns, mixes, replaces patches.

    Others get both sides with the same augmentation, the twin re-saved like its original.
    """

    def examples(self, twins: Twins, random: np.random.Generator) -> Sequence[Example]:
        """Two examples of one pair, the bona fide one first."""
        ...


class Samples(Dataset[list[Example]]):
    """The endless table of training samples, indexed by (step, slot)."""

    def __init__(self, recipe: Recipe, data: TrainingData, sampling: Sampling) -> None:
        settings = recipe.settings
        self.recipe, self.data = recipe, data
        self.sampling = sampling
        self.seed, self.side = settings.seed, settings.crop
        self.own = recipe if isinstance(recipe, OwnPairs) else None
        self.augment = recipe.augment()
        self.pairs_per_batch = _pairs_per_batch(recipe, data, sampling)
        self.slots = settings.batch - self.pairs_per_batch
        exponent = sampling.source_exponent
        self._classes = [
            [picture for picture in data.pictures if picture.positive is side]
            for side in (False, True)
        ]
        self._by_class = [
            Weighted([one.source for one in side], exponent) if side else None
            for side in self._classes
        ]
        self._sources = source_numbers(data)
        self._by_maker = Weighted([pair.twin.source for pair in data.pairs] or [""], exponent)
        self._histories = histories(data)

    def __getitem__(self, key: tuple[int, int]) -> list[Example]:
        """One labelled picture, or the two sides of a pair."""
        step, slot = key
        random = np.random.default_rng((self.seed, step, slot))
        if slot < self.pairs_per_batch:
            return self._pair(self.data.pairs[self._by_maker.draw(random)], random)
        labelled = self.slots - self.pairs_per_batch
        # Taking turns balances classes exactly, over steps where a batch is odd.
        turn = step * labelled + slot
        return [self._labelled(self.picture(turn % 2, random), random)]

    def has(self, side: int) -> bool:
        """Whether there are pictures of one class: 0 bona fide, 1 synthetic."""
        return bool(self._classes[side])

    def picture(self, side: int, random: np.random.Generator) -> Picture:
        """A picture of one class: 0 bona fide, 1 synthetic."""
        chosen = self._by_class[side]
        assert chosen is not None
        return self._classes[side][chosen.draw(random)]

    def _labelled(self, picture: Picture, random: np.random.Generator) -> Example:
        pixels, _, _ = self._window(picture.pixels(), random)
        pixels = with_history(pixels, picture, self._histories, self.sampling.equalised, random)
        source = self._sources[picture.source]
        return Example(self.augment(pixels, random), float(picture.positive), source=source)

    def _pair(self, pair: Pair, random: np.random.Generator) -> list[Example]:
        original, left, top = self._window(pair.original.pixels(), random)
        height, width = original.shape[:2]
        twin = pair.twin.pixels()[top : top + height, left : left + width]
        left, top = left + pair.original.left, top + pair.original.top
        twins = Twins(original, np.asarray(twin), pair.original.history, left, top)
        if self.own:
            made = list(self.own.examples(twins, random))
        else:
            made = alike(twins, self.augment, self.sampling.equalised, random)
        sources = [self._sources[side.source] for side in (pair.original, pair.twin)]
        return [replace(one, source=source) for one, source in zip(made, sources, strict=True)]

    def _window(self, pixels: Pixels, random: np.random.Generator) -> tuple[Pixels, int, int]:
        """A window at native size, copied from disk, and its left and top."""
        side = round(self.sampling.window * self.side)
        height, width = pixels.shape[:2]
        across, down = random.random(2)
        left = int(across * max(1, width - side + 1))
        top = int(down * max(1, height - side + 1))
        return np.array(pixels[top : top + side, left : left + side]), left, top


def alike(
    twins: Twins, augment: Augment, equalised: float, random: np.random.Generator
) -> list[Example]:
    """Both sides through the same augmentation, the twin first re-saved like its original."""
    twin, history = twins.twin, twins.history
    if history and random.random() < equalised:
        twin = resaved(twin, history.quality, history.subsampling, twins.left, twins.top)
    state = int(random.integers(2**63))
    sides = ((twins.original, 0.0), (twin, 1.0))
    return [Example(augment(side, np.random.default_rng(state)), label) for side, label in sides]


def histories(data: TrainingData) -> tuple[History, ...]:
    """How the JPEGs among the training pictures were saved, one for each."""
    every = (*data.pictures, *(pair.original for pair in data.pairs))
    return tuple(picture.history for picture in every if picture.history)


def with_history(
    pixels: Pixels,
    picture: Picture,
    known: Sequence[History],
    share: float,
    random: np.random.Generator,
) -> Pixels:
    """Give a picture that was no JPEG the history of one, so that its format tells nothing."""
    if picture.history or not known or random.random() >= share:
        return pixels
    history = known[int(random.integers(len(known)))]
    left, top = (int(phase) for phase in random.integers(8, size=2))
    return resaved(pixels, history.quality, history.subsampling, left, top)


class Views(Dataset[Example]):
    """Validation: the middle of every picture, levelled alike, the same in every validation."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        own: Sequence[int],
        side: int,
        known: Sequence[History],
        seed: int,
    ) -> None:
        """Take the pictures, and which of them this process looks at."""
        self.pictures, self.own, self.side, self.known, self.seed = (
            pictures, own, side, known, seed,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, place: int) -> Example:
        """uint8 side×side×3 and its label."""
        index = self.own[place]
        picture = self.pictures[index]
        random = np.random.default_rng((self.seed, 1, index))
        pixels = tiled(np.array(picture.pixels()), self.side)
        top, left = ((length - self.side) // 2 for length in pixels.shape[:2])
        pixels = pixels[top : top + self.side, left : left + self.side]
        pixels = with_history(pixels, picture, self.known, 1.0, random)
        last = level if pixels.shape[2] == 3 else framewise(level)
        return Example(last(pixels, random), float(picture.positive))


def in_parts(pairs: int, slots: int, wanted: int, world: int) -> list[list[int]]:
    """Deal the slots of a step into parts of about one size.

    Pairs and labelled pictures are dealt out separately, the latter two by two as far as they
    reach, so that each part has its share of both classes.

    Args:
        pairs: how many of the slots, from the first, are pairs.
        slots: all of them.
        wanted: parts, at least; there are as many as the next multiple of `world`.
        world: processes that share them.

    Raises:
        InvalidInput: there are more parts than slots.
    """
    count = passes(wanted, world)
    if count > slots:
        raise InvalidInput(
            f"a batch of {slots} samples cannot be dealt into {count} parts "
            f"(accumulate={wanted}, {world} processes)"
        )
    together = 2 if slots - pairs >= 2 * count else 1
    parts: list[list[int]] = [[] for _ in range(count)]
    for slot in range(slots):
        place = slot if slot < pairs else pairs + (slot - pairs) // together
        parts[place % count].append(slot)
    return parts


def passes(wanted: int, world: int) -> int:
    """Parts of a batch: `wanted`, or the next multiple of the number of processes."""
    return -(-wanted // world) * world


@dataclass(frozen=True)
class Keys:
    """The keys of the batches of steps `first` to `last` - 1, made when they are asked for."""

    parts: Sequence[Sequence[int]]
    first: int
    last: int

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.first, self.last):
            for part in self.parts:
                yield [(step, slot) for slot in part]

    def __len__(self) -> int:
        return len(self.parts) * max(0, self.last - self.first)


def training_batches(
    samples: Dataset[list[Example]],
    parts: Sequence[Sequence[int]],
    first: int,
    last: int,
    workers: int,
    pinned: bool = False,
) -> Iterator[Batch]:
    """The parts of the steps `first` to `last` - 1 in order, from a table indexed by (step, slot).

    Args:
        samples: the table.
        parts: slots of each batch that this process passes in a step.
        first, last: steps.
        workers: processes that load; 0 for none.
        pinned: whether batches lie in page-locked memory, from which a GPU copies while it
            computes.
    """
    return iter(
        DataLoader(
            samples,
            batch_sampler=Keys(parts, first, last),
            collate_fn=collate,
            num_workers=workers,
            worker_init_fn=_start_worker,
            pin_memory=pinned,
        )
    )


def validation_batches(views: Dataset[Example], batch: int, workers: int) -> Iterator[Batch]:
    """All views in order."""
    return iter(
        DataLoader(
            views,
            batch_size=batch,
            collate_fn=_collate_single,
            num_workers=workers,
            worker_init_fn=_start_worker,
        )
    )


def collate(samples: Sequence[Sequence[Example]]) -> Batch:
    """Stack samples; those of two examples are pairs, numbered by their place."""
    flat = [(place if len(sample) == 2 else -1, one) for place, sample in enumerate(samples)
            for one in sample]  # fmt: skip
    examples = [one for _, one in flat]
    pixels = torch.from_numpy(np.stack([one.pixels for one in examples]))
    if not pixels.is_floating_point():
        pixels = pixels.permute(0, 3, 1, 2).contiguous().float() / 255
    return Batch(
        pixels=pixels,
        label=torch.tensor([one.label for one in examples]),
        pair=torch.tensor([place for place, _ in flat]),
        replaced=_shares(examples),
        extra={"source": torch.tensor([one.source for one in examples])},
        mask=_masks(examples),
    )


def _collate_single(examples: Sequence[Example]) -> Batch:
    return collate([[one] for one in examples])


def _shares(examples: Sequence[Example]) -> torch.Tensor | None:
    """Shares of all examples; those without a map are replaced wholly or not at all."""
    shape = next((one.replaced.shape for one in examples if one.replaced is not None), None)
    if shape is None:
        return None
    maps = [
        np.full(shape, one.label, np.float32) if one.replaced is None else one.replaced
        for one in examples
    ]
    return torch.from_numpy(np.stack(maps))


def _masks(examples: Sequence[Example]) -> torch.Tensor | None:
    masks = [one.mask for one in examples if one.mask is not None]
    return torch.from_numpy(np.stack(masks)).float() if masks else None


def _pairs_per_batch(recipe: Recipe, data: TrainingData, sampling: Sampling) -> int:
    if not data.pairs:
        return 0
    alone = recipe.needs_pairs or not data.pictures
    share = sampling.paired if sampling.paired is not None else 1.0 if alone else 0.5
    if not data.pictures:
        share = 1.0
    pairs: int = round(recipe.settings.batch * share / 2)
    return pairs


def some_crops(data: TrainingData, side: int, count: int = 4) -> NDArray[np.float32]:
    """float32 (N, 3, side, side) in [0, 1] of at most `count` real pictures, spread over all."""
    every = data.validation or data.pictures or [pair.original for pair in data.pairs]
    chosen = range(0, len(every), max(1, len(every) // count))[:count]
    views = Views(every, chosen, side, histories(data), 0)
    return collate([[views[place]] for place in range(len(views))]).pixels.numpy()


def _start_worker(number: int) -> None:
    # An interrupt is for the training process, which saves; its loaders end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
