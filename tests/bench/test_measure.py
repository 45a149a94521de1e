"""From labelled files to a table, its page and its summary, by the verbs of `bonafide bench`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from bonafide import registry
from bonafide.bench import measure as measuring
from bonafide.bench.calibrate import from_scores
from bonafide.bench.calibration_page import balanced_ece, summary, write_page
from bonafide.bench.labelled import read_labelled
from bonafide.bench.outcomes import by_container, by_group, decide_all
from bonafide.cli.bench import bench
from bonafide.errors import InvalidInput
from bonafide.evidence import calibration
from bonafide.evidence.calibration import default_calibration, load_calibration
from bonafide.types import Decision, Question

TRACES, EDITS = "spectral_peaks", "noise_level"


def said(detector: str, score: float | None, **more: object) -> dict[str, object]:
    status = "not_applicable" if score is None else "ok"
    version = registry.card(detector).version
    return {"version": version, "status": status, "score": score, "seconds": 0.1} | more


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Path, Path]:
    """Scores and a manifest: 121 bona fide sources, six generators and three kinds of edit."""
    random = np.random.default_rng(0)
    rows, lines = ["path,label,origin,generator,kind"], []
    for number in range(480):
        kind = ("bona_fide", "bona_fide", "generated", "edited")[number % 4]
        origin = f"source{number % 121}" if kind != "generated" else f"site{number % 7}"
        made = {"generated": f"model{number % 6}", "edited": f"edit{number % 3}"}.get(kind, "")
        rows.append(f"{number}.png,{kind},{origin},{made},photo")
        jpeg = number % 3 == 0
        lines.append({
            "path": str(tmp_path / f"{number}.png"),
            "container": "jpeg" if jpeg else "other",
            "measured": {"short_side": 500.0, "megapixels": 0.4, "jpeg": float(jpeg)},
            "said": {
                TRACES: said(TRACES, random.normal(9.0 * (kind == "generated"), 1)),
                EDITS: said(EDITS, random.normal(9.0 * (kind == "edited"), 1) if jpeg else None,
                            marked=0.0, f1=0.5),
                "exif_consistency": said("exif_consistency", float(number % 30 == 0)),
            },
        })  # fmt: skip
    manifest, scores = tmp_path / "manifest.csv", tmp_path / "scores.jsonl"
    manifest.write_text("\n".join(rows))
    scores.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return scores, manifest


def test_all_questions_are_fitted_at_once(measured: tuple[Path, Path], tmp_path: Path) -> None:
    scores, manifest = measured
    outcome = from_scores([scores], [manifest])
    assert [part.question for part in outcome.parts] == [Question.SYNTHETIC, Question.EDITED]
    synthetic, edited = outcome.parts
    assert len(synthetic.files) == 360 and len(edited.files) == 120  # of JPEGs alone
    assert not outcome.skipped and "bona fide files of 121 sources" in outcome.table["source"]
    assert outcome.table["regions"] == default_calibration().regions
    for part in outcome.parts:
        decisions = decide_all(part)
        told = by_container(part, decisions)
        fine, altered = told["all"]
        assert fine.accused <= 0.02 * fine.count
        assert fine.count + altered.count == len(part.files)
        assert set(by_group(part, decisions, True)) <= {
            *(f"model{n}" for n in range(6)), *(f"edit{n}" for n in range(3))
        }  # fmt: skip
    fine, altered = by_container(synthetic, decide_all(synthetic))["other"]
    assert altered.accused > 0.9 * altered.count
    # Too few sources have a JPEG for 1 %, enough for 5 %.
    assert Decision.ACCUSED not in decide_all(edited)
    assert decide_all(edited, 0.05).count(Decision.ACCUSED) > 20


def test_page_and_summary_tell_formats_sources_and_generators_apart(
    measured: tuple[Path, Path], tmp_path: Path
) -> None:
    outcome = from_scores([measured[0]], [measured[1]])
    page = tmp_path / "accuracy.md"
    write_page(page, outcome)
    text = page.read_text()
    for words in ("| JPEG |", "| not JPEG |", "| model0 |", "Expected", "cannot certify"):
        assert words.lower() in text.lower(), words
    ElementTree.parse(tmp_path / "accuracy-risk.svg")
    told = "\n".join(summary(outcome))
    for words in ("bona fide files: 240", "not JPEG: bona fide", "  model0: ", "cannot certify"):
        assert words in told


def test_the_commands_make_a_table_that_can_be_used(
    measured: tuple[Path, Path], tmp_path: Path
) -> None:
    scores, manifest = measured
    out, page = tmp_path / "table.json", tmp_path / "page.md"
    arguments = ["calibrate", str(scores), "--out", str(out), "--page", str(page)]
    bare = CliRunner().invoke(bench, arguments)
    assert bare.exit_code == 2 and "--manifest" in bare.output
    done = CliRunner().invoke(bench, [*arguments, "--manifest", str(manifest)])
    assert done.exit_code == 0, done.output
    assert str(out) in done.output and page.exists()
    table = load_calibration(str(out))
    assert table.detectors[TRACES]["version"] == registry.card(TRACES).version
    assert table.detectors["exif_consistency"]["false_positive_rate"] <= 0.07
    assert out.stat().st_size < 100_000
    assert "edited" in table.uncertified() and "synthetic" not in table.uncertified()


def test_out_of_fold_scores_stand_for_those_of_a_trained_detector(
    measured: tuple[Path, Path], tmp_path: Path
) -> None:
    scores, manifest = measured
    file = tmp_path / "oof.csv"
    lines = [f"{n}.png,{'' if n == 0 else n % 4 == 2},native" for n in range(300)]
    text = "path,score,degradation\n" + "\n".join(lines) + "\n1.png,9,jpeg:50\n"
    file.write_text(text.replace("True", "1").replace("False", "0"))
    outcome = from_scores([scores], [manifest], scores_of={TRACES: file})
    entry = outcome.table["detectors"][TRACES]
    assert entry["bona_fide"] + entry["altered"] == 225 - 1 and entry["auc"] == 1.0
    assert outcome.table["scores_of"][TRACES]["file"] == "oof.csv"


def test_files_of_sources_without_out_of_fold_scores_keep_what_was_measured(
    measured: tuple[Path, Path], tmp_path: Path
) -> None:
    scores, manifest = measured
    file = tmp_path / "oof.csv"
    generated = [n for n in range(480) if n % 4 == 2]
    file.write_text("path,score\n" + "".join(f"{n}.png,1\n" for n in generated[:-7]))
    entry = from_scores([scores], [manifest], scores_of={TRACES: file}).table["detectors"][TRACES]
    assert entry["bona_fide"] == 240  # of no source in the table
    assert entry["altered"] == len(generated) - 7  # the last seven are of sources in the table


def test_sources_that_a_trained_detector_has_seen_are_left_out_for_it(
    measured: tuple[Path, Path], tmp_path: Path
) -> None:
    scores, manifest = measured
    seen = tmp_path / "seen.csv"
    seen.write_text("path,label,origin\nx.png,real,source0\ny.png,fake,site1\n")
    outcome = from_scores([scores], [manifest], trained_on={TRACES: seen})
    sources = {row[0] for row in outcome.table["questions"]["synthetic"]["files"]}
    assert sources and not sources & {"source0", "site1"}


def test_measuring_asks_only_for_what_is_missing(
    tmp_path: Path, sets: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = sets.make_set(tmp_path / "set", 4)
    (tmp_path / "set" / "003.png").write_bytes(b"nothing")
    out = tmp_path / "scores.jsonl"
    files = read_labelled([manifest])
    assert measuring.measure(files, out, (TRACES,)) == 1
    records = measuring.read_records(out)
    assert len(records) == 4
    first = records[str(tmp_path / "set" / "000.png")]
    assert first["container"] == "other" and first["measured"]["short_side"] == 128
    assert first["said"][TRACES]["status"] == "ok"
    assert records[str(tmp_path / "set" / "003.png")]["said"][TRACES]["status"] == "failed"
    before = out.read_text()
    assert measuring.measure(files, out, (TRACES,)) == 0
    assert out.read_text() == before
    out.write_text(before[:-20])  # as a kill leaves it
    measuring.measure(files, out, (TRACES, EDITS))
    again = measuring.read_records(out)
    assert len(again) == 4 and all(TRACES in one["said"] for one in again.values())
    real = again[str(tmp_path / "set" / "001.png")]["said"]
    assert EDITS in real and EDITS not in first["said"]
    with pytest.raises(InvalidInput, match="is no file that"):
        measuring.read_records(manifest)


def test_calibration_error_weighs_both_classes_alike() -> None:
    truth = np.array([True] * 10 + [False] * 90)
    assert balanced_ece(truth, np.full(100, 0.5)) == pytest.approx(0.0)
    assert balanced_ece(truth, np.where(truth, 1.0, 0.0)) == pytest.approx(0.0)
    assert balanced_ece(truth, np.full(100, 0.9)) == pytest.approx(0.4)


def test_a_question_is_added_to_a_table(measured: tuple[Path, Path], tmp_path: Path) -> None:
    scores, manifest = measured
    known = Path(calibration.__file__).parent / "calibration.json"
    into = tmp_path / "own.json"
    into.write_bytes(known.read_bytes())
    arguments = ["calibrate", str(scores), "--manifest", str(manifest), "--into", str(into)]
    done = CliRunner().invoke(bench, [*arguments, "--detector", EDITS])
    assert done.exit_code == 0, done.output
    before, after = json.loads(known.read_text("utf-8")), json.loads(into.read_text("utf-8"))
    assert after["questions"]["synthetic"] == before["questions"]["synthetic"]
    assert after["questions"]["edited"] != before["questions"]["edited"]
    assert "121 sources" in after["questions"]["edited"]["source"]
    assert after["regions"] == before["regions"] and after["source"] == before["source"]
    changed = {n for n in after["detectors"] if after["detectors"][n] != before["detectors"].get(n)}
    assert changed == {EDITS}
