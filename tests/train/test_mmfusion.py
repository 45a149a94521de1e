"""MMFusion: streams, fusion, both phases, and the file that is exported."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

import localisers

from bonafide.errors import InvalidInput
from bonafide.train import cmx, mmfusion
from bonafide.train.backbones import IMAGENET

torch.set_num_threads(1)
SMALL = {"crop": 64, "width": 16, "noiseprint_depth": 3, "noiseprint_width": 4, "warmup": 0}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.mit(tmp_path_factory.mktemp("mit"))


def method(backbone: str, **changes: object) -> mmfusion.Method:
    return mmfusion.Method(mmfusion.Settings(backbone=backbone, **{**SMALL, **changes}))


def test_streams_keep_their_shape_and_take_from_each_other() -> None:
    first, second = torch.rand(2, 6, 5, 7), torch.rand(2, 6, 5, 7)
    rectify = cmx.Rectification(6)
    with torch.no_grad():
        for part in (rectify.of_channels, rectify.of_places):
            part[2].weight.zero_()
            part[2].bias.zero_()  # sigmoid 0.5 everywhere
    one, two = rectify(first, second)
    torch.testing.assert_close(one, first + 0.5 * second)
    torch.testing.assert_close(two, second + 0.5 * first)
    assert cmx.Fusion(6, 2)(one, two).shape == first.shape


def test_statistics_by_hand() -> None:
    values = torch.tensor([[1.0, 3.0]])
    weights = torch.log(torch.tensor([[0.25, 0.75]]))
    low, high, mean, square = mmfusion.statistics(values, weights)[0].tolist()
    assert low == pytest.approx(-math.log(0.25 * math.exp(-1) + 0.75 * math.exp(-3)))
    assert high == pytest.approx(math.log(0.25 * math.exp(1) + 0.75 * math.exp(3)))
    assert (mean, square) == (pytest.approx(2.5), pytest.approx(7.0))


def test_the_first_phase_draws_a_map_and_learns(backbone: str) -> None:
    recipe = method(backbone)
    given = localisers.batch(64)
    network = recipe.network()
    output = network(given.pixels)
    assert output.map.shape == (4, 64, 64) and output.reliability is None
    torch.testing.assert_close(output.logit, output.map.amax((1, 2)))
    _, parts = recipe.loss(network, given)
    assert set(parts) == {"entropy", "dice"}
    values = localisers.losses(recipe, given, 4)
    assert values[1] < values[0] and values[-1] < 0.95 * values[0]


def test_the_second_phase_learns_confidence_alone(backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = method(backbone).network()
    torch.save(first.state_dict(), tmp_path / "best.pt")
    recipe = method(backbone, localiser=str(tmp_path / "best.pt"))
    network = recipe.network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    given = localisers.batch(64)
    output = network(given.pixels)
    with torch.no_grad():
        torch.testing.assert_close(output.map, first.eval()(given.pixels).map)
    assert output.reliability.shape == (4, 64, 64) and output.logit.shape == (4,)
    loss, parts = recipe.loss(network, given)
    assert set(parts) == {"confidence", "score"}
    loss.backward()
    recipe.optimiser(network).step()
    moved = {
        name.split(".")[0] for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }  # fmt: skip
    assert moved == {"confidence", "judge"}
    values = localisers.losses(recipe, given, 5)
    assert values[-1] < values[0]


def test_steps_follow_the_papers_schedule(backbone: str) -> None:
    recipe = method(backbone, steps=100, warmup=3)
    assert [recipe.rate(step) for step in (0, 1, 2)] == [0.25, 0.5, 0.75]
    assert recipe.rate(50) == pytest.approx(0.5**0.9)
    decayed, kept = recipe.optimiser(recipe.network()).param_groups
    assert (decayed["momentum"], decayed["weight_decay"], kept["weight_decay"]) == (0.9, 5e-4, 0)


def test_given_noiseprint_weights_stay_as_they_are(backbone: str, tmp_path: Path) -> None:
    given = mmfusion.Noiseprint(depth=3, width=4)
    given[3].running_mean += 1
    torch.save(given.state_dict(), tmp_path / "np++.pth")
    recipe = method(backbone, noiseprint=str(tmp_path / "np++.pth"))
    network = recipe.network().train()
    recipe.loss(network, localisers.batch(64))[0].backward()
    kept = network.encoder.residuals.noiseprint
    assert not kept.training and all(weight.grad is None for weight in kept.parameters())
    for name, value in given.state_dict().items():
        assert torch.equal(kept.state_dict()[name], value)
    free = method(backbone).network().train().encoder.residuals.noiseprint
    assert free.training and all(weight.requires_grad for weight in free.parameters())


def test_files_that_do_not_fit_are_named(backbone: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        method(backbone, noiseprint=str(tmp_path / "absent")).network()
    (tmp_path / "text").write_text("no weights")
    torch.save({"0.weight": torch.zeros(1)}, tmp_path / "other")
    for name in ("text", "other"):
        with pytest.raises(InvalidInput, match="does not fit"):
            method(backbone, noiseprint=str(tmp_path / name)).network()
    with pytest.raises(InvalidInput, match="SegFormer"):
        method(localisers.vit(tmp_path / "vit")).network()


def test_full_size_has_two_encoders() -> None:
    import transformers

    config = transformers.SegformerConfig(hidden_sizes=[64, 128, 320, 512], depths=[3, 4, 6, 3])
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config)
        encoder = mmfusion.Encoder(model, IMAGENET, mmfusion.Noiseprint())
    branch = sum(weight.numel() for weight in encoder.colours.parameters())
    assert branch == sum(weight.numel() for weight in encoder.traces.parameters())
    assert 24.1e6 < branch < 24.3e6  # MiT-B2


def test_from_a_manifest_to_a_file_for_pictures_of_any_size(tmp_path: Path) -> None:
    backbone = localisers.mit(tmp_path / "mit", stages=1)
    torch.save(method(backbone).network().state_dict(), tmp_path / "best.pt")
    settings = {**SMALL, "backbone": backbone, "localiser": tmp_path / "best.pt"}
    manifest = localisers.write_manifest(tmp_path)
    record = localisers.trained("mmfusion", manifest, tmp_path / "out", **settings)
    assert record["steps"] == 2 and record["pictures"] == 8
    assert record["exported"]["dynamic"] == ["batch", "height", "width"]
    assert record["exported"]["difference"] < 1e-3
