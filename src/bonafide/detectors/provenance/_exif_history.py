"""What the facts of `exif_consistency` tell of a file's history; a private part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bonafide.types import Event, Fact


def history(facts: Mapping[str, Fact]) -> Iterator[Event]:
    """The capture and the last editing program, as far as the metadata name them."""
    camera, when = (str(facts.get(name) or "") for name in ("camera", "captured_at"))
    if camera or when:
        yield Event(when, "Captured", f"Camera: {camera}" if camera else "", "EXIF", "stated")
    programs = facts.get("editing_software") or []
    named = ", ".join(map(str, programs)) if isinstance(programs, list) else str(programs)
    if named:
        yield Event("", f"Saved with {named}", "", "metadata", "stated")
