"""Maps of several findings become one answer per region."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.evidence import edited_regions as edits
from bonafide.evidence.calibration import Calibration
from bonafide.evidence.edited_regions import LEAST_PIXELS, MOST_REGIONS, fuse_maps, regard
from bonafide.explain.words import where
from bonafide.types import (
    EditKind,
    Edits,
    Finding,
    Label,
    Question,
    Reason,
    Region,
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


NAMES = ("copy_move", "jpeg_grid", "jpeg_ghost", "double_jpeg", "noise_level")
TABLES = {"prior": -3.0, "detectors": {name: entry() for name in NAMES}}
CALIBRATION = Calibration({}, {}, {}, "made up", "test", TABLES)


def box(
    x: int, y: int, width: int, height: int, shape: tuple[int, int] = (120, 200), value: float = 1.0
) -> np.ndarray:
    heatmap = np.zeros(shape, np.float32)
    heatmap[y : y + height, x : x + width] = value
    return heatmap


def said(
    detector: str = "double_jpeg", heatmap: np.ndarray | None = None, **fields: Any
) -> Finding:
    fields = {"score": 5.0, "version": "1", "question": Question.EDITED} | fields
    return Finding(
        detector, fields.pop("version"), fields.pop("question"), Status.OK, heatmap=heatmap,
        **fields,
    )  # fmt: skip


def fuse(*findings: Finding) -> Edits:
    fused = fuse_maps(findings, CALIBRATION)
    assert fused is not None
    assert fused.heatmap is not None
    return fused


def test_one_strong_map_makes_one_region() -> None:
    fused = fuse(said(heatmap=box(20, 30, 40, 25)), said("jpeg_ghost", np.zeros((120, 200), "f4")))
    (region,) = fused.regions
    assert (region.x, region.y, region.width, region.height) == (20, 30, 40, 25)
    assert region.area == 1000
    assert region.share == pytest.approx(1000 / 24000, abs=1e-6)
    assert region.detectors == ("double_jpeg",)
    assert region.kind is EditKind.UNKNOWN
    assert region.strength == pytest.approx(1 / (1 + math.exp(-(4.0 - 3.0 - 0.2))), abs=1e-3)
    assert fused.marked_share == region.share


def test_agreement_is_stronger_than_each_alone() -> None:
    alone = fuse(said(heatmap=box(20, 30, 40, 25))).regions[0]
    both = fuse(said(heatmap=box(20, 30, 40, 25)), said("noise_level", box(15, 30, 45, 25)))
    assert both.regions[0].strength > alone.strength
    assert both.regions[0].detectors == ("noise_level", "double_jpeg")  # covers more of it


def test_a_finding_below_its_threshold_counts_less() -> None:
    weak = said(heatmap=box(20, 30, 40, 25), score=0.5)
    strong = said("jpeg_ghost", box(100, 60, 30, 30))
    fused = fuse(weak, strong)
    assert [region.x for region in fused.regions] == [100]
    assert fused.weights == {"double_jpeg": 0.2, "jpeg_ghost": 1.0}


def test_nothing_is_marked_where_no_finding_is_at_its_threshold() -> None:
    tables = {"prior": 3.0, "detectors": {"double_jpeg": entry()}}
    calibration = dataclasses.replace(CALIBRATION, regions=tables)
    weak = said(heatmap=box(0, 0, 200, 120), score=0.5)
    fused = fuse_maps([weak], calibration)
    assert fused is not None and fused.heatmap is not None
    assert not fused.regions
    assert fused.heatmap.max() < 0.5


@pytest.mark.parametrize(
    "finding",
    [
        said(heatmap=None),
        said("ela", box(0, 0, 90, 90)),  # has no table
        said(heatmap=box(0, 0, 90, 90), version="2"),  # not the version of the table
        Finding("double_jpeg", "1", Question.EDITED, Status.FAILED, why="broken"),
    ],
)
def test_what_cannot_be_read_is_missing_and_not_innocent(finding: Finding) -> None:
    assert fuse_maps([finding], CALIBRATION) is None
    spoken = said("jpeg_ghost", box(20, 30, 40, 25))
    assert fuse(finding, spoken) == fuse(spoken)
    assert fuse_maps([spoken], Calibration({}, {}, {}, "", "")) is None


def test_specks_are_lowered_so_that_half_gives_the_regions() -> None:
    heatmap = box(20, 30, 40, 25)
    heatmap[100:107, 100:109] = 1  # one pixel less than the floor
    fused = fuse(said(heatmap=heatmap))
    assert len(fused.regions) == 1
    assert fused.heatmap is not None
    marked = fused.heatmap >= 0.5
    assert np.array_equal(marked, box(20, 30, 40, 25) > 0)
    assert np.rint(255 * fused.heatmap[103, 103]) < 128 <= np.rint(255 * fused.heatmap[40, 30])


def test_regions_are_bounded_in_number_and_sorted_by_size() -> None:
    heatmap = np.zeros((400, 400), np.float32)
    for number in range(36):
        x, y = 60 * (number % 6), 60 * (number // 6)
        heatmap[y : y + 10 + number, x : x + 10] = 1
    fused = fuse(said(heatmap=heatmap))
    assert len(fused.regions) == MOST_REGIONS
    areas = [region.area for region in fused.regions]
    assert areas == sorted(areas, reverse=True)
    assert fused.marked_share == pytest.approx(float(heatmap.mean()), abs=1e-6)


def test_maps_of_other_sizes_are_stretched() -> None:
    small = box(10, 15, 20, 12, (60, 100))
    fused = fuse(said(heatmap=box(20, 30, 40, 24)), said("jpeg_ghost", small))
    assert fused.heatmap is not None and fused.heatmap.shape == (120, 200)
    assert fused.regions[0].detectors == ("double_jpeg", "jpeg_ghost")


def test_strips_do_not_show() -> None:
    rows = np.random.default_rng(0).random((1100, 30), np.float32)
    layers = edits.read_layers([said(heatmap=rows)], TABLES)
    fused = edits.add_up(layers, -3.0)
    whole = layers[0].evidence(slice(None), slice(None)) - 3.0
    assert np.allclose(fused, 1 / (1 + np.exp(-whole)), atol=1e-6)


class TestKinds:
    @staticmethod
    def clone(direction_known: bool) -> Edits:
        heatmap = np.maximum(box(10, 10, 30, 30), box(120, 60, 30, 30))
        regions = (
            Region(120, 60, 30, 30, 9.0, "target", 0),
            Region(10, 10, 30, 30, 9.0, "source", 0),
        )
        facts = {"pairs": [{"direction_known": direction_known}]}
        return fuse(said("copy_move", heatmap, regions=regions, facts=facts))

    def test_a_clone_names_the_same_content_elsewhere(self) -> None:
        by_x = {region.x: region for region in self.clone(True).regions}
        assert {region.kind for region in by_x.values()} == {EditKind.CLONE}
        assert by_x[120].other == Region(10, 10, 30, 30, 9.0, "source", 0)
        assert by_x[10].other is not None and by_x[10].other.role == "target"

    def test_no_direction_is_claimed_that_is_not_known(self) -> None:
        assert [r.other.role for r in self.clone(False).regions if r.other] == ["", ""]

    def test_source_and_target_in_one_region_have_no_elsewhere(self) -> None:
        regions = (Region(10, 10, 30, 30, 9, "target", 0), Region(40, 10, 30, 30, 9, "source", 0))
        fused = fuse(said("copy_move", box(10, 10, 60, 30), regions=regions))
        assert [(r.kind, r.other) for r in fused.regions] == [(EditKind.CLONE, None)]

    @pytest.mark.parametrize(
        ("detector", "facts", "kind"),
        [
            ("jpeg_ghost", {"kind": "has"}, EditKind.SPLICE),
            ("jpeg_ghost", {"kind": "lacks"}, EditKind.UNKNOWN),
            ("jpeg_grid", {"foreign_regions": [{"origin": [3, 4]}]}, EditKind.SPLICE),
            ("jpeg_grid", {"foreign_regions": [{"origin": None}]}, EditKind.UNKNOWN),
            ("double_jpeg", {}, EditKind.UNKNOWN),
        ],
    )
    def test_only_a_history_of_its_own_is_a_splice(
        self, detector: str, facts: dict[str, Any], kind: EditKind
    ) -> None:
        fused = fuse(said(detector, box(20, 30, 40, 25), facts=facts))
        assert fused.regions[0].kind is kind

    @pytest.mark.parametrize(
        ("rest", "kind"), [(0.1, EditKind.REGENERATED), (0.8, EditKind.UNKNOWN)]
    )
    def test_regenerated_only_where_the_rest_is_not(self, rest: float, kind: EditKind) -> None:
        generated = np.maximum(box(20, 30, 40, 25, value=0.9), np.float32(rest))
        other = said("synthetic_traces", generated, question=Question.SYNTHETIC)
        fused = fuse(said(heatmap=box(20, 30, 40, 25)), other)
        assert fused.regions[0].kind is kind
        assert fused.regions[0].detectors == ("double_jpeg",)


def test_a_marked_region_forbids_to_say_that_there_is_no_trace() -> None:
    quiet = Verdict(Label.NO_TRACE_FOUND, {}, (), "It proves nothing.")
    marked = fuse(said(heatmap=box(20, 30, 40, 25)))
    assert regard(quiet, marked, ()).label is Label.INCONCLUSIVE
    assert regard(quiet, None, ()) is quiet
    assert regard(quiet, fuse(said(heatmap=box(0, 0, 0, 0))), ()) is quiet
    accused = dataclasses.replace(quiet, label=Label.MANIPULATED)
    assert regard(accused, marked, ()) is accused


def test_reasons_are_those_for_the_marked_region() -> None:
    """What spoke for no trace is no reason for an inconclusive verdict."""
    against = Reason("noise_level", Question.EDITED, -0.8, "Noise is even.")
    quiet = Verdict(Label.NO_TRACE_FOUND, {}, (against,), "It proves nothing.")
    found = [said(heatmap=box(20, 30, 40, 25)), said("noise_level", box(0, 0, 0, 0))]
    drawn = regard(quiet, fuse(*found), found)
    assert drawn.label is Label.INCONCLUSIVE
    assert [reason.detector for reason in drawn.because] == ["double_jpeg"]
    assert drawn.because[0].llr is None
    assert drawn.because[0].text == found[0].summary


def test_sentences_name_place_kind_and_who_agrees() -> None:
    one, two = where(TestKinds.clone(True))
    assert "(120, 60), 3.8 % of the picture, was copied from the place at (10, 10)" in one + two
    assert "was copied to the place at (120, 60) (marked by Copied and moved parts)." in one + two
    both = fuse(said(heatmap=box(0, 0, 200, 120)), said("noise_level", box(0, 0, 200, 120)))
    (sentence,) = where(both)
    assert "100 % of the picture" in sentence
    assert "Double JPEG compression and Noise level inconsistency agree" in sentence
    assert where(None) == []
    scattered = np.zeros((100, 100), np.float32)
    for y in range(0, 100, 20):
        scattered[y : y + 10, 10:30] = 1
    assert where(fuse(said(heatmap=scattered)))[-1] == "2 smaller regions are marked as well."


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
    fused = fuse(said(heatmap=maps[0], score=score), said("jpeg_grid", maps[1]))
    assert fused.heatmap is not None
    assert fused.heatmap.dtype == np.float32 and fused.heatmap.shape == (height, width)
    assert fused.heatmap.min() >= 0 and fused.heatmap.max() <= 1
    marked = fused.heatmap >= 0.5
    assert sum(region.area for region in fused.regions) == np.count_nonzero(marked)
    for region in fused.regions:
        assert region.area >= LEAST_PIXELS
        assert 0.5 <= region.strength <= 1
        assert region.x + region.width <= width and region.y + region.height <= height
