"""The tool that fits the shipped calibration, on a made-up set and made-up scores."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image as Pillow

from bonafide import registry
from bonafide.evidence.calibration import load_calibration

TOOLS = Path(__file__).resolve().parents[2] / "tools"
TRAINED = "spectral_peaks"  # stands for a detector with weights: any id may be replaced


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("calibrate", "accuracy", "labelled"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import calibrate

    return calibrate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    fields = ("path", "label", "origin", "source", "composite")
    with (tmp_path / "generated_images.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        for number in range(120):
            label = "generated" if number % 2 else "bona_fide"
            source = f"{label}{number // 2 % 6}"
            side = 20 + number % 7
            path = f"{number}.png"
            Pillow.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).save(
                tmp_path / path
            )
            writer.writerow(dict(zip(fields, (path, label, source, source, ""), strict=True)))
    forensic = ["path,kind,label,group,note"]
    records = []
    for number in range(40):
        label = "tampered" if number % 2 else "authentic"
        path = f"{number}.png"
        forensic.append(f"f{path},manipulation,{label},set/scene{number}/{number},")
        (tmp_path / f"f{path}").write_bytes((tmp_path / path).read_bytes())
        records.append(record(f"f{path}", "noise_level", number % 2 + random.normal(0, 0.4)))
    (tmp_path / "forensic_media.csv").write_text("\n".join(forensic))
    (tmp_path / "scores.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def record(path: str, detector: str, score: float) -> dict[str, object]:
    return {
        "path": path,
        "detector": detector,
        "version": registry.card(detector).version,
        "status": "ok",
        "score": score,
        "claim": None,
        "seconds": 0.01,
        "megapixels": 0.001,
    }


def out_of_fold(data: Path) -> Path:
    """Scores of all but ten pictures, one of which it could not read, with a fact."""
    random = np.random.default_rng(1)
    lines = ["path,score,tiles"]
    for number in range(110):
        score = "" if number == 0 else f"{2 * (number % 2) + random.normal(0, 0.5):.4f}"
        lines.append(f"{number}.png,{score},{number % 9}")
    lines += [f"f{number}.png,{random.normal(0, 0.5):.4f},3" for number in range(40)]
    path = data / "oof.csv"
    path.write_text("\n".join(lines))
    return path


def test_out_of_fold_scores_stand_for_those_of_a_trained_detector(
    tool: ModuleType, data: Path
) -> None:
    file = out_of_fold(data)
    calibration, page = data / "calibration.json", data / "accuracy.md"
    tool.fit(data, data / "scores.jsonl", {TRAINED: file}, calibration, page)
    fitted = json.loads(calibration.read_text())
    assert load_calibration(str(calibration)).detectors[TRAINED]
    entry = fitted["detectors"][TRAINED]
    assert entry["auc"] > 0.9
    # 55 bona fide of the table and 20 authentic ones have a row; one row has no score.
    assert entry["bona_fide"] == 74 and len(fitted["fusion"]["synthetic"]["bona_fide"]) == 75
    assert entry["range"]["tiles"] == [0.0, 8.0] and entry["range"]["short_side"][0] == 20
    assert fitted["source"].endswith(f"scores of {TRAINED} out of fold")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert fitted["scores_of"][TRAINED] == {
        "file": "oof.csv",
        "sha256": digest,
        "how": "by models that had not seen the origin of the picture",
    }
    assert list(fitted["fusion"]["edited"]["weights"]) == ["noise_level"]
    text = page.read_text()
    for words in ("Risk against coverage", "Expected calibration error", digest[:16], "| 0.5% |"):
        assert words in text
    ElementTree.parse(data / "accuracy-risk.svg")


def test_scores_of_trained_detectors_are_never_taken_from_these_pictures(
    tool: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = registry.card
    trained = card(TRAINED).__class__(**{**vars(card(TRAINED)), "training_data": "these"})
    monkeypatch.setattr(registry, "card", lambda name: trained if name == TRAINED else card(name))
    (data / "scores.jsonl").write_text(json.dumps(record("1.png", TRAINED, 9.0)))
    assert not tool.read_records(data / "scores.jsonl", {"1.png"})
    tool.score(data, data / "new.jsonl", (TRAINED,), True, 1)
    assert (data / "new.jsonl").read_text() == ""


def test_calibration_error_weighs_both_classes_alike(tool: ModuleType) -> None:
    truth = np.array([True] * 10 + [False] * 90)
    error = tool.accuracy.balanced_ece
    assert error(truth, np.full(100, 0.5)) == pytest.approx(0.0)
    assert error(truth, np.where(truth, 1.0, 0.0)) == pytest.approx(0.0)
    assert error(truth, np.full(100, 0.9)) == pytest.approx(0.4)
