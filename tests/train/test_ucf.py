"""UCF: parts that are kept apart, and a verdict that reads the common one alone."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.errors import InvalidInput
from bonafide.train import ucf
from bonafide.train.backbones import Backbone
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(folder: str, **changes: object) -> ucf.Method:
    given = {"backbone": folder, "crop": 64, "batch": 8, "channels": 16, "sources": 4}
    return ucf.Method(ucf.Settings(**{**given, **changes}))


def batch() -> Batch:
    """Four pairs of one content each: smooth, and the same with a grain."""
    torch.manual_seed(0)
    base = torch.rand(4, 3, 2, 2).repeat_interleave(32, 2).repeat_interleave(32, 3)
    grain = 0.2 * (torch.arange(64) % 2).view(1, 1, 1, 64)
    pixels = torch.stack([base, (base + grain).clamp(0, 1)], 1).flatten(0, 1)
    source = torch.tensor([0, 1, 0, 2, 0, 1, 0, 2])
    pair = torch.arange(4).repeat_interleave(2)
    return Batch(pixels, torch.arange(8) % 2.0, pair, None, {"source": source})


def test_full_size_is_two_backbones_and_little_more() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        network = ucf.Network(Backbone(model), 256, 64)
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert sizes["shown"] == sizes["forgery"] == 23_508_032
    assert sizes["split"] == 2 * sizes["content"] == 512 * 2049
    assert sum(sizes.values()) == sum(w.numel() for w in network.parameters()) < 5.1e7


def test_triplets_are_told_apart_by_a_margin() -> None:
    features = torch.tensor([[0.0], [1.0], [5.0]])
    kind = torch.tensor([0, 0, 1])
    # Anchors 0 and 1: 1 − 5 + 3 and 1 − 4 + 3, both at most 0.
    assert float(ucf.contrast(features, kind)) == 0
    assert float(ucf.contrast(features / 5, kind)) == pytest.approx((2.2 + 2.4) / 2, abs=1e-5)
    assert float(ucf.contrast(features, torch.arange(3))) == 0


def test_common_halves_are_exchanged_within_a_class() -> None:
    torch.manual_seed(0)
    rows, label = torch.arange(40.0), torch.arange(40) % 2
    moved = ucf.shuffled(rows, label)
    assert torch.equal(moved % 2, label.float()) and not torch.equal(moved, rows)
    assert torch.equal(moved.sort().values, rows)


def test_the_verdict_reads_the_common_half_alone(folder: str) -> None:
    network = method(folder).network().eval()
    pixels = batch().pixels
    before = network(pixels).logit
    with torch.no_grad():
        network.split.weight[:16] += 1.0  # specific
        network.content.weight += 1.0
    assert torch.equal(network(pixels).logit, before)
    with torch.no_grad():
        network.split.weight[16:] += 1.0
    assert not torch.allclose(network(pixels).logit, before)


def test_content_is_shared_by_twins(folder: str) -> None:
    """Pictures painted from the content of their twin come near, and differ by forgery alone."""
    recipe = method(folder, learning_rate=5e-3, reconstruction=3.0, shuffle=0.0)
    network, given = recipe.network().train(), batch()
    optimiser, seen = recipe.optimiser(network), []
    for _ in range(40):
        loss, parts = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts["reconstruction"])
    assert seen[-1] < 0.7 * seen[0]
    parts = network.parts(given.pixels)
    apart = (parts.common[::2] - parts.common[1::2]).mean((2, 3)).norm(dim=1)
    within = (parts.common[::2] - parts.common[::2].roll(1, 0)).mean((2, 3)).norm(dim=1)
    assert bool((apart.mean() > within.mean()).item())


def test_settings_that_cannot_work_are_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="multiple of 32"):
        method(folder, crop=40).network()
    with pytest.raises(InvalidInput, match="convolutional"):
        method(localisers.vit(tmp_path / "vit")).network()
    with pytest.raises(InvalidInput, match="sources=3"):
        recipe = method(folder, sources=2)
        recipe.loss(recipe.network(), batch())


def test_learns_averaged_pixels(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=40, learning_rate=5e-3)
    fitted = fit(recipe, toys.averaged_pairs(tmp_path), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
