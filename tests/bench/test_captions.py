"""Figures of captions, against slow definitions, and on a set that is made here."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import piexif
import pytest
from click.testing import CliRunner
from PIL import Image

from bonafide.bench.captions import Captioned, Told, figures, overlap, read
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.types import Box


def test_boxes_overlap_as_their_pixels_do() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        first, second = (Box(*map(int, rng.integers(1, 20, 4))) for _ in range(2))
        drawn = []
        for box in (first, second):
            pixels = np.zeros((40, 40), bool)
            pixels[box.y : box.y + box.height, box.x : box.x + box.width] = True
            drawn.append(pixels)
        slow = (drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum()
        assert overlap(first, second) == pytest.approx(slow)


def test_figures_by_their_definition() -> None:
    box = Box(0, 0, 10, 10)
    samples = [
        Captioned("a", "one two three four", True, frozenset({1, 2}), box),
        Captioned("b", "one two three", True, frozenset({0})),
        Captioned("c", "one two", False),
        Captioned("d", "one two", False),
    ]
    answers = [
        Told(1.0, frozenset({1, 3, 9}), (Box(0, 0, 10, 5), Box(50, 50, 3, 3))),
        Told(0.5, frozenset({0})),
        Told(0.5),
        Told(),
    ]
    found = figures(samples, answers)
    assert (found["samples"], found["answered"]) == (4, 3)
    assert found["auc"] == 0.75  # pairs: 1.0 > 0.5, and 0.5 = 0.5 counts half
    assert (found["token_precision"], found["token_recall"]) == (0.6667, 0.6667)
    assert found["token_f1"] == 0.6667
    assert (found["iou"], found["iou50"], found["iou75"]) == (0.5, 1.0, 0.0)
    assert figures(samples[2:], answers[2:])["auc"] is None
    assert figures(samples[2:], answers[2:])["iou"] is None


def test_a_set_from_its_folder_to_its_figures(tmp_path: Path) -> None:
    rows = []
    for number, caption in enumerate(("Rome, 3 May 2020", "Rome, 3 May 2011 it is")):
        place = tmp_path / "set" / "origin" / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        data, taken = io.BytesIO(), {piexif.ExifIFD.DateTimeOriginal: b"2020:05:03 10:00:00"}
        shade = Image.new("RGB", (96, 64), (90, 120, 150 + number))
        shade.save(data, "JPEG", exif=piexif.dump({"Exif": taken}))
        place.write_bytes(data.getvalue())
        changed = {"fake_cls": "text_attribute", "fake_text_pos": [3]} if number else {}
        rows.append({"image": f"DGM4/origin/{number}.jpg", "text": caption, "fake_cls": "orig",
                     "fake_image_box": []} | changed)  # fmt: skip
    (tmp_path / "set" / "metadata").mkdir()
    (tmp_path / "set" / "metadata" / "test.json").write_text(json.dumps(rows), "utf-8")
    manifest = tmp_path / "captions.csv"
    made = CliRunner().invoke(
        bonafide,
        ["bench", "index", str(tmp_path / "set"), "--layout", "dgm4", "--out", str(manifest)],
    )
    assert made.exit_code == 0, made.output
    assert [one.words for one in read(manifest)] == [frozenset(), frozenset({3})]
    done = CliRunner().invoke(bonafide, ["bench", "captions", str(manifest), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["answered"], found["auc"]) == (2, 1.0)
    assert found["token_recall"] == 1.0
    assert found["token_precision"] == 0.3333  # the day and the month belong to the date too
    shown = CliRunner().invoke(bonafide, ["bench", "captions", str(manifest), "--quiet"])
    assert "token_f1" in shown.stdout


def test_a_manifest_without_captions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\na.jpg,real\n", "utf-8")
    with pytest.raises(InvalidInput, match="has no captions"):
        read(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("path,label,caption,caption_box\na.jpg,x,hi,1 2\n", "utf-8")
    with pytest.raises(InvalidInput, match="no manifest of captions"):
        read(tmp_path / "b.csv")
