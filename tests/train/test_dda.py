"""DDA on a DINOv2 of a few thousand weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import toys

from bonafide.train import dda
from bonafide.train.backbones import Backbone
from bonafide.train.batches import OwnPairs, Twins
from bonafide.train.data import History
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
SIDE = 28


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE, patch_size=7
    )
    transformers.Dinov2Model(config).save_pretrained(path)
    return path


def method(folder: Path, **changes: object) -> dda.Method:
    given = {"backbone": str(folder), "crop": SIDE, "batch": 8, "learning_rate": 3e-3}
    return dda.Method(dda.Settings(**{**given, **changes}))


def batch(size: int = 8) -> Batch:
    label = torch.arange(size) % 2.0
    pixels = torch.rand(size, 3, SIDE, SIDE) * (1 - 0.5 * label.view(-1, 1, 1, 1))
    return Batch(pixels, label, torch.arange(size) // 2, None, {})


def test_full_size_trains_what_it_says() -> None:
    with torch.device("meta"):
        config = transformers.Dinov2Config(
            hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=518
        )
        network = dda.Network(Backbone(transformers.AutoModel.from_config(config)), 8, 1)
    trained = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    split = 24 * 8 * (4 * (1024 + 1024) + 2 * (1024 + 4096))  # q, k, v, proj; fc1, fc2
    fused = 24 * 8 * ((1024 + 3072) + (1024 + 1024) + 2 * (1024 + 4096))  # qkv, proj; fc1, fc2
    assert trained == split + 1025 == 3_539_969
    assert fused + 1025 == 3_146_753


def test_gradients_reach_adapters_and_head_alone(folder: Path) -> None:
    recipe = method(folder)
    network = recipe.network()
    loss, parts = recipe.loss(network, batch())
    loss.backward()
    assert float(loss.detach()) == pytest.approx((parts["bce"] + parts["contrast"]) / 2, rel=1e-5)
    touched = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert len(touched) == 2 * 6 * 2 + 2  # two matrices on each of six layers of two blocks
    assert all("lora" in name or name.startswith("head.") for name in touched)


def test_shape_and_determinism_at_any_size(folder: Path) -> None:
    network = method(folder).network().eval()
    pixels = torch.rand(3, 3, 30, 45)
    with torch.inference_mode():
        first, second = network(pixels), network(pixels)
    assert first.logit.shape == (3,)
    assert first.map is None
    assert torch.equal(first.logit, second.logit)


def test_contrast_is_what_the_definition_says() -> None:
    """Two features of one class at distance √2, one of the other at distances 0.5 and far."""
    angle = 2 * np.arcsin(0.25)  # of a chord of 0.5 on the unit circle
    features = torch.tensor([[1.0, 0], [0, 2], [np.cos(-angle), np.sin(-angle)]])
    found = dda.contrast(features, torch.tensor([0.0, 0, 1]))
    assert float(found) == pytest.approx(2**0.5 + 0.5, abs=1e-5)


def test_contrast_vanishes_for_classes_apart() -> None:
    features = torch.tensor([[1.0, 0], [3, 0], [0, 1], [0, 2]], requires_grad=True)
    found = dda.contrast(features, torch.tensor([0.0, 0, 1, 1]))
    found.backward()
    assert float(found.detach()) == pytest.approx(0.0, abs=1e-6)
    assert torch.isfinite(features.grad).all()


def test_contrast_of_one_class_is_finite() -> None:
    assert float(dda.contrast(torch.eye(3), torch.zeros(3))) == pytest.approx(2**0.5)


def test_contrast_falls(folder: Path) -> None:
    recipe = method(folder, contrast=1.0, learning_rate=1e-2)
    network = recipe.network()
    optimiser = recipe.optimiser(network)
    torch.manual_seed(0)
    seen = batch()
    values = []
    for _ in range(15):
        loss, parts = recipe.loss(network, seen)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(parts["contrast"])
    assert values[-1] < 0.5 * values[0]


def twins(history: History | None = None) -> Twins:
    original = toys.noise(0)
    return Twins(
        original, np.clip(original.astype(int) + 9, 0, 255).astype(np.uint8), history, 3, 5
    )


def test_sides_of_a_pair_go_through_the_same(folder: Path) -> None:
    recipe = method(folder, resave=0.0, pixel_mix=0.0, dct_mix=0.0)
    assert isinstance(recipe, OwnPairs)
    same = Twins(toys.noise(0), toys.noise(0), None, 0, 0)
    for seed in range(20):
        original, twin = recipe.examples(same, np.random.default_rng(seed))
        assert original.pixels.shape == (SIDE, SIDE, 3)
        assert (original.label, twin.label) == (0.0, 1.0)
        assert np.array_equal(original.pixels, twin.pixels)


def test_a_mixed_twin_lies_between(folder: Path) -> None:
    still = {"shrink": 1.0, "enlarge": 1.0, "resave": 0.0}
    recipe = method(folder, pixel_mix=1.0, dct_mix=0.0, **still)
    steps = [
        recipe.examples(twins(), np.random.default_rng(seed))[1].pixels.mean()
        - recipe.examples(twins(), np.random.default_rng(seed))[0].pixels.mean()
        for seed in range(8)
    ]
    assert min(steps) >= 0
    assert max(steps) < 9


def test_copies_are_as_they_are_smaller_or_larger() -> None:
    random = np.random.default_rng(0)
    sides = [dda.rescaled(toys.noise(0), random, 0.2, 3.5).shape[0] for _ in range(300)]
    assert min(sides) >= 8
    assert max(sides) <= 140
    for count in (
        sum(s == 40 for s in sides),
        sum(s < 40 for s in sides),
        sum(s > 40 for s in sides),
    ):
        assert 70 < count < 130


def test_a_toy_problem_is_learned(folder: Path, tmp_path: Path) -> None:
    recipe = method(folder, steps=40, shrink=1.0, enlarge=1.0, learning_rate=1e-2)
    fitted = fit(recipe, toys.averaged_pairs(tmp_path), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
