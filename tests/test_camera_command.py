"""`bonafide camera`: enroll, list, show, remove; and what an examination makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cameras.sensor import HEIGHT, WIDTH, Sensor, jpeg, photographs, scene

from bonafide.cameras import store
from bonafide.cli.main import bonafide
from bonafide.errors import InvalidInput
from bonafide.examination import Settings, examine, key
from bonafide.report.provenance import timeline
from bonafide.types import Label, Profile, Report, Status

ONLY = ("camera_fingerprint",)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twelve photographs of one sensor and three files that cannot be used."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, data in enumerate(photographs(Sensor(1), 12)):
        (folder / f"{number:02}.jpg").write_bytes(data)
    (folder / "again.jpg").write_bytes((folder / "00.jpg").read_bytes())
    (folder / "small.jpg").write_bytes(jpeg(scene(0)[:300, :300]))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def kept(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one camera is enrolled."""
    folder = tmp_path_factory.mktemp("cameras")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BONAFIDE_CAMERAS", str(folder))
        done = run("enroll", "Desk camera", str(place))
    assert done.exit_code == 0, done.output
    assert "720×560, 12 photographs" in done.output
    for why in ("again.jpg: it is the same as 00.jpg", "small.jpg: its stored size", "notes.txt"):
        assert f"not used: {why}" in done.stderr
    assert "12 photographs make a weak fingerprint" in done.stderr
    return folder


@pytest.fixture
def cameras(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in use."""
    folder = tmp_path / "cameras"
    folder.mkdir()
    for file in kept.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("BONAFIDE_CAMERAS", str(folder))
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(bonafide, ["camera", *arguments])


def asked(data: bytes, profile: Profile = Profile.STANDARD) -> Report:
    return examine(data, Settings(only=ONLY, profile=profile))


def test_list_show_remove(cameras: Path) -> None:
    assert run("list").stdout.startswith("Desk camera  no model named\n  720×560, 12 photographs")
    shown = run("show", "desk camera")
    assert shown.stdout.count("photograph ") == 12 and str(cameras) in shown.stdout
    told = json.loads(run("show", "Desk camera", "--json").stdout)
    assert (told["width"], told["height"]) == (WIDTH, HEIGHT)
    assert json.loads(run("list", "--json").stdout) == [told]
    assert run("remove", "Desk camera").exit_code == 0
    assert not list(cameras.iterdir())
    assert "no camera is enrolled" in run("list").stdout
    assert "no camera is enrolled as" in str(run("remove", "Desk camera").exception)


def test_the_photographs_are_not_kept(cameras: Path) -> None:
    assert sorted(file.suffix for file in cameras.iterdir()) == [".json", ".npy"]
    assert sum(file.stat().st_size for file in cameras.iterdir()) < WIDTH * HEIGHT + 4096


def test_a_name_is_taken_once(cameras: Path, place: Path) -> None:
    assert "give --replace" in str(run("enroll", "desk CAMERA", str(place)).exception)
    for name in ("", "///", "x" * 61, "a\nb"):
        assert isinstance(run("enroll", name, str(place)).exception, InvalidInput)
    before = {file.name for file in cameras.iterdir()}
    files = [str(place / f"{number:02}.jpg") for number in range(2, 12)]
    assert run("enroll", "Desk camera", *files, "--replace", "--quiet").exit_code == 0
    after = {file.name for file in cameras.iterdir()}
    assert len(after) == 2 and len(before & after) == 1


def test_few_photographs_or_those_of_several_cameras_are_refused(
    cameras: Path, place: Path, tmp_path: Path
) -> None:
    few = run("enroll", "other", str(place / "00.jpg"), str(place / "small.jpg"))
    assert "1 photographs can be used, and 10 are needed" in str(few.exception)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number in range(10):  # every one of another sensor
        foreign = Sensor(50 + number).shoot(scene(2 * number), number)
        (mixed / f"{number}.jpg").write_bytes(jpeg(foreign))
    refused = run("enroll", "other", str(mixed))
    assert "do not share a fingerprint" in str(refused.exception)
    assert [one.name for one in store.enrolled()] == ["Desk camera"]


def test_a_match_is_told_and_never_authenticates(cameras: Path) -> None:
    report = asked(jpeg(Sensor(1).shoot(scene(18), 3)))
    finding = report.findings[0]
    assert finding.status is Status.OK and finding.facts["camera"] == "Desk camera"
    assert float(str(finding.facts["pce"])) > 60
    assert 0 <= float(str(finding.facts["false_match_rate"])) < 1e-6
    assert "“Desk camera”" in finding.summary and finding.claim is None
    assert report.verdict.label is Label.INCONCLUSIVE
    events = timeline(report.findings)
    assert [event.standing for event in events] == ["measured"]
    assert any("“Desk camera”" in sentence for sentence in report.explanation)


def test_pictures_of_another_camera_do_not_match(cameras: Path) -> None:
    finding = asked(jpeg(Sensor(2).shoot(scene(18), 3))).findings[0]
    assert "camera" not in finding.facts and finding.facts["nearest"] == "Desk camera"
    assert "does not prove another camera" in finding.summary
    assert not timeline([finding])


def test_a_pasted_part_is_pointed_at_and_accuses_nobody(cameras: Path) -> None:
    own, other = (Sensor(seed).shoot(scene(21), seed) for seed in (1, 2))
    own[180:420, 240:520] = other[180:420, 240:520]
    report = asked(jpeg(own))
    finding = report.findings[0]
    assert len(finding.regions) == 1 and "it is missing: look there" in finding.summary
    region = finding.regions[0]
    assert abs(region.x - 240) < 60 and abs(region.y - 180) < 60
    assert 0.1 < float(str(finding.facts["missing_share"])) < 0.3
    assert report.verdict.label is Label.INCONCLUSIVE and not report.edits


def test_crops_anywhere_are_searched_by_the_thorough_profile(cameras: Path) -> None:
    part = jpeg(Sensor(1).shoot(scene(18), 3)[101:440, 93:600])
    assert "camera" not in asked(part).findings[0].facts
    found = asked(part, Profile.THOROUGH).findings[0]
    assert found.facts["placement"] == "cropped"
    assert int(str(found.facts["trials"])) > 40_000


def test_the_cameras_in_use_are_part_of_the_report(cameras: Path) -> None:
    settings = Settings(only=ONLY)
    picture = jpeg(Sensor(1).shoot(scene(18), 3))
    before = key(settings)
    assert "camera.desk-camera" in examine(picture, settings).versions
    run("remove", "Desk camera")
    assert key(settings) != before
    assert "camera.desk-camera" not in examine(picture, settings).versions


def test_without_cameras_nothing_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BONAFIDE_CAMERAS", str(tmp_path / "absent"))
    monkeypatch.setattr("bonafide.signals.prnu_search.weighted_residual", None)
    finding = asked(jpeg(scene(0))).findings[0]
    assert finding.status is Status.NOT_APPLICABLE and "no camera is enrolled" in finding.why


@pytest.mark.parametrize("damage", ["cut", "other", "absent", "card", "fields", "size"])
def test_damaged_fingerprints_are_named(cameras: Path, damage: str) -> None:
    card, array = cameras / "desk-camera.json", next(cameras.glob("*.npy"))
    told = json.loads(card.read_text("utf-8"))
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:1000])
    elif damage == "other":
        array.write_bytes(bytes(array.stat().st_size))
    elif damage == "absent":
        array.unlink()
    elif damage == "card":
        card.write_bytes(b"{\xff")
    elif damage == "fields":
        card.write_text(json.dumps({**told, "name": "../../elsewhere"}), "utf-8")
    else:
        card.write_text(json.dumps({**told, "width": 10**6, "height": 10**6}), "utf-8")
    finding = asked(jpeg(scene(0))).findings[0]
    assert finding.status is Status.FAILED
    assert "enrol" in finding.why


def test_a_fingerprint_of_another_method_is_not_compared(cameras: Path) -> None:
    card = cameras / "desk-camera.json"
    told = json.loads(card.read_text("utf-8"))
    card.write_text(json.dumps({**told, "method": "older"}), "utf-8")
    finding = asked(jpeg(Sensor(1).shoot(scene(18), 3))).findings[0]
    assert finding.status is Status.NOT_APPLICABLE and "enrolled again" in finding.why
