"""The demonstration pictures are what their descriptions say."""

from __future__ import annotations

import builtins
import io
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from bonafide.cli.demo import TRUST_ANCHOR, DemoFile, make_demo
from bonafide.errors import MissingExtra
from bonafide.media.image import Image
from bonafide.media.metadata import open_thumbnail
from bonafide.media.source import open_media

c2pa = pytest.importorskip("c2pa")
pytest.importorskip("piexif")
pytest.importorskip("skimage")
pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DemoFile]:
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("the demonstration must not use the network")

        patch.setattr(socket.socket, "connect", refuse)
        files = make_demo(tmp_path_factory.mktemp("demo") / "new" / "folder")
    return {file.path.name: file for file in files}


def image(file: DemoFile) -> Image:
    media = open_media(file.path).image
    assert media is not None
    return media


def test_every_picture_opens_and_is_described(made: dict[str, DemoFile]) -> None:
    assert len(made) == 12
    assert list(made) == sorted(made)
    for file in made.values():
        media = image(file)
        assert media.pixels.shape == (media.height, media.width, 3)
        assert file.done.endswith(".") and file.expect.endswith(".")
        assert "untouched" not in file.done + file.expect
        if file.region:
            x, y, width, height = file.region
            assert 0 <= x < x + width <= media.width
            assert 0 <= y < y + height <= media.height


def test_only_signatures_differ_between_two_runs(made: dict[str, DemoFile], tmp_path: Path) -> None:
    for file in make_demo(tmp_path):
        same = file.path.read_bytes() == made[file.path.name].path.read_bytes()
        assert same or "signed" in file.path.name


@pytest.mark.parametrize(
    ("altered", "original"),
    [
        ("03-splice.jpg", "02-photograph-coffee.jpg"),
        ("04-copy-move.jpg", "02-photograph-coffee.jpg"),
        ("12-signed-then-altered.jpg", "11-signed.jpg"),
    ],
)
def test_the_region_is_where_the_change_is(
    made: dict[str, DemoFile], altered: str, original: str
) -> None:
    change = np.abs(
        image(made[altered]).pixels.astype(int) - image(made[original]).pixels.astype(int)
    ).max(axis=2)
    x, y, width, height = made[altered].region or (0, 0, 0, 0)
    inside = np.zeros(change.shape, bool)
    inside[y : y + height, x : x + width] = True
    near = np.zeros(change.shape, bool)
    near[max(y - 16, 0) : y + height + 16, max(x - 16, 0) : x + width + 16] = True
    assert np.mean(change[inside] > 30) > 0.2
    assert np.mean(change[~near] > 30) < 0.01


def test_crop_keeps_the_grid_where_the_description_says(made: dict[str, DemoFile]) -> None:
    luma = image(made["07-jpeg-crop.png"]).luma
    steps = np.abs(np.diff(luma, axis=1)).mean(axis=0)
    by_phase = [steps[phase::8].mean() for phase in range(8)]
    # Cropping 5 columns moves the first block border between columns 2 and 3.
    assert int(np.argmax(by_phase)) == 2
    steps = np.abs(np.diff(luma, axis=0)).mean(axis=1)
    assert int(np.argmax([steps[phase::8].mean() for phase in range(8)])) == 4


def test_metadata_are_as_described(made: dict[str, DemoFile]) -> None:
    honest = image(made["02-photograph-coffee.jpg"])
    assert honest.metadata.exif["ExifImageWidth"] == honest.width
    assert honest.metadata.thumbnail
    picture = Pillow.fromarray(honest.pixels)
    small = open_thumbnail(honest.metadata.thumbnail)
    expected = np.asarray(picture.resize(small.size), float)
    assert np.corrcoef(expected.ravel(), np.asarray(small, float).ravel())[0, 1] > 0.97
    stripped = image(made["08-exif-stripped.jpg"])
    assert not stripped.metadata.exif
    assert np.array_equal(stripped.pixels, honest.pixels)
    forged = image(made["09-exif-forged.jpg"])
    assert np.array_equal(forged.pixels, honest.pixels)
    assert (forged.metadata.exif["Make"], forged.metadata.exif["Model"]) == (
        "Canon",
        "iPhone 12 Pro",
    )
    assert forged.metadata.thumbnail != honest.metadata.thumbnail
    declared = image(made["10-declared-generated.png"])
    assert "Sampler: Euler a" in declared.metadata.text["parameters"]


@pytest.mark.parametrize(
    ("name", "trusted", "state"),
    [
        ("11-signed.jpg", True, "Trusted"),
        ("11-signed.jpg", False, "Valid"),
        ("12-signed-then-altered.jpg", True, "Invalid"),
    ],
)
def test_signature_states(made: dict[str, DemoFile], name: str, trusted: bool, state: str) -> None:
    anchor = (made[name].path.parent / TRUST_ANCHOR).read_text()
    settings = {"trust": {"trust_anchors": anchor}} if trusted else {}
    data = made[name].path.read_bytes()
    reader = c2pa.Reader("image/jpeg", io.BytesIO(data), context=c2pa.Context.from_dict(settings))
    assert reader.get_validation_state() == state
    if state == "Invalid":
        failures = reader.get_validation_results()["activeManifest"]["failure"]
        assert [failure["code"] for failure in failures] == ["assertion.dataHash.mismatch"]


def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_piexif(name: str, *rest: Any, **more: Any) -> Any:
        if name == "piexif":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_piexif)
    with pytest.raises(MissingExtra, match=r"bonafide\[demo\]"):
        make_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
