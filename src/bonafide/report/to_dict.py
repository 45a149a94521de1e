"""The only serialiser: a `Report` or a `Failure` as JSON values of schema 2.

The keys are those of `docs/report.schema.json`. Keys may be added; none changes its meaning while
`schema` stays 2. `docs/report.schema-1.json` describes the reports of bonafide 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from bonafide.explain.words import VERDICT_WORDS
from bonafide.types import (
    ACCUSATIONS,
    Answer,
    Calibrated,
    Edits,
    Explained,
    Failure,
    Finding,
    Measurement,
    Question,
    Reason,
    Report,
    ScoreMap,
    Series,
    Stability,
    Statement,
    Where,
)

SCHEMA = 2
_LISTS = ("kept", "dropped", "steps", "roles")


def to_dict(report: Report | Failure) -> dict[str, Any]:
    """Return `report` as a dict of JSON values only (no NaN, no infinity).

    Maps are pictures, not numbers to read: they are summarised here and written by `--maps`.
    """
    if isinstance(report, Failure):
        return _failure(report)
    media, verdict = report.media, report.verdict
    return {
        "schema": SCHEMA,
        "media": {
            "path": media.path,
            "name": media.name,
            "sha256": media.sha256,
            "bytes": media.bytes,
            "kind": media.kind.value,
            "width": media.width,
            "height": media.height,
            "format": media.format,
            "details": _json(media.details),
        },
        "status": "ok",
        "verdict": verdict.label.value,
        "verdict_words": VERDICT_WORDS[verdict.label],
        "probabilities": _probabilities(verdict.probabilities),
        "answers": [_answer(answer) for answer in verdict.answers],
        "because": _reasons(verdict.because),
        "caveat": verdict.caveat,
        "explanation": list(report.explanation),
        "findings": [_finding(finding) for finding in report.findings],
        "stability": _stability(report.stability),
        "edits": _edits(report.edits),
        "explained": explained(report.explained),
        "untested": dict(report.untested),
        "settings": _json(report.settings),
        "versions": dict(report.versions),
        "examined_at": report.examined_at,
    }


def _failure(failure: Failure) -> dict[str, Any]:
    """The keys that a reader of many lines looks for are there, and empty."""
    return {
        "schema": SCHEMA,
        "media": {
            "path": failure.path,
            "name": failure.name,
            "sha256": failure.sha256,
            "kind": None,
            "width": None,
            "height": None,
            "format": None,
        },
        "status": "failed",
        "error": failure.error,
        "why": failure.why,
        "verdict": None,
        "probabilities": _probabilities({}),
        "answers": [],
        "because": [],
        "findings": [],
    }


def _probabilities(known: Mapping[Question, float | None]) -> dict[str, float | None]:
    return {question.value: _json(known.get(question)) for question in ACCUSATIONS.values()}


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "question": answer.question.value,
        "where": _where(answer.where),
        "probability": _json(answer.probability),
        "p_value": _json(answer.p_value),
        "decision": answer.decision.value,
        "why": answer.why,
        "alpha": answer.alpha,
        "miss_rate": _json(answer.miss_rate),
        "stratum": answer.stratum,
        "because": _reasons(answer.because),
    }


def _reasons(because: Iterable[Reason]) -> list[dict[str, Any]]:
    return [
        {
            "detector": reason.detector,
            "question": reason.question.value,
            "llr": _json(reason.llr),
            "text": reason.text,
        }
        for reason in because
    ]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "detector": finding.detector,
        "version": finding.version,
        "question": finding.question.value,
        "status": finding.status.value,
        "why": finding.why,
        "summary": finding.summary,
        "score": _json(finding.score),
        "probability": _json(finding.probability),
        "parts": [_part(measured, known) for measured, known in finding.parts],
        "seconds": finding.seconds,
    }


def _part(measured: Measurement, known: Calibrated | None) -> dict[str, Any]:
    claim = measured.claim
    return {
        "where": _where(measured.where),
        "score": _json(measured.score),
        "summary": measured.summary,
        "facts": _json(measured.facts),
        "claim": claim and {"label": claim.label.value, "carrier": claim.carrier.value},
        "kind": measured.kind.value,
        "laundered": _json(measured.laundered),
        "contradiction": measured.contradiction,
        "regions": [_json(vars(region)) for region in measured.regions],
        "maps": [_map(one) for one in measured.maps],
        "series": [_series(one) for one in measured.series],
        "calibrated": None if known is None else _json(vars(known)),
    }


def _where(where: Where) -> dict[str, Any]:
    return {
        "track": where.track,
        "span": where.span and _json(vars(where.span)),
        "box": where.box and _json(vars(where.box)),
        "subject": where.subject,
    }


def _map(one: ScoreMap) -> dict[str, Any]:
    return {
        "cell": one.cell,
        "width": one.width,
        "height": one.height,
        "peak": round(one.peak, 4),
        "marked_share": round(one.marked_share, 6),
    }


def _series(one: Series) -> dict[str, Any]:
    return {
        "name": one.name,
        "times": [_rounded(time) for time in one.times.tolist()],
        "values": [_rounded(value) for value in one.values.tolist()],
    }


def _rounded(value: float) -> float | None:
    """To six decimals: the further digits of a float32 written as a double mean nothing."""
    return round(value, 6) if math.isfinite(value) else None


def _stability(held: Stability | None) -> dict[str, Any] | None:
    if held is None:
        return None
    return {
        "accusation": held.accusation.value if held.accusation else None,
        "survived": held.survived,
        "text": held.text,
        "variants": [
            {
                "name": variant.name,
                "words": variant.words,
                "mild": variant.mild,
                "probabilities": _probabilities(variant.probabilities),
            }
            for variant in held.variants
        ],
        "skipped": dict(held.skipped),
    }


def _edits(edits: Edits | None) -> dict[str, Any] | None:
    if edits is None:
        return None
    return {
        "regions": [
            {
                **_json(vars(region)),
                "kind": region.kind.value,
                "other": None if region.other is None else _json(vars(region.other)),
            }
            for region in edits.regions
        ],
        "marked_share": edits.marked_share,
        "weights": dict(edits.weights),
    }


def explained(added: Explained | None) -> dict[str, Any] | None:
    """What a model added, as JSON values; None where none was asked."""
    if added is None:
        return None
    return {
        **_json({name: value for name, value in vars(added).items() if name not in _LISTS}),
        "made": added.made,
        "kept": [_statement(one) for one in added.kept],
        "dropped": [
            {**_statement(one.statement), "reason": one.reason, "why": one.why}
            for one in added.dropped
        ],
        "reasons": dict(added.reasons),
        "steps": [_json(vars(one)) for one in added.steps],
        "roles": [_json(vars(one)) for one in added.roles],
    }


def _statement(one: Statement) -> dict[str, Any]:
    return {"text": one.text, "cites": list(one.cites), "author": one.author}


def _json(value: Any) -> Any:
    """JSON values of a fact; numbers that JSON does not have become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value
