"""The detectors and their cards, for the terminal and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bonafide import registry
from bonafide.evidence.calibration import default_calibration
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import sentence, told
from bonafide.report.wording import method
from bonafide.types import Card, Question

WEIGHED, DECLARES, SHOWN = sentence("evidence"), sentence("statement"), sentence("information")


def as_dicts(detectors: list[str] | None = None) -> list[dict[str, Any]]:
    """Cards as JSON values, of the given detectors or of all.

    In a list of all, a detector that cannot be used has its id and why, under "broken".

    Raises:
        UnknownDetector: an id names no detector.
        InvalidDetector: a detector that was asked for cannot be used.
    """
    if detectors:
        return [_as_dict(registry.card(detector)) for detector in detectors]
    found = []
    for detector in registry.ids():
        why = registry.broken(detector)
        found.append({"id": detector, "broken": why} if why else _as_dict(registry.card(detector)))
    return found


def print_list(console: Console | None = None) -> None:
    """One line per detector under its question: id, title, profile, what it counts for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(_("id"), no_wrap=True)
    table.add_column(_("what it is"))
    for heading in (_("from profile"), _("counts as")):
        table.add_column(heading, no_wrap=True)
    broken = {one: why for one in registry.ids() if (why := registry.broken(one)) is not None}
    cards = [registry.card(one) for one in registry.ids() if one not in broken]
    for question in Question:
        asked = [card for card in cards if card.question is question]
        if asked:
            table.add_row(f"[bold]{question}[/bold]")
        for card in asked:
            table.add_row(f"  {card.id}", escape(told(card.title)), card.profile, told(_role(card)))
    for detector, why in broken.items():
        table.add_row(detector, escape(told(why)), "", _("cannot be used"))
    console = console or Console()
    console.print(table)
    console.print("\n" + _("A whole card: bonafide detectors ID"), style="dim")


def print_card(detector: str, console: Console | None = None) -> None:
    """Everything that is known about one detector.

    Raises:
        UnknownDetector: no detector has that id.
    """
    card = registry.card(detector)
    console = console or Console()
    console.print(
        f"[bold]{escape(told(card.title))}[/bold]  "
        + escape(_("%(detector)s version %(version)s", detector=card.id, version=card.version))
        + "\n"
    )
    for heading, text in method(detector).items():
        console.print(f"[bold]{escape(told(heading))}[/bold]")
        console.print(escape(text), width=min(console.width, 100))
        console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _as_dict(card).items():
        if name in ("id", "version", "title", "paper"):
            continue
        if isinstance(value, dict):
            value = "\n".join(f"{key}: {told(str(item))}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        table.add_row(told(name.replace("_", " ")), escape(told(str(value))))
    console.print(table)


def _role(card: Card) -> str:
    """What a finding counts for: weighed evidence, a statement of the file, or information."""
    if card.question.accusation is None:
        return DECLARES
    return WEIGHED if any(_weighs(card, entry) for entry in _fitted(card).values()) else SHOWN


def _weighs(card: Card, entry: Mapping[str, Any]) -> bool:
    fits = entry["version"] == card.version
    return fits and any(abs(llr) >= 0.01 for _, llr in entry.get("knots", ()))


def _fitted(card: Card) -> dict[str, Mapping[str, Any]]:
    """What was fitted for a detector, by the kind of media; "" for the one it mainly reads."""
    found = {}
    for name, entry in default_calibration().detectors.items():
        detector, _, kind = name.partition("@")
        if detector == card.id:
            found[kind] = entry
    return found


def _as_dict(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "version": card.version,
        "title": card.title,
        "question": card.question.value,
        "kinds": [kind.value for kind in card.kinds],
        "needs": dict(vars(card.needs)),
        "profile": card.profile.value,
        "counts_as": _role(card),
        "votes": _role(card) == WEIGHED,
        "facts": dict(card.facts),
        "paper": card.paper,
        "licence": card.licence,
        "training_data": card.training_data,
        "limits": card.limits,
        "erased_by": list(card.erased_by),
        "calibration": {
            " ".join(filter(None, (kind, name))): value
            for kind, entry in _fitted(card).items()
            for name, value in entry.items()
            if name != "knots"
        }
        or "none: it is shown and not weighed",
    }
