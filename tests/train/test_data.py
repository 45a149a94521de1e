"""What is read, what is held out, what is left out and said so."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

pytest.importorskip("torch")

import toys

from bonafide.errors import InvalidInput
from bonafide.train import data, pictures
from bonafide.train.data import Picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    toys.write_manifest(folder)
    toys.write_pairs(folder)
    return folder


def load(folder: Path, **options: object) -> data.TrainingData:
    options = {"held_out": 0.3, "jobs": 1, **options}
    return data.load(folder / "manifest.csv", toys.PROTOCOL, folder / "cache", **options)


def test_groups_are_held_out_whole_with_both_classes(folder: Path) -> None:
    for seed in range(5):
        found = load(folder, seed=seed)
        trained = {picture.group for picture in found.pictures}
        tested = {picture.group for picture in found.validation}
        assert not trained & tested and tested == set(found.held_out)
        assert {picture.positive for picture in found.validation} == {True, False}
        assert {picture.positive for picture in found.pictures} == {True, False}
        assert len(found.pictures) + len(found.validation) == 32
    assert load(folder, seed=1) == load(folder, seed=1)


def test_nothing_is_held_out_where_nothing_is_asked(folder: Path) -> None:
    found = load(folder, held_out=0.0)
    assert (len(found.pictures), found.validation, found.held_out) == (32, (), ())


def test_shares_of_unequal_groups_come_near_what_is_asked() -> None:
    sizes = {f"{side}{n}": (side, 1 + 7 * n % 40) for side in (True, False) for n in range(30)}
    pictures = [
        Picture(f"{group}/{i}", side, group, group, Path())
        for group, (side, size) in sizes.items()
        for i in range(size)
    ]
    for seed in range(10):
        held = data.hold_out(pictures, 0.2, seed)
        for side in (True, False):
            of_class = [picture for picture in pictures if picture.positive is side]
            share = np.mean([picture.group in held for picture in of_class])
            assert 0.12 <= share <= 0.26


def test_a_class_of_one_group_cannot_be_held_out() -> None:
    pictures = [Picture("a", True, "s", "g", Path()), Picture("b", False, "t", "h", Path())]
    with pytest.raises(InvalidInput, match="too few groups"):
        data.hold_out(pictures, 0.2, 0)


def test_pixels_are_those_of_the_file(folder: Path) -> None:
    for picture in load(folder).pictures[:4]:
        wanted = np.asarray(Pillow.open(folder / picture.name))
        assert np.array_equal(picture.pixels(), wanted)
        assert picture.history is None


def test_pairs_are_cut_where_the_table_says_and_never_from_held_out_groups(folder: Path) -> None:
    found = load(folder, pairs=[folder / "pairs.csv"])
    assert found.pairs
    for pair in found.pairs:
        original, twin = pair.original.pixels(), pair.twin.pixels()
        assert original.shape == twin.shape == (64, 64, 3)
        assert np.array_equal(twin, toys.upsampled(np.array(original)))
        assert pair.original.group not in found.held_out
    assert [table.name for table in found.tables] == ["manifest.csv", "pairs.csv"]


def test_pairs_alone_hold_out_originals_and_autoencoders(folder: Path, tmp_path: Path) -> None:
    rows = (folder / "manifest.csv").read_text().splitlines()
    real = folder / "real.csv"
    real.write_text("\n".join([rows[0], *(row for row in rows if row.startswith("bona"))]))
    found = data.load(real, toys.PROTOCOL, folder / "cache", [folder / "pairs.csv"], 0.3, jobs=1)
    assert not found.pictures and found.pairs and found.validation
    tested = {picture.group for picture in found.validation}
    makers = {picture.source for picture in found.validation if picture.positive}
    assert not tested & {pair.original.group for pair in found.pairs}
    assert not makers & {pair.twin.source for pair in found.pairs}
    with pytest.raises(InvalidInput, match="both classes"):
        data.load(real, toys.PROTOCOL, folder / "cache", held_out=0.3, jobs=1)


def test_what_cannot_be_used_is_named(folder: Path) -> None:
    text = (folder / "manifest.csv").read_text()
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    broken = folder / "broken.csv"
    broken.write_text(f"{text.rstrip()}\nbroken.png,generated,x,x,\nabsent.png,generated,x,x,\n")
    found = data.load(broken, toys.PROTOCOL, folder / "cache", held_out=0.0, jobs=1)
    assert len(found.pictures) == 32
    assert set(found.left_out) == {"broken.png", "absent.png", "grid.png"}
    assert found.left_out["grid.png"] == "several pictures in one"
    assert "cannot be read" in found.left_out["absent.png"]


def test_large_jpegs_keep_a_window_at_native_size_and_their_history(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (30, 33, 3), np.uint8)
    large = np.asarray(Pillow.fromarray(small).resize((1300, 1200), Pillow.Resampling.BICUBIC))
    Pillow.fromarray(large).save(tmp_path / "large.jpg", quality=83, subsampling="4:4:4")
    rows = [
        ("path", "label", "group"),
        ("large.jpg", "generated", "a"),
        ("s.png", "bona_fide", "b"),
    ]
    Pillow.fromarray(small).save(tmp_path / "s.png")
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    picture = load(tmp_path, held_out=0.0).pictures[0]
    assert picture.history == data.History(83, "4:4:4")
    wanted = np.asarray(Pillow.open(tmp_path / "large.jpg"))
    left, top = picture.left, picture.top
    assert np.array_equal(picture.pixels(), wanted[top : top + 1024, left : left + 1024])


def test_a_table_of_pairs_without_its_columns_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("path,original\na,b\n")
    with pytest.raises(InvalidInput, match="left, top, size, autoencoder"):
        load(folder, pairs=[tmp_path / "pairs.csv"])


def test_nothing_is_read_twice_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys.write_manifest(tmp_path)
    first = load(tmp_path)
    read: list[str] = []
    one_by_one = pictures.workers.run

    def run(work: object, wanted: list[pictures.Wanted], *rest: object) -> object:
        read.extend(one.name for one in wanted)
        return one_by_one(work, wanted, *rest)

    monkeypatch.setattr(pictures.workers, "run", run)
    assert load(tmp_path) == first and read == []
    changed = tmp_path / "generated-0-0.png"
    Pillow.fromarray(np.zeros((70, 96, 3), np.uint8)).save(changed)
    shapes = {one.name: one.pixels().shape for one in load(tmp_path, held_out=0).pictures}
    assert read == [changed.name] and shapes[changed.name] == (70, 96, 3)
    first.pictures[0].array.unlink()
    read.clear()
    assert {one.array for one in load(tmp_path).pictures} >= {first.pictures[0].array}
    assert first.pictures[0].name in read
    (tmp_path / "cache" / "index.db").write_bytes(b"no database, but long enough to look like one")
    with pytest.raises(InvalidInput, match=r"index\.db is no index"):
        load(tmp_path)
