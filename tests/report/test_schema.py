"""What is written is what `docs/report.schema.json` describes, key by key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bonafide.questions import ACCUSATIONS, Kind, Label, Question
from bonafide.report.to_dict import to_dict
from bonafide.types import Box, Carrier, Decision, EditKind, Failure, Report, Where

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "report.schema.json").read_text("utf-8"))
SCHEMA_1 = json.loads((DOCS / "report.schema-1.json").read_text("utf-8"))
OLD = sorted((Path(__file__).parent / "schema1").glob("*.json"))


def validate(record: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> None:
    jsonschema.Draft202012Validator(schema).validate(record)


def closed(schema: Any) -> Any:
    """The schema with every object that lists its properties closed to others."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        changed["additionalProperties"] = False
    return changed


@pytest.fixture
def reports(
    checked: Report, marked: Report, quiet: Report, video_report: Report, sound_report: Report
) -> list[Report]:
    return [replace(checked, edits=marked.edits), marked, quiet, video_report, sound_report]


def test_reports_and_failures_are_valid(reports: list[Report], failure: Failure) -> None:
    for record in map(to_dict, [*reports, failure]):
        validate(json.loads(json.dumps(record, allow_nan=False)))


def test_every_key_that_is_written_is_described(reports: list[Report], failure: Failure) -> None:
    for record in map(to_dict, [*reports, failure]):
        validate(record, closed(SCHEMA))


def enums(schema: Any) -> Iterator[tuple[str, set[Any]]]:
    for name, value in schema.items():
        if isinstance(value, dict):
            if "enum" in value:
                yield name, set(value["enum"])
            yield from enums(value)


def test_the_vocabulary_is_that_of_the_types() -> None:
    told = dict(enums(SCHEMA))
    assert told["label"] == {label.value for label in Label}
    assert told["question"] == {question.value for question in Question}
    assert told["carrier"] == {carrier.value for carrier in Carrier}
    assert told["decision"] == {decision.value for decision in Decision}
    assert told["accusation"] == {label.value for label in ACCUSATIONS} | {None}
    kinds = [values for name, values in enums(SCHEMA) if name == "kind"]
    assert {kind.value for kind in Kind} in kinds
    assert {kind.value for kind in EditKind} in kinds
    asked = SCHEMA["$defs"]["report"]["properties"]["probabilities"]["required"]
    assert asked == [question.value for question in ACCUSATIONS.values()]


def test_the_first_part_is_repeated_at_the_top(report: Report) -> None:
    finding = to_dict(report)["findings"][0]
    part = finding["parts"][0]
    assert (finding["score"], finding["summary"]) == (part["score"], part["summary"])
    assert finding["probability"] == part["calibrated"]["probability"] == 0.9968


def test_a_probability_per_question_over_the_whole_file(video_report: Report) -> None:
    told = to_dict(video_report)["probabilities"]
    assert told["synthetic"] == 0.968
    assert told["face_forged"] is None  # only a face was spoken of, not the file
    assert set(told) == {question.value for question in ACCUSATIONS.values()}


def test_numbers_that_json_lacks_become_null(sound_report: Report, report: Report) -> None:
    series = to_dict(sound_report)["findings"][0]["parts"][0]["series"][0]
    assert series["values"][0] == 0.0
    assert series["values"][24] is None
    measured, known = report.findings[0].parts[0]
    assert known is not None
    parts = ((measured, replace(known, threshold=float("inf"))),)
    odd = replace(report, findings=(replace(report.findings[0], parts=parts),))
    assert to_dict(odd)["findings"][0]["parts"][0]["calibrated"]["threshold"] is None


def test_places_are_written(report: Report) -> None:
    measured, known = report.findings[0].parts[0]
    part = (replace(measured, where=Where("image", None, Box(1, 2, 3, 4), "face 1")), known)
    finding = replace(report.findings[0], parts=(report.findings[0].parts[0], part))
    record = to_dict(replace(report, findings=(finding,)))
    assert record["findings"][0]["parts"][1]["where"] == {
        "track": "image", "span": None, "subject": "face 1",
        "box": {"x": 1, "y": 2, "width": 3, "height": 4},
    }  # fmt: skip
    validate(record)


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_kept_reports_are_valid_under_schema_1(path: Path) -> None:
    record = json.loads(path.read_text("utf-8"))
    validate(record, SCHEMA_1)
    with pytest.raises(jsonschema.ValidationError):
        validate(record)
