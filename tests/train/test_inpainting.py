"""The network that fills holes: what it leaves alone, that it learns, and its ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from bonafide.train import inpainting
from bonafide.train.inpainting import Inpainter, Schedule
from bonafide.train.tampering_fill import OnnxFiller

TINY = Schedule(steps=6, batch=2, crop=32, width=8, largest=0.15, smallest=0.1)
CROPS = [data.astronaut()[:128, 100:228], data.coffee()[100:228, 200:328]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def shown(hole: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(CROPS[0][:64, :96].copy()).permute(2, 0, 1)[None].float() / 255
    holes = torch.from_numpy(hole)[None, None].float()
    return torch.cat((pixels * (1 - holes), holes), 1)


def test_what_is_known_stays_and_its_averages_fill_the_hole() -> None:
    hole = np.zeros((64, 96), bool)
    hole[20:44, 10:60] = True
    given = shown(hole)
    filled = Inpainter(8)(given)
    known = (given[:, 3:] == 0).expand(-1, 3, -1, -1)
    assert torch.equal(filled[known], given[:, :3][known])
    assert filled.min() >= -1e-4 and filled.max() <= 1 + 1e-4
    flat = torch.full((1, 3, 32, 32), 0.25)
    one = torch.ones(1, 1, 32, 32)
    one[..., 8:20, 8:20] = 0
    assert torch.allclose(inpainting.averaged(flat * one, one), flat, atol=1e-3)


def test_equal_seeds_train_equal_networks_with_and_without_a_critic() -> None:
    losses: list[float] = []
    first = inpainting.train(CROPS, TINY, losses.append)
    second = inpainting.train(CROPS, TINY)
    assert len(losses) == TINY.steps and not first.training
    states = first.state_dict(), second.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert all(np.isfinite(inpainting.measured(first, CROPS, TINY)))


def test_the_file_fills_as_the_network_does(tmp_path: Path) -> None:
    network = Inpainter(8).eval()
    torch.nn.init.normal_(network.last.weight, std=0.05)
    path = tmp_path / "tiny.onnx"
    inpainting.write(network, path)
    picture, mask = CROPS[1], np.zeros((128, 128), bool)
    mask[40:70, 50:90] = True
    filled = OnnxFiller(path).fill(picture, mask)
    assert np.array_equal(filled[~mask], picture[~mask])
    # What the filler shows reaches 48 pixels beyond the hole, with sides filled up to 16.
    window = np.s_[0:118, 2:128]
    pixels = np.where(mask[..., None], 0, picture)[window].astype(np.float32) / 255
    stacked = np.dstack([pixels, mask[window].astype(np.float32)])
    padded = np.pad(stacked, ((0, 10), (0, 2), (0, 0)), "edge").transpose(2, 0, 1)[None]
    with torch.no_grad():
        expected = network(torch.from_numpy(padded))[0].permute(1, 2, 0).numpy()[:118, :126]
    levels = np.clip(np.rint(expected * 255), 0, 255)
    apart = np.abs(filled[window][mask[window]] - levels[mask[window]])
    assert apart.max() <= 1
