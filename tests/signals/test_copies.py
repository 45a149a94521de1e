import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from bonafide.signals.copies import Proposal, _warp, directed, invert, rescale, verify


def picture() -> np.ndarray:
    return np.asarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY), np.float32)


@settings(max_examples=30, deadline=None)
@given(*[st.floats(-1, 1)] * 4, st.floats(-50, 50), st.floats(0.2, 5))
def test_rescaling_a_map_commutes_with_rescaling_points(
    a: float, b: float, c: float, d: float, t: float, factor: float
) -> None:
    matrix = np.array([[a, b, t], [c, d, -t]])
    point = np.array([13.0, 7.0])
    there = matrix[:, :2] @ point + matrix[:, 2]
    scaled = rescale(matrix, factor)
    big = (point + 0.5) * factor - 0.5
    assert np.allclose(scaled[:, :2] @ big + scaled[:, 2], (there + 0.5) * factor - 0.5)


def shifted(error: float) -> Proposal:
    points = np.array([(x, y) for x in range(60, 120, 6) for y in range(340, 400, 6)], np.float32)
    return Proposal(np.array([[1.0, 0, 240 + error], [0, 1.0, error]]), points)


@pytest.mark.parametrize("error", [0.0, 0.7, -2.0])
def test_verification_sharpens_a_map_and_finds_the_copy(error: float) -> None:
    luma = picture()
    luma[330:410, 50:130] = luma[330:410, 290:370]
    match = verify(luma, shifted(error))
    assert match is not None
    assert np.allclose(match.matrix, [[1, 0, 240], [0, 1, 0]], atol=0.15)
    assert match.difference < 0.05 and match.correlation > 0.97 and match.light < 0.1
    marked = np.zeros(luma.shape, bool)
    height, width = match.mask.shape
    marked[match.top : match.top + height, match.left : match.left + width] = match.mask
    inside = np.zeros(luma.shape, bool)
    inside[330:410, 50:130] = True
    assert (marked & inside).sum() > 0.85 * inside.sum()
    assert (marked & ~inside).sum() < 0.15 * inside.sum()


def test_a_part_is_followed_beyond_the_points_that_suggested_it() -> None:
    luma = picture()
    luma[260:460, 10:210] = luma[260:460, 250:450]
    few = Proposal(np.array([[1.0, 0, 240], [0, 1.0, 0]]), np.array([[110, 360]], np.float32))
    match = verify(luma, few)
    assert match is not None and match.mask.sum() > 0.9 * 200 * 200


def test_what_a_lookalike_lacks_is_measured() -> None:
    """Same structure under another light: it correlates, yet its light differs."""
    luma = picture()
    shade = np.linspace(-20, 20, 80, dtype=np.float32)[None]
    luma[330:410, 50:130] = luma[330:410, 290:370] + shade
    match = verify(luma, shifted(0.0))
    assert match is not None and match.correlation > 0.9 and match.light > 3


def test_unrelated_places_have_little_in_common() -> None:
    match = verify(picture(), shifted(0.0))
    assert match is None or (match.light > 3 and match.visible < 2000)


def test_points_around_an_empty_middle_are_survived() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (900, 1900)).astype(np.float32)
    points = np.array([(10, 450), (12, 455), (1880, 450), (1885, 452)], np.float32)
    verify(luma, Proposal(np.array([[1.0, 0, 0], [0, 1.0, 100]]), points))


def resampled(scale: float) -> tuple[np.ndarray, Proposal]:
    """The astronaut's badge, scaled and put to the left, and the map that leads back to it."""
    luma = picture()
    matrix = np.array([[scale, 0, 90 - 330 * scale], [0, scale, 370 - 370 * scale]])
    moved = np.round(cv2.warpAffine(luma, matrix, (512, 512), flags=cv2.INTER_CUBIC))
    side = round(40 * scale)
    luma[370 - side : 370 + side, 90 - side : 90 + side] = moved[
        370 - side : 370 + side, 90 - side : 90 + side
    ]
    points = np.array([(x, y) for x in range(70, 110, 6) for y in range(350, 390, 6)], np.float32)
    return luma, Proposal(np.asarray(cv2.invertAffineTransform(matrix)), points)


@pytest.mark.parametrize("scale", [0.8, 1.25])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_resampled_side_is_the_copy(scale: float, backwards: bool) -> None:
    luma, proposal = resampled(scale)
    if backwards:
        there = proposal.points @ proposal.matrix[:, :2].T + proposal.matrix[:, 2]
        proposal = Proposal(invert(proposal.matrix), there.astype(np.float32))
    match = verify(luma, proposal)
    assert match is not None
    copy, known = directed(luma, match)
    assert known and copy.left < 150
    assert np.linalg.det(copy.matrix[:, :2]) == pytest.approx(scale**-2, rel=0.02)


def test_a_plain_copy_has_no_direction() -> None:
    luma = picture()
    luma[330:410, 50:130] = luma[330:410, 290:370]
    match = verify(luma, shifted(0.0))
    assert match is not None and not directed(luma, match)[1]


@pytest.mark.parametrize("shift", [(0, 0), (7, -5), (-30, 400), (480, 2), (600, 0), (0, -600)])
def test_a_shift_by_whole_pixels_is_what_interpolation_gives(shift: tuple[int, int]) -> None:
    luma = picture()
    matrix = np.array([[1.0, 0, shift[0]], [0, 1.0, shift[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    wanted = cv2.warpAffine(
        luma, matrix, (90, 70), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=-1e4
    )
    assert np.array_equal(_warp(luma, matrix, (70, 90)), wanted)


def test_a_shift_by_whole_pixels_does_not_tell_its_direction() -> None:
    luma = picture()
    luma[330:410, 50:130] = luma[330:410, 290:370]
    match = verify(luma, shifted(0.0))
    assert match is not None
    assert directed(luma, match) == (match, False)
