"""DADM: modalities that agree, that may be absent, and planes and angles that align."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

import localisers

from bonafide.errors import InvalidInput
from bonafide.train import dadm
from bonafide.train.backbones import Backbone
from bonafide.train.data import Picture, TrainingData
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return localisers.vit(tmp_path_factory.mktemp("vit"), blocks=2)


def method(folder: str, **changes: object) -> dadm.Method:
    given = {"backbone": folder, "crop": SIDE, "batch": 8, "channels": 4, "sources": 2}
    return dadm.Method(dadm.Settings(**{**given, **changes}))


def sheet(number: int, attack: bool) -> np.ndarray:
    """A face alike in colour and infrared; depth alone says whether it is one."""
    random = np.random.default_rng(number)
    shade = random.integers(60, 200)
    face = np.full((32, 32, 3), shade, np.uint8) + random.integers(0, 20, (32, 32, 3), np.uint8)
    down, across = np.mgrid[-1:1:32j, -1:1:32j]
    relief = np.clip(1 - down**2 - across**2, 0, 1) * (not attack)
    return dadm.sheet(face, (40 + 200 * relief).astype(np.uint8), face[..., 1], SIDE)


def batch(count: int = 8, first: int = 0) -> Batch:
    pictures = np.stack([sheet(first + row, row % 2 == 1) for row in range(count)])
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    source = (torch.arange(count) // 2) % 2
    return Batch(pixels, torch.arange(count) % 2.0, torch.full((count,), -1), None,
                 {"source": source})  # fmt: skip


def test_full_size_trains_adapters_and_planes() -> None:
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(transformers.ViTConfig())
        network = dadm.Network(Backbone(model), 8, 3)
    trained = sum(w.numel() for w in network.parameters() if w.requires_grad)
    assert trained == 12 * 3 * (768 * 8 + 8 + 8 * 768 + 768) + 3 * 769 == 472_611
    assert sum(w.numel() for w in network.parameters()) == 86_389_248 + trained


def test_a_sheet_is_taken_apart_again() -> None:
    pixels = torch.from_numpy(sheet(0, False)).permute(2, 0, 1)[None].float() / 255
    parts, given = dadm.taken_apart(pixels)
    assert parts.shape == (3, 1, 3, 32, 32) and given[:, 0].tolist() == [1, 1, 1]
    assert torch.equal(parts[0, 0, 1], parts[2, 0, 0])  # infrared was the green plane
    alone = dadm.sheet(np.full((9, 9, 3), 100, np.uint8), None, None, SIDE)
    assert dadm.taken_apart(torch.from_numpy(alone).permute(2, 0, 1)[None] / 255.0)[1].T.tolist() \
        == [[1, 0, 0]]  # fmt: skip
    mirrored = dadm.mirrored(sheet(0, False), np.random.default_rng(0))
    wanted = torch.from_numpy(mirrored.copy()).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(dadm.taken_apart(wanted)[0], parts.flip(4))


def test_a_token_takes_from_what_agrees_and_is_there() -> None:
    torch.manual_seed(0)
    base = torch.randn(1, 1, 4)
    small = torch.stack([base, base, -base])  # the third contradicts
    taken = dadm.exchanged(small, torch.tensor([[1.0], [1.0], [0.0]]))
    torch.testing.assert_close(taken[0], base)  # the second alone is there, and agrees
    torch.testing.assert_close(taken[2], torch.zeros_like(base), atol=1e-5, rtol=0)
    changed = small.clone()
    changed[2] += 100
    assert torch.equal(dadm.exchanged(changed, torch.tensor([[1.0], [1.0], [0.0]]))[:2], taken[:2])


def test_what_is_absent_changes_nothing(folder: str) -> None:
    network = method(folder).network().eval()
    for adapter in network.backbone.modules():
        if isinstance(adapter, dadm.Adapter):
            for layer in adapter.up:
                torch.nn.init.normal_(layer.weight)
    left_out = torch.tensor([[1.0] * 4, [1.0] * 4, [0.0] * 4])
    given = batch(4).pixels
    changed = given.clone()
    changed[:, :, SIDE // 2 :, : SIDE // 2] = torch.rand(4, 3, SIDE // 2, SIDE // 2)
    with torch.inference_mode():
        first, second = (network.read(pixels, left_out).joint for pixels in (given, changed))
    torch.testing.assert_close(first, second)


def test_the_bound_is_zero_for_nothing_and_high_for_the_same() -> None:
    torch.manual_seed(0)
    tokens = torch.nn.functional.normalize(torch.randn(6, 16), dim=1)
    same = dadm.Seen(tokens.expand(3, 6, 16), tokens, torch.ones(3, 6))
    alike = dadm.Seen(tokens[:1].expand(3, 6, 16), tokens, torch.ones(3, 6))
    assert float(dadm.agreement(alike)) == pytest.approx(0, abs=1e-5)
    assert 1.0 < float(dadm.agreement(same)) <= math.log(6)


def test_gaps_are_zero_where_planes_and_angles_agree() -> None:
    plane = torch.randn(1, 5)
    assert float(dadm.plane_gap(plane.expand(3, 5))) == pytest.approx(0, abs=1e-6)
    assert float(dadm.plane_gap(torch.eye(3))) == pytest.approx(1 - 3**-0.5, abs=1e-6)
    assert float(dadm.angle_gap(torch.tensor([1.2, 1.2, 1.2]), 1.0)) == pytest.approx(0, abs=1e-7)
    assert float(dadm.angle_gap(torch.tensor([0.5, 1.5]), 1.0)) == pytest.approx(0.125 + 0.25)
    tokens = torch.tensor([[[1.0, 0], [0, 1.0]]]).expand(3, 2, 2)
    seen = dadm.Seen(tokens, tokens[0], torch.tensor([[1.0, 1], [1, 1], [1, 0]]))
    found = dadm.angles(seen, torch.tensor([0.0, 1.0]))
    assert found.tolist() == pytest.approx([math.pi / 2] * 2, abs=1e-3)  # infrared shows one class


def test_information_rises_and_gaps_fall(folder: str) -> None:
    recipe = method(folder, learning_rate=1e-2, information=1.0, planes=1.0, angle=1.0, absent=0.0)
    torch.manual_seed(0)
    network, given = recipe.network().train(), batch()
    optimiser, seen = recipe.optimiser(network), []
    for _ in range(20):
        loss, parts = recipe.loss(network, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts)
    first, last = seen[0], seen[-1]
    assert last["information"] < first["information"] - 0.1  # the negative of the bound
    assert last["planes"] < 0.5 * first["planes"] and last["angle"] < 0.8 * first["angle"]


def test_settings_and_sheets_that_cannot_work_are_refused(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="even"):
        method(folder, crop=63).network()
    with pytest.raises(InvalidInput, match="vision transformer"):
        method(localisers.resnet(tmp_path / "resnet")).network()
    with pytest.raises(InvalidInput, match="sources=2"):
        recipe = method(folder, sources=1)
        recipe.loss(recipe.network(), batch())
    with pytest.raises(InvalidInput, match="64×64"):
        method(folder).augment()(np.zeros((40, 64, 3), np.uint8), np.random.default_rng(0))


def test_learns_relief(folder: str, tmp_path: Path) -> None:
    pictures = []
    for number in range(48):
        file = tmp_path / f"{number}.npy"
        np.save(file, sheet(number, number % 2 == 1))
        source = f"source {number // 2 % 2}"
        pictures.append(Picture(f"{number}", number % 2 == 1, source, source, file))
    data = TrainingData(tuple(pictures[:32]), (), tuple(pictures[32:]), (), {}, ())
    recipe = method(
        folder, steps=60, learning_rate=2e-2, validate_every=60, information=0.0, absent=0.0
    )
    assert fit(recipe, data, tmp_path / "out").progress.best_auc > 0.9
