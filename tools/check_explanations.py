"""Count shown statements of models that a report contradicts, with rules of its own.

    python tools/check_explanations.py REPORTS.jsonl

Reads reports as `bonafide … --explain MODEL --jsonl` writes them, and imports nothing of
bonafide. A kept statement is *contradicted* if it names a number that nothing in the cited parts of
the report has, cites what is not there, denies what a cited finding says, finds something where the
finding has no answer, or accuses of what the verdict does not. Exit status 1 if there is one.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

DENIES = re.compile(r"\b(no|not|none|nothing|never|without)\b", re.IGNORECASE)
FINDS = re.compile(r"\b(found|finds|shows? a trace|detected|reaches|above its)\b", re.IGNORECASE)
ACCUSES = {
    "ai_generated": re.compile(
        r"\b(is|was) (?:AI-)?generated\b|made by a generator\.", re.IGNORECASE
    ),
    "manipulated": re.compile(
        r"\b(is|was|has been) (?:edited|manipulated|altered)\b", re.IGNORECASE
    ),
    "authenticated": re.compile(r"\b(is|was) (?:genuine|authentic\w*|real)\b", re.IGNORECASE),
}


def leaves(value: Any) -> Iterator[Any]:
    """Every number and text in some JSON."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield value


def cited(report: dict[str, Any], cite: str) -> Any:
    """The part of a report that an id names; None if there is none."""
    kind, _, rest = cite.partition(".")
    findings = {finding["detector"]: finding for finding in report["findings"]}
    if kind in ("finding", "time"):
        name = rest if kind == "finding" else rest.rpartition(".")[0]
        return findings.get(name)
    if kind == "fact":
        owner = next((f for name, f in findings.items() if rest.startswith(f"{name}.")), None)
        return owner and owner["parts"][0]["facts"]
    if kind == "region":
        if rest.isdigit():
            regions = (report["edits"] or {"regions": []})["regions"]
            return regions[int(rest) - 1] if int(rest) <= len(regions) else None
        return findings.get(rest.rpartition(".")[0])
    if kind == "answer":
        return [one for one in report["answers"] if one["question"] == rest.split(".")[0]] or None
    if kind == "verdict":
        return [
            report["verdict"],
            report["verdict_words"],
            report["caveat"],
            report["explanation"][0],
        ]
    if kind == "file":
        return report["media"]
    return report.get(kind)


def contradicted(report: dict[str, Any], statement: dict[str, Any]) -> str:
    """How a report contradicts a statement, "" if it does not."""
    text = statement["text"]
    parts = [cited(report, cite) for cite in statement["cites"]]
    if not parts or any(part is None for part in parts):
        return "cites what is not there"
    known = [*leaves(parts)]
    written = " ".join(str(leaf) for leaf in known if isinstance(leaf, str))
    values = [float(leaf) for leaf in known if isinstance(leaf, int | float)]
    values += [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", written)]
    for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])", text):
        half = 0.5 * 10 ** -len(number.partition(".")[2]) + 1e-9
        shown = float(number)
        if not any(abs(shown - scale * value) <= half for value in values for scale in (1, 100)):
            return f"{number} is not in the report"
    flat = re.sub(r"\W+", " ", text).strip().lower()
    sentences = {
        re.sub(r"\W+", " ", one).strip().lower() for one in re.split(r"(?<=[.!?])\s", written)
    }
    whole = re.sub(r"\W+", " ", written).lower()
    if flat in sentences or flat in whole:
        return ""
    for part in parts:
        if isinstance(part, dict) and "status" in part:
            if part["status"] != "ok" and FINDS.search(text) and not DENIES.search(text):
                return f"{part['detector']} gave no answer"
            known_of = part["parts"][0]["calibrated"] if part["parts"] else None
            limit = known_of and known_of["threshold"]
            hit = limit is not None and part["score"] is not None and part["score"] >= limit
            if hit and DENIES.search(text) and not DENIES.search(part["summary"]):
                return f"{part['detector']} reached its threshold"
            if not hit and FINDS.search(text) and not DENIES.search(text) and limit is not None:
                return f"{part['detector']} did not reach its threshold"
    for label, pattern in ACCUSES.items():
        if pattern.search(text) and report["verdict"] != label and not DENIES.search(text):
            return f"the verdict is {report['verdict']}"
    return ""


def main() -> None:
    """Read a file of reports and print what was found."""
    made = kept = reports = 0
    reasons: Counter[str] = Counter()
    wrong = []
    with open(sys.argv[1], encoding="utf-8") as lines:  # noqa: PTH123
        for line in lines:
            report = json.loads(line)
            added = report.get("explained")
            if report["status"] != "ok" or not added:
                continue
            reports += 1
            made, kept = made + added["made"], kept + len(added["kept"])
            reasons.update(added["reasons"])
            for statement in added["kept"]:
                why = contradicted(report, statement)
                if why:
                    wrong.append((report["media"]["name"], statement["text"], why))
    print(f"{reports} reports: {made} statements made, {kept} kept, {made - kept} dropped")
    for reason, count in reasons.most_common():
        print(f"  dropped for {reason}: {count}")
    print(f"contradicted statements among those kept: {len(wrong)}")
    for name, text, why in wrong:
        print(f"  {name}: {text!r}: {why}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
