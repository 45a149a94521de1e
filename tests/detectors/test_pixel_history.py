"""Parts that an earlier save never touched, in files without loss; the rest stays unmarked."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited.pixel_history import CARD, Detector
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Finding, Status


def encoded(pixels: np.ndarray, container: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return buffer.getvalue()


def once_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return np.array(Pillow.open(io.BytesIO(encoded(pixels, "JPEG", quality=quality))))


def examined(pixels: np.ndarray, container: str = "PNG", **options: object) -> Finding:
    return measure(Detector(), Image(encoded(pixels, container, **options)), CARD)


@pytest.mark.parametrize(("quality", "corner"), [(75, (0, 0)), (92, (3, 5))])
def test_part_without_the_save_is_outlined(quality: int, corner: tuple[int, int]) -> None:
    pixels = data.astronaut()
    forged = once_jpeg(pixels, quality)
    part = (slice(300, 420), slice(100, 260))
    forged[part] = pixels[part]  # as if it had been painted since
    forged = forged[corner[1] :, corner[0] :]
    finding = examined(forged)
    truth = np.zeros(pixels.shape[:2], bool)
    truth[part] = True
    truth = truth[corner[1] :, corner[0] :]
    assert finding.map is not None
    marked = finding.map.enlarge() >= 0.5
    assert finding.score is not None
    assert finding.score > 50
    assert 2 * (marked & truth).sum() / (marked.sum() + truth.sum()) > 0.8
    assert finding.facts["grid_origin"] == [-corner[0] % 8, -corner[1] % 8]
    assert abs(finding.facts["earlier_quality"] - quality) <= 2


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
@pytest.mark.parametrize("quality", [60, 90])
def test_whole_picture_with_the_save_is_not_marked(name: str, quality: int) -> None:
    finding = examined(once_jpeg(getattr(data, name)(), quality))
    assert finding.status is Status.OK
    assert finding.score == 0
    assert finding.facts["parts"] == 0
    assert finding.facts["with_history"] > 0.9


def test_tables_that_no_encoder_has_are_read() -> None:
    table = [5 + (7 * place) % 23 for place in range(64)]
    pixels = data.coffee()
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", qtables=[table, table], subsampling=0)
    forged = np.array(Pillow.open(io.BytesIO(buffer.getvalue())))
    forged[80:200, 240:400] = pixels[80:200, 240:400]
    finding = examined(forged, "TIFF")
    assert finding.score is not None
    assert finding.score > 50
    assert finding.facts["steps_known"] > 20


@pytest.mark.parametrize(
    "pixels",
    [
        data.chelsea()[:, :288],
        np.full((128, 128, 3), 90, np.uint8),
        np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.uint8),
    ],
    ids=["resized before", "flat", "noise"],
)
def test_pictures_without_a_save_are_not_judged(pixels: np.ndarray) -> None:
    smaller = np.array(Pillow.fromarray(pixels).resize((120, 120), Pillow.Resampling.LANCZOS))
    assert examined(smaller).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("container", ["JPEG", "WEBP"])
def test_files_with_loss_are_not_read(container: str) -> None:
    finding = examined(once_jpeg(data.rocket(), 70), container, quality=90)
    assert finding.status is Status.NOT_APPLICABLE
