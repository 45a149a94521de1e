"""The only serialiser: a `Report` or a `Failure` as JSON values.

The keys are those of `docs/report.schema.json`. Keys may be added; none changes its meaning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bonafide.explain.words import VERDICT_WORDS
from bonafide.types import Edits, Failure, Finding, Question, Reason, Report, Stability


def to_dict(report: Report | Failure) -> dict[str, Any]:
    """Return `report` as a dict of JSON values only (no NaN, no infinity).

    Heatmaps are pictures, not numbers to read; they are summarised, and written by `--maps`.
    """
    if isinstance(report, Failure):
        return _failure(report)
    media, verdict = report.media, report.verdict
    return {
        "schema": report.schema,
        "media": {
            "path": media.path,
            "name": media.name,
            "sha256": media.sha256,
            "bytes": media.bytes,
            "kind": media.kind.value,
            "width": media.width,
            "height": media.height,
            "format": media.format,
            "details": _clean(media.details),
        },
        "status": "ok",
        "verdict": verdict.label.value,
        "verdict_words": VERDICT_WORDS[verdict.label],
        "probabilities": _probabilities(verdict.probabilities),
        "because": [_reason(reason) for reason in verdict.because],
        "caveat": verdict.caveat,
        "explanation": list(report.explanation),
        "findings": [_finding(finding) for finding in report.findings],
        "stability": _stability(report.stability),
        "edits": _edits(report.edits),
        "untested": dict(report.untested),
        "settings": _clean(report.settings),
        "versions": dict(report.versions),
        "examined_at": report.examined_at,
    }


def _failure(failure: Failure) -> dict[str, Any]:
    """The keys that a reader of many lines looks for are there, and empty."""
    return {
        "schema": 1,
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
        "because": [],
        "findings": [],
    }


def _probabilities(known: Mapping[Question, float | None]) -> dict[str, float | None]:
    return {
        question.value: known.get(question)
        for question in Question
        if question is not Question.PROVENANCE
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "detector": reason.detector,
        "question": reason.question.value,
        "llr": reason.llr,
        "text": reason.text,
    }


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
                **_clean(vars(region)),
                "kind": region.kind.value,
                "other": None if region.other is None else _clean(vars(region.other)),
            }
            for region in edits.regions
        ],
        "marked_share": edits.marked_share,
        "weights": dict(edits.weights),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    heatmap = finding.heatmap
    return {
        "detector": finding.detector,
        "version": finding.version,
        "question": finding.question.value,
        "status": finding.status.value,
        "why": finding.why,
        "summary": finding.summary,
        "score": _clean(finding.score),
        "probability": finding.probability,
        "llr": finding.llr,
        "threshold": finding.threshold,
        "false_positive_rate": finding.false_positive_rate,
        "outside": list(finding.outside),
        "claim": finding.claim.value if finding.claim else None,
        "facts": _clean(finding.facts),
        "regions": [_clean(vars(region)) for region in finding.regions],
        "segments": [_clean(vars(segment)) for segment in finding.segments],
        "heatmap": None
        if heatmap is None
        else {
            "maximum": round(float(heatmap.max(initial=0.0)), 4),
            "marked_share": round(float((heatmap >= 0.5).mean()), 6) if heatmap.size else 0.0,
        },
        "seconds": finding.seconds,
    }


def _clean(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
