"""A release is the list of commands that anyone would type, and runs them."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image as Pillow
from skimage import data

from bonafide.cli.bench_release import read_plan, steps
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput


def release(*arguments: str | Path) -> Result:
    return CliRunner().invoke(bonafide, ["bench", "release", *map(str, arguments)])


def labelled(folder: Path, sources: int = 6) -> None:
    """Photographs saved as JPEG, and the same with a part pasted from another grid."""
    shown = (data.astronaut(), data.coffee(), data.chelsea())
    rows = []
    for number in range(2 * sources):
        source, edited = divmod(number, 2)
        top = 16 * source
        pixels = np.ascontiguousarray(shown[source % 3][top : top + 160, 40:200])
        name = f"{number}.jpg"
        Pillow.fromarray(pixels).save(folder / name, quality=80)
        if edited:
            pixels = np.asarray(Pillow.open(folder / name)).copy()
            pixels[60:120, 50:110] = pixels[13:73, 21:81]
            Pillow.fromarray(pixels).save(folder / name, quality=95)
        rows.append((name, "edited" if edited else "bona_fide", f"source{source}"))
    with (folder / "pictures.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source"), *rows])


def test_a_tiny_set_gives_a_calibration_and_its_page(tmp_path: Path) -> None:
    labelled(tmp_path)
    (tmp_path / "docs").mkdir()
    plan = {"calibrate": [{"manifests": ["pictures.csv"], "detectors": ["jpeg_grid"]}]}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(plan))
    out = tmp_path / "out"
    done = release(tmp_path, "--out", out, "--docs", tmp_path / "docs", "--quiet")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "docs" / "accuracy.md").read_text()
    assert page.startswith("# Measured accuracy") and "jpeg_grid" in page
    table = json.loads((out / "calibration.json").read_text())
    assert "jpeg_grid" in table["detectors"] and table["detectors"]["jpeg_grid"]
    told = (out / "commands.sh").read_text().splitlines()
    assert told[0].startswith("export BONAFIDE_WEIGHTS=") and len(told) == 3
    before = (out / "scores-0.jsonl").read_bytes()
    assert release(tmp_path, "--out", out, "--quiet").exit_code == 0
    assert (out / "scores-0.jsonl").read_bytes() == before  # nothing is measured twice


def test_probes_and_regions_are_fitted_by_their_verbs(tmp_path: Path) -> None:
    plan = {
        "probes": [
            {"detector": "clip_probe", "manifests": ["a.csv", "b.csv"],
             "features": {"degradation": ["native", "degraded"]}, "fit": {"squares": True}},
            {"detector": "voice_probe", "manifests": ["v.csv"], "reads": "voices"},
            {"detector": "face_probe", "manifests": ["f.csv"], "reads": "faces",
             "crops": {"question": "face_forged", "frames": 4}},
        ],
        "calibrate": [{"manifests": ["p.csv"]},
                      {"manifests": ["v.csv"], "detectors": ["voice_probe"], "page": "voices.md"}],
        "regions": {"manifests": ["e.csv"], "false-regions": 0.02},
    }  # fmt: skip
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(plan))
    done = release(tmp_path, "--out", tmp_path / "out", "--dry-run")
    lines = [shlex.split(line.replace(str(tmp_path), "X")) for line in done.output.splitlines()]
    assert [line[1:3] for line in lines] == [
        ["probe", "features"], ["probe", "fit"], ["probe", "features"], ["probe", "fit"],
        ["probe", "crops"], ["probe", "features"], ["probe", "fit"],
        ["bench", "measure"], ["bench", "calibrate"], ["bench", "measure"],
        ["bench", "calibrate"], ["bench", "regions"],
    ]  # fmt: skip
    assert "--squares" in lines[1] and lines[0].count("--degradation") == 2
    assert "--voices" in lines[2] and "--detector" not in lines[3]
    assert lines[5][3] == "X/out/probes/face_probe-crops/manifest.csv"
    assert lines[8].count("--scores-of") == 3 and "--into" not in lines[8]
    assert "--into" in lines[10] and lines[10][-1] == "X/out/voices.md"
    assert lines[11][-2:] == ["--false-regions", "0.02"]
    assert not (tmp_path / "out").exists()
    plan_read = read_plan(tmp_path / "release.yaml")
    made = [step.makes for step in steps(plan_read, tmp_path, tmp_path) if step.makes]
    assert [one.name for one in made] == ["clip_probe", "voice_probe", "face_probe"]


def test_every_command_of_a_plan_is_one_that_the_verbs_take(tmp_path: Path) -> None:
    """Options of a plan are those of the verbs; a wrong one is said before anything is fitted."""
    labelled(tmp_path)
    plan = {
        "probes": [{"detector": "clip_probe", "manifests": ["pictures.csv"], "fit": {"no": 1}}],
        "calibrate": [{"manifests": ["pictures.csv"]}],
    }
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(plan))
    done = release(tmp_path, "--out", tmp_path / "out")
    assert done.exit_code != 0 and "--no" in str(done.exception)


@pytest.mark.parametrize(
    "text",
    ["[]", "probes: []", "calibrate: [{page: x}]", "calibrate: [{manifests: [a]}]\nmore: 1",
     "probes: [{manifests: [a]}]\ncalibrate: [{manifests: [a]}]", "calibrate: ["],
)  # fmt: skip
def test_plans_that_make_no_sense_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"release\.yaml"):
        read_plan(tmp_path / "release.yaml")
