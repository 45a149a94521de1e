"""Which picture comes when: balanced, repeatable, and the same for both sides of a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import toys

from bonafide.errors import InvalidInput
from bonafide.train import augment, batches, data
from bonafide.train.batches import Example, Samples, Sampling, Twins, Weighted


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> data.TrainingData:
    folder = tmp_path_factory.mktemp("toys")
    toys.write_manifest(folder)
    pairs = [toys.write_pairs(folder)]
    return data.load(
        folder / "manifest.csv", toys.PROTOCOL, folder / "cache", pairs, held_out=0.3, jobs=1
    )


def batch(samples: Samples, step: int) -> batches.Batch:
    return batches.collate([samples[step, slot] for slot in range(samples.slots)])


def test_a_sample_depends_on_seed_step_and_slot_alone(found: data.TrainingData) -> None:
    recipe = toys.Method(toys.Settings())
    first, second = Samples(recipe, found, Sampling()), Samples(recipe, found, Sampling())
    first[7, 3]
    assert torch.equal(batch(first, 2).pixels, batch(second, 2).pixels)
    assert not torch.equal(batch(first, 2).pixels, batch(first, 3).pixels)
    other = Samples(toys.Method(toys.Settings(seed=1)), found, Sampling())
    assert not torch.equal(batch(first, 2).pixels, batch(other, 2).pixels)


def test_loading_processes_change_nothing(found: data.TrainingData) -> None:
    recipe = toys.Method(toys.Settings(batch=4))
    samples = Samples(recipe, found, Sampling(paired=0.0))
    parts = batches.in_parts(0, samples.slots, 2, 1)
    alone = [one.pixels for one in batches.training_batches(samples, parts, 3, 6, 0)]
    beside = [one.pixels for one in batches.training_batches(samples, parts, 3, 6, 2)]
    assert len(alone) == len(beside) == 6
    assert all(torch.equal(a, b) for a, b in zip(alone, beside, strict=True))


def test_classes_and_pairs_are_balanced(found: data.TrainingData) -> None:
    for paired, pairs in ((0.0, 0), (0.5, 4), (1.0, 8)):
        samples = Samples(toys.Method(toys.Settings()), found, Sampling(paired=paired))
        for step in range(3):
            made = batch(samples, step)
            assert made.pixels.shape == (16, 3, 32, 32) and made.pixels.min() >= 0
            assert made.pixels.max() <= 1
            assert made.label.sum() == 8
            assert Counter(made.pair.tolist())[-1] == 16 - 2 * pairs


def test_odd_batches_are_balanced_over_steps(found: data.TrainingData) -> None:
    samples = Samples(toys.Method(toys.Settings(batch=3)), found, Sampling(paired=0.0))
    made = [batch(samples, step) for step in range(4)]
    assert sum(int(one.label.sum()) for one in made) == 6


@pytest.mark.parametrize(
    ("pairs", "slots", "wanted", "world", "count"),
    [(0, 16, 1, 1, 1), (0, 16, 4, 1, 4), (4, 12, 2, 1, 2), (0, 16, 1, 4, 4), (0, 16, 6, 4, 8),
     (3, 8, 4, 2, 4), (5, 5, 5, 1, 5)],
)  # fmt: skip
def test_each_part_of_a_batch_has_its_share(
    pairs: int, slots: int, wanted: int, world: int, count: int
) -> None:
    parts = batches.in_parts(pairs, slots, wanted, world)
    assert len(parts) == count and sorted(slot for part in parts for slot in part) == [
        *range(slots)
    ]
    twins = [sum(slot < pairs for slot in part) for part in parts]
    assert max(twins) - min(twins) <= 1
    if not pairs and slots % (2 * count) == 0:  # labels take turns by the number of the slot
        assert {sum(slot % 2 for slot in part) for part in parts} == {slots // count // 2}


def test_a_batch_cannot_be_smaller_than_its_parts() -> None:
    with pytest.raises(InvalidInput, match="3 samples cannot be dealt into 4 parts"):
        batches.in_parts(0, 3, 1, 4)


def test_keys_are_made_when_they_are_asked_for() -> None:
    """All keys of a long training at once would take gigabytes."""
    keys = batches.Keys([[0, 2], [1, 3]], 5, 10**12)
    assert len(keys) == 2 * (10**12 - 5)
    first = iter(keys)
    assert [next(first) for _ in range(3)] == [
        [(5, 0), (5, 2)], [(5, 1), (5, 3)], [(6, 0), (6, 2)],
    ]  # fmt: skip


def test_a_batch_can_be_pinned(found: data.TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page-locked memory takes a GPU; that every tensor is asked does not."""
    made = batch(Samples(toys.Method(toys.Settings(batch=4)), found, Sampling()), 0)
    asked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append(self) or self)
    assert torch.equal(made.pin_memory().pixels, made.pixels)
    assert len(asked) == 4  # pixels, labels, pairs, sources


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_sources_are_drawn_by_the_power_of_their_size(exponent: float) -> None:
    sizes = {"a": 1, "b": 4, "c": 25}
    sources = [name for name, size in sizes.items() for _ in range(size)]
    drawn = Weighted(sources, exponent)
    random = np.random.default_rng(0)
    counts = Counter(sources[drawn.draw(random)] for _ in range(6000))
    total = sum(size**exponent for size in sizes.values())
    for name, size in sizes.items():
        assert counts[name] / 6000 == pytest.approx(size**exponent / total, abs=0.03)


def test_both_sides_of_a_pair_go_through_the_same(found: data.TrainingData) -> None:
    same = tuple(replace(pair, twin=pair.original) for pair in found.pairs)
    samples = Samples(
        toys.Method(toys.Settings()), replace(found, pairs=same), Sampling(paired=1.0)
    )
    for slot in range(samples.slots):
        original, twin = samples[0, slot]
        assert np.array_equal(original.pixels, twin.pixels)
        assert (original.label, twin.label) == (0.0, 1.0)


def test_a_twin_is_saved_like_its_original() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    twins = Twins(pixels, pixels, data.History(70, "4:2:0"), 11, 5)
    plain = lambda pixels, random: pixels  # noqa: E731
    original, twin = batches.alike(twins, plain, 1.0, np.random.default_rng(0))
    assert np.array_equal(original.pixels, pixels)
    assert np.array_equal(twin.pixels, augment.resaved(pixels, 70, "4:2:0", 11, 5))


def test_lossless_pictures_of_either_class_get_a_history(found: data.TrainingData) -> None:
    known = (data.History(60, "4:2:0"),)
    for positive in (True, False):
        picture = next(one for one in found.pictures if one.positive is positive)
        pixels = np.array(picture.pixels())
        random = np.random.default_rng(0)
        assert not np.array_equal(batches.with_history(pixels, picture, known, 1.0, random), pixels)
        assert np.array_equal(batches.with_history(pixels, picture, known, 0.0, random), pixels)
        saved = replace(picture, history=known[0])
        assert np.array_equal(batches.with_history(pixels, saved, known, 1.0, random), pixels)


def test_a_method_may_make_its_own_examples(found: data.TrainingData) -> None:
    class Own(toys.Method):
        def examples(self, twins: Twins, random: np.random.Generator) -> Sequence[Example]:
            share = np.full((2, 2), 0.5, np.float32)
            cut = (slice(0, 32), slice(0, 32))
            return [Example(twins.original[cut], 0.0), Example(twins.twin[cut], 1.0, share)]

    samples = Samples(Own(toys.Settings()), found, Sampling(paired=0.5))
    made = batch(samples, 0)
    assert made.replaced is not None and made.replaced.shape == (16, 2, 2)
    assert made.replaced[:2].mean(dim=(1, 2)).tolist() == [0.0, 0.5]
    assert torch.equal(made.replaced[8:].mean(dim=(1, 2)), made.label[8:])


def test_views_never_change(found: data.TrainingData) -> None:
    known = (data.History(80, "4:2:0"),)
    views = batches.Views(found.validation, range(3), 48, known, 0)
    assert len(views) == 3
    for place in range(3):
        assert views[place].pixels.shape == (48, 48, 3)
        assert np.array_equal(views[place].pixels, views[place].pixels)
