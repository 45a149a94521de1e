"""ED⁴: sectors and their labels, pieces that move, features that stay."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers
import toys

from bonafide.errors import InvalidInput
from bonafide.train import ed4
from bonafide.train.backbones import Backbone
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(folder: str, **changes: object) -> ed4.Method:
    given = {"backbone": folder, "crop": 32, "batch": 8, "grid": 2}
    return ed4.Method(ed4.Settings(**{**given, **changes}))


def test_full_size() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ResNetConfig())
        network = ed4.Network(Backbone(model))
    assert sum(w.numel() for w in network.parameters()) == 23_508_032 + 2048 + 1


def test_sectors_are_of_the_pictures_that_are_named() -> None:
    torch.manual_seed(0)
    pixels = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 2, 20, 24)
    label = torch.tensor([0.0, 1, 0, 1, 0, 1])
    mixed, soft, source = ed4.clock_mix(pixels, label, 3)
    assert torch.equal(mixed[:, 0], source.float()) and torch.equal(mixed[:, 1], source.float())
    torch.testing.assert_close(soft, (source % 2).float().mean((1, 2)))  # the share of area
    assert all(2 <= len(source[row].unique()) + 1 <= 4 for row in range(6))


def test_sectors_meet_in_the_middle() -> None:
    """Along a circle around the middle the source changes as often as there are sectors."""
    torch.manual_seed(1)
    pixels = torch.rand(4, 3, 65, 65)
    _, _, source = ed4.clock_mix(pixels, torch.zeros(4), 2)
    angles = torch.linspace(0, 6.283, 400)
    for radius in (10.0, 30.0):
        y, x = (
            (32 + radius * angles.sin()).round().long(),
            (32 + radius * angles.cos()).round().long(),
        )
        ring = source[:, y, x]
        assert int((ring != ring.roll(1, 1)).sum(1).max()) <= 2


def test_pieces_move_and_none_is_lost() -> None:
    pixels = torch.arange(16.0).view(1, 1, 4, 4)
    swapped = ed4.rearranged(pixels, torch.tensor([1, 0, 2, 3]))
    assert swapped[0, 0, :2].tolist() == [[2, 3, 0, 1], [6, 7, 4, 5]]
    assert torch.equal(ed4.rearranged(pixels, torch.arange(4)), pixels)
    assert torch.equal(swapped.flatten().sort().values, pixels.flatten())


def test_the_worst_arrangement_is_taken(folder: str) -> None:
    recipe = method(folder, tries=6)
    network = recipe.network().eval()
    torch.manual_seed(0)
    pixels = torch.rand(4, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    features = network.embed(pixels)
    torch.manual_seed(5)
    worst = recipe.worst(network, pixels, features)
    torch.manual_seed(5)
    far = {}
    for _ in range(6):
        order = torch.randperm(4)
        moved = network.embed(ed4.rearranged(pixels, order))
        far[tuple(order.tolist())] = float(ed4._distance(features, moved).mean().detach())
    assert far[tuple(worst.tolist())] == max(far.values())


def test_features_become_indifferent_to_place(folder: str) -> None:
    recipe = method(folder, consistency=20.0, learning_rate=1e-3, share=0.0)
    network = recipe.network().train()
    torch.manual_seed(0)
    pixels = torch.rand(8, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    given = Batch(pixels, torch.arange(8) % 2.0, torch.full((8,), -1), None, {})
    optimiser, seen = recipe.optimiser(network), []
    for _ in range(45):
        loss, parts = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts["consistency"])
    assert sum(seen[-10:]) < 0.7 * sum(seen[:10])


def test_settings_that_cannot_work_are_refused(folder: str) -> None:
    for changes, why in (({"grid": 5}, "does not divide"), ({"mixed": 1}, "at least 2")):
        with pytest.raises(InvalidInput, match=why):
            method(folder, **changes).network()


def test_learns_grain(folder: str, tmp_path: Path) -> None:
    recipe = method(folder, steps=40, learning_rate=5e-3)
    fitted = fit(recipe, toys.grain(tmp_path, 40), tmp_path / "out")
    assert fitted.progress.best_auc > 0.9
