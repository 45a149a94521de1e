"""One file that stands alone, says what it is, and computes what PyTorch computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

import onnxruntime
import torch
import toys
from torch import Tensor, nn

from bonafide.errors import BonafideError
from bonafide.train import export
from bonafide.train.data import Fingerprint
from bonafide.train.recipe import Output

torch.set_num_threads(1)
RECIPE = toys.Method(toys.Settings(width=20))  # wide enough for a tensor that halving touches


@pytest.fixture(scope="module", params=["float32", "float16"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, export.Exported]:
    torch.manual_seed(0)
    network = RECIPE.network().eval()
    path = tmp_path_factory.mktemp("out") / "toy.onnx"
    crops = np.random.default_rng(1).random((3, 3, 32, 32), np.float32)
    tables = [Fingerprint("manifest.csv", "ab" * 32, 7)]
    return network, export.export(RECIPE, network, path, tables, crops, request.param)


def test_any_size_and_count_gives_what_pytorch_gives(
    written: tuple[nn.Module, export.Exported],
) -> None:
    network, exported = written
    assert exported.dynamic == ("batch", "height", "width")
    assert exported.difference <= export.BOUNDS[exported.storage]
    assert exported.compared == ((2, 32, 32), (3, 32, 32), (1, 56, 88))
    session = onnxruntime.InferenceSession(exported.path)
    pixels = np.random.default_rng(0).random((5, 3, 41, 37), np.float32)
    logit, scores = session.run(["logit", "map"], {"pixels": pixels})
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels))
    tolerance = 1e-5 if exported.storage == "float32" else 2e-2
    np.testing.assert_allclose(logit, wanted.logit, atol=tolerance)
    np.testing.assert_allclose(scores, wanted.map, atol=tolerance)


def test_the_card_is_inside(written: tuple[nn.Module, export.Exported]) -> None:
    _, exported = written
    card = export.read_card(exported.path)
    assert (card["id"], card["recipe"], card["version"]) == ("toy", "toy", "1")
    assert card["settings"]["width"] == 20
    assert card["training_data"] == [{"name": "manifest.csv", "sha256": "ab" * 32, "rows": 7}]
    assert card["preprocessing"]["side"] is None and card["created"].endswith("+00:00")
    assert card["commit"] is None or len(card["commit"].rstrip("+")) == 40


def test_nothing_of_the_machine_is_inside(written: tuple[nn.Module, export.Exported]) -> None:
    _, exported = written
    data = exported.path.read_bytes()
    assert len(data) == exported.bytes
    for trace in (str(Path(toys.__file__).parent), str(Path(torch.__file__).parent)):
        assert trace.encode() not in data
    assert [path.name for path in exported.path.parent.iterdir()] == ["toy.onnx"]


def test_a_network_of_one_size_keeps_it(tmp_path: Path) -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3 * 32 * 32, 1)

        def forward(self, pixels: Tensor) -> Output:
            return Output(self.layer(pixels.flatten(1)).squeeze(1))

    exported = export.export(RECIPE, Fixed(), tmp_path / "fixed.onnx")
    assert exported.dynamic == ("batch",)
    assert export.read_card(exported.path)["preprocessing"]["side"] == 32


def test_a_network_that_onnx_changes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export.BOUNDS, "float32", -1.0)  # no difference is small enough now
    with pytest.raises(BonafideError, match="nothing was written"):
        export.export(RECIPE, RECIPE.network().eval(), tmp_path / "toy.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_without_a_card_is_refused(tmp_path: Path) -> None:
    import onnx

    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "other.onnx")
    with pytest.raises(BonafideError, match="no card"):
        export.read_card(tmp_path / "other.onnx")
