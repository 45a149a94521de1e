"""Scoring: whole, resumed, killed, failing; every detector; scores from elsewhere."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from bonafide import examination, registry
from bonafide.bench import run as running
from bonafide.bench import scores as store
from bonafide.bench import scoring
from bonafide.bench.protocol import Protocol, load_protocol
from bonafide.bench.scoring import VERDICT, Task, perform
from bonafide.errors import InvalidInput
from bonafide.media.limits import Limits
from bonafide.types import Edits, ScoreMap

CHEAP = ("spectral_peaks", "generator_metadata")
TIMES = ("seconds",)


def protocol(manifest: Path, **changes: str) -> Protocol:
    path = manifest.parent / "tiny.yaml"
    text = path.read_text()
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    changed = manifest.parent / "changed.yaml"
    changed.write_text(text)
    return load_protocol(changed)


def score(manifest: Path, out: Path, detectors: tuple[str, ...] = CHEAP, **options: Any) -> Path:
    foreign = options.pop("foreign", None)
    chosen = options.pop("protocol", None) or load_protocol(manifest.parent / "tiny.yaml")
    plan = running.plan(manifest, chosen, detectors, foreign)
    return running.run(plan, out, jobs=1, **options)


def rows(place: Path) -> list[dict[str, Any]]:
    """Rows of a table without what differs from run to run."""
    return [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in store.rows_of(store.read_table(place))
    ]


def about(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / store.ABOUT).read_text())
    return content


def test_every_file_and_detector_has_a_row(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set")
    table = score(manifest, tmp_path / "out")
    found = rows(table)
    assert len(found) == 12 * len(CHEAP)
    assert {row["status"] for row in found} == {"ok"}
    assert all(len(row["sha256"]) == 64 and row["fold"] for row in found)
    assert not (tmp_path / "out" / store.JOURNAL).exists()
    assert about(tmp_path / "out")["sessions"][0]["scored"] == 12


def test_the_table_travels_alone(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set")
    table = score(manifest, tmp_path / "out")
    alone = store.read_table(table.rename(tmp_path / "elsewhere.parquet"))
    kept = load_protocol(manifest.parent / "tiny.yaml")
    assert alone.about["protocol_sha256"] == kept.sha256
    assert sum(len(fold.test) for fold in alone.folds) == 12
    assert all(not set(fold.test) & set(fold.calibrate) for fold in alone.folds)


def test_a_second_run_scores_nothing_and_a_further_detector_only_itself(
    tmp_path: Path, sets: SimpleNamespace
) -> None:
    manifest = sets.make_set(tmp_path / "set")
    score(manifest, tmp_path / "out", CHEAP[:1])
    score(manifest, tmp_path / "out", CHEAP[:1])
    assert about(tmp_path / "out")["sessions"][1]["scored"] == 0
    both = rows(score(manifest, tmp_path / "out", CHEAP[1:]))
    assert both == rows(score(manifest, tmp_path / "whole", CHEAP))


def test_a_changed_file_is_scored_again_and_no_other(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set")
    before = {row["path"]: row for row in rows(score(manifest, tmp_path / "out", CHEAP[:1]))}
    (manifest.parent / "000.png").write_bytes((manifest.parent / "001.png").read_bytes())
    after = {row["path"]: row for row in rows(score(manifest, tmp_path / "out", CHEAP[:1]))}
    # Its new bytes are those of a file that has been scored already.
    assert about(tmp_path / "out")["sessions"][1]["scored"] == 0
    assert after["000.png"]["score"] == before["001.png"]["score"] != before["000.png"]["score"]
    assert {k: v for k, v in after.items() if k != "000.png"} == {
        k: v for k, v in before.items() if k != "000.png"
    }


def test_killed_in_the_middle_and_started_again(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set", 60, 256)
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "bonafide", "bench", "run", str(manifest), "--out", str(out),
        "--protocol", str(manifest.parent / "tiny.yaml"), "--detectors", ",".join(CHEAP),
        "--jobs", "2", "--no-audit", "--quiet", "--repeats", "20",
    ]  # fmt: skip
    whole = rows(score(manifest, tmp_path / "whole"))
    journal = out / store.JOURNAL
    lines = []
    for stop_at in (5, 20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") >= stop_at:
                break
        assert process.poll() is None, "it was to be killed before it was done"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        lines.append(journal.read_bytes().count(b"\n"))
        assert not (out / store.TABLE).exists()
    with journal.open("ab") as torn:
        torn.write(b'{"path": "031.png", "sha256": "cut short by')
    scored = [record["path"] for record in map(json.loads, journal.read_bytes().splitlines()[:-1])]
    assert len(scored) == len(set(scored)) == lines[1] < 60
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert rows(out) == whole
    assert about(out)["sessions"][-1]["scored"] == 60 - lines[1]
    assert [session["finished"] is None for session in about(out)["sessions"]] == [
        True,
        True,
        False,
    ]


def test_every_detector_and_the_verdict(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    found = rows(score(manifest, tmp_path / "out", (*registry.ids(), VERDICT)))
    assert len(found) == 4 * (len(registry.ids()) + 1)
    assert {row["detector"] for row in found if row["status"] == "failed"} == set()
    likely = [row["probability"] for row in found if row["detector"] == VERDICT]
    assert all(value is None or 0 <= value <= 1 for value in likely)


def test_what_is_asked_by_default_answers_the_question() -> None:
    chosen = running.usual_detectors("edited")
    assert "ela" in chosen
    assert "generator_metadata" in chosen  # what a file says of itself counts for every question
    assert "spectral_peaks" not in chosen


def test_a_claim_is_a_score_of_two_values(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler, Seed: 7, Model: test-model")
    sets.picture(0, True).save(manifest.parent / "000.png", pnginfo=info)
    found = {
        row["path"]: row["score"] for row in rows(score(manifest, tmp_path / "out", CHEAP[1:]))
    }
    assert found == {"000.png": 1.0, "001.png": 0.0, "002.png": 0.0, "003.png": 0.0}


def test_broken_and_missing_files_are_rows_that_failed(
    tmp_path: Path, sets: SimpleNamespace
) -> None:
    manifest = sets.make_set(tmp_path / "set")
    (manifest.parent / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n not much of a picture")
    (manifest.parent / "001.png").unlink()
    found = rows(score(manifest, tmp_path / "out", CHEAP[:1]))
    failed = {row["path"]: row for row in found if row["status"] == "failed"}
    assert set(failed) == {"000.png", "001.png"}
    assert all(row["why"] and row["score"] is None for row in failed.values())
    assert len(found) == 12
    sets.make_set(manifest.parent)
    score(manifest, tmp_path / "out", CHEAP[:1])
    assert about(tmp_path / "out")["sessions"][-1]["scored"] == 2  # their bytes have changed


def test_a_failure_stays_until_it_is_asked_for_again(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set")
    (manifest.parent / "001.png").unlink()
    for retry, scored in ((False, 12), (False, 0), (True, 1)):
        score(manifest, tmp_path / "out", CHEAP[:1], retry_failed=retry)
        assert about(tmp_path / "out")["sessions"][-1]["scored"] == scored


def test_degradations_are_tasks_of_their_own(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set", 6)
    changed = protocol(manifest, steps=("[none]", '[none, "jpeg:50", normalise]'))
    found = rows(score(manifest, tmp_path / "out", CHEAP[:1], protocol=changed))
    assert [row["degradation"] for row in found[:3]] == ["native", "jpeg:50", "normalise"]
    one = {row["degradation"]: row["score"] for row in found if row["path"] == "000.png"}
    assert len(set(one.values())) == 3
    assert all("128×128" in row["notes"] for row in found if row["degradation"] == "normalise")
    again = rows(score(manifest, tmp_path / "again", CHEAP[:1], protocol=changed))
    assert again == found


def test_masks_and_pixel_counts(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_edited(tmp_path / "set")
    found = rows(score(manifest, tmp_path / "out", ("noise_level", "jpeg_ghost")))
    for row in found:
        edited = row["positive"]
        assert row["tp"] + row["fn"] == (40 * 50 if edited else 0)
        assert row["tp"] + row["fp"] + row["fn"] + row["tn"] == 128 * 128
        assert (row["pixel_auc"] is not None) == edited
        assert bool(row["mask_sha256"]) == edited


def test_the_verdict_is_scored_by_the_fused_map(
    tmp_path: Path, sets: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = sets.make_edited(tmp_path / "set", 2)
    heatmap = np.zeros((128, 128), np.float32)
    heatmap[10:50, 20:60] = 0.9
    fused = Edits(ScoreMap(heatmap, 1, 128, 128), (), 0.1, {})
    monkeypatch.setattr(examination, "fuse_maps", lambda findings, calibration: fused)
    monkeypatch.setattr(scoring, "select", lambda settings: ((registry.card("noise_level"),), {}))
    task = Task(
        "000.png", str(manifest.parent / "000.png"), str(manifest.parent / "000_mask.png"),
        False, True, "native", ("noise_level", VERDICT), "edited",
    )  # fmt: skip
    said = perform(task)["said"][1]
    assert said["detector"] == VERDICT
    assert [said[name] for name in ("tp", "fp", "fn")] == [1600, 0, 400]
    assert said["marked_share"] == 1600 / 128**2
    assert said["pixel_auc"] == 0.9
    other = perform(dataclasses.replace(task, question="synthetic"))["said"][1]
    assert other["marked_share"] is None and other["tp"] == 0


def test_a_mask_of_another_size_is_noted_and_its_picture_scored(
    tmp_path: Path, sets: SimpleNamespace
) -> None:
    manifest = sets.make_edited(tmp_path / "set")
    Pillow.new("L", (10, 12), 255).save(manifest.parent / "002_mask.png")
    found = {row["path"]: row for row in rows(score(manifest, tmp_path / "out", ("noise_level",)))}
    assert found["002.png"]["tp"] is None
    assert "10×12" in found["002.png"]["notes"]
    assert [row["path"] for row in found.values() if row["tp"] is None] == ["002.png"]
    assert "failed" not in {row["status"] for row in found.values()}


def test_masks_that_mark_in_black(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_edited(tmp_path / "set")
    white = rows(score(manifest, tmp_path / "white", ("noise_level",)))
    lines = [line.split(",") for line in manifest.read_text().splitlines()]
    for line in lines[1:]:
        if line[2]:
            path = manifest.parent / line[2]
            Pillow.open(path).point(lambda value: 255 - value).save(path)
    marked = [[*lines[0], "mask_marks"], *([*line, "black"] for line in lines[1:])]
    manifest.write_text("\n".join(map(",".join, marked)) + "\n")
    black = rows(score(manifest, tmp_path / "black", ("noise_level",)))
    counts = ("tp", "fp", "fn", "tn", "score")
    assert [[row[c] for c in counts] for row in black] == [
        [row[c] for c in counts] for row in white
    ]
    manifest.write_text(manifest.read_text().replace("black", "purple"))
    with pytest.raises(InvalidInput, match="mask_marks"):
        score(manifest, tmp_path / "out", ("noise_level",))


def test_scores_from_elsewhere_stand_beside_ours(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set")
    lines = [{"path": f"{n:03}.png", "score": str(n / 2)} for n in range(11)]
    lines[3]["score"] = "nan"
    sets.write(tmp_path / "theirs.csv", lines)
    table = score(manifest, tmp_path / "out", (), foreign={"theirs": tmp_path / "theirs.csv"})
    assert {row["detector"] for row in rows(table)} == {"theirs"}, "only theirs was asked"
    found = {row["path"]: row for row in rows(table) if row["detector"] == "theirs"}
    assert found["004.png"]["score"] == 2.0
    assert (found["003.png"]["status"], found["003.png"]["score"]) == ("failed", None)
    assert found["011.png"]["status"] == "failed"
    # They stay when others join.
    later = [row for row in rows(score(manifest, tmp_path / "out")) if row["detector"] == "theirs"]
    assert [row["score"] for row in later] == [row["score"] for row in found.values()]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,value\na,1\n", "columns"),
        ("path,score\nnobody.png,1\n", "no path"),
        ("path,score\n000.png,high\n", "line 2"),
        ("path,score,probability\n000.png,1,1.5\n", "probability"),
    ],
)
def test_scores_that_cannot_be_used(
    tmp_path: Path, sets: SimpleNamespace, content: str, said: str
) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    (tmp_path / "theirs.csv").write_text(content)
    with pytest.raises(InvalidInput, match=said):
        score(manifest, tmp_path / "out", foreign={"theirs": tmp_path / "theirs.csv"})


def test_a_folder_holds_one_protocol_and_one_seed(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    score(manifest, tmp_path / "out")
    with pytest.raises(InvalidInput, match="another seed"):
        score(manifest, tmp_path / "out", seed=1)
    changed = protocol(manifest, steps=("[none]", "[normalise]"))
    with pytest.raises(InvalidInput, match="another protocol"):
        score(manifest, tmp_path / "out", protocol=changed)


def test_two_processes_do_not_write_to_one_folder(tmp_path: Path, sets: SimpleNamespace) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    hold = (
        "import sys, pathlib, bonafide.bench.scores as s\n"
        "with s.open_journal(pathlib.Path(sys.argv[1])):\n print('held', flush=True); input()\n"
    )
    (tmp_path / "out").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        with pytest.raises(InvalidInput, match="another run"):
            score(manifest, tmp_path / "out")
        holder.communicate(b"\n")
    score(manifest, tmp_path / "out")


def test_a_wrong_degradation_is_said_before_anything_is_scored(
    tmp_path: Path, sets: SimpleNamespace
) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    with pytest.raises(InvalidInput, match="jpg"):
        score(manifest, tmp_path / "out", protocol=protocol(manifest, s=("[none]", '["jpg:50"]')))


def _hostile(task: Task) -> dict[str, Any]:
    """Hangs on one file, dies on another."""
    if task.path == "001.png":
        time.sleep(60)
    if task.path == "002.png":
        os._exit(7)
    return perform(task)


def test_a_hang_and_a_crash_cost_one_file_each(
    tmp_path: Path, sets: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = sets.make_set(tmp_path / "set", 6)
    monkeypatch.setattr(running, "perform", _hostile)
    table = score(manifest, tmp_path / "out", CHEAP, limits=Limits(seconds=2))
    failed = {row["path"]: row["why"] for row in rows(table) if row["status"] == "failed"}
    assert set(failed) == {"001.png", "002.png"}
    assert "--max-seconds" in failed["001.png"]
    assert "exit code 7" in failed["002.png"]
    score(manifest, tmp_path / "out", CHEAP)
    assert about(tmp_path / "out")["sessions"][-1]["scored"] == 0, "it would hang every time"
