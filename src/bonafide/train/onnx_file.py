"""Write a graph as an ONNX file that carries its card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from bonafide.files import atomic_write
from bonafide.networks.runtime import METADATA

OPSET, IR_VERSION = 17, 9


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
