"""WSCL: scores by Otsu, the mask that streams make for each other, and patches that are alike."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

import localisers

from bonafide.errors import InvalidInput
from bonafide.train import wscl

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.resnet(tmp_path_factory.mktemp("resnet"))


def method(backbone: str, **changes: object) -> wscl.Method:
    return wscl.Method(wscl.Settings(backbone=backbone, **{"crop": 64, **changes}))


def test_scores_are_means_of_what_otsu_selects() -> None:
    map_ = torch.tensor([[[0.1, 0.9, 0.12], [0.8, 0.09, 0.11]]])
    assert wscl.selected_mean(map_).item() == pytest.approx(0.85)
    mostly_edited = torch.tensor([[[0.9, 0.8, 0.7], [0.9, 0.8, 0.1]]])
    assert wscl.selected_mean(mostly_edited).item() == pytest.approx(0.9)  # at most half: two
    for one in (torch.full((1, 3, 3), 0.4), torch.full((2, 1, 1), 0.4), torch.full((1, 1, 2), 0.4)):
        assert wscl.selected_mean(one).tolist() == pytest.approx([0.4] * len(one))


def test_otsus_threshold_is_the_best_of_all() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        values = torch.rand(41) ** 3
        ordered = values.sort().values
        within = [
            part * ordered[:part].var(correction=0) + (41 - part) * ordered[part:].var(correction=0)
            for part in range(1, 41)
        ]
        first = max(1 + int(torch.stack(within).argmin()), 41 // 2 + 1)
        expected = ordered[first:].mean()
        torch.testing.assert_close(wscl.selected_mean(values.view(1, 1, 41))[0], expected)


def test_the_pseudo_mask_weighs_streams_one_two_two() -> None:
    maps = {
        "colours": torch.tensor([[[1.0, 0.0, 1.0]]]),
        "srm": torch.tensor([[[0.5, 0.7, 0.0]]]),
        "bayar": torch.tensor([[[0.5, 0.7, 0.0]]]),
    }
    assert wscl.pseudo_mask(maps, torch.ones(1)).tolist() == [[[1, 1, 0]]]  # .6, .56, .2
    assert wscl.pseudo_mask(maps, torch.zeros(1)).sum() == 0
    low = {name: 0.3 * map_ for name, map_ in maps.items()}
    assert wscl.pseudo_mask(low, torch.ones(1)).tolist() == [[[1, 0, 0]]]


def test_patches_of_one_kind_should_be_alike() -> None:
    mask = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    kinds = torch.tensor([1.0, 1, 0, 0])
    right = torch.where(kinds[:, None] == kinds, 9.0, -9.0)[None]
    unsure = torch.zeros_like(right)

    def loss(alike: torch.Tensor) -> float:
        return float(wscl.apart_from_mask(wscl.Seen(mask, mask, alike, (2, 2)), mask))

    assert loss(right) < 1e-3 and loss(-right) == pytest.approx(9, abs=1e-3)
    assert loss(unsure) == pytest.approx(math.log(2))


def test_consistency_grows_with_the_steps_that_were_done(backbone: str) -> None:
    assert wscl.ramp(0, 100) == pytest.approx(math.exp(-5))
    assert wscl.ramp(50, 100) == pytest.approx(math.exp(-1.25))
    assert wscl.ramp(100, 100) == 1
    recipe = method(backbone, steps=3)
    network, given = recipe.network().train(), localisers.batch(64)
    for done in range(3):
        assert int(network.steps) == done
        recipe.loss(network, given)
    recipe.loss(network.eval(), given)
    assert int(network.steps) == 3 and int(network.state_dict()["steps"]) == 3


def test_streams_start_alike_and_draw_a_sixteenth(backbone: str) -> None:
    network = method(backbone).network().eval()
    with torch.no_grad():
        output = network(torch.rand(2, 3, 64, 80))
    assert output.map.shape == (2, 4, 5) and output.logit.shape == (2,)
    seen = network.seen(torch.rand(1, 3, 64, 80))
    assert set(seen) == set(wscl.WEIGHTS) and seen["srm"].alike.shape == (1, 80, 80)
    first, second = (
        dict(network.streams[name].stages.named_parameters()) for name in ("colours", "srm")
    )
    for name, weight in first.items():
        assert torch.equal(weight, second[name]) and weight is not second[name]


def test_learns(backbone: str) -> None:
    recipe = method(backbone, learning_rate=1e-3, steps=10)
    values = localisers.losses(recipe, localisers.batch(64), 6)
    assert values[-1] < 0.9 * values[0]


def test_other_backbones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ResNet"):
        method(localisers.vit(tmp_path / "vit")).network()


def test_from_labels_to_a_file_for_pictures_of_any_size(backbone: str, tmp_path: Path) -> None:
    manifest = localisers.write_manifest(tmp_path, ("bona_fide", "splice"))
    record = localisers.trained("wscl", manifest, tmp_path / "out", backbone=backbone)
    assert record["steps"] == 2 and record["pictures"] == 16
    assert record["exported"]["dynamic"] == ["batch", "height", "width"]
    assert record["exported"]["difference"] < 1e-3
