"""Comparing two pictures: copies, edits, other captures, strangers; on scikit-image's photographs.

The limits of the rule lie between what copies and other captures measured: what agrees lies
within 0.2 pixels of its place in copies of labelled photographs (JPEG, WebP, resized, cropped,
toned, mirrored, turned), and mostly beyond 0.4 in frames of a moving camera and in pictures of
one product.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.comparison.compare import compare
from bonafide.comparison.result import Comparison, Relation
from bonafide.errors import DecodeError, UnsupportedFormat
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.media.source import open_media
from bonafide.report.comparison_dict import comparison_dict
from bonafide.report.comparison_map import heatmap, write_changed
from bonafide.report.comparison_page import render_page

Pixels = NDArray[np.uint8]


def picture_of(one: Media) -> Image:
    assert one.image is not None
    return one.image


def media(pixels: Pixels, name: str = "picture", kind: str = "PNG", **options: Any) -> Media:
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(buffer, kind, **options)
    return open_media(buffer.getvalue(), f"{name}.{kind.lower()}")


@cache
def astronaut() -> Pixels:
    return resized(np.asarray(photographs.astronaut(), np.uint8), 0.75)


def edited(pixels: Pixels) -> tuple[Pixels, NDArray[np.bool_]]:
    """A patch of the picture over another place, and where."""
    changed = pixels.copy()
    changed[270:330, 45:120] = pixels[15:75, 285:360]
    mask = np.zeros(pixels.shape[:2], np.bool_)
    mask[270:330, 45:120] = True
    return changed, mask


def overlap(found: Comparison, truth: NDArray[np.bool_]) -> float:
    assert found.mask is not None
    return float((found.mask & truth).sum() / (found.mask | truth).sum())


def resized(pixels: Pixels, factor: float) -> Pixels:
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.LANCZOS))


def toned(pixels: Pixels) -> Pixels:
    bright = 255 * (pixels / 255.0) ** 0.75 * np.array([1.05, 1.0, 0.92])
    return np.clip(bright, 0, 255).astype(np.uint8)


COPIES: dict[str, Callable[[Pixels], Image]] = {
    "jpeg 60": lambda pixels: media(pixels, kind="JPEG", quality=60),
    "webp 70": lambda pixels: media(pixels, kind="WEBP", quality=70),
    "half size": lambda pixels: media(resized(pixels, 0.5), kind="JPEG", quality=85),
    "larger": lambda pixels: media(resized(pixels, 1.4), kind="JPEG", quality=85),
    "cropped and resized": lambda pixels: media(
        resized(pixels[23:360, 13:338], 0.8), kind="JPEG", quality=85
    ),
    "toned": lambda pixels: media(toned(pixels), kind="JPEG", quality=88),
    "grey": lambda pixels: media(
        np.repeat(pixels.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    ),
    "mirrored": lambda pixels: media(pixels[:, ::-1], kind="JPEG", quality=85),
    "turned": lambda pixels: media(
        np.asarray(Pillow.fromarray(pixels).rotate(7, Pillow.Resampling.BICUBIC))
    ),
}


def test_the_same_file_is_identical() -> None:
    found = compare(media(astronaut()), media(astronaut()))
    assert found.relation is Relation.IDENTICAL_BYTES
    assert found.changed_share == 0.0 and found.mask is not None and not found.mask.any()


def test_another_file_of_the_same_pixels_is_told_apart() -> None:
    found = compare(media(astronaut()), media(astronaut(), kind="BMP"))
    assert found.relation is Relation.IDENTICAL_PIXELS


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_no_changed_region(how: str) -> None:
    found = compare(media(astronaut()), COPIES[how](astronaut()))
    assert found.relation is Relation.REENCODED_COPY, found.evidence
    assert found.changes == () and found.mask is not None and not found.mask.any()
    assert found.evidence.mirrored == (how == "mirrored")


def test_an_edit_is_found_where_it_is() -> None:
    changed, truth = edited(astronaut())
    found = compare(media(astronaut()), media(changed, kind="JPEG", quality=80))
    assert found.relation is Relation.EDITED_COPY
    assert len(found.changes) == 1 and overlap(found, truth) > 0.8
    change = found.changes[0]
    assert change.share == pytest.approx(truth.mean(), rel=0.2)
    assert change.reference is not None
    assert abs(change.reference.x - 45) < 6 and abs(change.reference.y - 270) < 6


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_edit_is_found_in_a_cropped_resized_toned_copy(mirrored: bool) -> None:
    changed, truth = edited(astronaut())
    changed, truth = changed[30:375, 15:375], truth[30:375, 15:375]
    if mirrored:
        changed, truth = changed[:, ::-1], truth[:, ::-1]
    small = resized(toned(np.ascontiguousarray(changed)), 0.8)
    found = compare(media(astronaut()), media(small, kind="JPEG", quality=85))
    size = small.shape[1], small.shape[0]
    mask = cv2.resize(truth.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    assert found.relation is Relation.EDITED_COPY, found.evidence
    assert overlap(found, mask) > 0.75
    assert found.evidence.mirrored == mirrored
    assert found.evidence.tone is not None and found.evidence.tone > 3


def test_most_of_a_picture_may_be_changed() -> None:
    changed = np.asarray(photographs.coffee(), np.uint8)[:384, :384].copy()
    changed[30:195, 100:255] = astronaut()[30:195, 100:255]
    found = compare(media(astronaut()), media(changed))
    assert found.relation in (Relation.EDITED_COPY, Relation.INCONCLUSIVE)
    if found.mask is not None and found.changed_share:
        assert found.changed_share > 0.5


def test_a_tone_change_in_one_place_keeps_its_structure() -> None:
    changed = astronaut().astype(np.float32)
    changed[45:150, 135:218] *= 0.7
    found = compare(media(astronaut()), media(changed.astype(np.uint8)))
    assert found.relation is Relation.EDITED_COPY
    kept = found.changes[0].kept_detail
    assert kept is not None and kept > 0.9 and max(found.changes[0].levels) < -10


@pytest.mark.parametrize("other", ["coffee", "chelsea", "rocket"])
def test_strangers_are_unrelated(other: str) -> None:
    pixels = np.asarray(getattr(photographs, other)(), np.uint8)
    found = compare(media(astronaut()), media(pixels))
    assert found.relation is Relation.UNRELATED
    assert found.mask is None and found.changed_share is None


def test_the_other_eye_of_a_stereo_camera_is_a_look_alike() -> None:
    left, right, _ = photographs.stereo_motorcycle()
    found = compare(media(resized(left, 0.6)), media(resized(right, 0.6)))
    assert found.relation is Relation.LOOK_ALIKE


def box(face: Pixels, side: Pixels, seed: int, light: float) -> Pixels:
    """Two faces of a parcel in perspective, each under its own light, with sensor noise."""
    random = np.random.default_rng(seed)
    frame = np.full((600, 800, 3), 90, np.float32)
    jitter = random.uniform(-18, 18, (6, 2)).astype(np.float32)
    corners = np.array([[90, 120], [430, 90], [440, 500], [80, 470], [690, 150], [680, 450]])
    corners = (corners + jitter).astype(np.float32)
    for picture, order, shine in ((face, (0, 1, 2, 3), 1.0), (side, (1, 4, 5, 2), light)):
        height, width = picture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        matrix = cv2.getPerspectiveTransform(source, corners[list(order)])
        seen = cv2.warpPerspective(picture.astype(np.float32) * shine, matrix, (800, 600))
        inside = cv2.warpPerspective(np.ones((height, width), np.uint8), matrix, (800, 600))
        frame[inside > 0] = seen[inside > 0]
    noisy = cv2.GaussianBlur(frame, (0, 0), 0.6) + random.normal(0, 2.5, frame.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def test_a_parcel_seen_again_is_compared_face_by_face() -> None:
    face, side = astronaut(), np.asarray(photographs.coffee(), np.uint8)
    sealed = compare(media(box(face, side, 1, 0.8)), media(box(face, side, 2, 0.6)))
    assert sealed.relation is Relation.LOOK_ALIKE and sealed.evidence.planes >= 2
    opened, _ = edited(face)
    tampered = compare(media(box(face, side, 1, 0.8)), media(box(opened, side, 2, 0.6)))
    assert tampered.relation is Relation.LOOK_ALIKE
    assert tampered.mask is not None and sealed.mask is not None
    # The changed patch lies in the lower left of the first face.
    assert tampered.mask[350:395, 112:165].mean() > 0.8
    assert sealed.mask.mean() < 0.02


def test_what_shows_nothing_is_inconclusive() -> None:
    random = np.random.default_rng(3)
    sky = np.full((200, 300, 3), 180, np.float32) + random.normal(0, 1, (200, 300, 3))
    other = np.full((200, 300, 3), 120, np.uint8)
    found = compare(media(sky.astype(np.uint8)), media(other))
    assert found.relation is Relation.INCONCLUSIVE


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (17, 17), (64, 64)])
def test_any_size_is_compared(size: tuple[int, int]) -> None:
    small = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    for pair in ((astronaut(), small), (small, astronaut()), (small, 255 - small)):
        assert isinstance(compare(media(pair[0]), media(pair[1])), Comparison)


def test_damaged_pixels_are_a_typed_error() -> None:
    whole = media(astronaut(), kind="JPEG").read()
    with pytest.raises(DecodeError):
        compare(media(astronaut()), open_media(whole[: len(whole) // 2], "cut.jpg"))
    with pytest.raises(UnsupportedFormat, match="only pictures"):
        compare(open_media(b"%PDF-1.4 nothing"), media(astronaut()))


def test_the_result_is_the_same_each_time_and_json_safe() -> None:
    changed, _ = edited(astronaut())
    pair = media(astronaut()), media(changed, kind="JPEG", quality=80)
    records = [comparison_dict(compare(*pair)) for _ in range(2)]
    for record in records:
        del record["seconds"], record["compared_at"]
    assert records[0] == records[1]
    json.dumps(records[0], allow_nan=False)


def test_the_record_keeps_its_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[1] / "docs/comparison.schema.json").read_text())
    changed, _ = edited(astronaut())
    for suspect in (changed, np.asarray(photographs.coffee(), np.uint8), astronaut()):
        jsonschema.validate(comparison_dict(compare(media(astronaut()), media(suspect))), schema)


def test_the_map_reads_like_any_other(tmp_path: Path) -> None:
    changed, truth = edited(astronaut())
    found = compare(media(astronaut()), media(changed))
    heat = heatmap(found)
    assert heat is not None and found.mask is not None
    assert ((heat >= 0.5) == found.mask).all()
    path = write_changed(found, "suspect", tmp_path / "maps")
    assert path is not None
    grey = np.asarray(Pillow.open(path))
    assert ((grey >= 128) == found.mask).all() and grey.shape == truth.shape


def test_names_cannot_act_in_the_page() -> None:
    changed, _ = edited(astronaut())
    first, second = media(astronaut(), "<script>alert(1)</script>"), media(changed, "b\u202egpj")
    page = render_page(compare(first, second), picture_of(first), picture_of(second))
    assert "<script>alert" not in page and "\u202e" not in page
    assert page.count("<img") == 2 and "Edited copy" in page
