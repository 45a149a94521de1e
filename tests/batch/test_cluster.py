"""A cluster of two workers gives what this machine gives."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonafide.batch.cluster import Examiner
from bonafide.batch.work import DIGEST
from bonafide.examination import Settings

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


@pytest.mark.parametrize("trust", [None, "nowhere.pem"])
def test_a_machine_that_would_examine_otherwise_refuses(trust: str | None) -> None:
    """Because its key is another one, or because a file that the key covers is missing there."""
    examiner = Examiner(np.empty(0, DIGEST), Settings(trust=trust), "0" * 64)
    assert pickle.loads(examiner({"task": [b""]})["answer"][0]) is None
