import numpy as np
import pytest

from bonafide.signals.coincidence import inscribed, log10_coincidences


def noisy(noise: float) -> np.ndarray:
    """The same structure twice, each with noise of its own."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:200, 0:150]
    half = 120 + 40 * np.sin(x / 5) * np.cos(y / 7)
    both = np.hstack([half, half])
    return np.round(both + random.normal(0, noise, both.shape)).astype(np.float32)


def part(side: int = 80) -> np.ndarray:
    mask = np.zeros((200, 300), bool)
    mask[40 : 40 + side, 20 : 20 + side] = True
    return mask


def test_an_exact_copy_is_no_coincidence() -> None:
    luma = noisy(1.0)
    luma[40:120, 170:250] = luma[40:120, 20:100]
    assert log10_coincidences(luma, part(), (0, 150)) < -40
    assert log10_coincidences(luma, part(), (1, 150)) == 0


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_equal_structure_with_its_own_noise_is_no_copy(noise: float) -> None:
    assert log10_coincidences(noisy(noise), part(), (0, 150)) == 0


def test_smooth_and_small_places_say_nothing() -> None:
    assert log10_coincidences(np.full((200, 300), 90, np.float32), part(), (0, 150)) == 0
    luma = noisy(1.0)
    luma[:, 150:] = luma[:, :150]
    assert log10_coincidences(luma, part(20), (0, 150)) == 0
    assert log10_coincidences(luma, part(2), (0, 150)) == 0
    assert log10_coincidences(luma, part(), (0, 290)) == 0


def test_the_largest_square_lies_inside() -> None:
    mask = np.zeros((50, 60), bool)
    mask[10:31, 5:40] = True
    mask[0:3, 50:53] = True
    top, left, side = inscribed(mask)
    assert side == 21 and mask[top : top + side, left : left + side].all()
