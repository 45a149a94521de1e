"""`bonafide bench` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import jsonschema
import pytest

from bonafide.cli.bench import bench
from bonafide.cli.main import bonafide as whole

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "bench.schema.json").read_text())
DETECTORS = "spectral_peaks,generator_metadata"


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bonafide", "bench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def manifest(tmp_path: Path, sets: SimpleNamespace) -> Path:
    path: Path = sets.make_set(tmp_path / "set", 24)
    return path


@pytest.fixture
def protocol(manifest: Path) -> Path:
    return manifest.parent / "tiny.yaml"


def run(manifest: Path, protocol: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return call(
        "run", manifest, "--protocol", protocol, "--detectors", DETECTORS, "--out", out,
        "--repeats", "50", *more,
    )  # fmt: skip


def test_run_report_compare(manifest: Path, protocol: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(manifest, protocol, out, "--json")
    assert done.returncode == 0, done.stderr
    measured: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(measured, SCHEMA)
    assert json.loads((out / "results.json").read_text()) == measured
    assert {path.name for path in out.iterdir()} == {
        "audit.json", "lock", "report.html", "results.json", "run.json", "scores.parquet",
    }  # fmt: skip
    page = (out / "report.html").read_text("utf-8")
    for warning in json.loads((out / "audit.json").read_text())["audit"]["warnings"]:
        assert warning.split(":")[0] in page
    assert "No audit was made" not in page

    (out / "results.json").unlink()
    again = call("report", out, "--repeats", "50", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout) == measured

    text = call("report", out, "--repeats", "50")
    assert "spectral_peaks" in text.stdout
    assert measured["run"]["protocol_sha256"] in text.stdout
    assert "report.html" in text.stderr

    against = call("compare", f"{out}:spectral_peaks", f"{out}:generator_metadata", "--json",
                   "--repeats", "50")  # fmt: skip
    assert json.loads(against.stdout)["rows"][0]["common"] == 24
    assert (
        "spectral_peaks, generator_metadata"
        in call("compare", f"{out}:spectral_peaks", f"{out}:generator_metadata").stdout
    )


def test_a_failed_file_is_status_1(manifest: Path, protocol: Path, tmp_path: Path) -> None:
    (manifest.parent / "003.png").write_bytes(b"not a picture")
    done = run(manifest, protocol, tmp_path / "out", "--no-audit")
    assert done.returncode == 1
    assert "23/24" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "003.png" in page and "No audit was made" in page


def test_wrong_usage_is_status_2(manifest: Path, protocol: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, said in (
        (("run", manifest, "--protocol", "nonesuch", "--out", out), "nonesuch"),
        (("run", tmp_path / "none.csv", "--protocol", protocol, "--out", out), "none.csv"),
        (("run", manifest, "--protocol", protocol, "--out", out, "--detectors", "no"), "no"),
        (("run", manifest, "--protocol", protocol, "--out", out, "--scores", "x"), "NAME=FILE"),
        (("report", tmp_path), "no scores"),
        (("degradations", "jpg:1"), "jpg"),
        (("index", tmp_path, "--layout", "nonesuch"), "nonesuch"),
    ):
        done = call(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not out.exists()


def test_audit(manifest: Path, protocol: Path) -> None:
    done = call("audit", manifest, "--protocol", protocol, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["samples"] == 24
    assert {"warnings", "cue_tests", "twins"} <= set(found)


def test_index_writes_what_run_takes(tmp_path: Path, sets: SimpleNamespace) -> None:
    for name, fake in (("real", False), ("fake", True)):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for number in range(4):
            picture = sets.picture(number, fake)
            picture.save(tmp_path / "tree" / name / f"{name}{number}.png")
    done = call("index", tmp_path / "tree", "--layout", "plain", "--out", tmp_path / "made.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "made.csv")
    scored = call(
        "run",
        tmp_path / "made.csv",
        "--protocol",
        "generated-native",
        "--detectors",
        "generator_metadata",
        "--out",
        tmp_path / "out",
        "--repeats",
        "0",
        "--no-audit",
    )
    assert scored.returncode == 0, scored.stderr
    assert "8/8" in scored.stdout


def test_lists(manifest: Path) -> None:
    assert "generated-native" in call("protocols").stdout
    one = json.loads(call("protocols", "generated-native", "--json").stdout)
    assert len(one["generated-native"]["sha256"]) == 64
    assert "normalise" in call("degradations").stdout
    assert json.loads(call("degradations", "jpeg:075", "--json").stdout).keys() == {"jpeg:75"}


def test_every_verb_and_option_explains_itself() -> None:
    for verb in bench.commands.values():
        assert verb.help, verb.name
        for parameter in verb.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{verb.name} {parameter.opts}"


def test_help_of_bonafide_does_not_load_the_harness() -> None:
    code = (
        "import sys\nfrom bonafide.cli.main import bonafide\n"
        "try: bonafide(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('bonafide.bench', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "bench" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert "bench" in whole.commands
