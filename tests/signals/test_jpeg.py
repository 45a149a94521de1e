"""Tables, transforms, grid votes and window tests."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy import stats
from skimage import data

from bonafide.media.context import Context
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.signals import jpeg


def save(pixels: np.ndarray, quality: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 90, 99, 100])
def test_standard_tables_are_those_that_pillow_writes(quality: int) -> None:
    structure = Image(save(data.astronaut()[:64, :64], quality)).jpeg
    assert structure is not None
    np.testing.assert_array_equal(structure.quantisation[0], jpeg.standard_table(quality))
    np.testing.assert_array_equal(structure.quantisation[1], jpeg.standard_table(quality, True))


@given(st.integers(1, 100), st.booleans())
def test_quality_of_a_standard_table_is_found(quality: int, chroma: bool) -> None:
    table = jpeg.standard_table(quality, chroma)
    estimate = jpeg.estimate_quality(table, chroma)
    assert estimate.exact
    np.testing.assert_array_equal(jpeg.standard_table(estimate.quality, chroma), table)


def test_quality_of_a_foreign_table_is_near_and_not_exact() -> None:
    table = jpeg.standard_table(80).copy()
    table[3, 3] += 1
    estimate = jpeg.estimate_quality(table)
    assert estimate.quality == 80
    assert not estimate.exact
    assert estimate.distance > 0


@settings(deadline=None, max_examples=25)
@given(
    st.integers(8, 40),
    st.integers(8, 40),
    st.integers(0, 7),
    st.integers(0, 7),
    st.integers(0, 2**32 - 1),
)
def test_block_transform_keeps_energy_and_comes_back(
    height: int, width: int, x: int, y: int, seed: int
) -> None:
    luma = np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)
    blocks = jpeg.block_dct(luma, (x, y))
    rows, columns = blocks.shape[:2]
    inside = luma[y : y + 8 * rows, x : x + 8 * columns]
    np.testing.assert_allclose(jpeg.inverse_block_dct(blocks), inside, atol=1e-3)
    energy = ((inside - 128.0) ** 2).sum()
    np.testing.assert_allclose((blocks.astype(np.float64) ** 2).sum(), energy, rtol=1e-4)


def test_block_transform_agrees_with_opencv() -> None:
    luma = np.random.default_rng(1).uniform(0, 255, (24, 16)).astype(np.float32)
    expected = cv2.dct(luma[8:16, 8:16] - 128)
    np.testing.assert_allclose(jpeg.block_dct(luma)[1, 1], expected, atol=1e-3)


@settings(deadline=None, max_examples=15)
@given(st.integers(8, 50), st.integers(8, 300), st.integers(0, 2**32 - 1))
def test_zero_counts_agree_with_a_plain_loop(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    luma = cv2.GaussianBlur(rng.uniform(0, 255, (height, width)), (0, 0), 3).astype(np.float32)
    counts = jpeg.zero_counts(luma)
    assert counts.shape == (height - 7, width - 7)
    for _ in range(10):
        y, x = int(rng.integers(height - 7)), int(rng.integers(width - 7))
        plain = np.abs(cv2.dct(luma[y : y + 8, x : x + 8]))
        near = int((np.abs(plain - 0.5) < 1e-3).sum())  # rounding may fall either way
        assert abs(int(counts[y, x]) - int((plain < 0.5).sum())) <= near


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 5), (7, 1)])
def test_votes_find_the_origin_after_a_crop(x: int, y: int) -> None:
    pixels = np.asarray(Pillow.open(io.BytesIO(save(data.astronaut()[100:400, 100:400], 80))))
    luma = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)
    votes = jpeg.grid_votes(luma[(8 - y) % 8 :, (8 - x) % 8 :])
    totals = np.bincount(votes.ravel(), minlength=256)[:64]
    assert int(np.argmax(totals)) == x + 8 * y
    assert totals.max() > 0.5 * votes.size


def test_votes_ignore_flat_and_tiny_pictures() -> None:
    assert (jpeg.grid_votes(np.full((40, 50), 7, np.float32)) == jpeg.NO_VOTE).all()
    assert jpeg.grid_votes(np.zeros((1, 1), np.float32)).shape == (1, 1)
    ramp = np.repeat(np.arange(50, dtype=np.float32)[None, :], 40, axis=0)
    assert (jpeg.grid_votes(ramp) == jpeg.NO_VOTE).all()


def test_votes_of_a_media_are_in_stored_orientation_and_counted_once() -> None:
    pixels = data.astronaut()[:200, :304]
    exif = Pillow.Exif()
    exif[0x0112] = 6
    upright = Context(Media.of_image(Image(save(pixels, 80))))
    turned = Context(Media.of_image(Image(save(pixels, 80, exif=exif))))
    assert turned.image.pixels.shape[:2] == (304, 200)
    votes = turned.get(jpeg.GRID_VOTES)
    np.testing.assert_array_equal(votes, upright.get(jpeg.GRID_VOTES))
    np.testing.assert_array_equal(votes, jpeg.grid_votes(turned.image.stored_luma))
    assert turned.get(jpeg.GRID_VOTES) is votes


@given(st.integers(1, 500), st.floats(0.01, 0.99), st.floats(0, 1))
def test_chernoff_bounds_the_binomial_tail(trials: int, rate: float, share: float) -> None:
    successes = round(share * trials)
    bound = jpeg.log10_chernoff(np.array(successes), np.array(trials), np.array(rate))
    exact = stats.binom.sf(successes - 1, trials, rate)
    assert float(bound) >= np.log10(exact) - 1e-6 if exact > 1e-290 else bound < -280
    assert float(bound) <= 0


def test_windows_are_quiet_under_their_own_model() -> None:
    rng = np.random.default_rng(0)
    trials = rng.integers(0, 12, (80, 100)).astype(np.float32)
    found = 0
    for _ in range(20):
        successes = rng.binomial(trials.astype(int), 0.3).astype(np.float32)
        found += jpeg.excess_windows(successes, trials, 0.3 * trials).marked.any()
    assert found <= 1


def test_windows_find_and_outline_a_planted_part() -> None:
    rng = np.random.default_rng(0)
    trials = rng.integers(0, 12, (80, 100)).astype(np.float32)
    truth = np.zeros(trials.shape, bool)
    truth[20:40, 50:75] = True
    successes = rng.binomial(trials.astype(int), np.where(truth, 0.7, 0.1)).astype(np.float32)
    test = jpeg.excess_windows(successes, trials, 0.1 * trials)
    assert test.log10_false_alarms < -10
    overlap = (test.marked & truth).sum() / (test.marked | truth).sum()
    assert overlap > 0.85


def test_windows_survive_pictures_smaller_than_any_window() -> None:
    one = np.ones((1, 1), np.float32)
    test = jpeg.excess_windows(one, one, one / 2)
    assert not test.marked.any()
    assert test.log10_false_alarms >= 0


def test_clipped_blocks_are_those_with_extreme_values() -> None:
    pixels = np.full((20, 24, 3), 100, np.uint8)
    pixels[3, 10, 1] = 255
    pixels[12, 20, 2] = 0
    expected = np.zeros((2, 3), bool)
    expected[0, 1] = expected[1, 2] = True
    np.testing.assert_array_equal(jpeg.clipped_blocks(pixels), expected)


def test_totals_count_each_vote_once() -> None:
    votes = np.random.default_rng(0).integers(0, 66, (700, 33)).astype(np.uint8)
    votes[votes == 65] = jpeg.NO_VOTE
    totals = jpeg.vote_totals(votes)
    assert totals.shape == (64,)
    assert [int(count) for count in totals] == [int((votes == name).sum()) for name in range(64)]
