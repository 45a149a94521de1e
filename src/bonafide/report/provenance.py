"""What a file says about its own history, as events in order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from bonafide.explain.words import history
from bonafide.languages.speak import noop
from bonafide.types import Event, Finding, Question

NOTHING_PROVED = noop(
    "Absence of provenance proves nothing: most programs and platforms remove it. "
    "Anyone can write metadata; only a valid signature by a trusted signer is evidence."
)
STANDINGS = {
    "signed": noop("covered by a trusted signature"),
    "measured": noop("measured in the pixels, not signed"),
    "stated": noop("stated, not proved"),
    "broken": noop("covered by a signature that does not hold"),
}


def timeline(findings: Iterable[Finding]) -> list[Event]:
    """Events told by the provenance findings, in the order in which they should have happened.

    An event without a date stands with the next dated one that the same finding tells. Findings
    that give no date at all come first, events that are known to be the last at the end.
    """
    dated: list[tuple[datetime, Event]] = []
    for finding in findings:
        if finding.question is not Question.PROVENANCE:
            continue
        events = history(finding)
        times = [_parsed(event.when) for event in events]
        last = next((time for time in reversed(times) if time), datetime.min)
        for index, event in enumerate(events):
            dated.append((next((time for time in times[index:] if time), last), event))
    return [event for _, event in sorted(dated, key=lambda pair: (pair[1].last, pair[0]))]


def _parsed(when: str) -> datetime | None:
    """A date as EXIF or ISO 8601 writes it, without its zone; None for anything else."""
    text = when.strip()
    if len(text) >= 10 and text[4] == text[7] == ":":
        text = f"{text[:4]}-{text[5:7]}-{text[8:]}"
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError):
        return None
