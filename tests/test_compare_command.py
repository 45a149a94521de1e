"""`bonafide compare` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide.cli.compare import compare


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    pixels = np.asarray(photographs.astronaut())[60:360, 100:400].copy()
    Pillow.fromarray(pixels).save(folder / "original.png")
    pixels[150:210, 60:120] = pixels[20:80, 200:260]
    Pillow.fromarray(pixels).save(folder / "edited.jpg", quality=85)
    (folder / "damaged.jpg").write_bytes((folder / "edited.jpg").read_bytes()[:3000])
    (folder / "notes.txt").write_text("no picture")
    return folder


def run(folder: Path, *arguments: str, **options: Any) -> Result:
    paths = [str(folder / part) if "." in part and part[0] != "-" else part for part in arguments]
    return CliRunner().invoke(compare, paths, **options)


def test_it_writes_json_a_map_and_a_page(files: Path) -> None:
    result = run(
        files, "original.png", "edited.jpg", "--json", "--maps", str(files / "m.d"), "--html",
        "page.html", "--fail-on", "edited_copy",
    )  # fmt: skip
    record = json.loads(result.stdout)
    assert result.exit_code == 3
    assert record["relation"] == "edited_copy" and len(record["changes"]) == 1
    assert record["maps"] == {"changed": str(files / "m.d" / "edited.changed.png")}
    grey = np.asarray(Pillow.open(record["maps"]["changed"]))
    assert (grey[160:200, 70:110] >= 128).mean() > 0.9
    page = (files / "page.html").read_text("utf-8")
    assert "Edited copy" in page and "http" not in page.split("<body>")[1]


def test_a_person_reads_the_relation_and_why(files: Path) -> None:
    result = run(files, "original.png", "-", input=(files / "original.png").read_bytes())
    assert result.exit_code == 0
    assert "Identical file" in result.stdout and "stdin" in result.stdout


@pytest.mark.parametrize("bad", ["damaged.jpg", "notes.txt", "missing.png"])
@pytest.mark.parametrize("first", [True, False])
def test_a_bad_file_fails_with_its_name_and_why(files: Path, bad: str, first: bool) -> None:
    pair = (bad, "original.png") if first else ("original.png", bad)
    result = run(files, *pair, "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 1
    assert record["status"] == "failed" and record["media"]["name"] == bad and record["why"]


def test_the_limits_hold(files: Path) -> None:
    result = run(files, "original.png", "edited.jpg", "--max-pixels", "1000", "--json")
    assert result.exit_code == 1 and "--max-pixels" in json.loads(result.stdout)["why"]
    result = run(files, "original.png", "edited.jpg", "--max-seconds", "1e-2", "--json")
    assert result.exit_code == 1 and "--max-seconds" in json.loads(result.stdout)["why"]


def test_wrong_usage_is_told_before_anything_is_read(files: Path) -> None:
    assert run(files, "-", "-").exit_code == 2
    assert run(files, "original.png", "edited.jpg", "--html", "no/folder/x").exit_code == 2
    assert run(files, "original.png").exit_code == 2
