"""Two runs, or two detectors, against each other on what both scored."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from bonafide.bench import run as running
from bonafide.bench.compare import compare
from bonafide.bench.protocol import load_protocol
from bonafide.errors import InvalidInput

N = 40


@pytest.fixture
def runs(tmp_path: Path, sets: SimpleNamespace) -> SimpleNamespace:
    """Folders `before` and `after` with scores of detectors that never ran."""
    manifest = sets.make_set(tmp_path / "set", N)
    protocol = load_protocol(manifest.parent / "tiny.yaml")
    truth = [number % 2 == 0 for number in range(N)]
    weak = [truth[n] * 0.3 + (n * 7 % 11) / 10 for n in range(N)]
    strong = [truth[n] * 0.9 + (n * 7 % 11) / 10 for n in range(N)]
    folders = {}
    for name, by in {
        "before": {"mine": weak, "other": strong},
        "after": {"mine": strong, "third": weak},
    }.items():
        files = {}
        for detector, scores in by.items():
            files[detector] = tmp_path / f"{name}-{detector}.csv"
            rows = [{"path": f"{n:03}.png", "score": str(scores[n])} for n in range(N)]
            # One file of each is without a score, and not the same one.
            rows[len(folders)]["score"] = ""
            sets.write(files[detector], rows)
        plan = running.plan(manifest, protocol, (), files)
        running.run(plan, tmp_path / name, jobs=1)
        folders[name] = str(tmp_path / name)
    return SimpleNamespace(**folders, truth=truth, weak=weak, strong=strong)


def one_row(found: dict[str, Any]) -> dict[str, Any]:
    (row,) = found["rows"]
    return dict(row)


def test_two_runs_meet_in_the_detectors_of_both(runs: SimpleNamespace) -> None:
    row = one_row(compare(runs.before, runs.after, repeats=100))
    assert (row["first"], row["second"], row["common"]) == ("mine", "mine", N - 2)
    auc = row["auc"]
    assert auc["first"] == pytest.approx(roc_auc_score(runs.truth[2:], runs.weak[2:]))
    assert auc["second"] == pytest.approx(roc_auc_score(runs.truth[2:], runs.strong[2:]))
    assert auc["value"] == pytest.approx(auc["second"] - auc["first"])
    assert 0 < auc["low"] < auc["value"] < auc["high"]
    assert row["balanced_accuracy"]["value"] > 0
    assert row["p"] == row["p_holm"] < 0.05


def test_the_other_way_round_is_the_same_with_another_sign(runs: SimpleNamespace) -> None:
    there = one_row(compare(runs.before, runs.after, repeats=100))
    back = one_row(compare(runs.after, runs.before, repeats=100))
    assert back["auc"]["value"] == pytest.approx(-there["auc"]["value"])
    assert back["p"] == pytest.approx(there["p"])


def test_two_detectors_of_one_run(runs: SimpleNamespace) -> None:
    found = compare(f"{runs.before}:mine", f"{runs.before}:other", repeats=50)
    row = one_row(found)
    assert (row["first"], row["second"], row["common"]) == ("mine", "other", N - 1)
    assert found["notes"] == []


def test_a_run_against_itself_does_not_differ(runs: SimpleNamespace) -> None:
    for row in compare(runs.before, runs.before, repeats=50)["rows"]:
        assert row["auc"]["value"] == 0
        assert row["p_holm"] == 1.0


def test_other_inputs_are_named(
    runs: SimpleNamespace, tmp_path: Path, sets: SimpleNamespace
) -> None:
    manifest = sets.make_set(tmp_path / "fewer", N - 4)
    rows = [{"path": f"{n:03}.png", "score": str(n % 5)} for n in range(N - 4)]
    sets.write(tmp_path / "few.csv", rows)
    protocol = load_protocol(manifest.parent / "tiny.yaml")
    plan = running.plan(manifest, protocol, (), {"mine": tmp_path / "few.csv"})
    running.run(plan, tmp_path / "few", jobs=1, seed=1)
    found = compare(runs.before, str(tmp_path / "few"), repeats=20)
    assert [note.split(";")[0] for note in found["notes"]] == [
        "The two runs have another seed",
        "The two runs have another manifest",
    ]
    assert one_row(found)["common"] == N - 5


def test_what_cannot_be_compared(runs: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no scores"):
        compare(str(tmp_path / "nowhere"), runs.after)
    with pytest.raises(InvalidInput, match=r"has no nobody; there are: mine, other"):
        compare(f"{runs.before}:nobody", runs.after)
    with pytest.raises(InvalidInput, match="third"):
        compare(runs.before, f"{runs.after}:third")
