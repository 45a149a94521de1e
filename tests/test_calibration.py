"""From scores to evidence, and what is said of files that the calibration never saw."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from bonafide.errors import InvalidInput
from bonafide.evidence.calibration import (
    OUTSIDE_SHARE,
    Calibration,
    beyond,
    calibrate,
    default_calibration,
    load_calibration,
    measures,
)
from bonafide.media.image import Image
from bonafide.types import Finding, Kind, Media, Question, Status

ENTRY = {
    "version": "1",
    "knots": [[0.0, -1.0], [10.0, 6.0]],
    "threshold": 5.0,
    "false_positive_rate": 0.01,
}
RANGES = {"short_side": [64, 2000], "jpeg_quality": [60, 98], "tiles": [4, 400]}
OWN = {
    "schema": 1,
    "source": "8 pictures of mine",
    "detectors": {"mine": ENTRY},
    "claims": {},
    "fusion": {
        "synthetic": {"weights": {"mine": 1.0}, "bona_fide": [-2.0, -1.0], "miss_rate": 0.5}
    },
}


def table(**more: object) -> Calibration:
    return Calibration({"grid": ENTRY | more}, {}, {}, "made up", "test")


def found(**facts: float) -> Finding:
    return Finding("grid", "1", Question.SYNTHETIC, Status.OK, score=10.0, facts=facts)


def picture(form: str, width: int = 300, height: int = 200, **options: int) -> Image:
    out = io.BytesIO()
    drawn = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Pillow.fromarray(drawn).save(out, form, **options)
    return Image(out.getvalue())


def test_inside_of_the_calibration_nothing_is_said_and_nothing_shrunk() -> None:
    told = calibrate(found(tiles=9), table(range=RANGES), {"short_side": 300, "jpeg_quality": 90})
    assert told.outside == () and told.llr == 6.0


@pytest.mark.parametrize(
    ("measured", "facts", "words"),
    [
        ({"short_side": 40.0}, {}, "Its shorter side in pixels is 40, where 98 %"),
        ({"jpeg_quality": 30.0}, {}, "Its JPEG quality is 30"),
        (
            {},
            {"tiles": 1000},
            "Its tiles is 1,000, where 98 % of the calibration pictures have 4 to 400",
        ),
    ],
)
def test_outside_is_said_and_evidence_counts_half(
    measured: dict[str, float], facts: dict[str, float], words: str
) -> None:
    told = calibrate(found(**facts), table(range=RANGES), measured)
    assert len(told.outside) == 1 and told.outside[0].startswith(words)
    assert told.outside[0].endswith("so its evidence counts half.")
    assert told.llr == 6.0 * OUTSIDE_SHARE
    innocent = calibrate(
        Finding("grid", "1", Question.SYNTHETIC, Status.OK, score=0.0, facts=facts),
        table(range=RANGES),
        measured,
    )
    assert innocent.llr == -1.0 * OUTSIDE_SHARE


def test_a_larger_picture_is_said_to_be_so_and_counts_in_full() -> None:
    told = calibrate(found(), table(range=RANGES), {"short_side": 3000.0})
    assert "is 3,000" in told.outside[0] and "half" not in told.outside[0]
    assert told.llr == 6.0


def test_what_was_not_measured_is_not_outside() -> None:
    assert beyond(RANGES, {"tiles": None}) == ((), False)


def test_measures_of_files() -> None:
    assert measures(picture("PNG")) == {"short_side": 200}
    assert measures(picture("JPEG", quality=77)) == {"short_side": 200, "jpeg_quality": 77}

    class Paper(Media):
        kind = Kind.DOCUMENT

    assert measures(Paper(b"%PDF", "a.pdf", None, "PDF")) == {}


def test_a_table_of_ones_own_is_laid_over_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(OWN))
    shipped, merged = default_calibration(), load_calibration(str(path))
    assert load_calibration(None) is shipped
    assert merged.detectors["mine"] == ENTRY
    assert set(shipped.detectors) < set(merged.detectors)
    assert merged.fusion["synthetic"]["source"] == "8 pictures of mine"
    assert merged.fusion["edited"] == shipped.fusion["edited"]
    first, second = merged.id.split("+")
    assert first == shipped.id and len(second) == 12


@pytest.mark.parametrize(
    "spoil",
    [
        lambda own: own.pop("fusion"),
        lambda own: own["detectors"]["mine"].pop("threshold"),
        lambda own: own["detectors"]["mine"].update(knots=[[1.0, 0.0], [0.0, 1.0]]),
        lambda own: own["detectors"]["mine"].update(range={"short_side": [9, 1]}),
        lambda own: own["fusion"]["synthetic"].update(bona_fide=[1.0, 0.0]),
        lambda own: own["fusion"].update(other=own["fusion"]["synthetic"]),
    ],
)
def test_a_table_that_cannot_work_is_refused_at_once(spoil: object, tmp_path: Path) -> None:
    own = json.loads(json.dumps(OWN))
    spoil(own)  # type: ignore[operator]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own))
    with pytest.raises(InvalidInput, match=r"own\.json is no calibration"):
        load_calibration(str(path))


def test_no_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.json cannot be read"):
        load_calibration(str(tmp_path / "none.json"))
