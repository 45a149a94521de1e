"""Reports of schema 1, which bonafide 0.1 wrote, in the shape of schema 2.

A score, its threshold and its map spoke of the whole file then; they become the one part of a
finding. What schema 1 did not say stays unsaid: p-values, strata, who carries a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bonafide.types import ACCUSATIONS, Carrier, Label

_WHOLE = {"track": "", "span": None, "box": None, "subject": None}
_CALIBRATED = ("llr", "probability", "threshold", "false_positive_rate")


def upgraded(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of schema 1 with the keys of schema 2; values are copied, not checked.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is no record of schema 1.
    """
    findings = [_finding(finding) for finding in record["findings"]]
    return {**record, "schema": 2, "findings": findings, "answers": _answers(record)}


def _answers(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One answer per question that had a probability; its p-value was not recorded."""
    accused = ACCUSATIONS.get(Label(record["verdict"]))
    clear = record["verdict"] == Label.NO_TRACE_FOUND
    return [
        {
            "question": question,
            "where": _WHOLE,
            "probability": probability,
            "p_value": None,
            "decision": "accused" if question == accused else "clear" if clear else "inconclusive",
            "because": [one for one in record["because"] if one["question"] == question],
            "why": "",
            "alpha": record["settings"].get("false_accusation_rate", 0.01),
            "miss_rate": None,
            "stratum": "",
        }
        for question, probability in record["probabilities"].items()
        if probability is not None
    ]


def _finding(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("detector", "version", "question", "status", "why", "seconds")
    parts = [_part(record)] if record["status"] == "ok" else []
    return {name: record[name] for name in kept} | {"parts": parts}


def _part(record: Mapping[str, Any]) -> dict[str, Any]:
    claim, segments, known = record["claim"], record["segments"], None
    if record["threshold"] is not None:
        known = {name: record[name] for name in _CALIBRATED}
        known["false_positive_rate"] = known["false_positive_rate"] or 0.0
        known |= {"stratum": "", "warnings": list(record.get("outside", ()))}
    series = {
        "name": "",
        "times": [segment["start"] for segment in segments],
        "values": [segment["score"] for segment in segments],
    }
    return {
        "where": _WHOLE,
        "score": record["score"],
        "summary": record["summary"],
        "facts": record["facts"],
        "claim": claim and {"label": claim, "carrier": _carrier(claim, record["facts"])},
        "kind": "unknown",
        "laundered": None,
        "contradiction": False,
        "regions": record["regions"],
        "maps": [],
        "series": [series] if segments else [],
        "calibrated": known,
    }


def _carrier(claim: str, facts: Mapping[str, Any]) -> str:
    """What carried a claim: 0.1 recorded the state of a signature among the facts, if any."""
    standing = {"Trusted": Carrier.TRUSTED_SIGNATURE, "Valid": Carrier.VALID_SIGNATURE}
    standing["Invalid"] = Carrier.BROKEN_SIGNATURE
    if claim == Label.AUTHENTICATED:
        return Carrier.TRUSTED_SIGNATURE.value
    return standing.get(str(facts.get("state")), Carrier.UNSIGNED_TEXT).value
