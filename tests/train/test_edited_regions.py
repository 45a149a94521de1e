"""The default localiser: it learns, compares with the whole picture, and is exported with that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import localisers  # noqa: E402
import onnxruntime  # noqa: E402

from bonafide.bench.pixel_metrics import pixel_auc  # noqa: E402
from bonafide.train import edited_regions, export  # noqa: E402

torch.set_num_threads(1)
SMALL = {"pretrained": False, "crop": 64, "warmup": 0}


def method(**changes: object) -> edited_regions.Method:
    return edited_regions.Method(edited_regions.Settings(**{**SMALL, **changes}))


@pytest.fixture(scope="module")
def network() -> edited_regions.Network:
    torch.manual_seed(0)
    return method().network().eval()


def test_noise_in_smooth_pictures_is_found() -> None:
    recipe = method()
    torch.manual_seed(0)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    values = []
    for step in range(16):
        loss, parts = recipe.loss(network, localisers.batch(64, seed=step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert set(parts) == {"pixels", "overlap", "edges", "picture", "reliability"}
    assert np.mean(values[-3:]) < 0.9 * np.mean(values[:3])
    new = localisers.batch(64, seed=99)
    with torch.inference_mode():
        heat = torch.nn.functional.interpolate(network(new.pixels).map[:, None], (64, 64))[:, 0]
    edited = new.mask[::2].bool().numpy()
    assert pixel_auc(edited[0], heat[0].sigmoid().numpy()) > 0.8


def test_without_context_a_picture_is_compared_with_itself(
    network: edited_regions.Network,
) -> None:
    pixels = localisers.batch(64, size=2).pixels
    with torch.inference_mode():
        alone = network(pixels)
        zeros = network(pixels, torch.zeros(2, network.context))
        own = network(pixels, alone.summary)
        other = network(pixels, alone.summary.flip(0))
    assert alone.summary.shape == (2, network.context)
    torch.testing.assert_close(alone.map, zeros.map)
    torch.testing.assert_close(alone.map, own.map)
    assert not torch.allclose(alone.map, other.map)


def test_the_summary_of_tiles_is_that_of_the_picture(network: edited_regions.Network) -> None:
    tile = localisers.batch(64, size=1).pixels
    with torch.inference_mode():
        one, four = network(tile).summary, network(tile.repeat(1, 1, 2, 2)).summary
    # Borders differ; what is inside weighs more.
    assert float(torch.corrcoef(torch.cat([one, four]))[0, 1]) > 0.9


@pytest.mark.parametrize("side", [(64, 64), (96, 160), (70, 83)])
def test_maps_are_a_quarter_of_any_size(
    network: edited_regions.Network, side: tuple[int, int]
) -> None:
    with torch.inference_mode():
        output = network(torch.rand(1, 3, *side))
    wanted = (1, side[0] // 4, side[1] // 4)
    assert output.map.shape == wanted and output.reliability.shape == wanted
    assert output.logit.shape == (1,)


def test_onnx_takes_the_context_and_agrees(network: edited_regions.Network, tmp_path: Path) -> None:
    exported = export.export(method(), network, tmp_path / "net.onnx")
    assert exported.dynamic == ("batch", "height", "width") and exported.bytes < 12_000_000
    session = onnxruntime.InferenceSession(exported.path)
    assert [one.name for one in session.get_inputs()] == ["pixels", "context"]
    pixels = localisers.batch(96, size=2).pixels
    with torch.inference_mode():
        context = network(pixels).summary.flip(0)
        wanted = network(pixels, context)
    names = ["logit", "map", "reliability", "summary"]
    given = {"pixels": pixels.numpy(), "context": context.numpy()}
    for name, value in zip(names, session.run(names, given), strict=True):
        np.testing.assert_allclose(value, getattr(wanted, name), atol=1e-4, rtol=1e-3)
