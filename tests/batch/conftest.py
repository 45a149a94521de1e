"""Pictures to examine, and results to compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

COUNT = 16


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of small pictures, two of them equal, one of them damaged."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(COUNT - 2):
        pixels = random.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "copy.png").write_bytes((folder / "00.png").read_bytes())
    (folder / "damaged.png").write_bytes((folder / "01.png").read_bytes()[:600])
    return folder


@pytest.fixture
def read_lines() -> Callable[[Path], list[dict[str, Any]]]:
    """A function that reads the records in a file of JSON Lines."""
    return lambda file: [json.loads(line) for line in file.read_text().splitlines()]
