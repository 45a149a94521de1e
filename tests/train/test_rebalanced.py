"""Re-balanced contrast: its definition, its weights, its memory, and few live faces drawn often."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.errors import InvalidInput
from bonafide.train import rebalanced
from bonafide.train.backbones import Backbone
from bonafide.train.batches import Samples, Sampling
from bonafide.train.data import TrainingData
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(folder: str, **changes: object) -> rebalanced.Method:
    given = {"backbone": folder, "crop": 32, "batch": 8, "projected": 8, "memory": 16}
    return rebalanced.Method(rebalanced.Settings(**{**given, **changes}))


def unit(count: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 4, generator=random), dim=1)


def test_full_size() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        network = rebalanced.Network(Backbone(model), 128, 1024)
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert sizes["backbone"] == 23_508_032 and sizes["head"] == 2049
    assert sum(sizes.values()) == 27_968_705


def test_contrast_is_its_definition() -> None:
    rows, label, source = unit(5, 0), torch.tensor([0.0, 1, 0, 1, 0]), torch.tensor([0, 0, 0, 1, 1])
    memory = rebalanced.Memory(3, 4)
    memory.note(unit(2, 1), torch.tensor([0.0, 1.0]), torch.tensor([0, 1]))
    found = rebalanced.contrast(rows, label, source, memory, 0.5, 2.0, 0.25)
    every = torch.cat([rows, memory.rows[:2]])  # the third was never written
    labels, sources = [0, 1, 0, 1, 0, 0, 1], [0, 0, 0, 1, 1, 0, 1]
    total, importance = 0.0, 0.0
    for a in range(5):
        near = {k: math.exp(float(every[a] @ every[k]) / 0.5) for k in range(7) if k != a}
        companions = {k: 0.25 if labels[a] == 0 and sources[a] == sources[k] else 1.0
                      for k in near if labels[k] == labels[a]}  # fmt: skip
        lost = sum(-w * math.log(near[k] / sum(near.values())) for k, w in companions.items())
        weight = 2.0 if labels[a] == 0 else 1.0
        total += weight * lost / sum(companions.values())
        importance += weight
    assert float(found) == pytest.approx(total / importance, rel=1e-5)


def test_a_batch_without_companions_costs_nothing() -> None:
    memory = rebalanced.Memory(3, 4)
    rows = unit(2, 0).requires_grad_()
    lost = rebalanced.contrast(
        rows, torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), memory, 0.07, 2.0, 0.5
    )
    lost.backward()
    assert float(lost.detach()) == 0 and float(rows.grad.abs().sum()) == 0


def test_the_memory_forgets_the_oldest() -> None:
    memory = rebalanced.Memory(4, 4)
    for seed in range(3):
        memory.note(unit(2, seed), torch.full((2,), float(seed)), torch.full((2,), seed))
    assert sorted(memory.source.tolist()) == [1, 1, 2, 2]
    memory.note(unit(9, 5), torch.arange(9.0), torch.arange(9))
    assert sorted(memory.source.tolist()) == [5, 6, 7, 8]


def test_sure_pictures_count_less() -> None:
    label = torch.tensor([1.0])
    plain = torch.nn.functional.binary_cross_entropy_with_logits
    sure, unsure = torch.tensor([3.0]), torch.tensor([0.0])
    shares = [float(rebalanced.focal(x, label) / plain(x, label)) for x in (sure, unsure)]
    assert shares[0] == pytest.approx((1 - 1 / (1 + math.exp(-3))) ** 2, rel=1e-4)
    assert shares[1] == pytest.approx(0.25)


def test_pictures_are_mixed_within_their_class_and_masked() -> None:
    torch.manual_seed(0)
    label = torch.arange(20) % 2.0
    pixels = label.view(-1, 1, 1, 1) + 0.1 * torch.rand(20, 1, 2, 2)
    mixed = rebalanced.mixed_within(pixels, label, 1.0)
    assert float(mixed[::2].max()) <= 0.1 and float(mixed[1::2].min()) >= 1
    assert not torch.equal(mixed, pixels)
    black = rebalanced.masked(np.full((20, 30, 3), 9, np.uint8), np.random.default_rng(0), 0.5)
    assert 0 < (black == 0).mean() <= 0.25


def test_few_live_faces_are_drawn_as_often_as_attacks(folder: str, tmp_path: Path) -> None:
    many = toys.grain(tmp_path, 40)
    live = [one for one in many.pictures if not one.positive][:2]
    attacks = [one for one in many.pictures if one.positive]
    data = TrainingData((*live, *attacks), (), (), (), {}, ())
    samples = Samples(method(folder, part=0.0), data, Sampling())
    drawn = [samples[(step, slot)][0].label for step in range(5) for slot in range(8)]
    assert sum(drawn) == len(drawn) / 2


def test_classes_gather_and_part(folder: str) -> None:
    recipe = method(folder, learning_rate=5e-3, mix=0.0, contrast=1.0)
    torch.manual_seed(0)
    network = recipe.network().train()
    label = torch.arange(16) % 2.0
    base = torch.rand(16, 3, 1, 1).expand(16, 3, 32, 32)
    grain = 0.4 * (torch.rand(16, 3, 32, 32) - 0.5) * label.view(-1, 1, 1, 1)
    source = torch.arange(16) // 4
    given = Batch((base + grain).clamp(0, 1), label, torch.full((16,), -1), None,
                  {"source": source})  # fmt: skip

    def gaps() -> tuple[float, float]:
        with torch.no_grad():
            near = (rows := network.embed(given.pixels)[1]) @ rows.mT
        same = label[:, None] == label[None]
        return float(near[same].mean()), float(near[~same].mean())

    before = gaps()
    optimiser = recipe.optimiser(network)
    for _ in range(25):
        loss, _ = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = gaps()
    assert after[0] - after[1] > before[0] - before[1] + 0.2


def test_settings_that_cannot_work_are_refused(folder: str) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        method(folder, memory=0).network()


def test_learns_grain(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=30, learning_rate=5e-3, validate_every=30, contrast=1.0)
    fitted = fit(recipe, toys.grain(tmp_path, 40), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
