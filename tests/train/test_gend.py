"""GenD: layer norms alone are trained, and the sphere is spread and sorted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import toys

from bonafide.train import gend
from bonafide.train.backbones import Backbone
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


def config(**changes: int) -> object:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "image_size": 28, "patch_size": 7}  # fmt: skip
    return transformers.CLIPVisionConfig(**{**sizes, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config()).save_pretrained(path)
    return path


def method(folder: Path, **changes: object) -> gend.Method:
    given = {"backbone": str(folder), "crop": 28, "batch": 8}
    return gend.Method(gend.Settings(**{**given, **changes}))


def test_layer_norms_and_the_head_are_all_that_trains() -> None:
    with torch.device("meta"):
        large = config(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
                       num_attention_heads=16, image_size=224, patch_size=14)  # fmt: skip
        network = gend.Network(Backbone(transformers.AutoModel.from_config(large)))
    trained = {n: w.numel() for n, w in network.named_parameters() if w.requires_grad}
    # Two norms a block, one before the first block and one after the last, and the head.
    assert sum(trained.values()) == (24 * 2 + 2) * 2 * 1024 + 1024 + 1 == 103_425
    share = sum(trained.values()) / sum(w.numel() for w in network.parameters())
    assert 3.3e-4 < share < 3.5e-4  # "0.03 %"


def test_terms_are_what_their_definitions_say() -> None:
    corners = torch.tensor([[1.0, 0], [0, 1], [-1, 0]])  # squared distances 2, 4, 2
    expected = math.log((2 * math.exp(-4) + math.exp(-8)) / 3)
    assert float(gend.uniformity(corners)) == pytest.approx(expected, abs=1e-5)
    assert float(gend.uniformity(corners[:1].repeat(3, 1))) == pytest.approx(0, abs=1e-5)
    apart = gend.alignment(corners, torch.tensor([0, 1, 0]))
    assert float(apart) == pytest.approx(2, abs=1e-5)
    assert float(gend.alignment(corners[:2], torch.tensor([0, 1]))) == 0


def test_equal_pictures_give_a_finite_gradient() -> None:
    unit = torch.eye(2)[:1].repeat(3, 1).requires_grad_()
    gend.alignment(unit, torch.ones(3)).backward()
    assert unit.grad is not None and bool(unit.grad.isfinite().all())


def test_classes_gather_while_the_whole_spreads(folder: Path) -> None:
    recipe = method(folder, alignment=1.0, uniformity=1.0, learning_rate=1e-2)
    network = recipe.network()
    torch.manual_seed(1)
    label = torch.arange(8) % 2.0
    pixels = torch.rand(8, 3, 28, 28) * (1 - 0.4 * label.view(-1, 1, 1, 1))
    given = Batch(pixels, label, torch.full((8,), -1), None, {})
    optimiser = recipe.optimiser(network)
    frozen = {n: w.clone() for n, w in network.named_parameters() if not w.requires_grad}
    seen = []
    for _ in range(25):
        unit = network.embed(pixels)
        assert torch.allclose(unit.norm(dim=1), torch.ones(8), atol=1e-5)
        terms = gend.alignment(unit, label), gend.uniformity(unit)
        seen.append(tuple(float(term.detach()) for term in terms))
        loss, _ = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    across = (unit[label == 0].mean(0) - unit[label == 1].mean(0)).norm()
    assert seen[-1][1] < seen[0][1] - 0.3  # spread wider
    assert seen[-1][0] < 0.7 * float(across.detach())  # and within a class nearer than across
    now = dict(network.named_parameters())
    assert all(torch.equal(now[name], before) for name, before in frozen.items())


def test_learns_grain(folder: Path, tmp_path: Path) -> None:
    recipe = method(folder, steps=60, learning_rate=2e-2, batch=16, uniformity=0.1)
    fitted = fit(recipe, toys.grain(tmp_path, 40), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
