"""`bonafide scan --out`: the options of a batch, its progress and its summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bonafide.batch.run import Tally
    from bonafide.examination import Settings

F = TypeVar("F", bound=Callable[..., Any])
_LOG_SECONDS = 60.0
_DRAW_SECONDS = 0.1


def batch_options(function: F) -> F:
    """Add what makes a scan a batch."""
    options = (
        click.option(
            "--list",
            "lists",
            multiple=True,
            metavar="FILE",
            help="Examine the files that FILE lists: one per line, or a column of a .csv or "
            ".parquet; - is standard input. @FILE means the same.",
        ),
        click.option(
            "--column",
            default="path",
            show_default=True,
            metavar="NAME",
            help="Column of names in a table given with --list.",
        ),
        click.option(
            "--out",
            metavar="DIR",
            help="Write results into this folder as Parquet (with --jsonl as JSON Lines; with "
            "--store into the store). Run again to continue, or to examine only what changed.",
        ),
        click.option(
            "--ray",
            metavar="ADDRESS",
            help="With --out: run on this Ray cluster; auto finds one, local starts one.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def run_batch(
    given: Sequence[str],
    column: str,
    settings: Settings,
    *,
    out: str,
    jsonl: bool,
    store: str | None,
    keep: bool,
    sign: str | None,
    ray: str | None,
    jobs: int,
    quiet: bool,
    debug: bool,
) -> Tally:
    """Run a batch and print its summary on standard error.

    Args:
        given: what the user names.
        column: of tables among it.
        settings: the same for all.
        out: folder of the results.
        jsonl: write JSON Lines instead of Parquet.
        store, keep: as for `bonafide scan`; then reports go into the store instead of files.
        sign: path of a private key.
        ray: address of a cluster.
        jobs: processes, 0 for one per core.
        quiet: print nothing.
        debug: print warnings of decoders.
    """
    from bonafide.batch.names import expand
    from bonafide.batch.results import Form
    from bonafide.batch.run import local, run
    from bonafide.cli.report_sink import Keeper
    from bonafide.store import open_store

    kept = bool(keep or store)
    if kept and jsonl:
        raise click.UsageError("with --out, give --jsonl or --store, not both")
    form = Form.STORE if kept else Form.JSONL if jsonl else Form.PARQUET
    keeper = Keeper(open_store(store) if kept else None, sign, settings, quiet=True)
    progress = _Progress(quiet)
    with progress:
        if ray:
            from bonafide.batch import cluster

            told = keeper if kept or sign else None
            where = Path(out), form, ray, jobs
            tally = cluster.run(
                given, column, settings, *where, hashed=kept, keep=told, watch=progress
            )
        else:
            names = expand(given, column, settings.limits, without=out)
            engine = local(jobs, not debug)
            tally = run(
                names, settings, Path(out), form, engine, hashed=kept, keep=keeper, watch=progress
            )
    if not quiet:
        click.echo(_summary(tally, progress.seconds(), out), err=True)
    return tally


class _Progress:
    """A progress bar on a terminal, a line per minute elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._began = self._said = self._drawn = time.monotonic()

    def __enter__(self) -> _Progress:
        self._bar = None
        if self._quiet:
            return self
        if sys.stderr.isatty():
            from rich.console import Console

            from bonafide.report.terminal import progress

            self._bar = progress("examining", Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if self._bar and now - self._drawn >= _DRAW_SECONDS:
            self._drawn = now
            self._bar.update(
                self._task, completed=tally.names, total=tally.total, description=self._rate(tally)
            )
        elif not self._bar and not self._quiet and now - self._said >= _LOG_SECONDS:
            self._said = now
            click.echo(self._line(tally), err=True)

    def seconds(self) -> float:
        """Since the batch began."""
        return time.monotonic() - self._began

    def _rate(self, tally: Tally) -> str:
        rate = (tally.names - tally.known) / max(self.seconds(), 1e-3)
        return f"{rate:,.1f}/s, {tally.failed:,} failed"

    def _line(self, tally: Tally) -> str:
        known = f" of {tally.total:,}" if tally.total else ""
        line = f"{tally.names:,}{known}, {self._rate(tally)}"
        rate = tally.names / max(self.seconds(), 1e-3)
        if tally.total and tally.names:
            left = max(0, tally.total - tally.names) / max(rate, 1e-3)
            line += f", about {_duration(left)} left"
        return line


def _summary(tally: Tally, seconds: float, out: str) -> str:
    parts = (
        (tally.examined, "examined"),
        (tally.copies, "copies"),
        (tally.known, "unchanged since the last run"),
        (tally.failed, f"failed, see {Path(out) / 'failures.jsonl'}"),
    )
    words = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    rate = tally.examined / max(seconds, 1e-3)
    return f"{tally.names:,} files: {words or 'nothing'} · {_duration(seconds)}, {rate:,.1f}/s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
