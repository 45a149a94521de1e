"""Fitting a calibration, and a detector that joins the verdict by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bonafide
from bonafide import registry
from bonafide.bench import calibrate_run, curves, fitting
from bonafide.bench.calibration_file import dumps, write
from bonafide.bench.fitting import Column, Files, fit_question
from bonafide.bench.protocol import load_protocol
from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import OUTSIDE_SHARE, Calibration, calibrate, load_calibration
from bonafide.evidence.reference import HEAD, Reference, Stratum
from bonafide.types import Card, Finding, Measurement, Question

RANDOM = np.random.default_rng(0)
TRUTH = np.arange(600) % 2 == 0
GROUPS = np.array([f"{'a' if positive else 'b'}{n % 9}" for n, positive in enumerate(TRUTH)])
FILES = Files(TRUTH, GROUPS, ["x"] * 600, ["jpeg"] * 600, np.full(600, 1.5))


def column(name: str, strength: float, **more: object) -> Column:
    scores = RANDOM.normal(0, 1, 600) + strength * TRUTH
    return Column(name, "1", scores, **more)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_steps_are_those_of_isotonic_regression(pairs: list[tuple[int, bool]]) -> None:
    sklearn = pytest.importorskip("sklearn.isotonic")
    scores = np.array([score for score, _ in pairs], np.float64)
    truth = np.array([positive for _, positive in pairs], np.bool_)
    weight = np.where(truth, 0.7, 0.3)
    reference = sklearn.IsotonicRegression().fit(scores, truth, weight).predict(scores)
    steps = curves._steps(scores, truth, weight)
    assert sorted(int(row) for rows in steps for row in rows) == list(range(len(pairs)))
    for rows in steps:
        mean = (weight[rows] @ truth[rows]) / weight[rows].sum()
        assert np.allclose(reference[rows], mean)


def test_folds_divide_no_group_and_hold_both_classes_out() -> None:
    folds = list(fitting.group_folds(TRUTH, GROUPS))
    assert len(folds) == fitting.FOLDS
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(600))
    for training, held in folds:
        assert not set(GROUPS[training]) & set(GROUPS[held])
        assert set(TRUTH[held]) == {True, False}


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 7), st.integers(0, 7), st.integers(0, 7), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_every_fold_holds_both_classes(mixed: int, positive: int, negative: int, seed: int) -> None:
    """Also where sources hold an original and its edit."""
    rows = [
        *[(f"m{n}", side) for n in range(mixed) for side in (True, False)],
        *[(f"p{n}", True) for n in range(positive)],
        *[(f"n{n}", False) for n in range(negative)],
    ]
    order = np.random.default_rng(seed).permutation(len(rows))
    rows = [rows[index] for index in order]
    groups = np.array([row[0] for row in rows], np.str_)
    truth = np.array([row[1] for row in rows], np.bool_)
    possible = mixed + min(positive, negative)
    if possible < 2:
        with pytest.raises(InvalidInput, match="at least two sources"):
            list(fitting.group_folds(truth, groups))
        return
    folds = list(fitting.group_folds(truth, groups))
    assert len(folds) == min(fitting.FOLDS, possible)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(rows)))
    for training, held in folds:
        assert not set(groups[training]) & set(groups[held])
        for part in (training, held):
            assert set(truth[part]) == {True, False}


def test_one_source_of_a_class_is_too_few() -> None:
    with pytest.raises(InvalidInput, match="at least two sources"):
        list(fitting.group_folds(TRUTH, np.where(TRUTH, "a", GROUPS)))


def test_a_question_is_fitted_as_a_whole() -> None:
    columns = [column("good", 3.0), column("noise", 0.0)]
    fitted = fit_question("synthetic", columns, FILES)
    assert fitted.table["weights"]["good"] > 0.5
    assert fitted.detectors["good"]["auc"] > 0.95
    assert fitted.detectors["good"]["false_positive_rate"] <= 0.01
    ratios = [llr for _, llr in fitted.detectors["good"]["knots"]]
    assert ratios == sorted(ratios) and ratios[0] < 0 < ratios[-1]
    assert fitted.table["columns"] == [*HEAD, "good", "noise"]
    first = fitted.table["files"][0]
    assert first[:5] == ["a0", 1, "x", "jpeg", 1.5] and len(first) == len(HEAD) + 2
    for row, evidence, hits in zip(fitted.table["files"], fitted.evidence, fitted.hit, strict=True):
        assert row[len(HEAD) :] == pytest.approx(evidence.tolist())
        assert row[5] == hits[0] + 2 * hits[1]


def test_a_detector_that_tells_nothing_does_not_weigh() -> None:
    nothing = Column("nothing", "1", np.zeros(600))
    fitted = fit_question("synthetic", [column("good", 3.0), nothing], FILES)
    assert fitted.table["weights"]["nothing"] == 0.0
    assert fitted.table["weights"]["good"] > 0.5


def test_silence_is_stored_as_nothing() -> None:
    scores = RANDOM.normal(0, 1, 600) + 3 * TRUTH
    scores[::3] = np.nan
    fitted = fit_question("synthetic", [Column("some", "1", scores)], FILES)
    said = [row[-1] for row in fitted.table["files"]]
    assert [value is None for value in said] == np.isnan(scores).tolist()


def test_false_accusations_stay_under_the_bound_out_of_fold() -> None:
    groups = np.array([f"{'a' if yes else 'b'}{n % 200}" for n, yes in enumerate(TRUTH)])
    files = Files(TRUTH, groups, ["x"] * 600, ["jpeg"] * 600, np.full(600, 1.5))
    fitted = fit_question("synthetic", [column("good", 3.0)], files)
    reference = Reference(fitted.table)
    for rate in (0.02, 0.05, 0.2):
        compared = reference.compare(frozenset({"good"}), Stratum("jpeg", "medium"), rate)
        p = compared.p_values(fitted.total[~TRUTH])
        assert compared.certifies(rate) and (p <= rate).mean() <= rate


def test_evidence_is_halved_outside_as_the_verdict_does_it() -> None:
    tiles = RANDOM.integers(10, 100, 600).astype(np.float64)
    tiles[::50] = 1.0
    one = column("good", 3.0, measured={"tiles": tiles, "unknown": np.full(600, np.nan)})
    entry = fit_question("synthetic", [one], FILES).detectors["good"]
    assert list(entry["range"]) == ["tiles"]
    rows = np.arange(600)
    evidence = fitting._evidence(one, rows, entry["knots"], {"tiles": [5.0, 99.0]})
    inside = fitting._evidence(one, rows, entry["knots"], {})
    outside = (tiles < 5) | (tiles > 99)
    assert np.allclose(evidence[outside], OUTSIDE_SHARE * inside[outside])
    assert np.allclose(evidence[~outside], inside[~outside])
    table = Calibration({"good": entry | {"range": {"tiles": [5.0, 99.0]}}}, {}, "made up", "test")
    card = Card("good", "1", Question.SYNTHETIC, "good")
    for row in (0, 1, 50):
        said = Measurement(float(one.scores[row]), facts={"tiles": float(tiles[row])})
        found = calibrate(Finding.of(card, said), table)
        assert found.llr == pytest.approx(evidence[row], abs=1e-3)


def test_a_table_has_a_line_for_each_file(tmp_path: Path) -> None:
    fitted = fit_question("synthetic", [column("good", 3.0)], FILES)
    table = {
        "schema": 2,
        "source": "made up",
        "detectors": fitted.detectors,
        "questions": {"synthetic": fitted.table},
    }
    text = dumps(table)
    assert json.loads(text) == json.loads(json.dumps(table))
    assert 600 < text.count("\n") < 640
    path = write(table, tmp_path / "sub" / "own.json")
    assert load_calibration(str(path)).questions["synthetic"].weight("good") > 0.5


def test_a_detector_joins_the_verdict_by_its_calibration(
    tmp_path: Path, sets: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = sets.make_set(tmp_path / "set", 24)
    protocol = load_protocol(str(tmp_path / "set" / "tiny.yaml"))
    monkeypatch.setattr(calibrate_run, "needed", lambda question, detectors: tuple(detectors))
    table = calibrate_run.from_manifest(manifest, protocol, ("spectral_peaks",), jobs=1)
    path = write(table, tmp_path / "own.json")
    entry = table["detectors"]["spectral_peaks"]
    assert entry["bona_fide"] == entry["altered"] == 12
    assert entry["range"]["short_side"] == [128, 128]
    chosen = bonafide.Settings(only=("spectral_peaks",), calibration=str(path), threads=1)
    report = bonafide.examine(tmp_path / "set" / "000.png", chosen)
    assert report.versions["calibration"] == load_calibration(str(path)).id
    assert "+" in report.versions["calibration"]
    known = report.findings[0].calibrated
    assert known is not None and known.threshold == entry["threshold"]
    assert report.settings["calibration"] == str(path)


def test_every_detector_that_weighs_has_to_be_in_the_run() -> None:
    needed = calibrate_run.needed("synthetic", ("spectral_peaks",))
    assert needed[0] == "spectral_peaks" and len(needed) > 1
    assert all(registry.card(name).question is Question.SYNTHETIC for name in needed)
    with pytest.raises(InvalidInput, match="answers edited; the protocol asks synthetic"):
        calibrate_run.needed("synthetic", ("noise_level",))
    with pytest.raises(bonafide.BonafideError, match="no detector is called"):
        calibrate_run.needed("synthetic", ("nonsense",))


def test_the_command_says_what_is_missing_and_what_was_written(
    tmp_path: Path, sets: SimpleNamespace
) -> None:
    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bonafide", *map(str, arguments)],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    manifest = sets.make_set(tmp_path / "set", 12)
    protocol, run = tmp_path / "set" / "tiny.yaml", tmp_path / "run"
    common = ("--protocol", protocol, "--out", run, "--no-audit", "--repeats", 0, "--quiet")
    names = calibrate_run.needed("synthetic", ("spectral_peaks",))
    call("bench", "run", manifest, *common, "--detectors", "generator_metadata")
    lacking = call("bench", "calibrate", run, "--detector", "spectral_peaks")
    assert lacking.returncode == 2 and "has no scores of" in lacking.stderr
    call("bench", "run", manifest, *common, "--detectors", ",".join(names))
    out = tmp_path / "own.json"
    done = call("bench", "calibrate", run, "--detector", "spectral_peaks", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out) and "too few to accuse" in done.stderr
    assert json.loads(out.read_text())["detectors"]["spectral_peaks"]["version"] == (
        registry.card("spectral_peaks").version
    )


def test_detectors_of_frames_do_not_move_those_of_pictures() -> None:
    random = np.random.default_rng(4)
    truth = np.tile([False, True], 60)
    sources = np.repeat([f"s{number}" for number in range(20)], 6)
    score = truth + random.normal(0, 0.7, 120)
    alone = fit_question("synthetic", [Column("one", "1", score)], Files(truth, sources))
    nothing = np.full(120, np.nan)
    pictures = Column("one", "1", np.concatenate([score, nothing]))
    frames = Column("one.frames", "1", np.concatenate([nothing, -score]), kind="video")
    both = Files(np.tile(truth, 2), np.concatenate([sources, np.char.add("v", sources)]))
    together = fit_question("synthetic", [pictures, frames], both)
    assert together.detectors["one"] == alone.detectors["one"]
    assert together.table["weights"]["one"] == alone.table["weights"]["one"]
    assert np.array_equal(together.evidence[:120, 0], alone.evidence[:, 0])
    assert np.isnan(together.evidence[120:, 0]).all()
