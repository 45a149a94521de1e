"""Build a graph node by node, and write it as an ONNX file that carries its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bonafide.files import atomic_write
from bonafide.networks.runtime import METADATA

OPSET, IR_VERSION = 17, 9
EPSILON = 1e-5  # of layer norms

Integers = tuple[NDArray[np.int8], NDArray[np.float32]]


class GraphWriter:
    """Collects nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output of the same name; returns it."""
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def linear(
        self,
        hidden: str,
        name: str,
        integers: Mapping[str, Integers],
        floats: Mapping[str, NDArray[np.float32]],
    ) -> str:
        """A matrix of 8-bit integers, cast when the file is opened, and its bias.

        The scales multiply the product, not the matrix: ONNX Runtime would keep a second copy.

        Args:
            hidden: name of the input.
            name: of the layer.
            integers: matrices by name, int8 (in, out) and float32 scales (out,).
            floats: biases by name with `.bias`.
        """
        weight, scale = integers[name]
        constant = self.constant(f"{name}.int8", weight)
        self.node("Cast", [constant], f"{name}.weight", to=TensorProto.FLOAT)
        self.node("MatMul", [hidden, f"{name}.weight"], f"{name}.product")
        product = [f"{name}.product", self.constant(f"{name}.scale", scale)]
        self.node("Mul", product, f"{name}.scaled")
        bias = self.constant(f"{name}.bias", floats[f"{name}.bias"])
        return self.node("Add", [f"{name}.scaled", bias], name)

    def norm(self, hidden: str, name: str, floats: Mapping[str, NDArray[np.float32]]) -> str:
        """A layer norm over the last axis, its `.weight` and `.bias` in `floats`."""
        named = [f"{name}.{part}" for part in ("weight", "bias")]
        given = [self.constant(one, floats[one]) for one in named]
        return self.node("LayerNormalization", [hidden, *given], name, axis=-1, epsilon=EPSILON)


def save(graph: Any, path: Path, card: Mapping[str, Any]) -> None:
    """Check a graph and write it; the file appears whole or not at all.

    Args:
        graph: an `onnx.GraphProto`.
        path: of the file.
        card: what the file says about itself, JSON values.
    """
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    model.metadata_props.add(key=METADATA, value=json.dumps(dict(card), ensure_ascii=False))
    onnx.checker.check_model(model)
    with atomic_write(path) as partial:
        partial.write_bytes(model.SerializeToString())
