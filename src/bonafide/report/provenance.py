"""What a file says about its own history, as events in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bonafide.report.wording import fact_text
from bonafide.types import Fact, Finding, Question, Status

NOTHING_PROVED = (
    "Absence of provenance proves nothing: most programs and platforms remove it. "
    "Metadata can be written by anyone; only a valid signature by a trusted signer is evidence."
)

_ACTIONS = {
    "c2pa.created": "Created",
    "c2pa.opened": "Opened",
    "c2pa.placed": "Another picture placed in it",
    "c2pa.edited": "Edited",
    "c2pa.cropped": "Cropped",
    "c2pa.resized": "Resized",
    "c2pa.color_adjustments": "Colours adjusted",
    "c2pa.drawing": "Drawn upon",
    "c2pa.filtered": "Filtered",
    "c2pa.converted": "Converted",
    "c2pa.transcoded": "Re-encoded",
    "c2pa.repackaged": "Repackaged",
    "c2pa.published": "Published",
    "c2pa.removed": "A part removed",
    "c2pa.redacted": "A statement redacted",
    "c2pa.watermarked": "Watermarked",
    "c2pa.unknown": "Changed in an unknown way",
}


@dataclass(frozen=True)
class Event:
    """One entry of the timeline.

    Attributes:
        when: as the file writes it, "" when it does not say.
        what: the event, in a few words.
        detail: further facts of it, "" for none.
        source: where it is written.
        standing: "signed" (covered by a trusted signature), "stated" (anyone could have written
            it) or "broken" (covered by a signature that fails).
    """

    when: str
    what: str
    detail: str
    source: str
    standing: str


def timeline(findings: tuple[Finding, ...]) -> list[Event]:
    """Events told by the provenance findings, in the order in which they should have happened."""
    told: dict[str, Mapping[str, Fact]] = {
        finding.detector: finding.facts
        for finding in findings
        if finding.question is Question.PROVENANCE and finding.status is Status.OK
    }
    exif = told.get("exif_consistency", {})
    named = told.get("generator_metadata", {})
    return [
        *_capture(exif),
        *_generation(named),
        *_signed(told.get("c2pa_manifest", {})),
        *_editing(exif),
    ]


def _capture(exif: Mapping[str, Fact]) -> list[Event]:
    if not (exif.get("captured_at") or exif.get("camera")):
        return []
    camera = _text(exif, "camera")
    return [
        Event(
            _text(exif, "captured_at"), "Captured", camera and f"Camera: {camera}", "EXIF", "stated"
        )
    ]


def _generation(named: Mapping[str, Fact]) -> list[Event]:
    if not named.get("generator"):
        return []
    parts = [
        f"{label}: {_text(named, key)}"
        for key, label in (
            ("model", "Model"),
            ("seed", "Seed"),
            ("sampler", "Sampler"),
            ("prompt", "Prompt"),
        )
        if _text(named, key)
    ]
    what = f"Generated with {_text(named, 'generator')}"
    where = _text(named, "where_found") or "metadata"
    return [Event("", what, "\n".join(parts), where, "stated")]


def _signed(c2pa: Mapping[str, Fact]) -> list[Event]:
    state = _text(c2pa, "state")
    if state in ("", "none"):
        return []
    if state in ("remote", "unreadable"):
        what = (
            "Content credentials kept elsewhere"
            if state == "remote"
            else ("Content credentials that cannot be read")
        )
        detail = _text(c2pa, "remote_url") or _text(c2pa, "problem")
        return [Event("", what, detail, "C2PA", "stated")]
    standing = {"Trusted": "signed", "Invalid": "broken"}.get(state, "stated")
    events = []
    for ingredient in _items(c2pa, "ingredients"):
        title = ingredient.get("title") if isinstance(ingredient, dict) else ingredient
        relation = ingredient.get("relationship") if isinstance(ingredient, dict) else ""
        parent = relation == "parentOf"
        events.append(
            Event(
                "",
                "Made from another file" if parent else "Another file used",
                str(title or "unnamed"),
                "C2PA",
                standing,
            )
        )
    program = _text(c2pa, "claim_generator")
    actions = _items(c2pa, "actions")
    if actions:
        names = [str(a.get("action", a)) if isinstance(a, dict) else str(a) for a in actions]
        steps = " → ".join(_ACTIONS.get(name, name) for name in names)
        sources = fact_text(list(_items(c2pa, "digital_source_types")))
        detail = "\n".join(
            part
            for part in (program and f"Program: {program}", sources and f"Origin: {sources}")
            if part
        )
        events.append(Event("", steps, detail, "C2PA", standing))
    signer = _text(c2pa, "signer") or _text(c2pa, "signer_common_name") or "an unnamed signer"
    meaning = {
        "Trusted": "The signature is valid and the signer is on the trust list given.",
        "Valid": "The signature is valid; nobody vouches here for who the signer is.",
        "Invalid": "The signature or what it covers no longer fits this file.",
    }.get(state, state)
    events.append(Event(_text(c2pa, "signed_at"), f"Signed by {signer}", meaning, "C2PA", standing))
    return events


def _editing(exif: Mapping[str, Fact]) -> list[Event]:
    software = _text(exif, "editing_software")
    if not software:
        return []
    return [Event(_text(exif, "modified_at"), f"Saved with {software}", "", "metadata", "stated")]


def _text(facts: Mapping[str, Fact], name: str) -> str:
    value = facts.get(name)
    return "" if value in (None, "", [], {}) else fact_text(value, 600)


def _items(facts: Mapping[str, Fact], name: str) -> list[Fact]:
    value = facts.get(name)
    if isinstance(value, list):
        return value[:20]
    return [value] if value else []
