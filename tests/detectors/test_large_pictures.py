"""What is read of large pictures: the central square, and even parts."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.detectors.edited import jpeg_history
from bonafide.detectors.generated import clip_probe
from bonafide.media.context import Context
from bonafide.media.source import open_media


def large(height: int, width: int) -> Context:
    photograph = photographs.astronaut()
    repeats = (-(-height // photograph.shape[0]), -(-width // photograph.shape[1]), 1)
    buffer = io.BytesIO()
    Pillow.fromarray(np.tile(photograph, repeats)[:height, :width]).save(buffer, "BMP")
    return Context(open_media(buffer.getvalue()))


@pytest.mark.parametrize("shape", [(90, 12000), (257, 20000)])
def test_long_strips_are_read(shape: tuple[int, int]) -> None:
    found = clip_probe.Detector().measure(large(*shape))
    assert isinstance(found, list)
    assert found[0].score is not None and np.isfinite(found[0].score)


@pytest.mark.parametrize("length", [1, 384, 385, 499, 736, 737, 3000])
def test_parts_are_even_and_cover_all(length: int) -> None:
    parts = jpeg_history._parts(length)
    sides = {part.stop - part.start for part in parts}
    assert len(sides) == 1 and max(sides) <= jpeg_history.SIDE
    assert parts[0].start == 0 and parts[-1].stop == length
    for before, after in itertools.pairwise(parts):
        assert before.stop - after.start >= jpeg_history.OVERLAP - 1
    assert (len(parts) == 1) == (length <= jpeg_history.SIDE)


def test_cards_are_read_without_heavy_libraries() -> None:
    code = (
        "import sys, pkgutil, importlib, bonafide.detectors as d\n"
        "for m in pkgutil.walk_packages(d.__path__, 'bonafide.detectors.'):\n"
        "    importlib.import_module(m.name)\n"
        "print(*{'cv2', 'scipy', 'onnxruntime', 'av'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
