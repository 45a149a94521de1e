"""The default localiser: what it is shown, that it learns, and that its file says the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import localisers
import onnxruntime
from PIL import Image as Pillow
from skimage import data
from torch import Tensor

from bonafide.signals.quantised import PLANES
from bonafide.train import export, jpeg_history, masked
from bonafide.train.recipe import Batch

torch.set_num_threads(1)


def method(**changes: object) -> jpeg_history.Method:
    return jpeg_history.Method(jpeg_history.Settings(**{"crop": 128, "warmup": 0, **changes}))


def saved(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=60)
    return np.array(Pillow.open(buffer))


def batch(recipe: jpeg_history.Method, seed: int, size: int = 8) -> Batch:
    """Photographs that were saved coarsely; in every other one a part never was."""
    random = np.random.default_rng(seed)
    planes, masks = [], []
    for number in range(size):
        top, left = random.integers(0, 40, 2) * 8
        clean = data.astronaut()[top : top + 128, left : left + 128]
        pixels = saved(clean)
        mask = np.zeros((128, 128), bool)
        if number % 2 == 0:
            mask[32:96, 16:80] = True
            pixels[mask] = data.coffee()[100:228, 200:328][mask]
        seen, edited = recipe.read(pixels, mask, random)
        planes.append(seen)
        masks.append(edited)
    marks = torch.from_numpy(np.stack(masks)).float()
    label: Tensor = marks.flatten(1).amax(1)
    pixels = torch.from_numpy(np.stack(planes)).permute(0, 3, 1, 2).float() / 255
    return Batch(pixels, label, torch.full((size,), -1), None, {}, marks)


def test_a_sample_is_blocks_and_turns_with_its_mask() -> None:
    mask = np.zeros((128, 128), bool)
    mask[:, :64] = True
    pixels = np.full((128, 128, 3), 128, np.uint8)
    pixels[mask] = np.random.default_rng(0).integers(0, 256, (int(mask.sum()), 3), np.uint8)
    ways = set()
    for seed in range(12):
        seen, edited = method().read(pixels, mask, np.random.default_rng(seed))
        assert seen.shape == (16, 16, PLANES) and edited.shape == (16, 16)
        loud = seen[..., 1:15].max(2) > 0
        np.testing.assert_array_equal(loud, edited)
        ways.add((bool(edited[0, 0]), bool(edited[0, -1]), bool(edited[-1, 0])))
    assert len(ways) == 4


def test_last_saves_have_many_tables_within_bounds() -> None:
    random = np.random.default_rng(0)
    tables = [method(lowest=50)._tables(random)[0] for _ in range(40)]
    assert all(table.min() >= 1 and table.max() <= 255 for table in tables)
    assert len({table.tobytes() for table in tables}) > 20


def test_it_learns_to_find_what_was_never_saved() -> None:
    torch.manual_seed(0)
    recipe = method(own_tables=0.0, lowest=90)
    network = recipe.network().train()
    optimiser = recipe.optimiser(network)
    values = []
    for step in range(40):
        loss, parts = recipe.loss(network, batch(recipe, step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert set(parts) == {"blocks", "overlap", "picture"}
    assert np.mean(values[-5:]) < 0.6 * np.mean(values[:5])


def test_the_command_trains_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked, "VALIDATED", 4)
    record = localisers.trained(
        "jpeg_history", localisers.write_manifest(tmp_path), tmp_path / "out",
        held_out=0.25, validate_every=2, authentic=0.5,
    )  # fmt: skip
    assert record["sampling"]["aftermath"] is False and record["sampling"]["saved_before"] == 0.65
    assert "pixel_f1" in record["validation"]


def test_the_file_takes_any_number_of_blocks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = method()
    network = recipe.network().eval()
    exported = export.export(recipe, network, tmp_path / "net.onnx")
    assert exported.dynamic == ("batch", "height", "width") and exported.bytes < 12_000_000
    assert "planes" in export.read_card(tmp_path / "net.onnx")["preprocessing"]["layout"]
    session = onnxruntime.InferenceSession(exported.path)
    pixels = batch(recipe, 3).pixels[:1, :, :9, :13].contiguous()
    with torch.inference_mode():
        wanted = network(pixels)
    logit, odds = session.run(["logit", "map"], {"pixels": pixels.numpy()})
    np.testing.assert_allclose(logit, wanted.logit, atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(odds, wanted.map, atol=1e-4, rtol=1e-3)
