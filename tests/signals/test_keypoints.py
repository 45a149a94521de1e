import cv2
import numpy as np
import pytest
from skimage import data

from bonafide.signals.copies import Proposal, invert
from bonafide.signals.keypoints import detect, keypoint_proposals, largest, mirror


def forged(matrix: np.ndarray) -> np.ndarray:
    """The astronaut with the disc around (330, 370) carried elsewhere by `matrix`."""
    luma = np.asarray(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY), np.float32)
    disc = np.zeros(luma.shape, np.uint8)
    cv2.circle(disc, (330, 370), 60, 1, -1)
    moved = cv2.warpAffine(luma, matrix, (512, 512), flags=cv2.INTER_CUBIC)
    there = cv2.warpAffine(disc, matrix, (512, 512), flags=cv2.INTER_NEAREST)
    return np.where(there > 0, moved, luma)


def error(proposals: list[Proposal], matrix: np.ndarray) -> float:
    """Smallest distance, in pixels, between where a proposal and `matrix` carry the disc."""
    points = np.array([[330.0, 370.0], [310.0, 350.0], [350.0, 350.0]])
    ways = [way for p in proposals for way in (p.matrix, invert(p.matrix))]
    aim = points @ matrix[:, :2].T + matrix[:, 2]
    return min(float(np.hypot(*(points @ w[:, :2].T + w[:, 2] - aim).T).max()) for w in ways)


@pytest.mark.parametrize(
    ("turn", "scale"), [(0, 1.0), (30, 1.0), (180, 1.0), (10, 0.8), (-40, 1.3)]
)
def test_a_planted_copy_is_proposed(turn: float, scale: float) -> None:
    matrix = cv2.getRotationMatrix2D((330, 370), turn, scale)
    matrix[:, 2] += (-240, 0)
    assert error(keypoint_proposals(forged(matrix)), matrix) < 3


def test_a_mirrored_copy_is_proposed() -> None:
    matrix = np.array([[-1.0, 0.0, 420.0], [0.0, 1.0, 0.0]])
    assert error(keypoint_proposals(forged(matrix)), matrix) < 3


def test_a_mirrored_description_is_that_of_the_mirrored_picture() -> None:
    luma = forged(np.array([[1.0, 0, 0], [0, 1.0, 0]]))[::2, ::2]
    one, two = detect(luma), detect(np.ascontiguousarray(luma[:, ::-1]))
    width = luma.shape[1]
    likeness = mirror(one.descriptors) @ two.descriptors.T
    best = likeness.argmax(axis=1)
    there = np.stack([width - 1 - two.points[best, 0], two.points[best, 1]], axis=1)
    assert np.median(np.hypot(*(there - one.points).T)) < 2


@pytest.mark.parametrize("shape", [(64, 64), (64, 500)])
def test_empty_pictures_have_no_keypoints(shape: tuple[int, int]) -> None:
    assert keypoint_proposals(np.full(shape, 80, np.float32)) == []


@pytest.mark.parametrize(("columns", "count"), [(30, 5), (500, 3), (1013, 7)])
def test_the_largest_of_each_row_are_found(columns: int, count: int) -> None:
    values = np.random.default_rng(0).normal(size=(20, columns)).astype(np.float32)
    found = np.sort(np.take_along_axis(values, largest(values, count), 1), axis=1)
    assert np.array_equal(found, np.sort(values, axis=1)[:, -count:])
