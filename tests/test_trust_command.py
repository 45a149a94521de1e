"""`bonafide trust`: show, update, add, remove, off, on."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow

from bonafide.cli.main import bonafide
from bonafide.trust import lists


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONAFIDE_TRUST", str(tmp_path / "own"))
    monkeypatch.setattr(socket.socket, "connect", None)  # no verb of these uses the network


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bonafide, ["trust", *arguments])


def scan_notes(tmp_path: Path, *options: str) -> str:
    photo = tmp_path / "photo.png"
    Pillow.new("RGB", (32, 32), (9, 9, 9)).save(photo)
    asked = ["scan", str(photo), "--only", "c2pa_manifest", "--jobs", "1", *options]
    return CliRunner().invoke(bonafide, asked).stderr


def authority(tmp_path: Path) -> Path:
    path = tmp_path / "desk.pem"
    path.write_text(lists.pem_of(lists.certificates_of(lists.shipped()[0].anchors)[0]))
    return path


def test_show_names_tiers_dates_and_sources() -> None:
    shown = run("show", "--names")
    assert shown.exit_code == 0
    assert "official  C2PA Trust List, edition 1 of 2026-08-05, to be replaced by" in shown.output
    assert "interim   interim list of the public verification site" in shown.output
    assert "7dbff513b66e" in shown.output and "Google C2PA Root CA G3 · Google LLC" in shown.output
    told = json.loads(run("show", "--json").output)
    assert [one["tier"] for one in told["lists"]] == ["official", "official", "interim"]


def test_add_show_remove(tmp_path: Path) -> None:
    path = authority(tmp_path)
    assert run("add", str(path), "--for", "time-stamps").exit_code == 0
    assert "own       desk" in run("show").output
    assert "1 certificates for time stamps" in run("show").output
    assert run("remove", "desk").exit_code == 0
    assert "desk" not in run("show").output.replace(str(path), "")
    assert isinstance(run("remove", "desk").exception, Exception)


def test_off_and_on() -> None:
    assert run("off", "interim").output == "off: interim\n"
    assert "interim   off: bonafide trust on interim" in run("show").output
    assert run("off").output == "off: official, interim, own\n"
    assert "nobody is trusted" in run("show").output
    assert run("on").output == "off: none\n"


def test_update_from_a_file(tmp_path: Path) -> None:
    data = json.loads((lists.SNAPSHOT / lists.OFFICIAL_FILES[0]).read_text())
    head = data["LoTE"]["ListAndSchemeInformation"]
    head["LoTESequenceNumber"] = 8
    head["NextUpdate"] = "2026-09-01T00:00:00Z"
    path = tmp_path / "list.json"
    path.write_text(json.dumps(data))
    done = run("update", str(path))
    assert done.exit_code == 0 and "edition 8" in done.output
    assert "overdue" in run("show").output
    assert "warning: the C2PA Trust List was to be replaced by 2026-09-01" in run("show").output
    assert "warning: the C2PA Trust List" in scan_notes(tmp_path)
    assert "warning" not in scan_notes(tmp_path, "--trust", str(authority(tmp_path)))
    head["LoTESequenceNumber"] = 2
    path.write_text(json.dumps(data))
    assert "older than edition 8" in str(run("update", str(path)).exception)
    assert run("update", str(tmp_path / "absent.json")).exit_code != 0
