"""Records to train explainers on, written from reports: what was asked, what holds, what does not.

One line per item of a report: the messages that a model would get about it, a statement that passes
the check, and statements that do not: what a model said and was dropped for, or the good one with
an error written in (a number changed, a denial turned round), if the check drops that too.

Source of written-in errors as negatives: Zhou et al., "Aligning Modalities in Vision Large Language
Models via Preference Fine-tuning" (POVID), 2024.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bonafide.explain import words
from bonafide.explain.check import LONGEST, Checker
from bonafide.explain.sending import Payload, item_payloads
from bonafide.files import atomic_write
from bonafide.report.from_dict import from_dict
from bonafide.types import Report, Statement

MOST_ITEMS = 8  # of one report
MOST_REJECTED = 3  # of one item


def write(records: Sequence[Mapping[str, Any]], path: Path) -> int:
    """Write the training records of some reports; returns how many there are."""
    count = 0
    with atomic_write(path) as draft, draft.open("w", encoding="utf-8") as lines:
        for record in records:
            for one in of(from_dict(record)):
                lines.write(json.dumps(one, ensure_ascii=True) + "\n")
                count += 1
    return count


def of(report: Report) -> Iterator[dict[str, Any]]:
    """The training records of one report.

    Args:
        report: with or without what a model added.

    Returns:
        For every item with a statement that holds: `sha256` and `path` of the file, `messages`,
        `cites`, `chosen` and `author`, and `rejected`, a list of `text` and `reason`.
    """
    checker = Checker(report)
    for sent in item_payloads(report, MOST_ITEMS):
        checker.secret = ""
        good = _good(report, checker, sent)
        if good is None:
            continue
        yield {
            "sha256": report.media.sha256,
            "path": report.media.path,
            "messages": sent.messages(),
            "cites": list(good.cites),
            "chosen": answer(good),
            "author": good.author,
            "rejected": _bad(report, checker, sent, good),
        }


def answer(statement: Statement) -> str:
    """A statement as the model should write it."""
    return json.dumps({"cites": list(statement.cites), "text": statement.text})


def _good(report: Report, checker: Checker, sent: Payload) -> Statement | None:
    (id_,) = sent.ids
    added = report.explained.kept if report.explained else ()
    own = words.statements(
        report.media, report.findings, report.verdict, report.stability, report.edits
    )
    texts = checker.known[id_].texts
    candidates = [one for one in (*added, *own) if id_ in one.cites]
    candidates += [Statement(text, (id_,)) for text in texts]
    for one in candidates:
        alone = Statement(one.text, (id_,), one.author)
        if len(one.text) <= LONGEST and checker.problem(alone) is None:
            return alone
    return None


def _bad(report: Report, checker: Checker, sent: Payload, good: Statement) -> list[dict[str, str]]:
    dropped = report.explained.dropped if report.explained else ()
    found = [
        {"text": answer(one.statement), "reason": one.reason}
        for one in dropped
        if set(one.statement.cites) & set(sent.ids) and one.reason != "repeated"
    ]
    for text in disturbed(good.text):
        wrong = Statement(text, good.cites, "disturbed")
        problem = checker.problem(wrong)
        if problem is not None:
            found.append({"text": answer(wrong), "reason": problem.reason})
    return found[:MOST_REJECTED]


def disturbed(text: str) -> Iterator[str]:
    """A sentence with one plausible error written in, in several ways."""
    number = re.search(r"\d+(?:\.\d+)?", text)
    if number is not None:
        value = float(number.group())
        decimals = len(number.group().partition(".")[2])
        changed = f"{value * 2 + 10.0**-decimals:.{decimals}f}"
        yield text[: number.start()] + changed + text[number.end() :]
    flipped = re.sub(r"\bnothing\b", "something", text)
    if flipped == text:
        flipped = re.sub(r"\b(is|was|has|shows|does|are|were)\b", r"\1 not", text, count=1)
    if flipped != text:
        yield flipped
    yield text.rstrip(".") + ", which proves that the file is manipulated."
