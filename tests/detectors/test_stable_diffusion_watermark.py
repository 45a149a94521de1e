"""The watermark detector finds planted marks and leaves photographs alone."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.provenance.stable_diffusion_watermark import CARD, MARKS, Detector
from bonafide.media.image import Image
from bonafide.signals.wavelet import NEUTRAL_8BIT, NEUTRAL_FLOAT, embed
from bonafide.testing import measure
from bonafide.types import Carrier, Claim, Finding, Label, Status

MARKED = Claim(Label.AI_GENERATED, Carrier.WATERMARK)


def examine(pixels: NDArray[Any], container: str = "PNG", **options: Any) -> Finding:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return measure(Detector(), Image(buffer.getvalue()), CARD)


def mark(pixels: NDArray[Any], name: str, neutral: float, order: str) -> NDArray[np.uint8]:
    step = -1 if order == "BGR" else 1
    return embed(pixels[..., ::step], MARKS[name], neutral)[..., ::step]


def test_the_constants_are_the_published_ones() -> None:
    assert np.packbits(MARKS["Stable Diffusion 1"]).tobytes() == b"StableDiffusionV1"
    assert np.packbits(MARKS["Stable Diffusion 2"]).tobytes() == b"SDV2"
    assert np.packbits(MARKS["Stable Diffusion XL"]).tobytes().hex() == "b3ec907bb19e"
    padded = np.concatenate([[False, False], MARKS["FLUX"]])
    assert np.packbits(padded).tobytes().hex() == "2afe879cf52e"


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("neutral", [NEUTRAL_8BIT, NEUTRAL_FLOAT])
@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_each_mark_is_found(name: str, neutral: float, order: str) -> None:
    finding = examine(mark(data.astronaut(), name, neutral, order))
    assert finding.claim == MARKED
    assert finding.facts["mark"] == name
    assert finding.facts["cropped"] is False
    assert finding.score is not None and finding.score > 6
    assert name in finding.summary


def test_a_mark_survives_high_quality_jpeg() -> None:
    marked = mark(data.astronaut(), "Stable Diffusion 1", NEUTRAL_8BIT, "BGR")
    assert examine(marked, "JPEG", quality=95).claim == MARKED  # chroma halved
    assert examine(marked, "JPEG", quality=95, subsampling=0).claim == MARKED
    assert examine(marked, "JPEG", quality=90, subsampling=0).claim == MARKED


def test_a_crop_on_the_grid_is_read_and_one_off_the_grid_is_not() -> None:
    marked = mark(data.astronaut(), "Stable Diffusion XL", NEUTRAL_8BIT, "BGR")
    finding = examine(marked[40:, 56:400])
    assert finding.claim == MARKED
    assert finding.facts["cropped"] is True
    assert finding.facts["mark"] == "Stable Diffusion XL"
    assert examine(marked[43:, 53:]).claim is None


def test_resizing_erases_it() -> None:
    marked = mark(data.astronaut(), "Stable Diffusion 1", NEUTRAL_8BIT, "BGR")
    smaller = np.asarray(Pillow.fromarray(marked).resize((400, 400)))
    assert examine(smaller).claim is None


@pytest.mark.parametrize(
    "name", ["astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry"]
)
def test_photographs_are_left_alone(name: str) -> None:
    finding = examine(getattr(data, name)())
    assert finding.status is Status.OK
    assert finding.claim is None
    assert finding.score is not None and finding.score < 3


def test_noise_and_flat_colour_are_left_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 512, 3)).astype(np.uint8)
    assert examine(noise).claim is None
    flat = np.full((256, 384, 3), (200, 60, 90), np.uint8)
    assert examine(flat).claim is None


def test_grey_and_tiny_pictures_are_not_applicable() -> None:
    assert examine(data.camera()).status is Status.NOT_APPLICABLE
    assert examine(np.zeros((1, 1, 3), np.uint8)).status is Status.NOT_APPLICABLE
    assert examine(np.zeros((9, 700, 3), np.uint8)).status is Status.NOT_APPLICABLE


def test_facts_are_declared_and_the_answer_is_repeatable() -> None:
    marked = mark(data.coffee(), "Stable Diffusion XL", NEUTRAL_FLOAT, "BGR")
    first, second = examine(marked), examine(marked)
    assert first == second
    assert set(first.facts) <= set(CARD.facts)
