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
    only = ("ela", "copy_move", "double_jpeg", "exif_consistency")
    return examine(Image(buffer.getvalue(), "cat.jpg"), Settings(only=only, stability=True))


@pytest.fixture
def record(report: Report) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(to_dict(report)))
    for finding in written["findings"]:
        finding["heatmap"] = None  # pictures are not in the record
    return written


def test_there_and_back(record: dict[str, Any]) -> None:
    assert record["stability"]["variants"]
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
