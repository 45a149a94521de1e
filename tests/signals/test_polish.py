import cv2
import numpy as np
import pytest
from skimage import data

from bonafide.signals.polish import polish


def scene() -> np.ndarray:
    return np.asarray(cv2.cvtColor(data.chelsea(), cv2.COLOR_RGB2GRAY), np.float32)


def core() -> np.ndarray:
    mask = np.zeros((100, 120), bool)
    mask[10:90, 10:110] = True
    return mask


def taken(matrix: np.ndarray) -> np.ndarray:
    """The 100×120 pixels that `matrix` leads to, rounded as in a file, and lighter."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(np.round(cv2.warpAffine(scene(), matrix, (120, 100), flags=flags)) + 3)


def farthest(one: np.ndarray, two: np.ndarray) -> float:
    corners = np.array([(x, y, 1) for x in (0, 119) for y in (0, 99)], float)
    return float(np.abs(corners @ (one - two).T).max())


@pytest.mark.parametrize(("turn", "scale"), [(0.0, 1.0), (0.0, 0.8), (25.0, 1.0), (-10.0, 1.1)])
@pytest.mark.parametrize("error", [0.0, 0.4])
def test_a_map_comes_to_rest_at_the_same_place(turn: float, scale: float, error: float) -> None:
    matrix = cv2.getRotationMatrix2D((60, 50), turn, scale)
    matrix[:, 2] += (140, 110)
    start = matrix + np.array([[0.002, -0.001, error], [0.001, 0.002, -error]])
    found = polish(taken(matrix), scene(), start, core())
    assert farthest(found, matrix) < 0.05


def test_what_leads_nowhere_leaves_the_map_as_it_was() -> None:
    start = np.array([[1.0, 0, 30], [0, 1.0, 20]])
    flat = np.full((100, 120), 7, np.float32)
    assert np.array_equal(polish(flat, np.full((300, 400), 7, np.float32), start, core()), start)
    outside = np.array([[1.0, 0, 1000], [0, 1.0, 20]])
    assert np.array_equal(polish(taken(start), scene(), outside, core()), outside)
    nothing = np.zeros((100, 120), bool)
    assert np.array_equal(polish(taken(start), scene(), start, nothing), start)
