"""The probe on CLIP's features, with the weights that ship."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.detectors.generated.clip_probe import CARD, Detector
from bonafide.examination import Settings, examine
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.networks import runtime
from bonafide.testing import measure
from bonafide.types import Label, Status

LARGEST_FILE = 1_000_000  # bytes


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: int) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, kind, **options)
    return Image(buffer.getvalue(), f"picture.{kind.lower()}")


def test_the_probe_is_small_and_carries_its_card() -> None:
    weights = runtime.session(CARD.id).weights
    assert weights.origin == "shipped" and weights.version == CARD.version
    assert weights.path.stat().st_size <= LARGEST_FILE
    assert weights.inputs == ("tokens",)
    assert all(len(table["sha256"]) == 64 for table in weights.metadata["training_data"])


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (400, 130), (300, 512)])
def test_any_size_is_measured(shape: tuple[int, int]) -> None:
    finding = measure(Detector(), encoded(photographs.astronaut()[: shape[0], : shape[1]]), CARD)
    assert finding.status is Status.OK and finding.score is not None
    assert finding.facts["seen_share"] == round(min(shape) / max(shape), 3)


def test_what_resembles_no_training_picture_is_not_judged() -> None:
    y, x = np.mgrid[:256, :256].astype(np.uint8)
    gradient = np.stack([x, y, x // 2 + y // 2], 2)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    for pixels in (gradient, noise, np.full((256, 256, 3), 120, np.uint8)):
        finding = measure(Detector(), encoded(pixels), CARD)
        assert finding.status is Status.NOT_APPLICABLE and "resembles none" in finding.why


def test_a_save_moves_the_score_little() -> None:
    pixels = photographs.astronaut()
    scores = [
        measure(Detector(), encoded(pixels, *how[:1], **how[1]), CARD).score or 0.0
        for how in (("PNG", {}), ("JPEG", {"quality": 90}), ("JPEG", {"quality": 75}))
    ]
    assert max(scores) - min(scores) < 2.0  # JPEG 75 moves 99 of 100 pictures by less than 1.74


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_photographs_are_not_accused(name: str) -> None:
    media = encoded(getattr(photographs, name)(), "JPEG", quality=90)
    report = examine(Media.of_image(media), Settings(only=(CARD.id,)))
    assert report.findings[0].probability is not None
    assert report.verdict.label is not Label.AI_GENERATED
