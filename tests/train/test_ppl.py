"""Panoptic patch learning on a DINOv2 of a few thousand weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import toys

from bonafide.errors import InvalidInput
from bonafide.train import ppl
from bonafide.train.batches import OwnPairs, Twins, collate
from bonafide.train.data import History
from bonafide.train.loop import fit

torch.set_num_threads(1)
SIDE, PATCH = 28, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
    )
    transformers.Dinov2Model(config).save_pretrained(path)
    return path


def method(folder: Path, **changes: object) -> ppl.Method:
    given = {"backbone": str(folder), "crop": SIDE, "batch": 8, "patch": PATCH}
    return ppl.Method(ppl.Settings(**{**given, **changes}))


def twins(seed: int = 0, history: History | None = None) -> Twins:
    return Twins(toys.noise(seed), toys.averaged(toys.noise(seed)), history, 3, 5)


@pytest.mark.parametrize("replacement", ["reconstructed", "real"])
def test_patches_are_exchanged_on_the_grid(folder: Path, replacement: str) -> None:
    recipe = method(folder, replacement=replacement, share=0.25)
    assert isinstance(recipe, OwnPairs)
    original, mixed = recipe.examples(twins(), np.random.default_rng(0))
    assert (original.label, mixed.label) == (0.0, 1.0)
    assert mixed.replaced is not None
    assert mixed.replaced.mean() == (0.25 if replacement == "reconstructed" else 0.75)
    mask = mixed.replaced.repeat(PATCH, 0).repeat(PATCH, 1).astype(bool)
    assert np.array_equal(original.pixels[~mask], mixed.pixels[~mask])
    assert (original.pixels[mask] != mixed.pixels[mask]).mean() > 0.9


def test_a_twin_is_saved_like_its_original(folder: Path) -> None:
    recipe = method(folder, share=1.0)
    plain = recipe.examples(twins(), np.random.default_rng(0))[1].pixels
    saved = recipe.examples(twins(history=History(60, "4:2:0")), np.random.default_rng(0))[1].pixels
    assert not np.array_equal(plain, saved)


def test_contrast_is_what_the_definition_says() -> None:
    """Unit vectors at 90° have d² = 2, at 180° d² = 4; those at 0° would be too close by 1."""
    features = torch.tensor([[1.0, 0], [0, 3], [-2, 0], [1, 0]])
    same_only = ppl.patch_contrast(features[:3], torch.tensor([False, False, False]))
    assert float(same_only) == pytest.approx((2 + 4 + 2) / 3, abs=1e-5)
    apart = ppl.patch_contrast(features[[0, 3]], torch.tensor([False, True]))
    assert float(apart) == pytest.approx(1.0, abs=1e-5)
    far = ppl.patch_contrast(features[:2], torch.tensor([False, True]))
    assert float(far) == 0


def test_gradients_reach_adapters_and_head_alone(folder: Path) -> None:
    recipe = method(folder)
    network = recipe.network()
    random = np.random.default_rng(0)
    batch = collate([recipe.examples(twins(seed), random) for seed in range(4)])
    assert batch.replaced is not None
    assert batch.replaced.shape == (8, 4, 4)
    loss, parts = recipe.loss(network, batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.7 * parts["bce"] + 0.3 * parts["contrast"])
    touched = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert len(touched) == 2 * 6 * 2 + 2
    assert all("lora" in name or name.startswith("head.") for name in touched)


def test_the_logit_is_the_mean_of_the_map(folder: Path) -> None:
    network = method(folder).network().eval()
    with torch.inference_mode():
        output = network(torch.rand(2, 3, 30, 45))
    assert output.map is not None
    assert output.map.shape == (2, 5, 7)
    torch.testing.assert_close(output.logit, output.map.mean((1, 2)))


@pytest.mark.parametrize(
    ("changes", "advice"), [({"patch": 14}, "patch=7"), ({"replacement": "none"}, "reconstructed")]
)
def test_settings_that_cannot_work_are_refused(
    folder: Path, changes: dict[str, object], advice: str
) -> None:
    with pytest.raises(InvalidInput, match=advice):
        method(folder, **changes).network()


def test_contrast_falls(folder: Path) -> None:
    recipe = method(folder, contrast=1.0, learning_rate=1e-2)
    network = recipe.network()
    optimiser = recipe.optimiser(network)
    random = np.random.default_rng(0)
    batch = collate([recipe.examples(twins(seed), random) for seed in range(4)])
    values = []
    for _ in range(15):
        loss, parts = recipe.loss(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(parts["contrast"])
    assert values[-1] < 0.8 * values[0]


def test_a_toy_problem_is_learned_patch_by_patch(folder: Path, tmp_path: Path) -> None:
    recipe = method(folder, steps=40, learning_rate=1e-2)
    fitted = fit(recipe, toys.averaged_pairs(tmp_path), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
    _, mixed = recipe.examples(twins(99), np.random.default_rng(0))
    assert mixed.replaced is not None
    with torch.inference_mode():
        pixels = torch.from_numpy(mixed.pixels).permute(2, 0, 1)[None] / 255
        scores = fitted.network(pixels).map[0].numpy()
    synthetic = mixed.replaced > 0.5
    assert scores[synthetic].mean() > scores[~synthetic].mean()
