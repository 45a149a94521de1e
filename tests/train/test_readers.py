"""Shards and saved data sets are read as the manifest that they amount to."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

pytest.importorskip("torch")

import toys

from bonafide.bench.protocol import load_protocol
from bonafide.errors import InvalidInput
from bonafide.train import data, masked
from bonafide.train.readers import open_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys")
    toys.write_manifest(folder)
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as stream:
        return [row for row in csv.DictReader(stream) if not row.get("composite")]


def put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_shards(folder: Path, out: Path, count: int = 2) -> Path:
    """The pictures of a manifest in shards, every second label as .json."""
    out.mkdir()
    rows = rows_of(folder)
    for shard in range(count):
        with tarfile.open(out / f"part-{shard:03d}.tar", "w") as tar:
            for number, row in enumerate(rows[shard::count]):
                stem = f"some/folder/{number:06d}"
                put(tar, f"{stem}.PNG", (folder / row["path"]).read_bytes())
                about = {"label": row["label"], "group": row["group"], "source": row["source"]}
                put(tar, f"{stem}.json", json.dumps(about | {"width": 96}).encode())
            put(tar, "readme.txt", b"no sample")
    return out


def contents(found: data.TrainingData) -> list[tuple[bool, str, str, str]]:
    every = (*found.pictures, *found.validation)
    return sorted((one.positive, one.source, one.group, one.array.name) for one in every)


def test_shards_give_what_the_manifest_gives(folder: Path, tmp_path: Path) -> None:
    shards = write_shards(folder, tmp_path / "shards")
    plain, sharded = (
        data.load(where, toys.PROTOCOL, tmp_path / "cache", held_out=0.3, jobs=1)
        for where in (folder / "manifest.csv", shards)
    )
    assert contents(plain) == contents(sharded) and len(contents(plain)) == 32
    assert set(plain.held_out) == set(sharded.held_out)
    assert sharded.tables[0].rows == 32 and sharded.tables[0].sha256 != plain.tables[0].sha256
    again = open_table(shards, tmp_path / "cache")
    assert again.sha256 == open_table(shards, tmp_path / "other").sha256
    assert {row["width"] for row in again.rows} == {"96"}
    alone = open_table(shards / "part-000.tar", tmp_path / "cache")
    assert len(alone.rows) == 16
    name = alone.rows[0]["path"]
    assert name == "part-000.tar/some/folder/000000.PNG"
    assert alone.place(name).read() == (folder / rows_of(folder)[0]["path"]).read_bytes()


def test_a_cls_is_the_label(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        put(tar, "1.png", (folder / "generated-0-0.png").read_bytes())
        put(tar, "1.cls", b"generated\n")
    assert open_table(tmp_path / "a.tar", tmp_path).rows[0]["label"] == "generated"


def test_masks_lie_beside_pictures_in_a_shard(tmp_path: Path) -> None:
    mask = np.zeros((80, 96), np.uint8)
    mask[20:50, 30:70] = 255
    pixels = np.random.default_rng(0).integers(0, 256, (80, 96, 3), np.uint8)
    with tarfile.open(tmp_path / "edited.tar", "w") as tar:
        for number in range(3):
            for ending, shown in (("png", pixels), ("mask.png", mask)):
                held = io.BytesIO()
                Pillow.fromarray(shown).save(held, "PNG")
                put(tar, f"{number}.{ending}", held.getvalue())
            put(tar, f"{number}.json", b'{"label": "tampered", "group": "g"}')
    found = masked.load(tmp_path / "edited.tar", load_protocol("edited"), tmp_path, 0.0, jobs=1)
    assert len(found.pictures) == 3 and not found.left_out
    kept = np.load(found.pictures[0].mask)
    assert np.array_equal(kept, mask > 0)


def test_shards_that_cannot_be_read_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes(b"x" * 2000)
    with tarfile.open(tmp_path / "wrong.tar", "w") as tar:
        put(tar, "1.json", b"[1]")
    with tarfile.open(tmp_path / "empty.tar", "w") as tar:
        put(tar, "1.txt", b"nothing")
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        put(tar, "1.txt", b"nothing")
    for name in ("cut", "wrong", "packed", "absent"):
        with pytest.raises(InvalidInput, match=rf"{name}\.tar cannot be read"):
            open_table(tmp_path / f"{name}.tar", tmp_path)
    with pytest.raises(InvalidInput, match="holds no picture"):
        open_table(tmp_path / "empty.tar", tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidInput, match="neither"):
        open_table(tmp_path / "nothing", tmp_path)


def test_a_saved_data_set_gives_what_the_manifest_gives(folder: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = rows_of(folder)
    labels = ["bona_fide", "generated"]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=labels),
         "group": datasets.Value("string"), "source": datasets.Value("string")}
    )  # fmt: skip
    made = datasets.Dataset.from_dict(
        {"image": [{"bytes": (folder / row["path"]).read_bytes(), "path": None} for row in rows],
         "label": [labels.index(row["label"]) for row in rows],
         "group": [row["group"] for row in rows], "source": [row["source"] for row in rows]},
        features=features,
    )  # fmt: skip
    made.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": made}).save_to_disk(tmp_path / "split")
    plain, saved = (
        data.load(where, toys.PROTOCOL, tmp_path / "cache", held_out=0.3, jobs=1)
        for where in (folder / "manifest.csv", tmp_path / "saved")
    )
    assert contents(plain) == contents(saved)
    with pytest.raises(InvalidInput, match="name one: train"):
        open_table(tmp_path / "split", tmp_path / "cache")
    assert len(open_table(tmp_path / "split" / "train", tmp_path / "cache").rows) == 32
