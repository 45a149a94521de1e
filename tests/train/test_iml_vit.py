"""IML-ViT: canvas, windows, relative positions, pyramid, and what it learns."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

import localisers

from bonafide.errors import InvalidInput
from bonafide.train import iml_vit
from bonafide.train.plain_vit import PlainVit, StochasticDepth
from bonafide.train.recipe import Batch, Output

torch.set_num_threads(1)
SMALL = {"crop": 64, "canvas": 96, "window": 4, "whole": (1,), "width": 16}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.vit(tmp_path_factory.mktemp("vit"))


def method(backbone: str, **changes: object) -> iml_vit.Method:
    return iml_vit.Method(iml_vit.Settings(backbone=backbone, **{**SMALL, **changes}))


def test_global_blocks_begin_as_they_were_pretrained(backbone: str) -> None:
    vit = PlainVit(backbone).eval()
    tokens = torch.rand(2, 5, 5, 32)
    with torch.no_grad():
        expected = vit.blocks[0](tokens.flatten(1, 2))
        block = iml_vit.Block(vit.blocks[0], vit.heads, 5, 0, 0.0)
        torch.testing.assert_close(block(tokens).flatten(1, 2), expected)


def test_windows_see_nothing_beyond_them(backbone: str) -> None:
    vit = PlainVit(backbone).eval()
    block = iml_vit.Block(vit.blocks[0], vit.heads, 6, 4, 0.0)
    tokens = torch.rand(1, 6, 6, 32, requires_grad=True)
    block(tokens)[0, 5, 1].sum().backward()
    rows, columns = tokens.grad[0].abs().sum(2).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 5, 0, 3)


def test_relative_positions_add_what_their_tables_say(backbone: str) -> None:
    vit = PlainVit(backbone).eval()
    attention = iml_vit.RelativeAttention(vit.blocks[0].attention, vit.heads, 3)
    torch.nn.init.normal_(attention.down)
    torch.nn.init.normal_(attention.across)
    tokens = torch.rand(1, 3, 3, 32)
    with torch.no_grad():
        flat = tokens.reshape(9, 32)
        projected = [part(flat).reshape(9, 2, 16).transpose(0, 1) for part in attention.project]
        queries, keys, values = projected
        scores = queries @ keys.transpose(1, 2) / 4
        for one in range(9):
            for other in range(9):
                down = attention.down[one // 3 - other // 3 + 2]
                across = attention.across[one % 3 - other % 3 + 2]
                scores[:, one, other] += queries[:, one] @ (down + across)
        by_hand = (scores.softmax(2) @ values).transpose(0, 1).reshape(9, 32)
        torch.testing.assert_close(attention(tokens).reshape(9, 32), attention.leave(by_hand))


def test_a_classifiers_weights_serve(tmp_path: Path) -> None:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        image_size=64, patch_size=16,
    )  # fmt: skip
    classifier = transformers.ViTForImageClassification(config)
    classifier.save_pretrained(tmp_path)  # which has no pooler
    kept = PlainVit(str(tmp_path)).blocks[0].mlp.fc1.weight
    assert torch.equal(kept, classifier.vit.layers[0].mlp.fc1.weight)


def test_an_autoencoders_weights_serve_and_others_are_refused(tmp_path: Path) -> None:
    masked = PlainVit(localisers.vit(tmp_path / "mae", masked=True))
    assert masked(torch.rand(1, 3, 96, 64)).shape == (1, 6, 4, 32)
    with pytest.raises(InvalidInput, match="segformer"):
        PlainVit(localisers.mit(tmp_path / "mit"))


def test_pictures_lie_in_the_top_left_corner(backbone: str) -> None:
    network = method(backbone).network().eval()
    pixels = torch.rand(1, 3, 50, 70)
    black = torch.zeros(1, 3, 96, 96)
    black[..., :50, :70] = pixels
    with torch.no_grad():
        output = network(pixels)
        torch.testing.assert_close(output.map, network(black).map[:, :50, :70])
    assert output.logit.item() == output.map.max().item()
    with pytest.raises(InvalidInput, match="tiles"):
        network(torch.rand(1, 3, 97, 20))


def test_the_pyramid_has_five_scales() -> None:
    maps = iml_vit.Pyramid(8, 6)(torch.rand(1, 8, 8, 8))
    assert [one.shape[-1] for one in maps] == [32, 16, 8, 4, 2]


def test_borders_count_twenty_times_more() -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, :, 8:] = 1
    given = Batch(torch.zeros(1, 3, 16, 16), torch.ones(1), torch.zeros(1), None, {}, mask)
    output = Output(torch.zeros(1), torch.zeros(1, 16, 16))
    loss, parts = iml_vit.edge_supervised(output, given, iml_vit.Settings())
    half = torch.log(torch.tensor(2.0))
    assert parts["everywhere"] == pytest.approx(half.item())
    assert parts["edges"] == pytest.approx(20 * half.item() * 6 / 16)
    assert loss.item() == pytest.approx(parts["everywhere"] + parts["edges"])


def test_stochastic_depth_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = StochasticDepth(0.25)
    seen = drop(torch.ones(4000, 2))
    assert seen.unique().tolist() == pytest.approx([0, 4 / 3])
    assert seen.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(3, 2)), torch.ones(3, 2))


def test_learns(backbone: str) -> None:
    recipe = method(backbone, learning_rate=1e-3)
    values = localisers.losses(recipe, localisers.batch(64), 5)
    assert values[1] < values[0] and values[-1] < 0.9 * values[0]
    decayed, kept = recipe.optimiser(recipe.network()).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.05, 0)


def test_a_canvas_that_does_not_fit_is_refused(backbone: str) -> None:
    for changes in ({"canvas": 72}, {"crop": 128}):
        with pytest.raises(InvalidInput, match="canvas"):
            method(backbone, **changes).network()


def test_from_a_manifest_to_a_file_for_its_crop(tmp_path: Path) -> None:
    settings = {"backbone": localisers.vit(tmp_path / "vit", blocks=2), "canvas": 96, "width": 16,
                "window": 4, "whole": 1}  # fmt: skip
    manifest = localisers.write_manifest(tmp_path)
    record = localisers.trained("iml_vit", manifest, tmp_path / "out", **settings)
    assert record["steps"] == 2 and record["exported"]["dynamic"] == ["batch"]
    assert record["exported"]["difference"] < 1e-3
