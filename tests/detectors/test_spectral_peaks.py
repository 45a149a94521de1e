"""Lines that up-sampling plants are measured; photographs and JPEG grids hardly are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.generated.spectral_peaks import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Status


def examine(pixels: NDArray[Any], container: str = "PNG", **options: Any) -> Finding:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return measure(Detector(), Image(buffer.getvalue()), CARD)


def score(finding: Finding) -> float:
    assert finding.score is not None
    return finding.score


def with_copies(picture: NDArray[np.uint8], factor: int, strength: float) -> NDArray[np.uint8]:
    """Adds noise that was doubled by zero insertion, which copies its spectrum."""
    noise = np.random.default_rng(4).normal(0, strength, picture.shape[:2])
    noise[np.arange(noise.shape[0]) % factor != 0] = 0
    noise[:, np.arange(noise.shape[1]) % factor != 0] = 0
    kept = np.clip(picture + np.abs(noise)[..., None], 0, 255)
    return kept.round().astype(np.uint8)


@pytest.mark.parametrize(("factor", "fact"), [(4, "quarter_lines"), (8, "eighth_lines")])
def test_planted_lines_raise_their_fact_and_the_score(factor: int, fact: str) -> None:
    clean = data.coffee()
    before, after = examine(clean), examine(with_copies(clean, factor, 12))
    assert score(after) > score(before) + 0.3
    assert float(str(after.facts[fact])) > float(str(before.facts[fact])) + 0.5


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_the_score_does_not_tell_jpeg_from_png(name: str) -> None:
    pixels = getattr(data, name)()
    assert abs(score(examine(pixels, "JPEG", quality=90)) - score(examine(pixels))) < 0.4


def test_white_noise_scores_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    assert abs(score(examine(noise))) < 0.15


def test_small_and_flat_pictures_are_not_applicable() -> None:
    assert examine(np.zeros((1, 1, 3), np.uint8)).status is Status.NOT_APPLICABLE
    assert examine(np.full((300, 300, 3), 77, np.uint8)).status is Status.NOT_APPLICABLE
    assert examine(np.zeros((64, 400, 3), np.uint8)).status is Status.NOT_APPLICABLE


def test_facts_are_declared_and_the_answer_is_repeatable() -> None:
    first, second = examine(data.astronaut()), examine(data.astronaut())
    assert first == second
    assert set(first.facts) == set(CARD.facts)
    assert first.map is None
    assert "weak evidence" in first.summary
