"""A record read back is the report that was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from skimage import data as photographs

from bonafide import Report, Settings, examine, to_dict
from bonafide.errors import InvalidInput
from bonafide.media.image import Image
from bonafide.report.from_dict import from_dict


@pytest.fixture(scope="module")
def report() -> Report:
    import io

    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(photographs.chelsea()[:160, :160]).save(buffer, "JPEG", quality=90)
    only = ("double_jpeg", "exif_consistency")
    return examine(Image(buffer.getvalue(), "cat.jpg"), Settings(only=only))


@pytest.fixture
def record(report: Report) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(to_dict(report)))
    for finding in written["findings"]:
        finding["heatmap"] = None  # pictures are not in the record
    return written


def test_there_and_back(record: dict[str, Any]) -> None:
    region = {"x": 1, "y": 2, "width": 3, "height": 4, "score": None, "role": "source", "pair": 0}
    record["findings"][0]["regions"] = [region]
    record["findings"][0]["segments"] = [{"start": 0.5, "end": 1.5, "score": 2.0}]
    record["findings"][0]["claim"] = "manipulated"
    edited = {"x": 1, "y": 2, "width": 3, "height": 4, "area": 9, "share": 0.1, "strength": 0.9}
    edited |= {"detectors": ["copy_move"], "kind": "clone"}
    record["edits"] = {"marked_share": 0.1, "weights": {"copy_move": 0.5}}
    record["edits"]["regions"] = [edited | {"other": region}, edited | {"other": None}]
    variant = {"name": "jpeg:90", "words": "saved as JPEG at quality 90", "mild": True}
    likely = dict.fromkeys(record["probabilities"]) | {"synthetic": 0.25}
    record["stability"] = {"accusation": "manipulated", "survived": True, "text": "It stands."}
    record["stability"] |= {"skipped": {"half": "small"}, "variants": []}
    record["stability"]["variants"].append(variant | {"probabilities": likely})
    assert to_dict(from_dict(record)) == record


def test_keys_of_a_later_version_are_passed_over(record: dict[str, Any]) -> None:
    record["new"] = record["media"]["new"] = record["findings"][0]["new"] = "something"
    assert from_dict(record).media.name == "cat.jpg"


@pytest.mark.parametrize("key", ["media", "verdict", "findings", "versions", "status"])
def test_what_is_no_report_is_refused(record: dict[str, Any], key: str) -> None:
    for wrong in (None, 7, "x", [1]):
        with pytest.raises(InvalidInput):
            from_dict(record | {key: wrong})
    del record[key]
    with pytest.raises(InvalidInput, match="not a report"):
        from_dict(record)
