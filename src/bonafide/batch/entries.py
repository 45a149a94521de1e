"""What a batch remembers of a name and writes of it, made from the answer of a worker."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from bonafide.batch.work import Answer, name_of
from bonafide.report.to_dict import to_dict
from bonafide.types import Failure

_SUMMARY = ("error", "why", "verdict", "verdict_words", "probabilities")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of a name.

    Attributes:
        path: absolute, or an address.
        stamp: of the file; None if the name is to be tried again next time.
        sha256: of its bytes, 32 bytes; None if they could not be read.
        verdict: value of a `types.Label`; None for a failure.
        failure: its record as JSON, None where there is none.
        summary: what copies are told of the content, as JSON; None for a copy, or without a hash.
    """

    path: str
    stamp: str | None
    sha256: bytes | None
    verdict: str | None
    failure: str | None
    summary: str | None


def entry_of(answer: Answer, record: dict[str, Any], copy: bool) -> Entry:
    """What to remember of an answer.

    Args:
        answer: what a worker said.
        record: that is written of it.
        copy: whether its content was examined under another name.
    """
    failure = to_json(record) if record["status"] == "failed" else None
    summary = None
    if not copy and answer.sha256 is not None:
        media = {name: value for name, value in record["media"].items() if name != "details"}
        summary = to_json({name: record.get(name) for name in _SUMMARY} | {"media": media})
    verdict = record["verdict"]
    return Entry(answer.path, answer.stamp, answer.sha256, verdict, failure, summary)


def copy_of(path: str, first: bytes, summary: str) -> dict[str, Any]:
    """The row of a file with the content of one that was examined: short, and names the other.

    Args:
        path: of the copy.
        first: name under which the content was examined.
        summary: what came out, from an `Entry`.
    """
    known = json.loads(summary)
    name = name_of(path)
    if known["error"] is not None:
        digest = known["media"]["sha256"]
        return to_dict(Failure(name, path, known["error"], known["why"], digest))
    return {
        "schema": 1,
        "media": known["media"] | {"path": path, "name": name},
        "status": "same",
        "verdict": known["verdict"],
        "verdict_words": known["verdict_words"],
        "probabilities": known["probabilities"],
        "same_as": os.fsdecode(first),
    }


def to_json(record: dict[str, Any]) -> str:
    """One line of ASCII: half surrogate pairs from file names stay readable as escapes."""
    return json.dumps(record, ensure_ascii=True, allow_nan=False)
