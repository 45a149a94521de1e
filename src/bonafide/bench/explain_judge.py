"""How statements stand to the report that they explain, by rules that are not those of the check.

`explain.check` decides what is shown. A benchmark that asked it again would find nothing, so these
rules are others, and coarser: they read the record of a report, not `Citable`s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bonafide.types import Report, Statement

SUPPORT = 0.6  # share of a statement's content words that its cited parts must have


class Standing(StrEnum):
    """What a report says of a statement."""

    SUPPORTED = "supported"
    UNSUPPORTED = "unsupported"  # neither supported nor contradicted
    CONTRADICTED = "contradicted"


_DENIES = re.compile(r"\b(no|not|none|nothing|never|without|nor|neither)\b|n['’]t\b", re.IGNORECASE)
_FINDS = re.compile(
    r"\b(found|finds|detected|detects|shows? (?:a |signs?|traces?)|reaches|reached|exceeds|"
    r"above its|marks|marked|reveals?)\b",
    re.IGNORECASE,
)
_ACCUSES: Mapping[str, re.Pattern[str]] = {
    "ai_generated": re.compile(r"\b(is|was|been) (?:AI[- ])?generated\b", re.IGNORECASE),
    "manipulated": re.compile(
        r"\b(is|was|been) (?:edited|manipulated|altered|tampered)\b", re.IGNORECASE
    ),
    "authenticated": re.compile(r"\b(is|was) (?:genuine|authentic\w*|real|original)\b", re.I),
}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_BOUND = re.compile(r"\b(above|over|below|under)\s+$", re.IGNORECASE)
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the and for that this with was were are has have had its which from into than then but "
        "not any did does been will would could can may one two file picture image report test "
        "says said there here where when what who all some other more most such also very only",
    )
)


def leaves(value: Any) -> Iterator[Any]:
    """Every number and text in some JSON."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield value


@dataclass(frozen=True)
class _Part:
    """What a cite names: its values, and what its test found, None where it is no test."""

    values: Any
    found: bool | None = None
    ran: bool = True


def _part(report: Mapping[str, Any], cite: str) -> _Part | None:
    kind, _, rest = cite.partition(".")
    findings = {one["detector"]: one for one in report["findings"]}
    if kind in ("finding", "fact", "time", "region") and not rest.isdigit():
        names = sorted((name for name in findings if f"{rest}.".startswith(f"{name}.")), key=len)
        if not names:
            return None
        finding = findings[names[-1]]
        return _Part(finding, hit(finding), finding["status"] == "ok")
    if kind == "region":
        regions = (report.get("edits") or {"regions": []})["regions"]
        place = int(rest) - 1
        return _Part(regions[place], True) if 0 <= place < len(regions) else None
    if kind == "answer":
        name = rest.split(".")[0]
        answers = [one for one in report["answers"] if one["question"] == name]
        return _Part(answers) if answers else None
    told: dict[str, Any] = {
        "verdict": [report["verdict"], report["verdict_words"], report["caveat"],
                    report["explanation"][:1]],
        "file": report["media"],
        "stability": report.get("stability"),
        "untested": report["untested"],
    }  # fmt: skip
    return _Part(told[kind]) if told.get(kind) else None


def hit(finding: Mapping[str, Any]) -> bool:
    """Whether a finding of a record reached its threshold, claims, or contradicts itself."""
    if finding["status"] != "ok":
        return False
    for part in finding["parts"]:
        known, score = part["calibrated"], part["score"]
        if part["claim"] or part["contradiction"]:
            return True
        limit = known and known["threshold"]
        if limit is not None and score is not None and score >= limit:
            return True
    return False


def standing(report: Mapping[str, Any], statement: Statement) -> Standing:
    """Whether a report supports a statement, contradicts it, or says nothing of it.

    Args:
        report: a record as `to_dict` makes it.
        statement: of a model or of `words`.

    Returns:
        *Contradicted*: it cites what is not there; a number in it is in no cited part, within the
        digits shown; it denies and a cited test found something, or says that something was found
        and no cited test did, unless these are words of the report; it accuses of what the verdict
        does not. *Supported*: not contradicted, and at least `SUPPORT` of its content words stand
        in the cited parts. *Unsupported*: the rest.
    """
    parts = [_part(report, cite) for cite in statement.cites]
    if not parts or any(part is None for part in parts):
        return Standing.CONTRADICTED
    known = [*leaves([part.values for part in parts if part])]
    written = " ".join(str(leaf) for leaf in known if isinstance(leaf, str))
    if not _numbers_fit(statement.text, known, written):
        return Standing.CONTRADICTED
    flat, whole = _flat(statement.text), _flat(written)
    if flat and flat in whole:
        return Standing.SUPPORTED
    denies, finds = _DENIES.search(statement.text), _FINDS.search(statement.text)
    tests = [part for part in parts if part and part.found is not None]
    own = any(_flat(one) in whole for one in re.split(r"(?<=[.!?;,:])\s", statement.text) if one)
    if tests and not own:
        if denies and all(part.found for part in tests):
            return Standing.CONTRADICTED
        if finds and not denies and not any(part.found for part in tests):
            return Standing.CONTRADICTED
    for label, pattern in _ACCUSES.items():
        if pattern.search(statement.text) and not denies and report["verdict"] != label:
            return Standing.CONTRADICTED
    spoken = content(statement.text)
    names = " ".join(statement.cites).replace("_", " ").replace(".", " ")
    there = content(f"{written} {names}")
    share = len(spoken & there) / len(spoken) if spoken else 0.0
    return Standing.SUPPORTED if share >= SUPPORT else Standing.UNSUPPORTED


def _numbers_fit(text: str, known: Iterable[Any], written: str) -> bool:
    values = [float(leaf) for leaf in known if isinstance(leaf, int | float)]
    values += [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", written)]
    for match in _NUMBER.finditer(text):
        half = 0.5 * 10.0 ** -len(match.group().partition(".")[2]) + 1e-9
        shown = float(match.group())
        scaled = [scale * value for value in values for scale in (1, 100)]
        bound = _BOUND.search(text[: match.start()])
        if bound is not None:
            over = bound.group(1).lower() in ("above", "over")
            if any(value >= shown - half if over else value <= shown + half for value in scaled):
                continue
        if not any(abs(shown - value) <= half for value in scaled):
            return False
    return True


def _flat(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()


def content(text: str) -> set[str]:
    """Beginnings, five letters long, of the content words of a text."""
    spoken = re.findall(r"[a-z]{3,}", text.lower().replace("_", " "))
    return {word[:5] for word in spoken if word not in _COMMON}


@dataclass(frozen=True)
class Mention:
    """A test of which a statement says that it found something."""

    detector: str
    true: bool


def mentions(report: Report, record: Mapping[str, Any], statement: Statement) -> list[Mention]:
    """The tests that a statement says found something, and whether they did.

    A test is mentioned by a cite of it. A statement that denies, or that says nothing of an
    outcome, mentions none.
    """
    if _DENIES.search(statement.text) or not _FINDS.search(statement.text):
        return []
    findings = {one["detector"]: one for one in record["findings"]}
    found = []
    for name in dict.fromkeys(_cited(statement, findings)):
        weak = any(
            one.detector == name and one.llr is not None and one.llr > 0.0
            for one in report.findings
        )
        found.append(Mention(name, hit(findings[name]) or weak))
    return found


def _cited(statement: Statement, findings: Mapping[str, Any]) -> Iterator[str]:
    for cite in statement.cites:
        kind, _, rest = cite.partition(".")
        if kind in ("finding", "fact", "time", "region") and not rest.isdigit():
            names = [name for name in findings if f"{rest}.".startswith(f"{name}.")]
            if names:
                yield max(names, key=len)
