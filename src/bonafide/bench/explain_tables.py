"""The table of `bonafide bench explain`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDTH = 110  # where the output is no terminal
_ROWS = {
    "statements": "statements per report",
    "words": "words per report",
    "supported": "share supported",
    "unsupported": "share unsupported",
    "contradicted": "share contradicted",
    "chair_i": "CHAIRi: mentions that are wrong",
    "chair_s": "CHAIRs: explanations with a wrong mention",
    "cover": "found tests that are mentioned",
    "pope_accuracy": "questions: accuracy",
    "pope_precision": "questions: precision of yes",
    "pope_recall": "questions: recall of yes",
    "pope_f1": "questions: F1 of yes",
    "pope_yes": "questions: share of yes",
    "consistent_phrases": "same answer to another phrase",
    "consistent_seeds": "Jaccard of cites over seeds",
}
_NAMES = {"words": "words", "made": "model, before the check", "shown": "model, shown"}


def print_explanations(found: Mapping[str, Any]) -> None:
    """Print the figures of both explainers side by side."""
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH
    figures = {name: one["figures"] for name, one in found["explainers"].items()}
    console.print(f"{found['reports']} reports", soft_wrap=True)
    console.print(_table(figures, _ROWS))
    model = found["model"]
    if model:
        reasons = ", ".join(f"{count} {name}" for name, count in model["reasons"].items())
        console.print(
            f"{model['model']}, {model['prompt']}: {model['made']} made, {model['kept']} kept "
            f"({model['copies']} of them copies of a sentence of the report), "
            f"{model['made'] - model['kept']} dropped"
            f"{f' ({reasons})' if reasons else ''}; {model['seconds']:,.0f} seconds, "
            f"{model['tokens_in']:,} tokens in, {model['tokens_out']:,} out",
            soft_wrap=True,
        )
    looks = found.get("looks")
    if looks:
        console.print(f"{looks['pictures']} pictures looked at again", soft_wrap=True)
        rows = {
            name: name.replace("_", ", ") for one in looks["explainers"].values() for name in one
        }
        console.print(_table(looks["explainers"], rows))


def _table(figures: Mapping[str, Mapping[str, Any]], rows: Mapping[str, str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for name in figures:
        table.add_column(_NAMES.get(name, name), justify="right")
    for key, told in rows.items():
        cells = [_cell(one.get(key)) for one in figures.values()]
        if any(cell != "–" for cell in cells):
            table.add_row(told, *cells)
    return table


def _cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    if figure["low"] is None:
        return f"{figure['value']:.3f} (n = {figure['n']})"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
