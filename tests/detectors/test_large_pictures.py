"""What is read of large pictures: a bounded number of tiles, and even parts."""

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
from bonafide.detectors.generated import synthetic_traces
from bonafide.media.context import Context
from bonafide.media.source import open_media
from bonafide.types import Measurement, Profile


def large(height: int, width: int) -> Context:
    photograph = photographs.astronaut()
    repeats = (-(-height // photograph.shape[0]), -(-width // photograph.shape[1]), 1)
    buffer = io.BytesIO()
    Pillow.fromarray(np.tile(photograph, repeats)[:height, :width]).save(buffer, "BMP")
    return Context(open_media(buffer.getvalue()))


def measured(context: Context, profile: Profile) -> Measurement:
    found = synthetic_traces.Detector(profile).measure(context)
    assert isinstance(found, list)
    return found[0]


def test_a_bounded_number_of_tiles_scores_like_all() -> None:
    context = large(1500, 2000)
    some, every = (measured(context, p) for p in (Profile.STANDARD, Profile.THOROUGH))
    assert some.facts["tiles"] == synthetic_traces.MOST
    assert some.facts["tiles_of"] == 6 * 8
    assert every.facts["tiles"] == every.facts["tiles_of"] == 3 * 4
    assert some.score is not None and every.score is not None
    assert some.score == pytest.approx(every.score, abs=0.3)
    shape = (-(-1500 // 8), -(-2000 // 8))
    assert some.maps[0].values.shape == every.maps[0].values.shape == shape
    unread = float((some.maps[0].values == 0).mean())
    assert 0.2 < unread < 0.8


@pytest.mark.parametrize("shape", [(90, 12000), (257, 20000)])
def test_long_strips_are_read(shape: tuple[int, int]) -> None:
    found = measured(large(*shape), Profile.STANDARD)
    assert found.score is not None and np.isfinite(found.score)
    assert 0 <= found.maps[0].values.min() <= found.maps[0].values.max() <= 1


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
