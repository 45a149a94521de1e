"""Faces blended into themselves differ inside the face, and crops and features are cut once."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow
from skimage import data

from bonafide.bench.labelled import read_labelled
from bonafide.cli.probe import probe
from bonafide.networks.faces import align, find_faces
from bonafide.networks.regions import face_view, region_differences
from bonafide.subjects.faces import CROP_MARGIN, CROP_SIDE
from bonafide.train.probe_features import load, pools_of
from bonafide.train.self_blended import outline, published, self_blended
from bonafide.types import Question


def crop() -> np.ndarray:
    woman = data.astronaut()
    return align(woman, find_faces(woman)[0].landmarks, CROP_SIDE, CROP_MARGIN)


def test_what_is_blended_lies_inside_and_the_rest_is_the_genuine_face() -> None:
    face = crop()
    inside, outside = [], []
    for seed in range(12):
        forged, genuine = self_blended(face, CROP_MARGIN, np.random.default_rng(seed))
        change = np.abs(forged.astype(int) - genuine).max(2)
        outside.append(change[:24].max())
        inside.append(change[100:180, 90:170].mean())
        assert forged.shape == genuine.shape == face.shape
    assert max(outside) <= 2 and np.median(inside) > 1


def test_equal_seeds_give_equal_faces_and_masks_are_of_parts() -> None:
    face = crop()
    one, other = (self_blended(face, CROP_MARGIN, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    shares = [outline(CROP_SIDE, CROP_MARGIN, np.random.default_rng(s)).mean() for s in range(40)]
    assert 0.02 < min(shares) < 0.12 and 0.12 < max(shares) < 0.5


def test_what_happens_on_the_way_keeps_the_size() -> None:
    face = crop()
    for seed in range(10):
        assert published(face, np.random.default_rng(seed)).shape == face.shape


def test_a_blurred_face_differs_from_its_surroundings() -> None:
    face = crop()
    blurred = face.copy()
    blurred[80:200, 80:180] = np.asarray(
        Pillow.fromarray(face[80:200, 80:180]).resize((25, 30)).resize((100, 120))
    )
    found = region_differences(np.stack([face_view(face), face_view(blurred)]))
    assert found.shape == (2, 1, 1088) and np.isfinite(found).all()
    assert np.linalg.norm(found[0] - found[1]) > 1


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("faces")
    rows = [("path", "label", "origin")]
    for number in range(4):
        label = "face_forged" if number % 2 else "bona_fide"
        name = f"{number}.png"
        Pillow.fromarray(np.roll(data.astronaut(), 3 * number, 1)).save(folder / name)
        rows.append((name, label, f"origin{number}"))
    Pillow.fromarray(data.coffee()).save(folder / "coffee.png")
    rows.append(("coffee.png", "bona_fide", "origin0"))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    crops = folder / "crops"
    done = CliRunner().invoke(
        probe, ["crops", str(folder / "manifest.csv"), "--reads", "faces", "--question",
                "face_forged", "--out", str(crops), "--quiet"],
    )  # fmt: skip
    assert done.exit_code == 1, done.output  # one picture has no face
    return folder, crops / "manifest.csv"


def test_crops_are_labelled_pictures_of_their_files(cut: tuple[Path, Path]) -> None:
    folder, manifest = cut
    files = read_labelled([manifest])
    assert [one.answers[Question.FACE_FORGED] for one in files].count(True) == 2
    assert {one.source for one in files} == {f"origin{number}" for number in range(4)}
    pools = pools_of([manifest])
    assert {Path(file).parent for file, _ in pools.values()} == {folder}
    assert {subject for _, subject in pools.values()} == {"person 1"}


def test_features_of_regions_have_views_made_of_genuine_faces(cut: tuple[Path, Path]) -> None:
    folder, manifest = cut
    out = folder / "features.npz"
    views = [part for view in ("native", "blended", "target") for part in ("--degradation", view)]
    done = CliRunner().invoke(
        probe, ["features", str(manifest), "--question", "face_forged", "--blocks", "regions",
                *views, "--out", str(out), "--quiet"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = load(out, read_labelled([manifest]), Question.FACE_FORGED, pools_of([manifest]))
    assert found.tokens.shape == (4 + 2 * 2, 1, 1088) and found.layers == ("regions",)
    assert found.positive[found.view == "blended"].all()
    assert not found.positive[found.view == "target"].any()
