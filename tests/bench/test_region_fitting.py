"""How the tables that join maps are fitted, on made-up detectors and made-up pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data as photographs

from bonafide import registry
from bonafide.bench import region_fitting, region_maps
from bonafide.bench.labelled import read_labelled
from bonafide.bench.region_maps import Picture
from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import Calibration
from bonafide.evidence.edited_regions import Lattice, fuse_maps
from bonafide.types import Card, Finding, Measurement, Question, ScoreMap

GOOD, NOISE = "double_jpeg", "noise_level"
CELL = 8


def picture(number: int, edited: bool, right: float) -> Picture:
    """A picture whose map of GOOD finds an edit with probability `right`."""
    random = np.random.default_rng(number)
    mask = np.zeros((60, 80), np.bool_)
    if edited:
        mask[20:50, 10:40] = True
    found = random.random() < (right if edited else 0.004)
    marks = np.zeros(mask.shape, np.float32)
    if found:
        marks[20:52, 12:42] = 0.9
    score = float(found) + 0.1 * random.random()
    findings = {}
    for name in (GOOD, NOISE):
        values = marks if name == GOOD else np.full_like(marks, random.random() / 3)
        card = registry.card(name)
        scores = ScoreMap(values, CELL, 80 * CELL, 60 * CELL)
        findings[name] = Finding.of(card, Measurement(score, maps=(scores,)))
    asked = frozenset(findings) if number % 50 else frozenset({GOOD})
    lattice = Lattice(CELL, 80 * CELL, 60 * CELL)
    return Picture(f"source{number % 7}", lattice, mask, asked, findings)


@pytest.mark.parametrize(("weak", "least"), [(0.6, 0.9), (0.9, None)])
def test_conviction_is_asked_for_where_it_tells_edits_from_untouched(
    weak: float, least: float | None
) -> None:
    pictures = []
    for number in range(60):
        edited = number % 2 == 0
        made = picture(number, edited, 1.0)
        marks = np.zeros(made.edited.shape, np.float32)
        marks[20:50, 10:40] = 0.9 if edited else weak
        scores = ScoreMap(marks, CELL, 80 * CELL, 60 * CELL)
        finding = Finding.of(registry.card(GOOD), Measurement(1.0, maps=(scores,)))
        pictures.append(
            Picture(made.source, made.lattice, made.edited, made.asked, {GOOD: finding})
        )
    assert region_fitting.fit_conviction(pictures, GOOD, 0.5) == least
    assert region_fitting.fit_conviction(pictures, GOOD, 2.0) is None


def test_further_tables_leave_the_others_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [picture(number, number % 3 == 0, 0.8) for number in range(210)]
    monkeypatch.setattr(region_fitting, "read_pictures", lambda folder: iter(pictures))
    path = tmp_path / "calibration.json"
    kept = {"prior": -2.0, "held_out": {"f1": 0.1}, "detectors": {"copy_move": {"version": "7"}}}
    path.write_text(json.dumps({"regions": kept}))
    fitted = region_fitting.fit_into(tmp_path, path, 0.03, keep=True)
    assert fitted["prior"] == -2.0
    assert fitted["held_out"] == kept["held_out"]
    assert fitted["detectors"]["copy_move"] == {"version": "7"}
    assert fitted["detectors"][GOOD]["weight"] > 0.5
    assert fitted["added"][GOOD]["f1"] > 0.5
    assert fitted["added"][GOOD]["pictures"] == {"edited": 70, "untouched": 140}
    path.write_text("{}")
    with pytest.raises(InvalidInput, match="no tables of regions to add to"):
        region_fitting.fit_into(tmp_path, path, 0.03, keep=True)


def test_tables_follow_what_maps_were_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [picture(number, number % 3 == 0, 0.8) for number in range(210)]
    monkeypatch.setattr(region_fitting, "read_pictures", lambda folder: iter(pictures))
    path = tmp_path / "calibration.json"
    path.write_text('{"source": "kept", "detectors": {}, "questions": {}}')
    fitted = region_fitting.fit_into(tmp_path, path, 0.03)
    assert json.loads(path.read_text()) == {
        "source": "kept", "detectors": {}, "questions": {}, "regions": fitted
    }  # fmt: skip
    calibration = Calibration({}, {}, "made up", "test", fitted)
    findings = next(
        one.findings
        for one in pictures
        if one.findings[GOOD].map is not None and one.findings[GOOD].map.peak > 0.5
    )
    fused = fuse_maps(list(findings.values()), calibration)
    assert fused is not None and [region.detectors for region in fused.regions] == [(GOOD,)]
    good, noise = (fitted["detectors"][name] for name in (GOOD, NOISE))
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
    assert fitted["sources"] == 7


def test_too_few_sources_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 5 sources"):
        region_fitting.fit([picture(7 * number, number % 2 == 0, 1.0) for number in range(9)], 0.1)


def test_sources_are_never_divided() -> None:
    groups = np.array([f"c{number % 11}" for number in range(100)])
    seen: list[int] = []
    for training, held_out in region_fitting.folds_by_source(groups):
        assert not set(groups[training]) & set(groups[held_out])
        seen += held_out.tolist()
    assert sorted(seen) == list(range(100))


def test_measuring_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rows = ["path,label,mask,origin"]
    for name, label in (("a", "authentic"), ("b", "tampered"), ("c", "tampered")):
        Pillow.fromarray(photographs.astronaut()[:128, :160]).save(tmp_path / f"{name}.png")
        rows.append(f"{name}.png,{label},{'m.png' if name == 'b' else ''},photos")
    mask = np.zeros((128, 160), np.uint8)
    mask[16:64, 24:88] = 255
    Pillow.fromarray(mask).save(tmp_path / "m.png")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(rows))
    maps, files = tmp_path / "maps", read_labelled([manifest])
    assert region_maps.measure_maps(files, maps, [NOISE]) == 0
    stamps = {file: file.stat().st_mtime_ns for file in maps.iterdir()}
    assert len(stamps) == 2  # an edit without a mask teaches nothing
    region_maps.measure_maps(files, maps, [NOISE])
    assert stamps == {file: file.stat().st_mtime_ns for file in maps.iterdir()}
    region_maps.measure_maps(files, maps, [NOISE, "jpeg_ghost"])
    pictures = list(region_maps.read_pictures(maps))
    assert all(set(one.findings) == {NOISE, "jpeg_ghost"} for one in pictures)
    assert all(one.source == "photos" for one in pictures)
    share = [float(one.edited.mean()) for one in sorted(pictures, key=lambda p: p.edited.sum())]
    assert share == pytest.approx([0.0, 48 * 64 / (128 * 160)], abs=0.05)


def test_what_lies_outside_a_detectors_scope_is_not_fitted_on(tmp_path: Path) -> None:
    Pillow.fromarray(photographs.astronaut()[:128, :160]).save(tmp_path / "a.png")
    (tmp_path / "manifest.csv").write_text("path,label,origin\na.png,authentic,photos")
    maps = tmp_path / "maps"
    region_maps.measure_maps(read_labelled([tmp_path / "manifest.csv"]), maps, [NOISE])
    (kept,) = maps.iterdir()
    with np.load(kept) as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"]))
    assert about["said"][NOISE]["outside"] is False
    about["said"][NOISE]["outside"] = True
    np.savez(kept, **{**arrays, "about": np.array(json.dumps(about))})
    (picture,) = region_maps.read_pictures(maps)
    assert picture.findings == {}
    assert picture.asked == {NOISE}


def test_cells_that_were_mostly_edited_are_edited() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[3:12, 4:19] = True
    mask[16:, 24:] = True
    lattice = Lattice(8, 30, 20)
    found = region_maps._reduced(mask, lattice)
    assert found.shape == (3, 4)
    assert found.astype(int).tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


def test_only_detectors_that_outline_edits_are_asked() -> None:
    names = region_maps.outlining_detectors()
    cards: list[Card] = [registry.card(name) for name in names]
    assert names and all(card.outlines and card.question is Question.EDITED for card in cards)
