"""How `bonafide scan` writes: text for people, JSON for programs, and a progress bar."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bonafide.batch.job import Outcome
from bonafide.custody.canonical import json_text
from bonafide.types import Failure

if TYPE_CHECKING:
    from rich.console import Console


class Show:
    """Writes outcomes to standard output, through `console` where it is for people."""

    console: Console | None = None

    def __call__(self, outcome: Outcome) -> None:
        """Write one outcome."""
        raise NotImplementedError

    def end(self) -> None:
        """Called once after the last outcome."""


class _ShowJsonLines(Show):
    def __call__(self, outcome: Outcome) -> None:
        click.echo(json_text(outcome.record))


class _ShowJson(Show):
    def __init__(self, many: bool) -> None:
        self.many, self.first = many, True

    def __call__(self, outcome: Outcome) -> None:
        if self.many:
            click.echo("[" if self.first else ",")
        click.echo(json_text(outcome.record, indent=2))
        self.first = False

    def end(self) -> None:
        if self.many:
            click.echo("]")


class _ShowText(Show):
    def __init__(self, many: bool) -> None:
        from rich.console import Console

        from bonafide.report import terminal  # noqa: F401, while the first file is examined

        self.many = many
        self.console: Console = Console()

    def __call__(self, outcome: Outcome) -> None:
        from bonafide.report import terminal

        if self.many or isinstance(outcome.report, Failure):
            terminal.print_line(outcome.report, self.console)
        else:
            terminal.print_card(outcome.report, self.console)


def chosen(form: str, many: bool) -> Show:
    """The writer for "text", "json" or "jsonl", for one file or many."""
    if form == "jsonl":
        return _ShowJsonLines()
    return _ShowJson(many) if form == "json" else _ShowText(many)


def many(count: int) -> str:
    """So many files, for the title of a page."""
    from bonafide.languages.speak import ngettext

    return ngettext("%(n)s file", "%(n)s files", count)


def watched(outcomes: Iterator[Outcome], total: int, lines: Console | None) -> Iterator[Outcome]:
    """Draw a progress bar below the lines, or on standard error, while outcomes pass by."""
    if total < 2:
        yield from outcomes
        return
    from rich.console import Console

    from bonafide.report import terminal

    # On one screen, lines and bar must come from one console or they run into each other.
    console = Console(stderr=True)
    if sys.stdout.isatty():
        console = lines or Console(file=io.StringIO())
    if not console.is_terminal:
        yield from outcomes
        return
    with terminal.progress("examining", console) as progress:
        bar = progress.add_task("", total=total)
        failed = 0
        for outcome in outcomes:
            failed += outcome.record["status"] == "failed"
            progress.update(bar, advance=1, description=f"{failed} failed" if failed else "")
            yield outcome
