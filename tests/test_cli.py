"""The command line as a user meets it: output, exit status, messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from skimage import data as photographs

from bonafide.evidence.stability import CHANGES

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())


def bonafide(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "bonafide", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=300,
        check=False,
    )


def records(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    Pillow.fromarray(photographs.chelsea()[:240, :320]).save(folder / "b cat.jpg", quality=92)
    (folder / "deep").mkdir()
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, Seed: 7, Model: test-model")
    drawn = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Pillow.fromarray(drawn).save(folder / "deep" / "declared.png", pnginfo=info)
    (folder / "a broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    (folder / ".hidden").write_text("ignored")
    return folder


def test_json_lines_are_one_object_per_file_in_order(folder: Path) -> None:
    done = bonafide("scan", folder, "--jsonl", "--profile", "triage")
    lines = records(done)
    assert [line["media"]["name"] for line in lines] == [
        "a broken.jpg",
        "b cat.jpg",
        "declared.png",
    ]
    assert [line["status"] for line in lines] == ["failed", "ok", "ok"]
    assert lines[0]["why"]
    assert lines[2]["verdict"] == "declared_ai"
    assert lines[2]["because"][0]["detector"] == "generator_metadata"
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_short_form_and_single_json(folder: Path) -> None:
    done = bonafide(folder / "b cat.jpg", "--json", "--profile", "triage")
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert report["media"]["width"] == 320 and report["media"]["format"] == "JPEG"
    assert done.returncode == 0


def test_several_files_with_json_are_an_array(folder: Path) -> None:
    done = bonafide(folder, "--json", "--profile", "triage")
    assert len(json.loads(done.stdout)) == 3


def test_card_and_lines_are_readable(folder: Path) -> None:
    one = bonafide(folder / "b cat.jpg", "--profile", "triage")
    assert "b cat.jpg" in one.stdout.decode() and one.returncode == 0
    many = bonafide(folder, "--profile", "triage").stdout.decode()
    for name in ("a broken.jpg", "b cat.jpg", "declared.png"):
        assert name in many


def test_standard_input(folder: Path) -> None:
    done = bonafide(
        "-", "--jsonl", "--profile", "triage", stdin=(folder / "b cat.jpg").read_bytes()
    )
    (line,) = records(done)
    assert line["media"]["name"] == "stdin" and line["media"]["path"] is None


def test_fail_on(folder: Path) -> None:
    declared = folder / "deep" / "declared.png"
    options = ("--profile", "triage", "--jsonl")
    assert bonafide(declared, *options, "--fail-on", "declared_ai").returncode == 3
    assert bonafide(declared, *options, "--fail-on", "manipulated").returncode == 0


def test_maps_have_the_size_of_the_picture(folder: Path, tmp_path: Path) -> None:
    done = bonafide(folder / "b cat.jpg", "--only", "ela", "--maps", tmp_path / "maps", "--jsonl")
    (line,) = records(done)
    with Pillow.open(tmp_path / "maps" / "b cat.ela.png") as drawn:
        assert (drawn.size, drawn.mode) == ((320, 240), "L")
    assert Path(line["maps"]["ela"]).exists()
    assert [finding["detector"] for finding in line["findings"]] == ["ela"]


def test_maps_of_equal_stems_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Pillow.new("RGB", (64, 64)).save(tmp_path / name / "same.png")
    done = bonafide(tmp_path, "--only", "ela", "--maps", tmp_path / "maps", "--jsonl")
    assert len({line["maps"]["ela"] for line in records(done)}) == 2


def test_html_is_written_beside_the_results(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = bonafide(folder, "--html", page, "--jsonl", "--profile", "triage")
    assert len(records(done)) == 3
    text = page.read_text()
    assert "b cat.jpg" in text and "a broken.jpg" in text and "</html>" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("scan",), "PATH"),
        (("scan", "x.jpg", "--only", "no_such"), "no_such"),
        (("scan", "x.jpg", "--profile", "lazy"), "lazy"),
        (("scan", "x.jpg", "--json", "--jsonl"), "not both"),
        (("scan", __file__, "--html", "/no/such/folder/x.html"), "folder"),
        (("scan", __file__, "--maps", "/proc/maps-of-pictures"), "cannot write"),
        (("scan", __file__, "--trust", __file__), "no PEM certificate"),
        (("detectors", "no_such"), "no_such"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_to_do(arguments: tuple[str, ...], message: str) -> None:
    done = bonafide(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert not done.stdout


def test_a_missing_file_is_a_failed_line(tmp_path: Path) -> None:
    done = bonafide(tmp_path / "nowhere.jpg", "--jsonl")
    (line,) = records(done)
    assert (line["status"], line["error"], done.returncode) == ("failed", "SourceError", 1)


def test_limits_are_named_with_their_flag(folder: Path) -> None:
    done = bonafide(folder / "b cat.jpg", "--jsonl", "--max-pixels", "1000")
    (line,) = records(done)
    assert line["error"] == "LimitExceeded" and "--max-pixels" in line["why"]


def test_time_limit_stops_one_file(folder: Path) -> None:
    done = bonafide(folder / "b cat.jpg", "--jsonl", "--max-seconds", "0.01")
    (line,) = records(done)
    assert line["error"] == "LimitExceeded" and "--max-seconds" in line["why"]


def test_detectors_lists_every_id_and_shows_a_whole_card() -> None:
    from bonafide import registry

    listed = bonafide("detectors").stdout.decode()
    for detector in registry.ids():
        assert detector in listed
    card = bonafide("detectors", "ela").stdout.decode()
    for heading in ("What it looks for", "When it fails", "Reference"):
        assert heading in card
    assert len(json.loads(bonafide("detectors", "--json").stdout)) == len(registry.ids())


def test_changed_copies_are_reported_on_request(folder: Path) -> None:
    done = bonafide("scan", folder / "b cat.jpg", "--stability", "--jsonl", "--only", "clip_probe")
    (record,) = records(done)
    assert record["settings"]["stability"] is True
    assert record["stability"]["variants"][0]["name"] == "jpeg:90"
    tried = {one["name"] for one in record["stability"]["variants"]}
    assert tried | set(record["stability"]["skipped"]) == {one.name for one in CHANGES}


def test_a_calibration_that_cannot_be_used_is_wrong_usage(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text("{}")
    for arguments in (("--calibration", path), ("--calibration", tmp_path / "none.json")):
        done = bonafide("scan", folder, *arguments)
        assert done.returncode == 2 and b"calibration" in done.stderr and not done.stdout
