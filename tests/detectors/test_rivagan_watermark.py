"""Marks that bonafide hides are read again, and photographs carry none."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.provenance.rivagan_watermark import CARD, Detector
from bonafide.errors import InvalidInput
from bonafide.media.image import Image
from bonafide.networks import rivagan
from bonafide.networks.rivagan import Payload, mark, scales
from bonafide.testing import measure
from bonafide.types import Carrier, Claim, Finding, Label, Status

MADE = Claim(Label.AI_GENERATED, Carrier.WATERMARK)
CHANGED = Claim(Label.MANIPULATED, Carrier.WATERMARK)


def examine(pixels: NDArray[Any], container: str = "PNG", **options: Any) -> Finding:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return measure(Detector(), Image(buffer.getvalue()), CARD)


def resized(pixels: NDArray[Any], factor: float) -> NDArray[Any]:
    size = [round(side * factor) for side in pixels.shape[1::-1]]
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def photograph() -> NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut()[:320, :320])


@pytest.fixture(scope="module")
def marked(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return mark(photograph, Payload.MADE_BY_AI)


def test_payloads_are_balanced_and_far_apart() -> None:
    first, second = (payload.bits for payload in Payload)
    assert first.sum() == second.sum() == rivagan.BITS / 2
    assert (first != second).sum() == rivagan.BITS / 2


def test_a_mark_is_invisible_and_read(
    photograph: NDArray[np.uint8], marked: NDArray[np.uint8]
) -> None:
    assert cv2.PSNR(photograph, marked) > 41
    assert np.abs(marked.astype(int) - photograph).max() <= 3
    finding = examine(marked)
    assert finding.claim == MADE
    assert finding.score is not None and finding.score > 6
    assert finding.facts["scale"] == 1 and finding.facts["bits_matched"] >= 31
    assert "a generator made it" in finding.summary


def test_the_other_payload_says_something_else(photograph: NDArray[np.uint8]) -> None:
    finding = examine(mark(photograph, Payload.CHANGED_BY_AI))
    assert finding.claim == CHANGED and "a generator changed it" in finding.summary


def test_it_survives_what_happens_to_pictures(marked: NDArray[np.uint8]) -> None:
    assert examine(marked, "JPEG", quality=80).claim == MADE
    assert examine(marked[40:280, 30:290]).claim == MADE
    for factor in (0.5, 0.75, 1.6):
        assert examine(resized(marked, factor)).claim == MADE, factor


def test_a_large_picture_is_marked_at_the_working_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivagan, "WORKING_SIDE", 300)
    large = resized(data.chelsea(), 3)
    marked = mark(large, Payload.MADE_BY_AI)
    assert marked.shape == large.shape and cv2.PSNR(large, marked) > 41
    for factor in (1.0, 0.35, 0.2):
        assert examine(resized(marked, factor)).claim == MADE, factor


def test_tiles_leave_no_seam(
    photograph: NDArray[np.uint8], marked: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivagan, "_TILE", 1000)
    at_once = mark(photograph, Payload.MADE_BY_AI)
    assert (at_once != marked).mean() < 1e-3  # rounding alone


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "immunohistochemistry"])
def test_photographs_are_left_alone(name: str) -> None:
    finding = examine(getattr(data, name)())
    assert finding.claim is None
    assert finding.score is not None and finding.score < 2


def test_what_cannot_hold_a_mark() -> None:
    assert examine(np.full((100, 100, 3), 128, np.uint8)).claim is None
    assert examine(np.zeros((64, 64, 3), np.uint8)).claim is None
    with pytest.raises(InvalidInput, match="64 pixels"):
        mark(np.zeros((40, 400, 3), np.uint8), Payload.MADE_BY_AI)


def test_a_missing_network_is_said(
    photograph: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivagan, "DECODER", "rivagan_absent")
    assert examine(photograph).status is Status.FAILED


@pytest.mark.parametrize(
    ("size", "smallest", "count"), [((320, 240), 0.5, 5), ((4000, 3000), 0.125, 9)]
)
def test_scales_reach_down_to_half_the_working_size(
    size: tuple[int, int], smallest: float, count: int
) -> None:
    tried = scales(*size)
    assert tried[0] == 1 and max(tried) == 2 and len(tried) == count
    assert min(tried) == pytest.approx(smallest)
