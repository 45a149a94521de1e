"""RawNet2: scaled maps, its size, and an echo that is learned."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import sound_toys

from bonafide.errors import InvalidInput
from bonafide.train import export, rawnet2

torch.set_num_threads(1)


def method(**changes: object) -> rawnet2.Method:
    given = {"samples": 6400, "filters": 10, "kernel": 129, "width": 16, "blocks": 2, "units": 16,
             "layers": 1, "batch": 4}  # fmt: skip
    return rawnet2.Method(rawnet2.Settings(**{**given, **changes}))


def test_full_size() -> None:
    with torch.device("meta"):
        network = rawnet2.Network(rawnet2.Settings())

    def block(given: int, made: int, first: bool = False) -> int:
        norms = 2 * made + (0 if first else 2 * given)
        past = given * made + made if given != made else 0
        return norms + 3 * given * made + 3 * made * made + 2 * made + past + made * made + made

    blocks = block(20, 20, True) + block(20, 20) + block(20, 128) + 3 * block(128, 128)
    gru = 3 * 1024 * (128 + 1024 + 2) + 2 * 3 * 1024 * (2048 + 2)
    heads = 1024 * 1024 + 1024 + 1025
    count = sum(weights.numel() for weights in network.parameters())
    assert count == blocks + gru + heads + 2 * 20 + 2 * 128 == 17_620_385


def test_maps_are_scaled_and_shifted_by_a_share_of_their_own() -> None:
    torch.manual_seed(0)
    scaling = rawnet2.Scaling(6)
    maps = torch.randn(2, 6, 9)
    found = scaling(maps)
    share = (found / (maps + 1)).detach()
    assert float(share.min()) > 0 and float(share.max()) < 1
    torch.testing.assert_close(share, share[:, :, :1].expand_as(share), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(share[0], share[1])


def test_time_is_shortened_by_three_in_each_block() -> None:
    block = rawnet2.Block(10, 16)
    assert block(torch.randn(1, 10, 90)).shape == (1, 16, 30)


def test_an_echo_is_learned() -> None:
    assert sound_toys.share_right(method(learning_rate=3e-3), 80, 6400) > 0.9


def test_onnx_says_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    crops = sound_toys.stretches(3, 5, 6400).pixels.numpy()
    done = export.export(recipe, recipe.network(), tmp_path / "rawnet2.onnx", crops=crops)
    assert done.difference < 1e-3


def test_stretches_that_are_too_short_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too few"):
        method(samples=300).network()
