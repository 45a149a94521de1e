"""The tampering maker: masks exact, seeds, kinds, sizes, and resizes that keep masks in place."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from bonafide.errors import InvalidInput
from bonafide.train import tampering_edits, tampering_regions, tampering_social
from bonafide.train.tampering import KINDS, Maker, TamperingSettings

PHOTOGRAPHS = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
BASE, DONOR = PHOTOGRAPHS[0][:256, :256], PHOTOGRAPHS[1][:256, :256]


def coarse(pixels: np.ndarray) -> np.ndarray:
    """A decoder that loses what a block of two by two pixels differs in."""
    half = pixels.reshape(len(pixels) // 2, 2, -1, 2, 3).mean(axis=(1, 3))
    return np.repeat(np.repeat(half, 2, 0), 2, 1).astype(np.uint8)


def random(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def maker(**settings: object) -> Maker:
    return Maker(PHOTOGRAPHS, TamperingSettings(**{"side": 128, **settings}), (coarse, coarse))


EDITS = {
    "splice": lambda source: tampering_edits.splice(BASE, DONOR, 0.1, source),
    "copy_move": lambda source: tampering_edits.copy_move(BASE, 0.1, source),
    "removal": lambda source: tampering_edits.removal(BASE, 0.05, source),
    "regenerated": lambda source: tampering_edits.regenerated(BASE, DONOR, 0.1, source),
    "local": lambda source: tampering_edits.local(BASE, 0.1, source),
}


@pytest.mark.parametrize("kind", EDITS)
def test_nothing_changes_outside_the_mask(kind: str) -> None:
    for seed in range(25):
        if edit := EDITS[kind](random(seed)):
            assert edit.mask.any() and edit.steps
            assert np.array_equal(edit.pixels[~edit.mask], BASE[~edit.mask]), edit.steps


def test_copies_come_from_their_source() -> None:
    found = 0
    for seed in range(40):
        edit = tampering_edits.copy_move(BASE, 0.05, random(seed))
        if edit and "turned 0.0°, scaled ×1.00" in edit.steps[0] and "hard" in edit.steps[-1]:
            assert edit.source is not None and not (edit.source & edit.mask).any()
            if len(edit.steps) == 2 and edit.source.sum() == edit.mask.sum():
                found += 1
                copied, original = (
                    np.sort(edit.pixels[part].sum(axis=1)) for part in (edit.mask, edit.source)
                )
                assert np.array_equal(copied, original)
    assert found


def test_equal_seeds_give_equal_crops_whatever_came_before() -> None:
    first, second = maker(), maker()
    for seed in (5, 6, 7):
        first.make(random(seed))
    for seed in (9, 8):
        one, other = first.make(random(seed)), second.make(random(seed))
        assert np.array_equal(one.pixels, other.pixels) and np.array_equal(one.mask, other.mask)
        assert one.steps == other.steps and one.data == other.data


def test_every_kind_and_size_is_made() -> None:
    for side in (64, 200):
        made = [maker(side=side).make(random(side, seed)) for seed in range(60)]
        assert {one.kind for one in made} == set(KINDS)
        for one in made:
            assert one.pixels.shape == (side, side, 3) and one.pixels.dtype == np.uint8
            assert one.mask.shape == (side, side) and one.mask.dtype == np.bool_
            assert one.mask.any() == (one.kind != "authentic")
            assert one.source is None or one.source.shape == one.mask.shape


def test_what_happens_to_the_whole_frame_tells_nothing() -> None:
    """Equal seeds treat a picture alike, whether it is edited or not."""
    untouched, edited = maker(authentic=1), maker(authentic=0)
    for seed in range(30):
        made = [one.make(random(seed)) for one in (untouched, edited)]
        first, second = ([step for step in one.steps if "whole frame:" in step] for one in made)
        assert first == second and made[0].picture == made[1].picture
        assert not made[0].mask.any() and made[1].mask.any()


def test_without_decoders_nothing_is_regenerated() -> None:
    plain = Maker(PHOTOGRAPHS, TamperingSettings(side=64, regenerated=9.0))
    assert "regenerated" not in {plain.make(random(seed)).kind for seed in range(40)}


def test_masks_go_through_resizes_with_the_pixels() -> None:
    mask = tampering_regions.draw(BASE, 0.1, random(3))[0]
    pixels = np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255
    for seed in range(30):
        after = tampering_social.draw(random(seed), 0.5, 0.5)
        side = round(256 * after.factor)
        result, (there,), _ = after.carry_out(pixels, (mask,), side)
        assert result.shape == (side, side, 3)
        assert np.mean((result[..., 1] > 127) == there) > 0.985, after


def test_the_file_that_was_saved_last_holds_the_pixels() -> None:
    made = [maker(on_grid=1).make(random(seed)) for seed in range(20)]
    files = [one for one in made if one.data]
    assert files
    for one in files:
        assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(one.data))), one.pixels)


def test_regions_have_about_the_area_that_was_asked_for() -> None:
    for share in (0.01, 0.1, 0.3):
        areas = [tampering_regions.draw(BASE, share, random(seed))[0].mean() for seed in range(60)]
        assert share / 2 < np.median(areas) < 1.5 * share
        assert max(areas) <= tampering_regions.MOST


def test_every_shape_is_drawn() -> None:
    names = {tampering_regions.draw(BASE, 0.05, random(seed))[1] for seed in range(150)}
    assert names == set(tampering_regions.SHAPES)


def test_what_cannot_be_used_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    small, large, array = (tmp_path / name for name in ("small.png", "large.png", "kept.npy"))
    Pillow.fromarray(BASE[:40, :40]).save(small)
    Pillow.fromarray(BASE).save(large)
    np.save(array, DONOR)
    some = Maker([tmp_path / "broken.jpg", small, large, array], TamperingSettings(side=96))
    assert {some.make(random(seed)).picture for seed in range(20)} == {2, 3}
    assert set(some.left_out) == {str(tmp_path / "broken.jpg"), str(small)}
    with pytest.raises(InvalidInput):
        Maker([small], TamperingSettings(side=96)).make(random(1))


def test_makers_travel_to_other_processes_without_their_pictures(tmp_path: Path) -> None:
    file = tmp_path / "one.png"
    Pillow.fromarray(PHOTOGRAPHS[0]).save(file)
    one = Maker([file], TamperingSettings(side=64))
    expected = one.make(random(1))
    sent = pickle.dumps(one)
    assert len(sent) < 5000
    assert np.array_equal(pickle.loads(sent).make(random(1)).pixels, expected.pixels)


def test_settings_are_checked() -> None:
    for wrong in ({"side": 32}, {"smallest": 0.0}, {"largest": 0.9}):
        with pytest.raises(InvalidInput):
            TamperingSettings(**wrong)
    with pytest.raises(InvalidInput):
        Maker([], TamperingSettings())
