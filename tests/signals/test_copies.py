import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from bonafide.signals.copies import (
    Proposal,
    invert,
    rescale,
    verify,
)
from bonafide.signals.keypoints import keypoint_pairs, keypoint_proposals


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


def test_keypoints_propose_a_planted_turn() -> None:
    luma = picture()
    matrix = cv2.getRotationMatrix2D((330, 370), 30, 1.0)
    matrix[:, 2] += (-240, 0)
    moved = cv2.warpAffine(luma, matrix, (512, 512), flags=cv2.INTER_CUBIC)
    disc = np.zeros((512, 512), np.uint8)
    cv2.circle(disc, (90, 370), 60, 1, -1)
    luma[disc > 0] = moved[disc > 0]
    proposals = keypoint_proposals(keypoint_pairs(luma))
    centre = np.array([330.0, 370.0])
    ends = [p.matrix[:, :2] @ centre + p.matrix[:, 2] for p in proposals]
    back = [invert(p.matrix)[:, :2] @ centre + invert(p.matrix)[:, 2] for p in proposals]
    assert min(np.hypot(*(end - (90, 370))) for end in ends + back) < 2


def shifted(error: float) -> Proposal:
    points = np.array([(x, y) for x in range(60, 120, 6) for y in range(340, 400, 6)], np.float32)
    return Proposal(np.array([[1.0, 0, 240 + error], [0, 1.0, error]]), points)


@pytest.mark.parametrize("error", [0.0, 0.7, -2.0])
def test_verification_sharpens_a_map_and_finds_the_copy(error: float) -> None:
    luma = picture()
    luma[330:410, 50:130] = luma[330:410, 290:370]
    match = verify(luma, shifted(error))
    assert match is not None
    assert np.allclose(match.matrix, [[1, 0, 240], [0, 1, 0]])
    assert match.difference < 0.01 and match.identical > 0.8 * match.textured
    marked = np.zeros(luma.shape, bool)
    height, width = match.mask.shape
    marked[match.top : match.top + height, match.left : match.left + width] = match.mask
    inside = np.zeros(luma.shape, bool)
    inside[330:410, 50:130] = True
    assert (marked & inside).sum() > 0.75 * inside.sum()
    assert (marked & ~inside).sum() < 0.15 * inside.sum()


def test_verification_rejects_unrelated_places() -> None:
    assert verify(picture(), shifted(0.0)) is None


def test_points_around_an_empty_middle_are_survived() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (900, 1900)).astype(np.float32)
    points = np.array([(10, 450), (12, 455), (1880, 450), (1885, 452)], np.float32)
    verify(luma, Proposal(np.array([[1.0, 0, 0], [0, 1.0, 100]]), points))
