"""RelayFormer: how sub-images lie, and what relay tokens carry from one to another."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

import localisers

from bonafide.errors import InvalidInput
from bonafide.train import relayformer
from bonafide.train.plain_vit import PlainVit

torch.set_num_threads(1)
CPU = torch.device("cpu")
SMALL = {"crop": 64, "part": 48, "stride": 32, "relays": 2}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.vit(tmp_path_factory.mktemp("vit"))


def method(backbone: str, **changes: object) -> relayformer.Method:
    return relayformer.Method(relayformer.Settings(backbone=backbone, **{**SMALL, **changes}))


def test_four_sub_images_make_1024_as_in_the_paper() -> None:
    plan = relayformer.layout(64, 64, 33, 31, CPU)
    assert (plan.rows, plan.columns, plan.height, plan.width) == (2, 2, 64, 64)
    assert plan.index.shape == (4, 33 * 33)
    assert torch.equal(plan.index.flatten().unique(), torch.arange(64 * 64))
    for length, count in ((1, 1), (33, 1), (34, 2), (64, 2), (65, 3), (95, 3)):
        assert relayformer.layout(length, 33, 33, 31, CPU).rows == count


def test_overlaps_are_averaged() -> None:
    plan = relayformer.layout(2, 5, 3, 2, CPU)
    tokens = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 9, 1)
    whole = relayformer.joined(tokens, plan).reshape(3, 5)
    assert torch.equal(whole, torch.tensor([1.0, 1.0, 2.0, 3.0, 3.0]).expand(3, 5))


def test_rotation_depends_on_distance_alone() -> None:
    queries, keys = torch.rand(1, 2, 1, 40), torch.rand(1, 2, 1, 40)

    def product(one: list[int], other: list[int]) -> torch.Tensor:
        turned = [
            relayformer.rotated(values, torch.tensor(place)[:, None])
            for values, place in ((queries, one), (keys, other))
        ]
        return (turned[0] * turned[1]).sum(-1)

    torch.testing.assert_close(product([1, 2, 5], [1, 0, 4]), product([2, 9, 1], [2, 7, 0]))
    assert not torch.allclose(product([0, 0, 0], [0, 0, 1]), product([0, 0, 0], [1, 0, 0]))
    torch.testing.assert_close(product([0, 0, 0], [0, 0, 0]), (queries * keys).sum(-1))


def test_blocks_begin_as_they_were_pretrained(backbone: str) -> None:
    vit = PlainVit(backbone).eval()
    tokens = torch.rand(2, 7, 32)
    with torch.no_grad():
        expected = vit.blocks[0](tokens)
        block = relayformer.Block(vit.blocks[0], vit.heads, False, 0.0)
        torch.testing.assert_close(block(tokens), expected)
        unplaced = torch.zeros(3, 7, dtype=torch.long)
        torch.testing.assert_close(block(tokens, unplaced), expected)


def test_updates_of_relays_and_of_sub_images_are_apart() -> None:
    layer = relayformer.Updated(torch.nn.Linear(5, 6), frozen=True)
    torch.nn.init.normal_(layer.up[1])
    tokens = torch.rand(3, 5)
    torch.testing.assert_close(layer(tokens, False), layer.linear(tokens))
    expected = layer.linear(tokens) + 2 * tokens @ layer.down[1] @ layer.up[1]
    torch.testing.assert_close(layer(tokens, True), expected)
    assert not any(weight.requires_grad for weight in layer.linear.parameters())


def test_relays_carry_what_one_sub_image_sees_to_the_others(backbone: str) -> None:
    torch.manual_seed(0)
    network = method(backbone, part=32, stride=32).network().eval()  # without overlap
    pixels = torch.rand(1, 3, 32, 64, requires_grad=True)
    plan = relayformer.layout(2, 4, 2, 2, CPU)
    network._features(pixels, plan)[..., :2].square().sum().backward()
    assert pixels.grad[..., 32:].abs().max() > 0
    mute = pixels.detach().clone().requires_grad_()
    network.blocks = network.blocks[:1]  # nothing is relayed after the last block
    network._features(mute, plan)[..., :2].square().sum().backward()
    assert mute.grad[..., 32:].abs().max() == 0


def test_learns_with_and_without_the_backbones_own_weights(backbone: str) -> None:
    given = localisers.batch(64)
    for frozen in (False, True):
        recipe = method(backbone, learning_rate=1e-3, frozen=frozen)
        values = localisers.losses(recipe, given, 6)
        assert values[-1] < 0.95 * values[0]
        own = [
            weight for name, weight in recipe.network().named_parameters()
            if ".linear." in name or name.startswith("vit.")
        ]  # fmt: skip
        assert all(weight.requires_grad is not frozen for weight in own)


def test_parts_that_do_not_fit_are_refused(backbone: str) -> None:
    for changes in ({"part": 50}, {"stride": 40}, {"stride": 64}, {"relays": 0}):
        with pytest.raises(InvalidInput, match="multiples"):
            method(backbone, **changes).network()


def test_from_a_manifest_to_a_file_for_its_crop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayformer, "LAYERS", 1)  # three alike take long to export
    settings = {**SMALL, "backbone": localisers.vit(tmp_path / "vit", blocks=2)}
    manifest = localisers.write_manifest(tmp_path)
    record = localisers.trained("relayformer", manifest, tmp_path / "out", **settings)
    assert record["steps"] == 2 and record["exported"]["dynamic"] == ["batch"]
    assert record["exported"]["difference"] < 1e-3
