import numpy as np
import pytest

from bonafide.signals.shifts import shift_proposals


def grainy(height: int, width: int) -> np.ndarray:
    """A smooth gradient with grain, on which no keypoint would be distinctive."""
    random = np.random.default_rng(0)
    base = np.linspace(60, 180, width)[None] + np.zeros((height, 1))
    return (base + random.normal(0, 3, (height, width))).astype(np.float32)


@pytest.mark.parametrize(("down", "right"), [(0, 120), (90, -60), (-70, 133)])
def test_a_smooth_copy_is_proposed(down: int, right: int) -> None:
    luma = grainy(320, 400)
    luma[120 + down : 160 + down, 150 + right : 190 + right] = luma[120:160, 150:190]
    best = shift_proposals(luma)[0]
    shift = best.matrix[:, 2]
    assert np.array_equal(best.matrix[:, :2], np.eye(2))
    assert np.array_equal(np.abs(shift), np.abs([right, down]))
    assert np.sign(shift @ (right, down)) in (1, -1)
    low, high = (120, 160) if shift @ (right, down) > 0 else (120 + down, 160 + down)
    inside = (best.points[:, 1] >= low - 6) & (best.points[:, 1] <= high + 6)
    assert inside.mean() > 0.9


def test_grain_alone_proposes_nothing() -> None:
    assert shift_proposals(grainy(320, 400)) == []


@pytest.mark.parametrize("shape", [(64, 64), (64, 700), (700, 64)])
def test_narrow_and_flat_pictures_are_survived(shape: tuple[int, int]) -> None:
    assert shift_proposals(np.full(shape, 90, np.float32)) == []
    shift_proposals(grainy(*shape))
