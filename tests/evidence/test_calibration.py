"""From scores to evidence, and what is said of files that the calibration never saw."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import (
    OUTSIDE_SHARE,
    Calibration,
    calibrate,
    default_calibration,
    load_calibration,
    measures,
    out_of_range,
)
from bonafide.evidence.reference import HEAD
from bonafide.types import Finding, Measurement, Question, Status, Where

RANGES = {"short_side": [64, 2000], "jpeg_quality": [60, 98], "tiles": [4, 400]}


def own(made: SimpleNamespace) -> dict[str, Any]:
    return {
        "schema": 2,
        "source": "8 pictures of mine",
        "detectors": {"mine": made.entry("synthetic")},
        "questions": {
            "synthetic": {
                "weights": {"mine": 1.0},
                "columns": [*HEAD, "mine"],
                "files": [["a", 0, "photo", "jpeg", 1.0, 0, -2.0], ["b", 1, "x", "", None, 1, 2]],
            }
        },
    }


def table(made: SimpleNamespace, **more: object) -> Calibration:
    return Calibration({"grid": made.entry(**more)}, {}, "made up", "test")


def test_score_becomes_a_calibrated_probability(made: SimpleNamespace) -> None:
    found = made.calibrated("grid", 5.0)
    assert found.llr == pytest.approx(2.5)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-2.5)), abs=1e-4)
    known = found.calibrated
    assert (known.threshold, known.false_positive_rate) == (5.0, 0.01) and found.hit
    assert known.stratum == "JPEG, medium" and known.warnings == ()


def test_evidence_never_grows_beyond_what_calibration_saw(made: SimpleNamespace) -> None:
    assert made.calibrated("grid", 1e9).llr == 6.0
    assert made.calibrated("grid", -1e9).llr == -1.0


def test_another_version_is_shown_and_does_not_vote(made: SimpleNamespace) -> None:
    newer = calibrate(made.finding("grid", 9.0, version="2"), made.table)
    assert newer.probability is None and newer.calibrated is None and newer.score == 9.0


def test_every_part_is_calibrated(made: SimpleNamespace) -> None:
    parts = [Measurement(5.0), Measurement(0.0, where=Where(subject="face 1")), Measurement()]
    found = calibrate(Finding.of(made.card("grid"), *parts), made.table)
    assert [known and known.llr for _, known in found.parts] == [2.5, -1.0, None]


@pytest.mark.parametrize(
    ("measured", "facts", "words"),
    [
        ({"short_side": 40.0}, {}, "Its shorter side in pixels is 40, where 98 %"),
        ({"short_side": 3000.0}, {}, "Its shorter side in pixels is 3,000, where 98 %"),
        ({"jpeg_quality": 30.0}, {}, "Its JPEG quality is 30"),
        ({}, {"tiles": 1000}, "Its tiles is 1,000, where 98 % of the calibration files have 4 to"),
    ],
)
def test_outside_is_said_and_evidence_counts_half(
    made: SimpleNamespace, measured: dict[str, float], facts: dict[str, float], words: str
) -> None:
    for score, llr in ((10.0, 6.0), (0.0, -1.0)):
        told = calibrate(
            made.finding("grid", score, facts=facts), table(made, range=RANGES), measured
        )
        (warning,) = told.calibrated.warnings  # type: ignore[union-attr]
        assert warning.startswith(words) and warning.endswith("so its evidence counts half.")
        assert told.llr == llr * OUTSIDE_SHARE


def test_inside_nothing_is_said_and_nothing_shrunk(made: SimpleNamespace) -> None:
    found = made.finding("grid", 10.0, facts={"tiles": 9})
    told = calibrate(found, table(made, range=RANGES), made.JPEG)
    assert told.calibrated is not None and told.calibrated.warnings == () and told.llr == 6.0
    assert out_of_range(RANGES, {"tiles": None}) == ()


def test_a_video_needs_a_table_of_its_own_to_count_in_full(made: SimpleNamespace) -> None:
    clip = {"short_side": 480.0, "megapixels": 0.3, "seconds": 9.0}
    found = calibrate(made.finding("grid", 10.0), table(made), clip)
    assert found.llr == 3.0 and "on images alone" in found.calibrated.warnings[0]  # type: ignore[union-attr]
    assert calibrate(made.finding("grid", 10.0), table(made, kind="video"), clip).llr == 6.0


def test_measures_of_files() -> None:
    def media(**fields: Any) -> SimpleNamespace:
        return SimpleNamespace(**({"image": None, "video": None, "audio": None} | fields))

    picture = SimpleNamespace(width=300, height=200, jpeg=None)
    assert measures(media(image=picture)) == {"short_side": 200, "megapixels": 0.06, "jpeg": 0}
    clip = SimpleNamespace(width=640, height=480, duration=2.5)
    assert measures(media(video=clip)) == {
        "short_side": 480, "megapixels": 0.3072, "seconds": 2.5
    }  # fmt: skip
    assert measures(media(audio=SimpleNamespace(duration=3))) == {"seconds": 3}
    assert measures(media()) == {}


def test_a_table_of_ones_own_is_laid_over_the_shipped_one(
    made: SimpleNamespace, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own(made)))
    shipped, merged = default_calibration(), load_calibration(str(path))
    assert load_calibration(None) is shipped
    assert merged.detectors["mine"] == made.entry("synthetic")
    assert set(shipped.detectors) < set(merged.detectors)
    assert merged.questions["synthetic"].source == "8 pictures of mine"
    assert merged.questions["edited"] is shipped.questions["edited"]
    first, second = merged.id.split("+")
    assert first == shipped.id and len(second) == 12
    assert "takes 99" in merged.uncertified()["synthetic"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda own: own.pop("questions"),
        lambda own: own.pop("schema"),
        lambda own: own["detectors"]["mine"].pop("threshold"),
        lambda own: own["detectors"]["mine"].update(knots=[[1.0, 0.0], [0.0, 1.0]]),
        lambda own: own["detectors"]["mine"].update(range={"short_side": [9, 1]}),
        lambda own: own["questions"]["synthetic"]["files"][0].pop(),
        lambda own: own["questions"]["synthetic"]["files"][0].__setitem__(6, "loud"),
        lambda own: own["questions"]["synthetic"].update(files=[]),
        lambda own: own["questions"].update(other=own["questions"]["synthetic"]),
    ],
)
def test_a_table_that_cannot_work_is_refused_at_once(
    made: SimpleNamespace, spoil: Callable[[Any], None], tmp_path: Path
) -> None:
    table = own(made)
    spoil(table)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(table))
    with pytest.raises(InvalidInput, match=r"own\.json is no calibration"):
        load_calibration(str(path))


def test_a_table_of_an_earlier_version_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text('{"schema": 1, "detectors": {}}')
    with pytest.raises(InvalidInput, match="run `bonafide bench calibrate` again"):
        load_calibration(str(path))


def test_no_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.json cannot be read"):
        load_calibration(str(tmp_path / "none.json"))


def test_what_failed_is_left_alone(made: SimpleNamespace) -> None:
    broken = Finding("grid", "1", Question.EDITED, Status.FAILED, "broken")
    assert calibrate(broken, made.table) is broken
