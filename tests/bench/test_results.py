"""Figures of tables whose scores are known: thresholds, coverage, pools, generators, masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from bonafide.bench import scores as store
from bonafide.bench.delong import delong
from bonafide.bench.protocol import parse
from bonafide.bench.results import results, write_results
from bonafide.bench.samples import Fold
from bonafide.errors import InvalidInput

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "bench.schema.json").read_text()
)


@dataclass
class Table:
    """A table that was never run: every detector's scores are given."""

    truth: list[bool]
    scores: dict[str, list[float | None]]
    folds: list[Fold]
    generator: list[str] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    pool: list[str] = field(default_factory=list)
    degradations: list[str] = field(default_factory=lambda: ["native"])
    protocol: dict[str, Any] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], None] = lambda row: None

    def write(self, folder: Path) -> Path:
        n = len(self.truth)
        protocol = parse(
            {"name": "made", "labels": {"positive": ["fake"], "negative": ["real"]}} | self.protocol
        )
        tested = {index: fold.name for fold in self.folds for index in fold.test}
        rows = []
        for sample in range(n):
            group = self.group[sample] if self.group else ""
            for degradation in self.degradations:
                for detector, values in self.scores.items():
                    score = values[sample]
                    row = {
                        "sample": sample,
                        "path": f"{sample:03}.png",
                        "group": group,
                        "cluster": group or f"file:{sample}",
                        "pool": self.pool[sample] if self.pool else "",
                        "generator": self.generator[sample] if self.generator else "",
                        "label": "fake" if self.truth[sample] else "real",
                        "positive": self.truth[sample],
                        "split": "",
                        "fold": tested.get(sample, ""),
                        "sha256": "0" * 64,
                        "mask_sha256": "",
                        "degradation": degradation,
                        "detector": detector,
                        "version": "1",
                        "status": "ok" if score is not None else "not_applicable",
                        "why": "" if score is not None else "too small",
                        "score": score,
                        "seconds": 0.5,
                        "megapixels": 2.0,
                        "notes": "",
                    }
                    self.change(row)
                    rows.append(row)
        about = {
            "schema": 1,
            "manifest": {
                "folder": str(folder), "sha256": "", "samples": n, "used": n, "left_out": 0,
            },
            "protocol": protocol.to_dict(),
            "protocol_sha256": protocol.sha256,
            "degradations": self.degradations,
            "detectors": {
                name: {"version": "1", "question": "synthetic", "foreign": None}
                for name in self.scores
            },
            "seed": 0,
            "versions": {},
            "sessions": [],
            "finished": None,
            "folds": store.pack(self.folds, n),
        }  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        return store.write_table(folder, about, rows)


def measure(table: Table, folder: Path) -> dict[str, Any]:
    table.write(folder)
    found = results(folder, repeats=50)
    jsonschema.validate(found, SCHEMA)
    return found


def halves(n: int) -> list[Fold]:
    even, odd = tuple(range(0, n, 2)), tuple(range(1, n, 2))
    return [Fold("one", even, odd), Fold("two", odd, even)]


def random_table(n: int = 80, **changes: Any) -> Table:
    random = np.random.default_rng(3)
    truth = [bool(value) for value in random.random(n) < 0.5]
    good = [float(value) + flag for value, flag in zip(random.normal(size=n), truth, strict=True)]
    poor = [float(value) for value in random.normal(size=n)]
    return Table(truth, {"good": list(good), "poor": list(poor)}, halves(n), **changes)


def only(found: dict[str, Any], name: str) -> dict[str, Any]:
    content: dict[str, Any] = found["degradations"][0]["detectors"][name]
    return content


def test_ranking_figures_are_those_of_the_pooled_scores(tmp_path: Path) -> None:
    table = random_table()
    one = only(measure(table, tmp_path), "good")
    assert one["figures"]["auc"]["value"] == pytest.approx(
        roc_auc_score(table.truth, table.scores["good"]), abs=1e-12
    )
    low, high = one["figures"]["auc"]["low"], one["figures"]["auc"]["high"]
    assert low < one["figures"]["auc"]["value"] < high
    assert one["coverage"] | {"failures": []} == {
        "asked": 80, "scored": 80, "share": 1.0, "files": 80, "failed": 0, "not_applicable": 0,
        "failures": [], "not_applicable_because": [],
    }  # fmt: skip


def test_thresholds_come_from_the_other_part(tmp_path: Path) -> None:
    """Two folds on different scales: a threshold from the tested part would look perfect."""
    truth = [bool(index // 2 % 2) for index in range(40)]
    scores: list[float | None] = [
        (10.0 if flag else 0.0) + (100.0 if index % 2 else 0.0) for index, flag in enumerate(truth)
    ]
    one = only(measure(Table(truth, {"shifted": scores}, halves(40)), tmp_path), "shifted")
    assert {row["fold"]: row["best"] for row in one["thresholds"]} == {"one": 5.0, "two": 105.0}
    shifts = np.where(np.arange(40) % 2, 5.0, 105.0)
    expected = balanced_accuracy_score(truth, np.array(scores, np.float64) >= shifts)
    assert one["figures"]["balanced_accuracy"]["value"] == pytest.approx(expected)
    assert one["oracle"]["accuracy"]["value"] == pytest.approx(0.75)
    assert one["figures"]["accuracy"]["value"] <= one["oracle"]["accuracy"]["value"]


def test_without_calibration_there_is_no_accuracy_but_a_ranking(tmp_path: Path) -> None:
    table = random_table()
    table.folds = [Fold("all", (), tuple(range(80)))]
    figures = only(measure(table, tmp_path), "good")["figures"]
    assert figures["auc"]["value"] is not None
    for name in ("accuracy", "balanced_accuracy", "hter", "accuracy_of_all"):
        assert figures[name] == {"value": None, "low": None, "high": None}


def test_what_is_only_calibrated_on_is_not_measured(tmp_path: Path) -> None:
    table = random_table()
    table.folds = [Fold("test", tuple(range(40)), tuple(range(40, 80)))]
    found = measure(table, tmp_path)
    assert found["samples"]["tested"] == 40
    expected = roc_auc_score(table.truth[40:], table.scores["good"][40:])
    assert only(found, "good")["figures"]["auc"]["value"] == pytest.approx(expected)


def test_silence_counts_in_coverage_and_in_the_accuracy_of_all(tmp_path: Path) -> None:
    table = random_table()
    for index in range(0, 80, 4):
        table.scores["good"][index] = None
    one = only(measure(table, tmp_path), "good")
    assert one["coverage"]["scored"] == 60
    assert one["coverage"]["not_applicable_because"] == [{"why": "too small", "files": 20}]
    figures = one["figures"]
    assert figures["accuracy_of_all"]["value"] == pytest.approx(0.75 * figures["accuracy"]["value"])


def test_a_detector_that_never_speaks(tmp_path: Path) -> None:
    table = random_table()
    table.scores["mute"] = [None] * 80
    one = only(measure(table, tmp_path), "mute")
    assert one["coverage"]["scored"] == 0
    assert all(value["value"] is None for value in one["figures"].values())
    assert one["curves"]["roc"] == []


def test_failures_are_counted_and_named(tmp_path: Path) -> None:
    def fail(row: dict[str, Any]) -> None:
        if row["sample"] in (5, 6) and row["detector"] == "good":
            row |= {"status": "failed", "why": "broken", "score": None}

    one = only(measure(random_table(change=fail), tmp_path), "good")
    assert one["coverage"]["failed"] == 2
    assert one["coverage"]["failures"][0] == {"path": "005.png", "why": "broken"}


def test_generators_against_all_negatives_and_their_mean(tmp_path: Path) -> None:
    names = ["alpha" if index % 3 else "beta" for index in range(80)]
    table = random_table(generator=names)
    one = only(measure(table, tmp_path), "good")
    truth, scores = np.array(table.truth), np.array(table.scores["good"], np.float64)
    aucs = {}
    for name in ("alpha", "beta"):
        part = ~truth | (np.array(names) == name)
        aucs[name] = roc_auc_score(truth[part], scores[part])
    assert {row["generator"]: row["auc"]["value"] for row in one["generators"]} == pytest.approx(
        aucs
    )
    assert one["macro_auc"]["value"] == pytest.approx(np.mean(list(aucs.values())))


def test_an_interval_within_one_group_says_so(tmp_path: Path) -> None:
    table = random_table(generator=["alpha"] * 80)
    table.group = ["theirs" if flag else f"scene{n % 9}" for n, flag in enumerate(table.truth)]
    one = only(measure(table, tmp_path), "good")
    assert one["figures"]["auc"]["low"] is None
    assert one["generators"][0]["auc"]["resampled"] == "files"
    assert one["generators"][0]["auc"]["low"] is not None


def test_pooled_scores_are_measured_per_pool(tmp_path: Path) -> None:
    table = random_table()
    table.truth = [index // 4 % 2 == 0 for index in range(80)]
    table.pool = [f"video{index // 4:02}" for index in range(80)]
    table.protocol = {"pool": {"how": "mean", "by": "group"}}
    table.folds = [Fold("all", (), tuple(range(80)))]
    found = measure(table, tmp_path)
    assert (found["samples"]["unit"], found["samples"]["tested"]) == ("mean of group", 20)
    means = np.array(table.scores["good"], np.float64).reshape(20, 4).mean(axis=1)
    assert only(found, "good")["figures"]["auc"]["value"] == pytest.approx(
        roc_auc_score(table.truth[::4], means)
    )


def test_masks(tmp_path: Path) -> None:
    def mark(row: dict[str, Any]) -> None:
        hit = row["sample"] % 4 < 2
        if row["positive"]:
            row |= {"tp": 10 * hit, "fp": 0, "fn": 10 * (not hit), "tn": 80, "pixel_auc": 0.75}
        else:
            row |= {"tp": 0, "fp": int(hit), "fn": 0, "tn": 90, "pixel_auc": None}
        row["marked_share"] = 0.1

    table = random_table(change=mark)
    pixels = only(measure(table, tmp_path), "good")["pixels"]
    truth = np.array(table.truth)
    hit = np.arange(80) % 4 < 2
    assert (pixels["edited"], pixels["authentic"]) == (int(truth.sum()), int((~truth).sum()))
    assert pixels["f1"]["value"] == pytest.approx(hit[truth].mean())
    assert pixels["auc"]["value"] == pytest.approx(0.75)
    assert pixels["false_region_rate"]["value"] == pytest.approx(hit[~truth].mean())


def test_probabilities_are_judged(tmp_path: Path) -> None:
    def announce(row: dict[str, Any]) -> None:
        row["probability"] = 0.9 if row["positive"] else 0.2

    figures = only(measure(random_table(change=announce), tmp_path), "good")["figures"]
    truth = np.array(random_table().truth)
    assert figures["accuracy_at_half"]["value"] == 1.0
    assert figures["brier"]["value"] == pytest.approx(np.where(truth, 0.01, 0.04).mean())
    assert figures["ece"]["value"] == pytest.approx(np.where(truth, 0.1, 0.2).mean())


def test_the_worst_mistakes_lead(tmp_path: Path) -> None:
    table = random_table()
    mistakes = only(measure(table, tmp_path), "good")["mistakes"]
    known = list(zip(table.scores["good"], table.truth, range(80), strict=True))
    worst = max(entry for entry in known if not entry[1])
    missed = min(entry for entry in known if entry[1])
    assert mistakes["false_alarms"][0]["name"] == f"{worst[2]:03}.png"
    assert mistakes["misses"][0]["name"] == f"{missed[2]:03}.png"


def test_pairs_of_detectors(tmp_path: Path) -> None:
    table = random_table(degradations=["native", "jpeg:75"])
    table.scores["same"] = list(table.scores["good"])
    found = measure(table, tmp_path)
    pairs = {(row["first"], row["second"]): row for row in found["degradations"][0]["pairs"]}
    assert set(pairs) == {("good", "poor"), ("good", "same"), ("poor", "same")}
    assert pairs["good", "same"]["p"] == 1.0
    assert pairs["good", "poor"]["p_holm"] >= pairs["good", "poor"]["p"]
    difference = pairs["good", "poor"]["difference"]
    assert 0 < difference["low"] < difference["value"] < difference["high"]
    assert found["degradations"][1]["pairs"][0]["difference"]["low"] is None


def test_pairs_are_tested_by_group(tmp_path: Path) -> None:
    """Frames of one video are one observation, not many."""
    table = random_table(group=[f"video{index // 4}" for index in range(80)])
    table.truth = [index // 4 % 2 == 0 for index in range(80)]
    (row,) = measure(table, tmp_path)["degradations"][0]["pairs"]
    scores = [np.array(table.scores[name], np.float64) for name in (row["first"], row["second"])]
    by_file = delong(table.truth, *scores)
    by_group = delong(table.truth, *scores, table.group)
    assert by_group.p != by_file.p
    assert row["p"] == pytest.approx(by_group.p)


def test_figures_do_not_depend_on_chance_or_place(tmp_path: Path) -> None:
    table = random_table(group=[f"scene{index // 8}" for index in range(80)])
    first = measure(table, tmp_path / "a")
    second = measure(table, tmp_path / "b")
    second["run"]["manifest"]["folder"] = first["run"]["manifest"]["folder"]
    assert first == second
    path = write_results(tmp_path / "a", first)
    assert json.loads(path.read_text()) == first


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no scores"):
        results(tmp_path)
    (tmp_path / store.JOURNAL).write_text("")
    with pytest.raises(InvalidInput, match="start it again"):
        results(tmp_path)
    (tmp_path / store.TABLE).write_bytes(b"no Parquet")
    with pytest.raises(InvalidInput, match="cannot be read"):
        results(tmp_path)


def test_no_false_region_in_few_pictures_is_not_certainty() -> None:
    from bonafide.bench.figures import share
    from bonafide.bench.statistics import wilson

    found = share({"value": 0.0, "low": 0.0, "high": 0.0}, wilson(0, 46))
    assert found["low"] == 0.0
    assert found["high"] == pytest.approx(0.0771, abs=1e-3)


def test_attacks_are_counted_by_species_at_the_threshold_of_others(tmp_path: Path) -> None:
    protocol = {
        "question": "spoofed",
        "labels": {"positive": ["print", "mask"], "negative": "real"},
    }

    def named(row: dict[str, Any]) -> None:
        row["label"] = ("mask" if row["sample"] % 4 < 2 else "print") if row["positive"] else "real"

    found = measure(random_table(protocol=protocol, change=named), tmp_path / "spoofed")
    good = found["degradations"][0]["detectors"]["good"]
    attacks = good["attacks"]
    assert [row["species"] for row in attacks["species"]] == ["mask", "print"]
    assert attacks["apcer_worst"] == max(row["apcer"] for row in attacks["species"])
    both = (attacks["apcer_pooled"] + attacks["bpcer"]) / 2
    assert both == pytest.approx(good["figures"]["hter"]["value"])
    plain = measure(random_table(), tmp_path / "plain")
    assert "attacks" not in plain["degradations"][0]["detectors"]["good"]
