"""Maps of several findings become one answer per region."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.evidence.calibration import Calibration
from bonafide.evidence.edited_regions import (
    LEAST_PIXELS,
    MOST_REGIONS,
    Lattice,
    fuse_maps,
    regard,
)
from bonafide.types import (
    WHOLE,
    Answer,
    Decision,
    EditKind,
    Edits,
    Finding,
    Label,
    Measurement,
    Question,
    Reason,
    Region,
    ScoreMap,
    Status,
    Verdict,
)

BINARY = [[0.0, -0.2], [0.49, -0.2], [0.5, 4.0], [1.0, 4.0]]


def entry(**changes: Any) -> dict[str, Any]:
    usual = {
        "version": "1",
        "knots": BINARY,
        "threshold": 1.0,
        "weight": 1.0,
        "weight_below": 0.2,
    }
    return usual | changes


NAMES = ("clones", "grid", "ghost", "double", "noise")
TABLES = {"prior": -3.0, "detectors": {name: entry() for name in NAMES}}
CALIBRATION = Calibration({}, {}, "made up", "test", TABLES)


def box(
    x: int, y: int, width: int, height: int, shape: tuple[int, int] = (120, 200), value: float = 1.0
) -> np.ndarray:
    heatmap = np.zeros(shape, np.float32)
    heatmap[y : y + height, x : x + width] = value
    return heatmap


def said(detector: str = "double", marks: np.ndarray | None = None, **fields: Any) -> Finding:
    version = fields.pop("version", "1")
    question = fields.pop("question", Question.EDITED)
    cell = fields.pop("cell", 1)
    maps: tuple[ScoreMap, ...] = ()
    if marks is not None:
        height, width = fields.pop("size", (marks.shape[0] * cell, marks.shape[1] * cell))
        maps = (ScoreMap(np.asarray(marks, np.float32), cell, width, height),)
    measured = Measurement(**({"score": 5.0, "maps": maps, "summary": "s."} | fields))
    return Finding(detector, version, question, Status.OK, parts=((measured, None),))


def fuse(*findings: Finding) -> Edits:
    fused = fuse_maps(findings, CALIBRATION)
    assert fused is not None
    assert fused.map is not None
    return fused


def test_one_strong_map_makes_one_region() -> None:
    fused = fuse(said(marks=box(20, 30, 40, 25)), said("ghost", np.zeros((120, 200), "f4")))
    (region,) = fused.regions
    assert (region.x, region.y, region.width, region.height) == (20, 30, 40, 25)
    assert region.area == 1000
    assert region.share == pytest.approx(1000 / 24000, abs=1e-6)
    assert region.detectors == ("double",)
    assert region.kind is EditKind.UNKNOWN
    assert region.strength == pytest.approx(1 / (1 + math.exp(-(4.0 - 3.0 - 0.2))), abs=1e-3)
    assert fused.marked_share == region.share


def test_agreement_is_stronger_than_each_alone() -> None:
    alone = fuse(said(marks=box(20, 30, 40, 25))).regions[0]
    both = fuse(said(marks=box(20, 30, 40, 25)), said("noise", box(15, 30, 45, 25)))
    assert both.regions[0].strength > alone.strength
    assert both.regions[0].detectors == ("noise", "double")  # covers more of it


def test_a_finding_below_its_threshold_counts_less() -> None:
    weak = said(marks=box(20, 30, 40, 25), score=0.5)
    strong = said("ghost", box(100, 60, 30, 30))
    fused = fuse(weak, strong)
    assert [region.x for region in fused.regions] == [100]
    assert fused.weights == {"double": 0.2, "ghost": 1.0}


@pytest.mark.parametrize(("value", "marked"), [(0.7, False), (0.9, True)])
def test_a_map_that_barely_passes_one_half_counts_as_below_its_threshold(
    value: float, marked: bool
) -> None:
    tables = {"prior": -3.0, "detectors": {"double": entry(conviction=0.8, weight_below=1.0)}}
    fused = fuse_maps(
        [said(marks=box(20, 30, 40, 25, value=value))],
        Calibration({}, {}, "made up", "test", tables),
    )
    assert fused is not None
    assert bool(fused.regions) is marked


def test_nothing_is_marked_where_no_finding_is_at_its_threshold() -> None:
    tables = {"prior": 3.0, "detectors": {"double": entry()}}
    calibration = dataclasses.replace(CALIBRATION, regions=tables)
    weak = said(marks=box(0, 0, 200, 120), score=0.5)
    fused = fuse_maps([weak], calibration)
    assert fused is not None and fused.map is not None
    assert not fused.regions
    assert fused.map.values.max() < 0.5


@pytest.mark.parametrize(
    "finding",
    [
        said(marks=None),
        said("ela", box(0, 0, 90, 90)),  # has no table
        said(marks=box(0, 0, 90, 90), version="2"),  # not the version of the table
        Finding("double", "1", Question.EDITED, Status.FAILED, why="broken"),
    ],
)
def test_what_cannot_be_read_is_missing_and_not_innocent(finding: Finding) -> None:
    assert fuse_maps([finding], CALIBRATION) is None
    spoken = said("ghost", box(20, 30, 40, 25))
    assert fuse(finding, spoken) == fuse(spoken)
    assert fuse_maps([spoken], Calibration({}, {}, "", "")) is None


def test_specks_are_lowered_so_that_half_gives_the_regions() -> None:
    heatmap = box(20, 30, 40, 25)
    heatmap[100:107, 100:109] = 1  # one pixel less than the floor
    fused = fuse(said(marks=heatmap))
    assert len(fused.regions) == 1
    assert fused.map is not None
    marked = fused.map.values >= 0.5
    assert np.array_equal(marked, box(20, 30, 40, 25) > 0)
    assert (
        np.rint(255 * fused.map.values[103, 103]) < 128 <= np.rint(255 * fused.map.values[40, 30])
    )


def test_regions_are_bounded_in_number_and_sorted_by_size() -> None:
    heatmap = np.zeros((400, 400), np.float32)
    for number in range(36):
        x, y = 60 * (number % 6), 60 * (number // 6)
        heatmap[y : y + 10 + number, x : x + 10] = 1
    fused = fuse(said(marks=heatmap))
    assert len(fused.regions) == MOST_REGIONS
    areas = [region.area for region in fused.regions]
    assert areas == sorted(areas, reverse=True)
    assert fused.marked_share == pytest.approx(float(heatmap.mean()), abs=1e-6)


def test_maps_of_other_sizes_are_stretched() -> None:
    small = box(10, 15, 20, 12, (60, 100))
    fused = fuse(said(marks=box(20, 30, 40, 24)), said("ghost", small))
    assert fused.map is not None and fused.map.values.shape == (120, 200)
    assert fused.regions[0].detectors == ("double", "ghost")


def test_lattices_meet_on_that_of_the_finest() -> None:
    coarse = said("ghost", box(2, 3, 5, 3, (15, 25)), cell=8, size=(117, 195))
    fine = said(marks=box(4, 6, 10, 6, (30, 49)), cell=4, size=(117, 195))
    fused = fuse(coarse, fine)
    assert fused.map is not None
    assert (fused.map.cell, fused.map.width, fused.map.height) == (4, 195, 117)
    assert fused.map.values.shape == (30, 49)
    (region,) = fused.regions
    assert (region.x, region.y, region.width, region.height) == (16, 24, 40, 24)
    assert region.area == 960 and set(region.detectors) == {"double", "ghost"}


def test_cells_at_the_edge_count_the_pixels_that_they_have() -> None:
    marks = np.zeros((15, 25), np.float32)
    marks[-3:, -4:] = 1
    (region,) = fuse(said("ghost", marks, cell=8, size=(117, 195))).regions
    assert (region.x, region.y) == (168, 96)
    assert (region.x + region.width, region.y + region.height) == (195, 117)
    assert region.area == 27 * 21


def test_a_large_picture_has_a_coarser_lattice() -> None:
    scores = ScoreMap(np.zeros((3000, 4000), np.float32), 1, 4000, 3000)
    lattice = Lattice.of([scores])
    assert lattice.cell == 3 and math.prod(lattice.shape) <= 1.5e6
    assert int(lattice.areas().sum()) == 12_000_000
    assert Lattice.of([ScoreMap(np.zeros((9, 9), np.float32), 8, 70, 66)]).cell == 8


class TestKinds:
    @staticmethod
    def clone(roles: tuple[str, str]) -> Edits:
        marks = np.maximum(box(10, 10, 30, 30), box(120, 60, 30, 30))
        regions = (
            Region(120, 60, 30, 30, 9.0, roles[0], 0),
            Region(10, 10, 30, 30, 9.0, roles[1], 0),
        )
        return fuse(said("clones", marks, regions=regions, kind=EditKind.CLONE))

    def test_a_clone_names_the_same_content_elsewhere(self) -> None:
        by_x = {region.x: region for region in self.clone(("target", "source")).regions}
        assert {region.kind for region in by_x.values()} == {EditKind.CLONE}
        assert by_x[120].other == Region(10, 10, 30, 30, 9.0, "source", 0)
        assert by_x[10].other is not None and by_x[10].other.role == "target"

    def test_no_direction_is_claimed_that_is_not_known(self) -> None:
        found = self.clone(("", "")).regions
        assert [r.other and (r.other.role, r.other.x) for r in found] in (
            [("", 10), ("", 120)], [("", 120), ("", 10)]
        )  # fmt: skip

    def test_source_and_target_in_one_region_have_no_elsewhere(self) -> None:
        regions = (Region(10, 10, 30, 30, 9, "target", 0), Region(40, 10, 30, 30, 9, "source", 0))
        marks = box(10, 10, 60, 30)
        fused = fuse(said("clones", marks, regions=regions, kind=EditKind.CLONE))
        assert [(r.kind, r.other) for r in fused.regions] == [(EditKind.CLONE, None)]

    @pytest.mark.parametrize("kind", [EditKind.SPLICE, EditKind.UNKNOWN])
    def test_only_a_detector_that_marks_the_region_says_what_was_done(self, kind: EditKind) -> None:
        fused = fuse(said("ghost", box(20, 30, 40, 25), kind=kind))
        assert fused.regions[0].kind is kind
        elsewhere = said("grid", box(150, 90, 20, 20), kind=EditKind.CLONE)
        both = fuse(said("ghost", box(20, 30, 40, 25), kind=kind), elsewhere)
        assert [region.kind for region in both.regions] == [kind, EditKind.CLONE]

    @pytest.mark.parametrize(
        ("rest", "kind"), [(0.1, EditKind.REGENERATED), (0.8, EditKind.UNKNOWN)]
    )
    def test_regenerated_only_where_the_rest_is_not(self, rest: float, kind: EditKind) -> None:
        generated = np.maximum(box(20, 30, 40, 25, value=0.9), np.float32(rest))
        other = said("traces", generated, question=Question.SYNTHETIC)
        fused = fuse(said(marks=box(20, 30, 40, 25)), other)
        assert fused.regions[0].kind is kind
        assert fused.regions[0].detectors == ("double",)


def quiet(*because: Reason) -> Verdict:
    answer = Answer(Question.EDITED, WHOLE, 0.3, 0.5, Decision.CLEAR, because)
    against = tuple(reason for reason in because if (reason.llr or 0.0) < 0)
    return Verdict(Label.NO_TRACE_FOUND, (answer,), against, "It proves nothing.")


def test_a_marked_region_forbids_to_say_that_there_is_no_trace() -> None:
    marked, drawn = fuse(said(marks=box(20, 30, 40, 25))), quiet()
    assert regard(drawn, marked).label is Label.INCONCLUSIVE
    assert regard(drawn, None) is drawn
    assert regard(drawn, fuse(said(marks=box(0, 0, 0, 0)))) is drawn
    accused = dataclasses.replace(drawn, label=Label.MANIPULATED)
    assert regard(accused, marked) is accused


def test_reasons_that_stay_are_those_for_a_trace() -> None:
    reasons = [
        Reason("noise", Question.EDITED, -0.8, "Noise is even."),
        Reason("grid", Question.EDITED, 0.3, "The grid is off."),
    ]
    found = [said(marks=box(20, 30, 40, 25)), said("noise", box(0, 0, 0, 0))]
    drawn = regard(quiet(*reasons), fuse(*found), found)
    assert drawn.label is Label.INCONCLUSIVE
    assert [(reason.detector, reason.llr) for reason in drawn.because] == [
        ("grid", 0.3),
        ("double", None),
    ]


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    seed=st.integers(0, 99),
    score=st.sampled_from([None, 0.0, 5.0]),
)
def test_regions_are_what_half_gives(
    height: int, width: int, seed: int, score: float | None
) -> None:
    random = np.random.default_rng(seed)
    maps = [random.random((height, width), np.float32) ** 0.3 for _ in range(2)]
    fused = fuse(said(marks=maps[0], score=score), said("grid", maps[1]))
    assert fused.map is not None
    assert fused.map.values.dtype == np.float32 and fused.map.values.shape == (height, width)
    assert fused.map.values.min() >= 0 and fused.map.values.max() <= 1
    marked = fused.map.values >= 0.5
    assert sum(region.area for region in fused.regions) == np.count_nonzero(marked)
    for region in fused.regions:
        assert region.area >= LEAST_PIXELS
        assert 0.5 <= region.strength <= 1
        assert region.x + region.width <= width and region.y + region.height <= height
