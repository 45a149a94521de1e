"""A cluster of two workers gives what this machine gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bonafide import Settings
from bonafide.batch.names import expand
from bonafide.batch.results import Form
from bonafide.batch.run import local, run
from bonafide.errors import InvalidInput

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.cluster


COUNT = 16
SETTINGS = Settings(only=("ela", "noise_level"))


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


def test_equal_results(pictures: Path, tmp_path: Path) -> None:
    from bonafide.batch.cluster import engine

    given = [str(pictures)]
    here, there = tmp_path / "here", tmp_path / "there"
    run(expand(given, "path", SETTINGS.limits), SETTINGS, here, Form.JSONL, local(2))
    cluster = engine("local", jobs=2)
    tally = run(expand(given, "path", SETTINGS.limits), SETTINGS, there, Form.JSONL, cluster)
    assert tally.names == COUNT and tally.failed == 1
    assert results(here) == results(there)


def test_no_cluster_is_wrong_usage(tmp_path: Path) -> None:
    from bonafide.batch.cluster import engine

    with pytest.raises(InvalidInput, match="no Ray cluster"):
        run(["/x"], SETTINGS, tmp_path, Form.JSONL, engine("127.0.0.1:1"))
