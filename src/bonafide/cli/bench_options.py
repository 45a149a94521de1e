"""Options and progress that the verbs of `bonafide bench` share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

DONE, SOME_FAILED = 0, 1

Tick = Callable[[int, int, int], None]

manifest_argument = click.argument("manifest", type=click.Path(dir_okay=False), metavar="MANIFEST")
protocol_option = click.option(
    "--protocol",
    default="generated-normalised",
    show_default=True,
    metavar="NAME|FILE",
    help="What is measured and how; see `bonafide bench protocols`.",
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=0), default=0, help="Processes; 0 for one per core."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the whole result as JSON."
)
repeats_option = click.option(
    "--repeats",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Bootstrap resamples behind each interval.",
)
manifests_argument = click.argument(
    "manifests",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    nargs=-1,
    required=True,
    metavar="MANIFEST...",
)
where_option = click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE", help="Use only these rows; may be repeated."
)
most_option = click.option(
    "--most-per-source",
    "most",
    type=click.IntRange(min=1),
    default=60,
    show_default=True,
    help="Most files of one source and class.",
)


def listed(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated list."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def pairs(given: tuple[str, ...], option: str, form: str) -> dict[str, str]:
    """NAME=VALUE options as a dict; `form` is how messages write it."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.UsageError(f"{option} takes {form}, not {text!r}")
        found[name] = value
    return found


def files_of(given: tuple[str, ...], option: str) -> dict[str, Path]:
    """ID=FILE options as a dict."""
    return {name: Path(file) for name, file in pairs(given, option, "ID=FILE").items()}


@contextmanager
def bar(what: str, quiet: bool) -> Iterator[Tick]:
    """A progress bar on standard error, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, failed: None
        return
    from rich.console import Console

    from bonafide.report import terminal

    with terminal.progress(what, Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None)

        def tick(done: int, total: int, failed: int) -> None:
            text = f"{failed} failed" if failed else ""
            progress.update(bar, completed=done, total=total, description=text)

        yield tick
