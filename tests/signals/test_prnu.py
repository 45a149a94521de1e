"""Sensor fingerprints, on made-up sensors: found where they are, and nowhere else."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from tests.cameras.sensor import HEIGHT, WIDTH, Sensor, jpeg, photographs, scene

from bonafide.media.image import Image
from bonafide.signals import prnu, residual
from bonafide.signals.prnu_missing import missing
from bonafide.signals.prnu_search import Placement, Probe, describe, find, is_match

Luma = NDArray[np.float32]


def luma(data: bytes) -> Luma:
    return Image(data).luma


@pytest.fixture(scope="module")
def pattern() -> Luma:
    estimate = prnu.Estimate(HEIGHT, WIDTH)
    for data in photographs(Sensor(1), 12):
        picture = luma(data)
        estimate.add(picture, residual.spun_residual(picture))
    return estimate.fingerprint()


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """A photograph by the sensor that the fingerprint is of; it was not learnt from."""
    return Sensor(1).shoot(scene(18), 5)


def search(
    pixels: NDArray[np.uint8], pattern: Luma, thorough: bool = False, quality: int = 90
) -> tuple[Placement, int]:
    found, trials = find(Probe(luma(jpeg(pixels, quality))), pattern, thorough)
    assert found is not None
    return found, trials


# ---- the residual ----


def test_the_transform_can_be_undone() -> None:
    rows = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    low, high = residual._split(rows)
    again = residual._joined(low, high)
    np.testing.assert_allclose(again[:, 8:-8], rows[:, 8:-8], atol=1e-5)


def test_a_flat_picture_has_no_residual_and_faint_noise_is_all_residual() -> None:
    flat = np.full((100, 150), 90, np.float32)
    assert np.abs(residual.residual(flat)).max() < 1e-3
    noise = np.random.default_rng(0).normal(0, 1, (256, 256)).astype(np.float32)
    found = residual.residual(flat[0, 0] + noise)
    assert np.corrcoef(found.ravel(), noise.ravel())[0, 1] > 0.99


def test_tiles_leave_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = luma(jpeg(Sensor(1).shoot(scene(0), 0)))
    whole = residual.residual(picture)
    monkeypatch.setattr(residual, "TILE", 224)
    np.testing.assert_allclose(residual.residual(picture), whole, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (17, 33)])
def test_small_pictures_have_a_residual(shape: tuple[int, int]) -> None:
    found = residual.spun_residual(np.full(shape, 7, np.float32))
    assert found.shape == shape and np.isfinite(found).all()


# ---- agreement ----


def test_own_pictures_match_and_others_do_not(pattern: Luma, picture: NDArray[np.uint8]) -> None:
    own, trials = search(picture, pattern)
    assert is_match(own.pce, trials) and describe(own) == "whole, at full size"
    other, trials = search(Sensor(2).shoot(scene(18), 5), pattern)
    assert not is_match(other.pce, trials) and other.pce < 30


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turned_pictures_are_found(pattern: Luma, picture: NDArray[np.uint8], turns: int) -> None:
    found, trials = search(np.ascontiguousarray(np.rot90(picture, turns)), pattern)
    assert is_match(found.pce, trials) and found.turns == turns


@pytest.mark.parametrize("scale", [0.9, 0.7, 0.5])
def test_scaled_pictures_are_found(pattern: Luma, picture: NDArray[np.uint8], scale: float) -> None:
    size = round(WIDTH * scale), round(HEIGHT * scale)
    found, trials = search(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), pattern)
    assert is_match(found.pce, trials)
    assert abs(found.scale - scale) < 0.01 and not found.cropped


@pytest.mark.parametrize("top", [40, 41])
def test_a_crop_along_one_axis_is_found(
    pattern: Luma, picture: NDArray[np.uint8], top: int
) -> None:
    found, trials = search(picture[top : top + 400], pattern)
    assert is_match(found.pce, trials) and (found.top, found.left) == (top, 0)
    assert describe(found) == "cropped"


def test_a_crop_anywhere_is_found_when_asked_for(pattern: Luma, picture: NDArray[np.uint8]) -> None:
    part = picture[77 : 77 + 300, 131 : 131 + 420]
    assert find(Probe(luma(jpeg(part))), pattern)[0] is None or not is_match(
        search(part, pattern)[0].pce, 1
    )
    found, trials = search(part, pattern, thorough=True)
    assert is_match(found.pce, trials) and (found.top, found.left) == (77, 131)
    foreign, trials = search(Sensor(2).shoot(scene(18), 5)[77:377, 131:551], pattern, thorough=True)
    assert not is_match(foreign.pce, trials)


def test_a_large_fingerprint_is_searched_in_parts(
    pattern: Luma, picture: NDArray[np.uint8]
) -> None:
    part = prnu.weighted_residual(luma(jpeg(picture[201:361, 405:605])))
    whole = prnu.locate(part, pattern)
    pieces = prnu.locate(part, pattern, most_pixels=120_000)
    assert (whole.top, whole.left) == (pieces.top, pieces.left) == (201, 405)
    assert whole.shifts == pieces.shifts == (HEIGHT - 160 + 1) * (WIDTH - 200 + 1)


def test_pictures_larger_than_the_sensor_have_no_place(pattern: Luma) -> None:
    assert find(Probe(np.zeros((HEIGHT + 9, WIDTH + 9), np.float32)), pattern, True) == (None, 0)


def test_a_flat_picture_agrees_with_nothing(pattern: Luma) -> None:
    found, trials = find(Probe(np.full((HEIGHT, WIDTH), 255, np.float32)), pattern)
    assert found is not None and not is_match(found.pce, trials)


def test_the_chance_of_a_false_match() -> None:
    assert prnu.log10_false_match(60, 1) == pytest.approx(math.log10(stats.norm.sf(math.sqrt(60))))
    assert prnu.log10_false_match(60, 1000) - prnu.log10_false_match(60, 1) == pytest.approx(3)
    assert prnu.log10_false_match(-5, 1) == prnu.log10_false_match(1, 10**9) == 0
    assert math.isfinite(prnu.log10_false_match(1e7, 1))


def test_pce_of_chance_is_distributed_as_it_is_said(pattern: Luma) -> None:
    draw = np.random.default_rng(3)
    found = [
        prnu.aligned(draw.normal(size=(128, 128)).astype(np.float32), pattern[:128, :128], 0).pce
        for _ in range(200)
    ]
    roots = np.sign(found) * np.sqrt(np.abs(found))
    assert stats.kstest(roots, "norm").pvalue > 1e-3


# ---- where it is missing ----


def test_a_pasted_part_is_marked_and_an_untouched_picture_is_not(pattern: Luma) -> None:
    scenery = cv2.resize(scene(21), (WIDTH, HEIGHT))
    own, foreign = Sensor(1).shoot(scenery, 8), Sensor(2).shoot(scenery, 9)
    clean = luma(jpeg(own))
    found = missing(clean, prnu.weighted_residual(clean), pattern)
    assert found is not None and found.values.max() < 0.5 and found.judged > 0.9
    own[180:400, 240:500] = foreign[180:400, 240:500]
    pasted = luma(jpeg(own))
    found = missing(pasted, prnu.weighted_residual(pasted), pattern)
    assert found is not None
    marked = cv2.resize(
        found.values, None, fx=found.cell, fy=found.cell, interpolation=cv2.INTER_NEAREST
    )[:HEIGHT, :WIDTH]
    assert (marked[230:350, 290:450] >= 0.5).mean() > 0.9
    away = marked.copy()
    away[180 - 40 : 400 + 40, 240 - 40 : 500 + 40] = 0
    assert away.max() < 0.5


def test_a_faint_agreement_gives_no_map(pattern: Luma) -> None:
    foreign = luma(jpeg(Sensor(2).shoot(scene(18), 5)))
    assert missing(foreign, prnu.weighted_residual(foreign), pattern) is None
