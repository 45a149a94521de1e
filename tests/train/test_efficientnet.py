"""The trunk that ships is the one of the package: names, size, and ONNX against PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from bonafide.errors import InvalidInput
from bonafide.networks.regions import STAGES
from bonafide.train.efficientnet import CHANNELS, EfficientNetLite0, Stages, write


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[EfficientNetLite0, Path]:
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    state = network.state_dict() | {"_fc.weight": torch.zeros(1000, CHANNELS)}
    path = tmp_path_factory.mktemp("lite") / "weights.pth"
    torch.save(state, path)
    return network, path


def test_it_has_the_published_number_of_parameters() -> None:
    # 4,652,008 in all, of which the classifier has 1,281,000.
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) == 4_652_008 - 1_281_000


def test_onnx_equals_pytorch(checkpoint: tuple[EfficientNetLite0, Path], tmp_path: Path) -> None:
    network, path = checkpoint
    session = onnxruntime.InferenceSession(str(write(path, tmp_path)))
    pixels = np.random.default_rng(0).random((2, 3, 224, 224), np.float32)
    found = session.run(list(STAGES), {"pixels": pixels})
    with torch.inference_mode():
        wanted = Stages(network)(torch.from_numpy(pixels))
    assert [one.shape[1:] for one in found] == [
        (16, 112, 112), (24, 56, 56), (40, 28, 28), (80, 14, 14), (112, 14, 14)
    ]  # fmt: skip
    for one, other in zip(found, wanted, strict=True):
        assert np.allclose(one, other.numpy(), rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(InvalidInput, match="EfficientNet-Lite0"):
        EfficientNetLite0().read(path)
