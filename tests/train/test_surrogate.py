"""Gradients of ONNX networks, and the attack that follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bonafide.bench.attacks.attack import Aim, Budget, Pool
from bonafide.bench.attacks.target import Goal
from bonafide.errors import InvalidInput
from bonafide.train import surrogate
from bonafide.train.torch_graph import differentiable


def flat(level: int, side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


def test_onnx_networks_have_gradients(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = {
        "kernel16": random.normal(size=(6, 3, 4, 4)).astype(np.float16),
        "bias": random.normal(size=6).astype(np.float32),
        "flat": np.array([0, 6, 4], np.int64),
        "scale": np.ones(6, np.float32) * 1.5,
        "shift": np.zeros(6, np.float32),
        "matrix": random.normal(size=(6, 6)).astype(np.float32),
    }
    steps = [
        ("Cast", ["kernel16"], "kernel", {"to": TensorProto.FLOAT}),
        ("Conv", ["x", "kernel", "bias"], "grid", {"strides": [4, 4]}),
        ("Reshape", ["grid", "flat"], "columns", {}),
        ("Transpose", ["columns"], "rows", {"perm": [0, 2, 1]}),
        ("ReduceMean", ["rows"], "mean", {"axes": [1], "keepdims": 1}),
        ("Concat", ["mean", "rows"], "tokens", {"axis": 1}),
        ("LayerNormalization", ["tokens", "scale", "shift"], "normed",
         {"axis": -1, "epsilon": 1e-5}),
        ("MatMul", ["normed", "matrix"], "product", {}),
        ("Softmax", ["product"], "soft", {"axis": -1}),
        ("Sigmoid", ["product"], "gate", {}),
        ("Mul", ["soft", "gate"], "gated", {}),
        ("Add", ["gated", "normed"], "y", {}),
    ]  # fmt: skip
    nodes = [helper.make_node(kind, i, [o], **options) for kind, i, o, options in steps]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5, 6])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    path = tmp_path / "g.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, path)
    pixels = random.random((2, 3, 8, 8), np.float32)
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": pixels})
    given = torch.from_numpy(pixels).requires_grad_(True)
    found = differentiable(path, ["y"])(given)["y"]
    assert np.allclose(found.detach().numpy(), expected, atol=1e-5)
    (slope,) = torch.autograd.grad(found[..., 0].sum(), given)
    assert slope.shape == given.shape and float(slope.abs().sum()) > 0
    strange = helper.make_graph([helper.make_node("Erf", ["x"], ["y"])], "g", graph.input,
                                graph.output)  # fmt: skip
    onnx.save(helper.make_model(strange), path)
    with pytest.raises(InvalidInput, match="Erf"):
        differentiable(path, ["y"])


def test_the_attackers_plane_points_to_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)

    def features(pictures: tuple[np.ndarray, ...]) -> np.ndarray:
        brightness = np.array([one.mean() for one in pictures])[:, None]
        return np.hstack([brightness / 10, random.normal(0, 1, (len(pictures), 5))])

    monkeypatch.setattr(surrogate, "_features", features)
    plane = surrogate.fitted(Pool((flat(50), flat(60)), (flat(200), flat(210))))
    assert plane[0] < -0.5 and abs(float(np.linalg.norm(plane)) - 1) < 1e-5


def test_the_picture_moves_along_the_plane_within_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tower whose only feature is brightness, and an attacker who wants it dark."""

    def tower(view: torch.Tensor) -> dict[str, torch.Tensor]:
        bright = view.mean((1, 2, 3))[:, None, None]
        return {name: bright.expand(1, 2, 3) for name in surrogate._READ}

    plane = np.full(6, -1.0, np.float32)
    monkeypatch.setattr(surrogate, "_tower", lambda: tower)
    monkeypatch.setattr(surrogate, "fitted", lambda pool: plane)
    pool = Pool((flat(50), flat(60)), (flat(200), flat(210)))
    aim = Aim(flat(140), Goal.HIDE, pool)
    for strength in (1.0, 4.0):
        (shown,) = surrogate.ATTACK.run(None, aim, Budget(), strength, np.random.default_rng(0))
        change = shown.astype(int) - aim.pixels
        assert change.min() == -strength and change.max() <= 0
    bare = Aim(flat(140), Goal.HIDE, Pool((), ()))
    assert list(surrogate.ATTACK.run(None, bare, Budget(), 1.0, np.random.default_rng(0))) == []
