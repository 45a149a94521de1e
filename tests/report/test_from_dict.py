"""A record read back is the report that was written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bonafide.errors import InvalidInput
from bonafide.report.from_dict import from_dict
from bonafide.report.to_dict import to_dict
from bonafide.types import Report


def written(report: Report) -> dict[str, Any]:
    """Its record without the summaries of maps, which do not come back."""
    record: dict[str, Any] = json.loads(json.dumps(to_dict(report)))
    for finding in record["findings"]:
        for part in finding["parts"]:
            part["maps"] = []
    return record


@pytest.fixture
def record(checked: Report, marked: Report) -> dict[str, Any]:
    return written(replace(checked, edits=marked.edits))


def test_there_and_back(record: dict[str, Any]) -> None:
    assert to_dict(from_dict(record)) == record


def test_a_video_there_and_back(video_report: Report) -> None:
    record = written(video_report)
    report = from_dict(record)
    assert to_dict(report) == record
    series = report.findings[0].main.series[0]
    assert series.times.dtype == np.float64
    assert series.values.dtype == np.float32
    assert len(report.findings[0].parts) == 17


def test_what_was_not_measured_comes_back(sound_report: Report) -> None:
    record = written(sound_report)
    values = from_dict(record).findings[0].main.series[0].values
    assert np.isnan(values).sum() == 7
    assert to_dict(from_dict(record)) == record


def test_a_hit_comes_back_as_a_hit(record: dict[str, Any]) -> None:
    part = record["findings"][0]["parts"][0]
    assert from_dict(record).findings[0].hit
    part["calibrated"]["threshold"] = None
    assert not from_dict(record).findings[0].hit


def test_keys_of_a_later_version_are_passed_over(record: dict[str, Any]) -> None:
    record["new"] = record["media"]["new"] = record["findings"][0]["new"] = "something"
    record["findings"][0]["parts"][0]["new"] = record["answers"][0]["new"] = 7
    assert from_dict(record).media.name == "photo.jpg"


KEYS = ["media", "verdict", "answers", "findings", "versions", "status", "schema"]


@pytest.mark.parametrize("key", KEYS)
def test_what_is_no_report_is_refused(record: dict[str, Any], key: str) -> None:
    for wrong in (None, 7, "x", [1]):
        with pytest.raises(InvalidInput):
            from_dict(record | {key: wrong})
    del record[key]
    with pytest.raises(InvalidInput, match="not a report"):
        from_dict(record)


def test_a_series_without_a_value_for_each_time_is_refused(video_report: Report) -> None:
    record = written(video_report)
    record["findings"][0]["parts"][0]["series"][0]["times"].pop()
    with pytest.raises(InvalidInput):
        from_dict(record)


def test_a_later_schema_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="schema 3"):
        from_dict(record | {"schema": 3})
