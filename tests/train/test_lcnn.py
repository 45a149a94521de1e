"""LCNN: the larger of two channels, its size, and an echo that is learned."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import sound_toys

from bonafide.errors import InvalidInput
from bonafide.train import export, lcnn

torch.set_num_threads(1)


def method(**changes: object) -> lcnn.Method:
    given = {"samples": 6400, "width": 8, "batch": 4, "bands": 16, "dropout": 0.2}
    return lcnn.Method(lcnn.Settings(**{**given, **changes}))


def test_full_size() -> None:
    with torch.device("meta"):
        network = lcnn.Network(20, 32, 0.7)
    sizes = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    pairs = ((1, 32, 5), (32, 32, 1), (32, 48, 3), (48, 48, 1), (48, 64, 3), (64, 64, 1),
             (64, 32, 3), (32, 32, 1), (32, 32, 3))  # fmt: skip
    convolutions = sum(2 * kept * (given * size**2 + 1) for given, kept, size in pairs)
    norms = 2 * (32 + 48 + 48 + 64 + 32 + 32)
    lstm = 2 * 2 * 4 * (48 * 96 + 48 * 48 + 2 * 48)
    assert sizes["layers"] == convolutions + norms and sizes["along"] == lstm
    assert sum(sizes.values()) == convolutions + norms + lstm + 120 + 97 == 270_361


def test_the_larger_of_two_channels_goes_on() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 6, 5, 4)
    found = lcnn.MaxFeatureMap()(features)
    assert found.shape == (2, 3, 5, 4)
    for channel in range(3):
        wanted = torch.maximum(features[:, channel], features[:, channel + 3])
        assert torch.equal(found[:, channel], wanted)
    assert float(found.min()) < 0  # no threshold


def test_loudness_moves_one_coefficient_alone() -> None:
    front = lcnn.Network(16, 8, 0.0).front
    sound = sound_toys.stretches(2, 0, 6400).pixels
    moved = (front(3 * sound) - front(sound)).abs().amax((0, 2))
    assert float(moved[0]) > 1 and float(moved[1:].max()) < 1e-2


def test_an_echo_is_learned() -> None:
    assert sound_toys.share_right(method(learning_rate=3e-3), 60, 6400) > 0.9


def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    crops = sound_toys.stretches(3, 5, 6400).pixels.numpy()
    done = export.export(recipe, recipe.network(), tmp_path / "lcnn.onnx", crops=crops)
    assert done.difference < 1e-3 and done.compared == ((2, 6400), (3, 6400), (1, 6400))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(InvalidInput, match="multiple of 4"):
        method(width=6).network()
    with pytest.raises(InvalidInput, match="too few"):
        method(bands=4).network()
