"""The default detector of generated pictures, with the weights that ship."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.detectors.generated.synthetic_traces import CARD, Detector
from bonafide.examination import Settings, examine
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.networks import runtime
from bonafide.signals.tiles import covered, grid
from bonafide.testing import measure
from bonafide.types import Label

LARGEST_FILE = 8_000_000  # bytes


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: int) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, kind, **options)
    return Image(buffer.getvalue(), f"picture.{kind.lower()}")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def test_weights_are_small_and_carry_their_card() -> None:
    weights = runtime.session(CARD.id).weights
    assert weights.origin == "shipped"
    assert weights.version == CARD.version
    assert weights.path.stat().st_size <= LARGEST_FILE
    assert weights.metadata["recipe"] == CARD.id
    assert all(len(table["sha256"]) == 64 for table in weights.metadata["training_data"])


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (512, 512), (700, 130), (600, 1111)])
def test_any_size_is_covered_whole(detector: Detector, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    finding = measure(detector, encoded(pixels), CARD)
    assert finding.map is not None
    assert finding.map.enlarge().shape == shape
    assert finding.map.values.dtype == np.float32
    assert np.isfinite(finding.map.values).all()
    assert covered(grid(*shape, 512), *shape) == 1.0


def test_score_is_the_mean_of_the_map(detector: Detector) -> None:
    finding = measure(detector, encoded(photographs.astronaut()), CARD)
    assert finding.map is not None and finding.score is not None
    local = np.clip(finding.map.values.astype(np.float64), 1e-7, 1 - 1e-7)
    assert np.log(local / (1 - local)).mean() == pytest.approx(finding.score, abs=0.05)


def test_a_copy_in_tiles_scores_like_the_picture(detector: Detector) -> None:
    """What lies in another tile must not matter: the answer is an average of local ones."""
    pixels = photographs.coffee()[:384, :384]
    once = measure(detector, encoded(pixels), CARD).score
    four = measure(detector, encoded(np.tile(pixels, (2, 2, 1))), CARD).score
    assert once is not None and four is not None
    assert four == pytest.approx(once, abs=0.6)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_photographs_are_not_accused(detector: Detector, name: str) -> None:
    media = encoded(getattr(photographs, name)(), "JPEG", quality=90)
    report = examine(Media.of_image(media), Settings(only=(CARD.id,)))
    assert report.findings[0].probability is not None
    assert report.verdict.label is not Label.AI_GENERATED
