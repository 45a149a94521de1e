"""What happens to a picture is decided before anybody looks at it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

pytest.importorskip("torch")

from bonafide.train import augment
from bonafide.train.augment import Chain, Pixels, standard

CAT = photographs.chelsea()[:160, :200]
OTHER = np.random.default_rng(0).integers(0, 256, (90, 300, 3), np.uint8)
CHAIN = standard(64)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(25))
def test_equal_states_give_equal_pictures_of_the_size_asked_for(seed: int) -> None:
    before = CAT.copy()
    first, second = CHAIN(CAT, random(seed)), CHAIN(CAT, random(seed))
    assert first.shape == (64, 64, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert np.array_equal(CAT, before)


def test_the_plan_does_not_depend_on_the_picture() -> None:
    for seed in range(50):
        names = []
        for pixels in (CAT, OTHER):
            seen: list[str] = []
            watched = tuple(
                augment.Step(step.name, step.probability, _noting(step, seen))
                for step in CHAIN.steps
            )
            Chain(watched)(pixels, random(seed))
            names.append(seen)
        assert names[0] == names[1]
        assert names[0] == [step.name for step, _ in CHAIN.plan(random(seed))]


def _noting(step: augment.Step, seen: list[str]) -> augment.Operation:
    def run(pixels: Pixels, chance: np.random.Generator) -> Pixels:
        seen.append(f"{step.name}")
        return step.run(pixels, chance)

    return run


def test_every_step_happens_about_as_often_as_it_says() -> None:
    plans = [{step.name for step, _ in CHAIN.plan(random(seed))} for seed in range(1000)]
    for step in CHAIN.steps:
        share = np.mean([step.name in plan for plan in plans])
        assert share == pytest.approx(step.probability, abs=0.05)


def test_crops_lie_at_the_same_share_of_pictures_of_any_size() -> None:
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, 200, 3))
    small, large = (
        augment.crop(ramp[:side, :side], random(3), 32)[0, 0, 0] / (side - 31) for side in (64, 200)
    )
    assert small == pytest.approx(large, abs=0.03)


def test_small_pictures_are_tiled_not_resized() -> None:
    found = augment.crop(CAT[:20, :24], random(0), 40)
    assert found.shape == (40, 40, 3)
    assert {tuple(colour) for colour in found.reshape(-1, 3).tolist()} <= {
        tuple(colour) for colour in CAT[:20, :24].reshape(-1, 3).tolist()
    }


def test_a_second_save_on_the_same_grid_changes_next_to_nothing() -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(CAT).save(buffer, "JPEG", quality=80, subsampling="4:2:0")
    saved = np.asarray(Pillow.open(buffer))
    part = saved[21:149, 35:163]
    on, off = (
        np.abs(part.astype(int) - augment.resaved(part, 80, "4:4:4", left, 21)).mean()
        for left in (35, 38)
    )
    assert on < 0.6 * off


def test_the_last_step_leaves_the_same_traces_in_both_classes() -> None:
    assert CHAIN.steps[-1].name == "level" and CHAIN.steps[-1].probability == 1
    untouched = np.mean([np.array_equal(augment.level(CAT, random(s)), CAT) for s in range(200)])
    assert untouched == pytest.approx(1 / 7, abs=0.07)


@pytest.mark.parametrize("name", [step.name for step in CHAIN.steps])
def test_each_operation_keeps_type_and_channels(name: str) -> None:
    (step,) = [step for step in CHAIN.steps if step.name == name]
    found = step.run(CAT, random(1))
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3


def test_grey_has_equal_channels_and_turns_keep_every_pixel() -> None:
    grey = augment.grey(CAT, random(0))
    assert np.array_equal(grey[..., 0], grey[..., 2])
    turned = augment.turn(CAT, random(5))
    assert np.array_equal(np.sort(turned, axis=None), np.sort(CAT, axis=None))
