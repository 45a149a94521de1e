"""The tool that fits how maps are joined, on a made-up detector and made-up pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide import registry
from bonafide.evidence import edited_regions as edits
from bonafide.evidence.calibration import Calibration
from bonafide.types import Finding, Question, Status

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("fit_regions", "region_evidence"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import fit_regions

    return fit_regions


def picture(tool: ModuleType, number: int, edited: bool, right: float) -> Any:
    """A picture whose map of double_jpeg finds an edit with probability `right`."""
    random = np.random.default_rng(number)
    mask = np.zeros((60, 80), np.bool_)
    if edited:
        mask[20:50, 10:40] = True
    found = random.random() < (right if edited else 0.004)
    heatmap = np.zeros(mask.shape, np.float32)
    if found:
        heatmap[20:52, 12:42] = 0.9
    score = float(found) + 0.1 * random.random()
    said = [
        Finding(name, registry.card(name).version, Question.EDITED, Status.OK, score=score,
                heatmap=heatmap if name == "double_jpeg" else heatmap * 0 + random.random() / 3)
        for name in ("double_jpeg", "noise_level")
    ]  # fmt: skip
    findings = {finding.detector: finding for finding in said}
    asked = frozenset(findings) if number % 50 else frozenset({"double_jpeg"})
    return tool.Picture(f"collection{number % 7}", mask, asked, findings)


def test_tables_follow_what_maps_were_worth(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [picture(tool, number, number % 3 == 0, 0.8) for number in range(210)]
    monkeypatch.setattr(tool, "read_evidence", lambda folder: iter(pictures))
    path = tmp_path / "calibration.json"
    path.write_text('{"source": "kept"}')
    fitted = tool.fit(tmp_path, path, 0.03)
    assert json.loads(path.read_text()) == {"source": "kept", "regions": fitted}
    calibration = Calibration({}, {}, {}, "made up", "test", fitted)
    findings = next(
        one.findings for one in pictures if one.findings["double_jpeg"].heatmap.max() > 0.5
    )
    fused = edits.fuse_maps(list(findings.values()), calibration)
    assert [region.detectors for region in fused.regions] == [("double_jpeg",)]
    good, noise = (fitted["detectors"][name] for name in ("double_jpeg", "noise_level"))
    assert dict(map(tuple, good["knots"]))[0.5] > 2
    assert good["weight"] > 0.5
    assert all(abs(ratio) < 0.7 for _, ratio in noise["knots"])
    for entry in (good, noise):
        ratios = [ratio for _, ratio in entry["knots"]]
        assert ratios == sorted(ratios)
    held = fitted["held_out"]
    assert held["edited"] + held["untouched"] == 210 - 5
    assert held["f1"] > 0.6
    assert held["false_region_rate"] <= 0.05
    assert set(fitted["collections"]) == {f"collection{number}" for number in range(7)}


def test_collections_are_never_divided(tool: ModuleType) -> None:
    groups = np.array([f"c{number % 11}" for number in range(100)])
    seen: list[int] = []
    for training, held_out in tool.folds_by_collection(groups):
        assert not set(groups[training]) & set(groups[held_out])
        seen += held_out.tolist()
    assert sorted(seen) == list(range(100))


def test_measuring_goes_on_where_it_stopped(tool: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rows = ["path,label,mask,base"]
    for name, label in (("a", "authentic"), ("b", "tampered")):
        Pillow.fromarray(photographs.astronaut()[:128, :160]).save(folder / f"{name}.png")
        rows.append(f"photos/{name}.png,{label},{'photos/m.png' if name == 'b' else ''},")
    mask = np.zeros((128, 160), np.uint8)
    mask[10:60, 20:90] = 255
    Pillow.fromarray(mask).save(folder / "m.png")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(rows))
    evidence = tmp_path / "evidence"
    tool.measure([manifest], evidence, frozenset({"elsewhere"}), ["noise_level"], 1)
    assert list(tool.read_evidence(evidence)) == []
    tool.measure([manifest], evidence, frozenset({"photos"}), ["noise_level"], 1)
    stamps = {file: file.stat().st_mtime_ns for file in evidence.iterdir()}
    tool.measure([manifest], evidence, frozenset(), ["noise_level"], 1)
    assert stamps == {file: file.stat().st_mtime_ns for file in evidence.iterdir()}
    tool.measure([manifest], evidence, frozenset(), ["noise_level", "jpeg_ghost"], 1)
    pictures = list(tool.read_evidence(evidence))
    assert sorted(int(one.edited.sum()) for one in pictures) == [0, 50 * 70]
    assert all(set(one.findings) == {"noise_level", "jpeg_ghost"} for one in pictures)
    assert all(one.collection == "photos" for one in pictures)
