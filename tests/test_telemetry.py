"""Nothing of what bonafide imports counts its users."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bonafide

pytest.importorskip("onnxruntime")
SOURCES = Path(bonafide.__file__).parent


def test_onnx_runtime_keeps_no_identifier_of_the_device(tmp_path: Path) -> None:
    """Version 1.32 leaves `deviceid` and a database of events when it is imported as usual."""
    code = "from bonafide.networks.onnx_runtime import library; library().SessionOptions()"
    places = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {
        **os.environ,
        **places,
        "ORT_DISABLE_TELEMETRY": "0",
        "PYTHONPATH": str(SOURCES.parent),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_every_import_of_onnx_runtime_goes_through_one_place() -> None:
    direct = re.compile(r"^\s*(import onnxruntime|from onnxruntime)|import_module\(.onnxruntime")
    found = [
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if any(direct.search(line) for line in path.read_text("utf-8").splitlines())
    ]
    assert found == [str(Path("networks", "onnx_runtime.py"))]
