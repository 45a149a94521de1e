"""QAD: dependence between qualities is what its definition says, and rises in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.errors import InvalidInput
from bonafide.train import qad
from bonafide.train.backbones import Backbone
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(folder: str, **changes: object) -> qad.Method:
    return qad.Method(qad.Settings(**{"backbone": folder, "crop": 32, "batch": 8, **changes}))


def batch(count: int = 8) -> Batch:
    torch.manual_seed(3)
    pixels = torch.rand(count, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    return Batch(pixels, torch.arange(count) % 2.0, torch.full((count,), -1), None, {})


def test_full_size_is_a_resnet_50() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        network = qad.Network(Backbone(model))
    assert sum(w.numel() for w in network.parameters()) == 23_508_032 + 2048 + 1


def test_dependence_is_its_definition() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 7, 3))

    def kernel(x: np.ndarray) -> np.ndarray:
        return np.exp(-((x[:, None] - x[None]) ** 2).sum(-1) / (2 * 1.5**2))

    centre = np.eye(7) - 1 / 7
    expected = np.trace(kernel(rows[0]) @ centre @ kernel(rows[1]) @ centre) / 36
    first, second = torch.from_numpy(rows)
    assert float(qad.independence(first, second, 1.5)) == pytest.approx(expected, rel=1e-4)


def test_dependent_features_score_higher_than_shuffled_ones() -> None:
    torch.manual_seed(0)
    rows = torch.randn(64, 4)
    near = qad.independence(rows, rows + 0.1 * torch.randn(64, 4), 2.0)
    assert float(near) > 2 * float(qad.independence(rows, rows[torch.randperm(64)], 2.0))


def test_compression_keeps_the_shape_and_loses_detail() -> None:
    torch.manual_seed(0)
    pixels = torch.rand(2, 3, 33, 35)
    errors = [float((qad.compressed(pixels, crf) - pixels).abs().mean()) for crf in (10, 40)]
    assert qad.compressed(pixels, 40).shape == pixels.shape
    assert errors[0] < errors[1]


def test_dependence_between_qualities_rises(folder: str) -> None:
    recipe = method(folder, dependence=1e3, sigma=1.0, learning_rate=2e-2, perturbation=0.0)
    network, given = recipe.network().train(), batch()
    optimiser, seen = recipe.optimiser(network), []
    for _ in range(12):
        loss, parts = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts["dependence"])
    assert seen[-1] > 1.2 * seen[0]


def test_weights_are_moved_against_the_loss_and_come_back(folder: str) -> None:
    recipe = method(folder, perturbation=0.05, calm=0)
    network, given = recipe.network().eval(), batch()
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    seen = qad._Seen(network)
    views = torch.cat([given.pixels] * 3)
    moved = recipe.perturbed(seen, views, given.label)
    for name, weight in moved.items():
        original = before[name.removeprefix("network.")]
        moved_by = float((weight - original).detach().norm())
        assert moved_by == pytest.approx(0.05 * float(original.detach().norm()), rel=1e-3)
    plain, _ = recipe._terms(seen(views), given.label)
    worse, _ = recipe._terms(torch.func.functional_call(seen, moved, (views,)), given.label)
    assert float(worse.detach()) > float(plain.detach())
    worse.backward()
    for name, weight in network.named_parameters():
        assert torch.equal(weight, before[name])
        assert weight.grad is not None


def test_perturbation_waits(folder: str) -> None:
    recipe = method(folder, calm=1)
    network, given = recipe.network().train(), batch()
    for steps in (1, 2):
        recipe.loss(network, given)[0].backward()
        assert int(network.steps) == steps


def test_other_backbones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ResNet"):
        method(localisers.vit(tmp_path / "vit")).network()


def test_learns_grain(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=25, learning_rate=5e-3, calm=15)
    fitted = fit(recipe, toys.grain(tmp_path, 40), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
