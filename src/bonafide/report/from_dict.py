"""Read back what `to_dict` wrote: a stored or received report as a `Report` again.

Heatmaps are not in the record and come back as None. Nothing here trusts the record: what does not
fit the vocabulary is a typed error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from bonafide.errors import InvalidInput
from bonafide.types import (
    EditedRegion,
    EditKind,
    Edits,
    Finding,
    Kind,
    Label,
    MediaFacts,
    Question,
    Reason,
    Region,
    Report,
    Segment,
    Stability,
    Status,
    Variant,
    Verdict,
)

Kept = TypeVar("Kept")


def from_dict(record: Mapping[str, Any]) -> Report:
    """The report in a record.

    Raises:
        InvalidInput: it is the record of a failure, or of no report at all.
    """
    try:
        if record["status"] != "ok":
            raise InvalidInput("this is the record of a file that could not be examined")
        return _report(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(
            f"this is not a report of bonafide: {type(error).__name__} {error}"
        ) from None


def _report(record: Mapping[str, Any]) -> Report:
    return Report(
        media=_made(MediaFacts, record["media"], kind=Kind(record["media"]["kind"])),
        findings=tuple(_finding(finding) for finding in record["findings"]),
        verdict=Verdict(
            label=Label(record["verdict"]),
            probabilities=_probabilities(record["probabilities"]),
            because=tuple(
                _made(Reason, reason, question=Question(reason["question"]))
                for reason in record["because"]
            ),
            caveat=record["caveat"],
        ),
        explanation=tuple(record["explanation"]),
        untested=dict(record["untested"]),
        settings=dict(record["settings"]),
        versions=dict(record["versions"]),
        examined_at=record["examined_at"],
        schema=record["schema"],
        stability=_stability(record.get("stability")),
        edits=_edits(record.get("edits")),
    )


def _finding(record: Mapping[str, Any]) -> Finding:
    return _made(
        Finding,
        record,
        question=Question(record["question"]),
        status=Status(record["status"]),
        claim=Label(record["claim"]) if record["claim"] else None,
        heatmap=None,
        regions=tuple(_made(Region, region) for region in record["regions"]),
        segments=tuple(_made(Segment, segment) for segment in record["segments"]),
        outside=tuple(record.get("outside", ())),
    )


def _edits(record: Mapping[str, Any] | None) -> Edits | None:
    if record is None:
        return None
    return Edits(
        heatmap=None,
        regions=tuple(
            _made(
                EditedRegion,
                region,
                detectors=tuple(region["detectors"]),
                kind=EditKind(region["kind"]),
                other=_made(Region, region["other"]) if region["other"] else None,
            )
            for region in record["regions"]
        ),
        marked_share=record["marked_share"],
        weights=dict(record["weights"]),
    )


def _stability(record: Mapping[str, Any] | None) -> Stability | None:
    if record is None:
        return None
    return Stability(
        variants=tuple(
            Variant(
                name=variant["name"],
                words=variant["words"],
                mild=variant["mild"],
                probabilities={
                    question: value
                    for question, value in _probabilities(variant["probabilities"]).items()
                    if value is not None
                },
            )
            for variant in record["variants"]
        ),
        skipped=dict(record["skipped"]),
        accusation=Label(record["accusation"]) if record["accusation"] else None,
        survived=record["survived"],
        text=record["text"],
    )


def _probabilities(record: Mapping[str, float | None]) -> dict[Question, float | None]:
    return {Question(question): value for question, value in record.items()}


def _made(kind: type[Kept], record: Mapping[str, Any], /, **changed: Any) -> Kept:
    """A dataclass from the keys that it knows; a later version may have written more."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in record.items() if name in known} | changed)
