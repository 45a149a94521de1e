"""Make the two RivaGAN networks that ship from those in the package `invisible-watermark`.

    pip download --no-deps invisible-watermark==0.2.0
    unzip invisible_watermark-0.2.0-*.whl 'imwatermark/*.onnx'
    python tools/rivagan_from_package.py imwatermark src/bonafide/networks/weights

The numbers stay as they are. The graphs are written anew: pictures instead of films of one frame,
red first and 0 to 1, batch normalisation folded. The decoder gives its answer by place (its mean is
what the original gives), and only at every third pixel both ways, which is four times as fast and
changes the bits of the mean by less than re-saving the picture does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bonafide.networks.runtime import sha256
from bonafide.train.onnx_file import save

BITS, KERNEL, STRIDE = 32, 11, 3
EPSILON = 1e-5


class Source:
    """Weights of one original network, and the nodes of the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.graph = onnx.load(str(path)).graph
        self.weights = {w.name: numpy_helper.to_array(w) for w in self.graph.initializer}
        self.nodes: list[Any] = []
        self.values: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        """Keep an array under a name."""
        array = np.ascontiguousarray(np.asarray(value, np.float32))
        self.values.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node with one output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(self, data: str, names: tuple[str, ...], output: str, **more: Any) -> str:
        """One convolution that holds those of several branches, one after the other."""
        kernels = np.concatenate([self.weights[f"{name}.weight"][:, :, 0] for name in names])
        if data in ("frame", "joined"):  # blue first in the original
            kernels = np.concatenate([kernels[:, 2::-1], kernels[:, 3:]], axis=1)
        biases = np.concatenate([self.weights[f"{name}.bias"] for name in names])
        weight = self.constant(f"{output}.weight", kernels)
        bias = self.constant(f"{output}.bias", biases)
        size = {"kernel_shape": [KERNEL, KERNEL], "pads": [KERNEL // 2] * 4}
        return self.add("Conv", [data, weight, bias], output, **size, **more)

    def normalised(self, data: str, names: tuple[str, ...], output: str) -> str:
        """Hyperbolic tangent, then batch normalisation with its stored statistics."""
        squashed = self.add("Tanh", [data], f"{output}.tanh")
        scale, shift = zip(*map(self._affine, names), strict=True)
        factor = self.constant(f"{output}.scale", np.concatenate(scale)[:, None, None])
        offset = self.constant(f"{output}.shift", np.concatenate(shift)[:, None, None])
        scaled = self.add("Mul", [squashed, factor], f"{output}.scaled")
        return self.add("Add", [scaled, offset], output)

    def _affine(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        deviation = np.sqrt(self.weights[f"{name}.running_var"] + EPSILON)
        scale = self.weights[f"{name}.weight"] / deviation
        return scale, self.weights[f"{name}.bias"] - scale * self.weights[f"{name}.running_mean"]

    def centred(self) -> str:
        """The input from 0…1 to -1…1."""
        self.constant("one", 1.0)
        self.constant("two", 2.0)
        doubled = self.add("Mul", ["pixels", "two"], "doubled")
        return self.add("Sub", [doubled, "one"], "frame")

    def strength(self) -> float:
        """The factor by which the encoder's last layer is scaled before it is added."""
        last = next(node for node in self.graph.node if "output" in node.output)
        product = next(node for node in self.graph.node if node.output[0] == last.input[1])
        factor = next(n for n in self.graph.node if n.output[0] == product.input[1])
        return float(numpy_helper.to_array(factor.attribute[0].t))

    def write(self, path: Path, what: str, inputs: list[Any], outputs: list[Any]) -> None:
        """Write the new graph with its card."""
        network, _, version = path.stem.rpartition("-")
        card = {
            "id": network,
            "version": version,
            "recipe": what,
            "inputs": [value.name for value in inputs],
            "preprocessing": "RGB in [0, 1]",
            "source": f"invisible-watermark 0.2.0 (MIT), imwatermark/{self.path.name}",
            "source_sha256": sha256(self.path),
        }
        graph = helper.make_graph(self.nodes, network, inputs, outputs, self.values)
        save(graph, path, card)
        print(path, sha256(path))


def decoder(path: Path, target: Path) -> None:
    """Write the network that reads bits."""
    source = Source(path)
    frame = source.centred()
    both = ("_attention", "_conv")
    first = source.convolution(frame, tuple(f"{name}.0" for name in both), "first")
    inner = source.normalised(first, tuple(f"{name}.2" for name in both), "inner")
    second = source.convolution(
        inner, tuple(f"{name}.3" for name in both), "second", group=2, strides=[STRIDE, STRIDE]
    )
    source.nodes.append(helper.make_node("Split", [second], ["query", "value"], axis=1))
    query = source.normalised("query", ("_attention.5",), "attention")
    weights = source.add("Softmax", [query], "weights", axis=1)
    source.add("Mul", ["value", weights], "cells")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])
    cells = helper.make_tensor_value_info("cells", TensorProto.FLOAT, ["N", BITS, "h", "w"])
    source.write(target / "rivagan_decoder-1.onnx", "rivagan_decoder", [pixels], [cells])


def encoder(path: Path, target: Path) -> None:
    """Write the network that hides bits."""
    source = Source(path)
    frame = source.centred()
    first = source.convolution(frame, ("_attention.0",), "first")
    inner = source.normalised(first, ("_attention.2",), "inner")
    second = source.convolution(inner, ("_attention.3",), "second")
    query = source.normalised(second, ("_attention.5",), "attention")
    weights = source.add("Softmax", [query], "weights", axis=1)
    source.values.append(numpy_helper.from_array(np.array([2, 3], np.int64), "places"))
    source.values.append(numpy_helper.from_array(np.array([1], np.int64), "channels"))
    signs = source.add("Sub", [source.add("Mul", ["bits", "two"], "bits2"), "one"], "signs")
    spread = source.add("Unsqueeze", [signs, "places"], "spread")
    chosen = source.add("Mul", [weights, spread], "chosen")
    hidden = source.add("ReduceSum", [chosen, "channels"], "hidden", keepdims=1)
    joined = source.add("Concat", [frame, hidden], "joined", axis=1)
    third = source.convolution(joined, ("_conv.0",), "third")
    outer = source.normalised(third, ("_conv.2",), "outer")
    last = source.convolution(outer, ("_conv.3",), "last")
    change = source.add("Tanh", [last], "change")
    # Back from blue first, and from a range of two to one of one.
    source.values.append(numpy_helper.from_array(np.array([2, 1, 0], np.int64), "rgb"))
    turned = source.add("Gather", [change, "rgb"], "turned", axis=1)
    factor = source.constant("factor", source.strength() / 2)
    source.add("Mul", [turned, factor], "residual")
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, "H", "W"])
    bits = helper.make_tensor_value_info("bits", TensorProto.FLOAT, ["N", BITS])
    residual = helper.make_tensor_value_info("residual", TensorProto.FLOAT, ["N", 3, "H", "W"])
    source.write(target / "rivagan_encoder-1.onnx", "rivagan_encoder", [pixels, bits], [residual])


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", type=Path, help="folder with rivagan_{encoder,decoder}.onnx")
    parser.add_argument("target", type=Path, help="folder for the new files")
    options = parser.parse_args()
    decoder(options.package / "rivagan_decoder.onnx", options.target)
    encoder(options.package / "rivagan_encoder.onnx", options.target)


if __name__ == "__main__":
    main()
