"""Print what every file of a folder says about its origin, and what was read before.

    python tools/provenance_table.py FOLDER --write now.json
    python tools/provenance_table.py FOLDER --before then.json > table.md

One row per file: state of its credentials, the tier that vouches for the signer, what they say,
what the metadata say, and the verdict of the profile `triage`. It also runs with an older version,
whose findings lack some of these.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bonafide.errors import BonafideError
from bonafide.examination import Examiner, Settings
from bonafide.types import Profile, Question

COLUMNS = ("state", "signer_tier", "reading", "claim", "mark", "verdict")


def main() -> None:
    """Examine the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trust", help="a trust list in place of the usual ones")
    parser.add_argument("--write", type=Path, help="write the rows as JSON")
    parser.add_argument("--before", type=Path, help="rows of an earlier run")
    options = parser.parse_args()
    examiner = Examiner(Settings(profile=Profile.TRIAGE, trust=options.trust))
    files = sorted(path for path in options.folder.rglob("*") if path.is_file())
    rows = {str(path.relative_to(options.folder)): row(examiner, path) for path in files}
    if options.write:
        options.write.write_text(json.dumps(rows, indent=1), "utf-8")
    before = json.loads(options.before.read_text("utf-8")) if options.before else {}
    print_table(rows, before)


def row(examiner: Examiner, path: Path) -> dict[str, str]:
    """What is known of one file, by the names of the columns."""
    try:
        report = examiner.examine(str(path))
    except BonafideError as error:
        return {"verdict": f"not examined: {type(error).__name__}"}
    facts: dict[str, Any] = {}
    claims = []
    marks = []
    for finding in report.findings:
        if finding.question is not Question.PROVENANCE:
            continue
        for name in ("state", "signer_tier", "reading"):
            if name in finding.facts:
                facts[name] = str(finding.facts[name])
        if "where_found" in finding.facts:
            named = finding.facts.get("generator") or finding.facts.get("digital_source_type")
            marks.append(f"{named} ({finding.facts['where_found']})")
        if finding.claim is not None:
            claims.append(f"{finding.claim.label.value} by {finding.claim.carrier.value}")
    facts["claim"] = ", ".join(claims)
    facts["mark"] = ", ".join(marks)
    facts["verdict"] = report.verdict.label.value
    return facts


def print_table(rows: dict[str, dict[str, str]], before: dict[str, dict[str, str]]) -> None:
    """Print the rows as Markdown; a cell that changed shows what it was before."""
    print(f"| file | {' | '.join(COLUMNS)} |")
    print("|" + "---|" * (len(COLUMNS) + 1))
    changed = 0
    for name, now in rows.items():
        cells = []
        then = before.get(name)
        for column in COLUMNS:
            value = now.get(column, "") or "–"
            old = (then or {}).get(column, "") or "–"
            cells.append(f"{old} → **{value}**" if then is not None and old != value else value)
        changed += then is not None and then.get("verdict") != now.get("verdict")
        print(f"| {name} | {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    print(f"\n{len(rows)} files" + (f", {changed} with another verdict" if before else ""))


if __name__ == "__main__":
    main()
