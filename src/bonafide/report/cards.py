"""The detectors and their cards, for the terminal and for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bonafide import registry
from bonafide.evidence.calibration import default_calibration
from bonafide.report.wording import method
from bonafide.types import Card


def as_dicts(detectors: list[str] | None = None) -> list[dict[str, Any]]:
    """Cards as JSON values, of the given detectors or of all.

    Raises:
        UnknownDetector: an id names no detector.
    """
    return [_as_dict(registry.card(detector)) for detector in detectors or registry.ids()]


def print_list(console: Console | None = None) -> None:
    """One line per detector: id, question, profile, whether it votes, title."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("id", "question", "from profile", "votes", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for detector in registry.ids():
        card = registry.card(detector)
        table.add_row(
            card.id,
            card.question,
            card.profile,
            "yes" if _votes(card) else "no",
            escape(card.title),
        )
    console = console or Console()
    console.print(table)
    console.print("\nA whole card: bonafide detectors ID", style="dim")


def print_card(detector: str, console: Console | None = None) -> None:
    """Everything that is known about one detector.

    Raises:
        UnknownDetector: no detector has that id.
    """
    card = registry.card(detector)
    console = console or Console()
    console.print(f"[bold]{escape(card.title)}[/bold]  {card.id} version {card.version}\n")
    for heading, text in method(detector).items():
        console.print(f"[bold]{heading}[/bold]")
        console.print(escape(text), width=min(console.width, 100))
        console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in _as_dict(card).items():
        if name in ("id", "version", "title", "paper"):
            continue
        if isinstance(value, dict):
            value = "\n".join(f"{key}: {item}" for key, item in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(item) for item in value)
        table.add_row(name.replace("_", " "), escape(str(value)))
    console.print(table)


def _votes(card: Card) -> bool:
    calibration = default_calibration()
    entry = calibration.detectors.get(card.id)
    if card.id in calibration.claims:
        return True
    if entry is None or entry["version"] != card.version:
        return False
    return any(abs(llr) >= 0.01 for _, llr in entry.get("knots", ()))


def _as_dict(card: Card) -> dict[str, Any]:
    calibration = default_calibration()
    fitted = calibration.detectors.get(card.id) or calibration.claims.get(card.id) or {}
    return {
        "id": card.id,
        "version": card.version,
        "title": card.title,
        "question": card.question.value,
        "kinds": [kind.value for kind in card.kinds],
        "needs": dict(vars(card.needs)),
        "profile": card.profile.value,
        "votes": _votes(card),
        "facts": dict(card.facts),
        "paper": card.paper,
        "licence": card.licence,
        "training_data": card.training_data,
        "limits": card.limits,
        "calibration": {key: value for key, value in fitted.items() if key != "knots"}
        or "none: it is shown and does not vote",
    }
