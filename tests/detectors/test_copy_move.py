import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.detectors.edited import copy_move
from bonafide.detectors.edited.copy_move import CARD, DECISION, UNLIKE, Detector
from bonafide.media.context import Signal
from bonafide.media.image import Image
from bonafide.testing import measure
from bonafide.types import Status


def media(pixels: np.ndarray, container: str = "PNG", **options: object) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, container, **options)
    return Image(buffer.getvalue())


def forge(turn: float = 0.0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Part of the cat's fur, pasted elsewhere: picture and mask of both places."""
    picture = data.chelsea()[:280, 60:400].copy()
    height, width = picture.shape[:2]
    source = np.zeros((height, width), np.uint8)
    cv2.ellipse(source, (90, 190), (42, 36), 0, 0, 360, 1, -1)
    matrix = cv2.getRotationMatrix2D((90, 190), turn, scale)
    matrix[:, 2] += (190, -60)
    moved = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC)
    target = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_NEAREST)
    picture[target > 0] = moved[target > 0]
    return picture, (source | target) > 0


def f1(heatmap: np.ndarray, mask: np.ndarray) -> float:
    marked = heatmap >= 0.5
    return float(2 * (marked & mask).sum() / max(1, marked.sum() + mask.sum()))


def test_a_plain_copy_is_found_and_localised() -> None:
    picture, mask = forge()
    finding = measure(Detector(), media(picture), CARD)
    assert finding.score is not None and finding.score > DECISION + 3
    assert finding.map is not None
    assert f1(finding.map.enlarge(), mask) > 0.8
    (pair,) = finding.facts["pairs"]  # type: ignore[misc, union-attr]
    assert sorted(abs(value) for value in pair["shift"]) == [60.0, 190.0]
    assert pair["scale"] == 1.0 and pair["direction_known"] is False
    # A copy that was only moved does not tell which of the two came first.
    assert [region.role for region in finding.regions] == ["", ""]
    assert {region.pair for region in finding.regions} == {0}


@pytest.mark.parametrize(("turn", "scale"), [(25.0, 1.0), (0.0, 1.2), (-10.0, 0.9)])
def test_a_turned_or_scaled_copy_is_found_and_measured(turn: float, scale: float) -> None:
    picture, mask = forge(turn, scale)
    finding = measure(Detector(), media(picture), CARD)
    assert finding.map is not None
    assert f1(finding.map.enlarge(), mask) > 0.7
    pair = finding.facts["pairs"][0]  # type: ignore[index]
    assert pair["direction_known"] is True
    assert {region.role for region in finding.regions} == {"source", "target"}
    assert pair["scale"] == pytest.approx(scale, abs=0.02)
    assert pair["rotation"] == pytest.approx(-turn, abs=1.0)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "brick"])
def test_untouched_photographs_are_quiet(name: str) -> None:
    picture = getattr(data, name)()[:300, :300]
    finding = measure(Detector(), media(picture), CARD)
    assert finding.status is Status.OK
    assert finding.score is not None and finding.score < DECISION
    assert finding.map is not None and finding.map.peak < 0.5
    assert finding.regions == ()


def test_repeated_structure_with_its_own_light_and_grain_is_not_a_copy() -> None:
    """The same motif photographed twice: equal structure, another light, independent grain."""
    random = np.random.default_rng(0)
    picture = data.chelsea()[:300, :450].astype(np.float32)
    shade = 1 + 0.15 * np.linspace(-1, 1, 120)[None, :, None]
    picture[100:200, 20:140] = picture[100:200, 300:420] * shade
    noisy = picture + random.normal(0, 6, picture.shape)
    finding = measure(Detector(), media(np.clip(noisy, 0, 255).astype(np.uint8)), CARD)
    assert finding.score is not None and finding.score < DECISION


@pytest.mark.parametrize("quality", [90, 80])
def test_a_copy_survives_compression(quality: int) -> None:
    picture, mask = forge()
    finding = measure(Detector(), media(picture, "JPEG", quality=quality), CARD)
    assert finding.map is not None and f1(finding.map.enlarge(), mask) > 0.7


def test_a_copy_survives_noise_blur_and_shrinking() -> None:
    picture, mask = forge()
    random = np.random.default_rng(0)
    grain = random.normal(0, 4, picture.shape)
    noisy = np.clip(picture + grain + 0.5, 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(picture, (0, 0), 0.8)
    size = (int(0.75 * picture.shape[1]), int(0.75 * picture.shape[0]))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small_mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    for changed, truth in ((noisy, mask), (blurred, mask), (small, small_mask)):
        finding = measure(Detector(), media(changed), CARD)
        assert finding.map is not None and f1(finding.map.enlarge(), truth) > 0.6


def test_a_mirrored_copy_is_found() -> None:
    picture = data.chelsea()[:280, 60:400].copy()
    picture[60:150, 20:120] = picture[150:240, 60:160][:, ::-1]
    finding = measure(Detector(), media(picture), CARD)
    assert finding.score is not None and finding.score > DECISION
    assert finding.facts["pairs"][0]["mirrored"] is True  # type: ignore[index]


def test_drawn_graphics_are_not_judged() -> None:
    picture = np.full((256, 256, 3), 200, np.uint8)
    for x in range(10, 240, 40):
        for y in range(10, 240, 40):
            cv2.putText(picture, "A", (x, y + 20), cv2.FONT_HERSHEY_PLAIN, 1.2, (20, 40, 90), 1)
    finding = measure(Detector(), media(picture), CARD)
    assert finding.status is Status.NOT_APPLICABLE


def test_pictures_laid_out_in_tiles_are_not_judged() -> None:
    picture = data.astronaut()[:288, :384].copy()
    tile = data.coffee()[100:148, 200:248]
    for x, y in ((0, 0), (96, 144), (240, 48), (288, 192), (144, 240)):
        picture[y : y + 48, x : x + 48] = tile
    finding = measure(Detector(), media(picture), CARD)
    assert finding.status is Status.NOT_APPLICABLE
    assert "grid of 48×48 pixels" in finding.why


@pytest.mark.parametrize("shape", [(1, 1, 3), (63, 400, 3), (64, 64, 3), (64, 900, 3)])
def test_small_and_flat_pictures_survive(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    for picture in (np.full(shape, 90), random.integers(0, 256, shape)):
        finding = measure(Detector(), media(picture.astype(np.uint8)), CARD)
        assert finding.status in (Status.OK, Status.NOT_APPLICABLE)
        assert finding.score is None or finding.score < DECISION


def test_findings_repeat_and_are_json() -> None:
    picture, _ = forge()
    one, two = measure(Detector(), media(picture), CARD), measure(Detector(), media(picture), CARD)
    assert one.score == two.score and one.regions == two.regions
    assert one == two and one.map is not None
    assert json.loads(json.dumps(dict(one.facts))) == dict(one.facts)
    assert set(one.facts) == set(CARD.facts)


def test_graphics_with_a_palette_are_left_alone() -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (40, 3)).astype(np.uint8)
    tile = colours[random.integers(0, 40, (64, 64))]
    screen = np.tile(tile, (4, 4, 1))
    buffer = io.BytesIO()
    Pillow.fromarray(screen).save(buffer, "PNG")
    finding = measure(Detector(), Image(buffer.getvalue()), CARD)
    assert finding.status is Status.NOT_APPLICABLE
    assert "colours" in finding.why


def test_repeated_parts_of_a_drawn_picture_are_shown_and_do_not_vote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture, _ = forge()
    honest = measure(Detector(), media(picture), CARD)
    assert not honest.main.outside  # a photograph
    assert honest.facts["drawn"] is None or float(honest.facts["drawn"]) < UNLIKE  # type: ignore[arg-type]
    for chance, gated in ((UNLIKE, True), (UNLIKE - 0.01, False), (None, False)):
        content = Signal("content.drawn", "1", lambda _, chance=chance: chance)
        monkeypatch.setattr(copy_move, "DRAWN_CONTENT", content)
        found = measure(Detector(), media(picture), CARD)
        assert found.regions == honest.regions and found.score == honest.score
        assert bool(found.main.outside) is gated


def test_content_is_asked_for_only_where_parts_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: object) -> float:
        raise AssertionError("no pair was found")

    monkeypatch.setattr(copy_move, "DRAWN_CONTENT", Signal("content.drawn", "1", never))
    found = measure(Detector(), media(data.chelsea()[:200, :200]), CARD)
    assert found.facts["drawn"] is None and not found.main.outside
