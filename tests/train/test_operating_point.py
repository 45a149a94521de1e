"""The operating point is the best one that leaves authentic pictures alone."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("torch")

from bonafide.detectors.edited.jpeg_history import Local
from bonafide.train.operating_point import Seen, choose


def seen(edited: bool, inside: float, logit: float) -> Seen:
    mask = np.zeros((20, 30), np.bool_)
    mask[4:14, 5:20] = edited
    odds = np.full(mask.shape, -3.0, np.float32)
    odds[4:14, 5:20] = inside
    return Seen(Local(odds, logit), mask if edited else None)


def test_marks_of_edits_are_kept_and_those_of_authentic_pictures_gated() -> None:
    pictures = [seen(True, 1.2, 4.0)] * 8 + [seen(True, 0.4, 1.0)] * 2
    pictures += [seen(False, -2.5, -1.0)] * 90 + [seen(False, 2.0, 2.0)] * 10
    operating, f1, false = choose(pictures, 0.01)
    assert false <= 0.01 and f1 == pytest.approx(0.8)
    assert 2.0 < operating.gate <= 4.0 and operating.bias < 1.2
    loose, f1, false = choose(pictures, 0.2)
    assert false == pytest.approx(0.1) and f1 == pytest.approx(1.0)
    assert loose.gate <= 1.0 and loose.bias < 0.4
