"""A cluster of two workers gives what this machine gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bonafide.batch.examiner import Examiner, Order, Ready
from bonafide.batch.scheduler import Look, Name
from bonafide.batch.work import Seen
from bonafide.examination import Settings, key

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.cluster


COUNT = 16


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def lasting(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what differs between two runs: the clock."""
    kept = {name: value for name, value in record.items() if name != "examined_at"}
    for finding in kept.get("findings", ()):
        finding.pop("seconds", None)
    return kept


def results(out: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Reports by content, verdicts by path, failures by path.

    Of two equal files, the one that is finished first has the report.
    """
    lines = read_lines(out / "reports.jsonl")
    reports = {}
    for line in lines:
        if line["status"] == "ok":
            report = lasting(line)
            media = {k: v for k, v in report.pop("media").items() if k not in ("path", "name")}
            reports[media["sha256"]] = (media, report.pop("explanation") and report)
    verdicts = {line["media"]["path"]: line["verdict"] for line in lines}
    failed = {line["media"]["path"]: lasting(line) for line in read_lines(out / "failures.jsonl")}
    assert len(verdicts) == len(lines)
    return reports, verdicts, failed


def scan(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A batch as a user runs it; Ray's threads end with its process."""
    command = [sys.executable, "-m", "bonafide", "scan", "--jsonl", "--only", "ela,noise_level"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)


def test_equal_results(pictures: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    alone = scan(pictures, "--out", here, "--jobs", "2")
    spread = scan(pictures, "--out", there, "--jobs", "2", "--ray", "local")
    assert (alone.returncode, spread.returncode) == (1, 1), spread.stderr  # one file is damaged
    assert results(here) == results(there)
    assert len(results(there)[1]) + len(results(there)[2]) == COUNT


def test_no_cluster_is_wrong_usage(pictures: Path, tmp_path: Path) -> None:
    done = scan(pictures, "--out", tmp_path / "out", "--ray", "127.0.0.1:1")
    assert done.returncode == 2 and "no Ray cluster" in done.stderr


def test_kills_of_workers_machines_and_the_batch_itself(pictures: Path, tmp_path: Path) -> None:
    for number in range(60):  # copies, and pictures that need a moment each
        (pictures / f"copy{number}.png").write_bytes(
            (pictures / f"{number % 9:02}.png").read_bytes()
        )
    kills = "--actors 1 --drivers 1 --raylets 1 --pause 0 0.3 --only ela,noise_level"
    command = [sys.executable, "tools/kill_cluster.py", pictures, tmp_path / "work"]
    done = subprocess.run([*command, *kills.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("trust", [None, "nowhere.pem"])
def test_a_machine_that_would_examine_otherwise_refuses(trust: str | None) -> None:
    """Because its key is another one, or because a file that the key covers is missing there."""
    order = Order(Settings(trust=trust), "0" * 64, False, None, "token")
    assert not Examiner(order).ready().like


def test_a_worker_that_does_not_see_the_folder_sends_its_rows(tmp_path: Path) -> None:
    settings = Settings(only=("ela",))
    order = Order(settings, key(settings), False, tmp_path, "token")
    assert Examiner(order).ready() == Ready(True, None, None)
    (tmp_path / "token").touch()
    assert Examiner(order).ready().stream


def test_a_worker_looks_and_works(pictures: Path, tmp_path: Path) -> None:
    settings = Settings(only=("ela",), threads=1)
    worker = Examiner(Order(settings, key(settings), False, None, "token"))
    names = [str(pictures / name) for name in ("00.png", "01.png", "absent.png")]
    first, second, absent = worker.look([Name(name) for name in names])
    assert first.sha256 and second.sha256 and first.outcome is None
    assert absent.outcome and absent.outcome.record["why"] == "no such file"
    seen = Name(names[0], Seen(first.stamp, first.sha256, "v"))
    assert worker.look([seen])[0] == first
    (pictures / "01.png").write_bytes((pictures / "02.png").read_bytes())  # meanwhile
    looks = [Look(one.path, one.stamp, one.sha256) for one in (first, second) if one.sha256]
    good, changed = worker.work(looks, []).answers
    assert good.outcome and good.outcome.record["status"] == "ok"
    assert changed.stamp is None and changed.outcome
    assert "changed while" in changed.outcome.record["why"]
