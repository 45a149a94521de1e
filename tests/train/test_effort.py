"""Effort: what trains, what stays, and what the penalties hold."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from bonafide.train import effort
from bonafide.train.backbones import Backbone, svd_residuals
from bonafide.train.data import Picture, TrainingData
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


def tiny() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        image_size=28, patch_size=7,
    )  # fmt: skip
    return transformers.AutoModel.from_config(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone")
    tiny().save_pretrained(path)
    return path


def batch(size: int = 4) -> Batch:
    label = torch.arange(size) % 2.0
    pixels = torch.rand(size, 3, 28, 28) * (1 - 0.5 * label.view(-1, 1, 1, 1))
    return Batch(pixels, label, torch.full((size,), -1), None, {})


def method(folder: Path, **changes: object) -> effort.Method:
    return effort.Method(effort.Settings(backbone=str(folder), crop=28, batch=8, **changes))


def test_full_size_trains_as_many_parameters_as_the_paper() -> None:
    with torch.device("meta"):
        config = transformers.CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
            num_attention_heads=16, image_size=224, patch_size=14,
        )  # fmt: skip
        network = effort.Network(Backbone(transformers.AutoModel.from_config(config)), rank=1)
    trained = {n: w.numel() for n, w in network.named_parameters() if w.requires_grad}
    head = sum(count for name, count in trained.items() if name.startswith("head."))
    assert head == 1024 + 1
    assert sum(trained.values()) - head == 24 * 4 * (1024 + 1 + 1024) == 196_704  # "0.19 M"


def test_starts_as_the_backbone_was() -> None:
    model = tiny()
    network = effort.Network(Backbone(deepcopy(model)), rank=1).eval()
    pixels = torch.rand(2, 3, 30, 45)
    with torch.inference_mode():
        before, after = Backbone(model)(pixels), network.backbone(pixels)
    torch.testing.assert_close(after.pooled, before.pooled, atol=1e-4, rtol=0)
    torch.testing.assert_close(after.map, before.map, atol=1e-4, rtol=0)


def test_gradients_reach_residuals_and_head_alone(folder: Path) -> None:
    recipe = method(folder)
    network = recipe.network()
    loss, parts = recipe.loss(network, batch())
    loss.backward()
    touched = {name for name, weight in network.named_parameters() if weight.grad is not None}
    layers = 2 * 4
    assert sum(name.endswith((".left", ".values", ".right")) for name in touched) == 3 * layers
    assert len(touched) == 3 * layers + 2
    assert set(parts) == {"bce"}  # the released training has no penalties


def departures(folder: Path, **weights: float) -> list[float]:
    """Train for a while; how far the singular vectors of each layer are from orthonormal then."""
    recipe = method(folder, steps=100, schedule="cosine", **weights)
    network = recipe.network()
    optimiser = recipe.optimiser(network)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.settings.steps)
    torch.manual_seed(1)
    for _ in range(recipe.settings.steps):
        loss, parts = recipe.loss(network, batch(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    assert set(parts) == {"bce", *weights}
    return [layer.orthogonality_loss().item() for layer in svd_residuals(network)]


def test_penalties_hold_the_residual_orthogonal(folder: Path) -> None:
    free = departures(folder)
    held = departures(folder, orthogonality=10.0, energy=0.1)
    assert min(free) > 1e-3
    assert max(held) < 1e-5


def test_learns_a_toy_problem(folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = []
    for number in range(24):
        positive = number % 2 == 1
        pixels = random.integers(0, 256, (40, 40, 3), np.uint8)
        if positive:
            pixels = pixels[:10, :10].repeat(4, 0).repeat(4, 1)
        np.save(tmp_path / f"{number}.npy", pixels)
        file = tmp_path / f"{number}.npy"
        pictures.append(Picture(f"{number}", positive, f"{number % 4}", f"{number % 4}", file))
    data = TrainingData(tuple(pictures[:16]), (), tuple(pictures[16:]), (), {}, ())
    fitted = fit(method(folder, steps=100, learning_rate=1e-2, rank=4), data, tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
