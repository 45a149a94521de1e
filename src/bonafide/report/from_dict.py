"""Read back what `to_dict` wrote: a stored or received report as a `Report` again.

Maps are not in the record and come back as none. Nothing here trusts the record: what does not fit
the vocabulary is a typed error. Reports of schema 1 go through `bonafide.report.schema1` first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from bonafide.errors import InvalidInput
from bonafide.report import schema1
from bonafide.types import (
    Answer,
    Box,
    Calibrated,
    Carrier,
    Claim,
    Decision,
    Dropped,
    EditedRegion,
    EditKind,
    Edits,
    Explained,
    Finding,
    Kind,
    Label,
    Measurement,
    MediaFacts,
    Question,
    Reason,
    Region,
    Report,
    Role,
    Series,
    Span,
    Stability,
    Statement,
    Status,
    Step,
    Variant,
    Verdict,
    Where,
)

Kept = TypeVar("Kept")


def from_dict(record: Mapping[str, Any]) -> Report:
    """The report in a record of schema 1 or 2; `Report.schema` tells which.

    Raises:
        InvalidInput: it is the record of a failure, of a later schema, or no report at all.
    """
    try:
        if record["status"] != "ok":
            raise InvalidInput("this is the record of a file that could not be examined")
        number = record["schema"]
        if number not in (1, 2):
            raise InvalidInput(f"this report has schema {number}; this bonafide reads 1 and 2")
        return _report(schema1.upgraded(record) if number == 1 else record, number)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InvalidInput(
            f"this is not a report of bonafide: {type(error).__name__} {error}"
        ) from None


def _report(record: Mapping[str, Any], number: int) -> Report:
    return Report(
        media=_made(MediaFacts, record["media"], kind=Kind(record["media"]["kind"])),
        findings=tuple(_finding(finding) for finding in record["findings"]),
        verdict=Verdict(
            label=Label(record["verdict"]),
            answers=tuple(_answer(answer) for answer in record["answers"]),
            because=_reasons(record["because"]),
            caveat=record["caveat"],
        ),
        explanation=tuple(record["explanation"]),
        untested=dict(record["untested"]),
        settings=dict(record["settings"]),
        versions=dict(record["versions"]),
        examined_at=record["examined_at"],
        schema=number,
        stability=_stability(record.get("stability")),
        edits=_edits(record.get("edits")),
        explained=_explained(record.get("explained")),
    )


def _answer(record: Mapping[str, Any]) -> Answer:
    return _made(
        Answer,
        record,
        question=Question(record["question"]),
        where=_where(record["where"]),
        decision=Decision(record["decision"]),
        because=_reasons(record["because"]),
    )


def _reasons(records: Iterable[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(_made(Reason, reason, question=Question(reason["question"])) for reason in records)


def _finding(record: Mapping[str, Any]) -> Finding:
    return _made(
        Finding,
        record,
        question=Question(record["question"]),
        status=Status(record["status"]),
        parts=tuple(_part(part) for part in record["parts"]),
    )


def _part(record: Mapping[str, Any]) -> tuple[Measurement, Calibrated | None]:
    claim, known = record["claim"], record["calibrated"]
    measured = _made(
        Measurement,
        record,
        where=_where(record["where"]),
        maps=(),
        series=tuple(_series(series) for series in record["series"]),
        regions=tuple(_made(Region, region) for region in record["regions"]),
        facts=dict(record["facts"]),
        claim=claim and Claim(Label(claim["label"]), Carrier(claim["carrier"])),
        kind=EditKind(record["kind"]),
    )
    if known is None:
        return measured, None
    never = math.inf if known["threshold"] is None else known["threshold"]
    return measured, _made(Calibrated, known, threshold=never, warnings=tuple(known["warnings"]))


def _where(record: Mapping[str, Any]) -> Where:
    span, box = record["span"], record["box"]
    return _made(Where, record, span=span and _made(Span, span), box=box and _made(Box, box))


def _series(record: Mapping[str, Any]) -> Series:
    times = np.array(record["times"], np.float64)
    values = np.array(record["values"], np.float32)
    if times.ndim != 1 or times.shape != values.shape:
        raise ValueError("a series whose times and values do not pair")
    return Series(times, values, record["name"])


def _edits(record: Mapping[str, Any] | None) -> Edits | None:
    if record is None:
        return None
    return Edits(
        map=None,
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


def _explained(record: Mapping[str, Any] | None) -> Explained | None:
    if record is None:
        return None
    return _made(
        Explained,
        record,
        kept=tuple(_statement(one) for one in record["kept"]),
        dropped=tuple(
            Dropped(_statement(one), str(one["reason"]), str(one["why"]))
            for one in record["dropped"]
        ),
        # Reports of before have no steps.
        steps=tuple(_made(Step, one) for one in record.get("steps", [])),
        stopped=str(record.get("stopped", "")),
        roles=tuple(
            _made(Role, one, cites=tuple(str(cite) for cite in one["cites"]))
            for one in record.get("roles", [])
        ),
    )


def _statement(record: Mapping[str, Any]) -> Statement:
    return _made(Statement, record, cites=tuple(str(cite) for cite in record["cites"]))


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
                    Question(question): value
                    for question, value in variant["probabilities"].items()
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


def _made(kind: type[Kept], record: Mapping[str, Any], /, **changed: Any) -> Kept:
    """A dataclass from the keys that it knows; a later version may have written more."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in record.items() if name in known} | changed)
