"""An ONNX network as a PyTorch function with gradients, for the few operations of ours.

What ships runs in ONNX Runtime, which gives no gradients; whoever has the file can have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

from bonafide.errors import InvalidInput

Run = Callable[[Tensor], dict[str, Tensor]]
_Operation = Callable[[list[Tensor], dict[str, Any]], Tensor]


def differentiable(path: Path, outputs: Sequence[str]) -> Run:
    """A function of the network's only input.

    Args:
        path: of the file.
        outputs: that are wanted.

    Returns:
        float32 tensor → output name → tensor.

    Raises:
        InvalidInput: the network has an operation that is not known here.
    """
    graph = onnx.load(str(path)).graph
    if strange := {node.op_type for node in graph.node} - set(_OPERATIONS):
        raise InvalidInput(f"{path.name} has operations without a gradient here: {strange}")
    fixed = {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer
    }
    options = [
        {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        for node in graph.node
    ]
    (given,) = [one.name for one in graph.input if one.name not in fixed]

    def run(pixels: Tensor) -> dict[str, Tensor]:
        values = {**fixed, given: pixels}
        for node, chosen in zip(graph.node, options, strict=True):
            inputs = [values[name] for name in node.input]
            values[node.output[0]] = _OPERATIONS[node.op_type](inputs, chosen)
        return {name: values[name] for name in outputs}

    return run


def _reshape(x: list[Tensor], _: dict[str, Any]) -> Tensor:
    wanted = [x[0].shape[place] if side == 0 else side for place, side in enumerate(x[1].tolist())]
    return x[0].reshape(wanted)


_OPERATIONS: Mapping[str, _Operation] = {
    "Add": lambda x, o: x[0] + x[1],
    "Mul": lambda x, o: x[0] * x[1],
    "MatMul": lambda x, o: x[0] @ x[1],
    "Cast": lambda x, o: x[0].float(),  # weights alone are cast
    "Concat": lambda x, o: torch.cat(x, o["axis"]),
    "Conv": lambda x, o: functional.conv2d(x[0], x[1], x[2], stride=o["strides"]),
    "LayerNormalization": lambda x, o: functional.layer_norm(
        x[0], x[1].shape, x[1], x[2], o["epsilon"]
    ),
    "ReduceMean": lambda x, o: x[0].mean(o["axes"], bool(o["keepdims"])),
    "Reshape": _reshape,
    "Sigmoid": lambda x, o: x[0].sigmoid(),
    "Softmax": lambda x, o: x[0].softmax(o["axis"]),
    "Transpose": lambda x, o: x[0].permute(o["perm"]),
}
