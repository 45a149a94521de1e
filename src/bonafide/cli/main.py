"""The command line. Results go to standard output, talk to standard error.

Nothing but click is imported before a verb runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from bonafide import __version__
from bonafide.cli.batch import batch_options
from bonafide.cli.options import limit_options, limits_of
from bonafide.errors import BonafideError
from bonafide.types import Label, Profile

if TYPE_CHECKING:
    from bonafide.batch.job import Outcome
    from bonafide.examination import Settings

DONE, SOME_FAILED, USAGE, FAIL_ON_MET, INTERRUPTED = 0, 1, 2, 3, 130


class _Verbs(click.Group):
    """A group in which `bonafide PATH` is short for `bonafide scan PATH`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and not own.intersection(args[:1]):
            args = ["scan", *args]
        return super().parse_args(ctx, args)


class _Elsewhere(click.Command):
    """A verb of another file, which is imported only when the verb is asked for."""

    def __init__(self, name: str, module: str, help: str) -> None:  # noqa: A002
        super().__init__(name, help=help)
        self.module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        verb: click.Command = getattr(import_module(self.module), str(self.name))
        return verb.make_context(info_name, args, parent, **extra)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A path alone is short for scan: bonafide photo.jpg",
)
@click.version_option(__version__, prog_name="bonafide")
def bonafide() -> None:
    """Is this image genuine, AI-generated or manipulated: where, by what, how sure?

    \b
    bonafide photo.jpg                      a verdict with its evidence
    bonafide photo.jpg --html report.html   the same as a page with pictures
    bonafide scan folder --jsonl > out      one JSON object per file
    bonafide detectors                      what is looked for, and how
    bonafide demo                           try it on pictures made on the spot
    """


@bonafide.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@batch_options
@click.option("--json", "as_json", is_flag=True, help="One JSON report; several files: an array.")
@click.option("--jsonl", is_flag=True, help="JSON Lines: one object per file, in input order.")
@click.option("--html", metavar="FILE", help="Write one self-contained page with pictures.")
@click.option(
    "--maps",
    metavar="DIR",
    help="Write each map as 8-bit grey PNG, <stem>.<detector>.png, at most 20 megapixels.",
)
@click.option("--only", metavar="ID,...", help="Ask just these detectors.")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.STANDARD.value,
    show_default=True,
    help="How much time may be spent.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="VERDICT",
    type=click.Choice([label.value for label in Label]),
    help="Exit with 3 if a file gets this verdict; may be repeated.",
)
@click.option(
    "--trust",
    metavar="PEM",
    type=click.Path(exists=True),
    help="Certificate authorities (file or folder) whose content credentials count as trusted.",
)
@click.option("--network", is_flag=True, help="Allow fetching content credentials kept elsewhere.")
@click.option(
    "--false-accusation-rate",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="Share of bona fide pictures that pixel evidence may accuse.",
)
@click.option(
    "--stability",
    is_flag=True,
    help="Ask again about changed copies; an accusation that falls is withdrawn.",
)
@click.option(
    "--calibration",
    metavar="FILE",
    envvar="BONAFIDE_CALIBRATION",
    help="Of your own, from `bonafide bench calibrate`.  [default: $BONAFIDE_CALIBRATION]",
)
@click.option("--keep", is_flag=True, help="Put reports into the store, see --store.")
@click.option(
    "--store",
    metavar="URL",
    help="Put reports into this store.  [default with --keep: $BONAFIDE_STORE, or a file in the "
    "user's data folder]",
)
@click.option("--sign", metavar="PEM", help="Sign each report, with a key from `keys new`.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Processes; 0: one per core.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes on standard error.")
@click.option("--debug", is_flag=True, help="Let decoders' complaints and tracebacks through.")
@limit_options
def scan(
    paths: tuple[str, ...],
    lists: tuple[str, ...],
    column: str,
    out: str | None,
    ray: str | None,
    as_json: bool,
    jsonl: bool,
    html: str | None,
    maps: str | None,
    fail_on: tuple[str, ...],
    keep: bool,
    store: str | None,
    sign: str | None,
    jobs: int,
    quiet: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Examine files and report a verdict with its evidence.

    PATH is a file, a folder (all files below it), a pattern, a list (@FILE, see --list), an
    address such as s3://bucket/folder, or - for standard input.

    \b
    bonafide scan photo.jpg --html report.html     one file, as a page
    bonafide scan folder --jsonl --fail-on ai_generated > reports.jsonl
    bonafide scan folder --out results             a backlog; run again to go on
    bonafide scan --list files.csv --column file --out results --profile triage
    bonafide scan s3://bucket/in --out results --ray auto

    \b
    Exit status: 0 done · 1 some input failed · 2 wrong usage · 3 --fail-on met.
    """
    from pathlib import Path

    from bonafide.batch import workers

    if out:
        workers.prepare("bonafide.batch.work")  # while this process imports what it needs
    from bonafide.batch.names import expand, repeatable
    from bonafide.cli import output
    from bonafide.cli.batch import run_batch
    from bonafide.cli.report_sink import Keeper
    from bonafide.cli.scan import given_files
    from bonafide.cli.scan import scan as scan_files
    from bonafide.store import open_store

    if as_json and jsonl:
        raise click.UsageError("--json and --jsonl exclude each other")
    given = (*paths, *(f"@{file}" for file in lists))
    if not given:
        raise click.UsageError("nothing to examine: name a PATH, or a --list")
    if ray and not out:
        raise click.UsageError("--ray needs --out DIR")
    settings = _settings(options)
    if out:
        if as_json or html or maps or "-" in paths:
            raise click.UsageError("--out goes with neither --json, --html, --maps nor PATH -")
        counted = run_batch(
            lambda: expand(given, column, settings.limits, without=out),
            settings,
            countable=repeatable(given),
            out=out,
            jsonl=jsonl,
            store=store,
            keep=keep,
            sign=sign,
            ray=ray,
            jobs=jobs,
            quiet=quiet,
            debug=debug,
        )
        if counted.verdicts.keys() & set(fail_on):
            sys.exit(FAIL_ON_MET)
        sys.exit(SOME_FAILED if counted.failed else DONE)
    if html and not Path(html).absolute().parent.is_dir():
        raise click.UsageError(f"--html: there is no folder to write {html} into")
    files = list(given_files(expand(given, column, settings.limits, ordered=True), settings.limits))
    if not files:
        raise click.UsageError("no files there")
    count = min(jobs or os.cpu_count() or 1, len(files))
    opened = open_store(store) if keep or store else None
    kept = Keeper(opened, sign, settings, quiet)
    outcomes = map(
        kept, scan_files(files, settings, count, maps, bool(html), debug, bool(opened), fork=True)
    )
    show = output.chosen("json" if as_json else "jsonl" if jsonl else "text", len(files) > 1)
    tally = _Tally()

    def sections() -> Iterator[str]:
        for outcome in output.watched(outcomes, 0 if quiet else len(files), show.console):
            show(outcome)
            tally.add(outcome)
            yield outcome.section

    if html:
        from bonafide.report.html import write_html

        title = files[0][2] if len(files) == 1 else f"{len(files)} files"
        write_html(html, sections(), title)
    else:
        for _ in sections():
            pass
    show.end()
    if html and not quiet:
        click.echo(f"report written to {html}", err=True)
    if tally.labels.intersection(fail_on):
        sys.exit(FAIL_ON_MET)
    sys.exit(SOME_FAILED if tally.failed else DONE)


@bonafide.command()
@click.argument("detector", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="The cards as JSON.")
def detectors(detector: str | None, as_json: bool) -> None:
    """List the detectors, or show one detector's whole card."""
    from bonafide.report import cards

    if as_json:
        import json

        chosen = [detector] if detector else None
        click.echo(json.dumps(cards.as_dicts(chosen), indent=2, ensure_ascii=False))
    elif detector:
        cards.print_card(detector)
    else:
        cards.print_list()


@bonafide.command()
@click.argument("folder", default="demo", metavar="[FOLDER]")
@click.pass_context
def demo(ctx: click.Context, folder: str) -> None:
    """Make real and altered pictures in FOLDER (default: demo), examine them, write report.html."""
    from pathlib import Path

    from bonafide.cli.demo import make_demo

    made = make_demo(Path(folder))
    for file in made:
        click.echo(f"{file.path.name}: {file.done}", err=True)
    anchors = sorted(Path(folder).glob("*.pem"))
    ctx.invoke(
        scan,
        paths=tuple(str(file.path) for file in made),
        html=str(Path(folder) / "report.html"),
        trust=str(anchors[0]) if anchors else None,
        profile=Profile.STANDARD.value,
    )


_ELSEWHERE = {
    "train": ("train", "Train a detector and export it as ONNX."),
    "align": ("align", "Send photographs through decoders."),
    "tamper": ("tamper", "Edit photographs, with exact masks."),
    "compare": ("compare", "Is one picture an edited copy of another?"),
    "bench": ("bench", "Measure detectors on labelled files: audit, run, report, compare."),
    "weights": (
        "weights",
        "Published networks by reference: list, licence, pull, verify.",
    ),
    "history": ("store", "List stored reports, newest first."),
    "show": ("store", "Show a stored report as `scan` shows it."),
    "export": ("store", "Write stored reports as JSON Lines, CSV or Parquet."),
    "report": ("store", "Write a stored report as PDF."),
    "store": ("store", "The store itself: check its audit trail, print it."),
    "verify": ("custody", "Examine a file again and compare with a report."),
    "sign": ("custody", "Sign a report."),
    "keys": ("custody", "Keys that sign reports, and keys of the service."),
    "serve": ("serve", "Run the service and the web app."),
    "worker": ("serve", "Examine what a service has in its queue."),
}
for _name, (_module, _help) in _ELSEWHERE.items():
    bonafide.add_command(_Elsewhere(_name, f"bonafide.cli.{_module}", _help))


def main() -> None:
    """Entry point; turns expected errors into one line and the right exit status."""
    # Files are examined in parallel; libraries that start threads of their own on top of that
    # only fight over the cores. Both read this when they are first loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
    try:
        bonafide.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BonafideError as error:
        click.echo(f"bonafide: {error}", err=True)
        sys.exit(USAGE)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; Python would complain about flushing
        sys.exit(DONE)
    except OSError as error:  # inputs are read in workers, so this is an output
        what = error.filename or "the results"
        click.echo(f"bonafide: cannot write {what}: {error.strerror or error}", err=True)
        sys.exit(USAGE)


def _settings(options: dict[str, Any]) -> Settings:
    from bonafide.evidence.calibration import load_calibration
    from bonafide.examination import Settings, select

    only = options.get("only") or ""
    if options.get("trust"):
        _check_trust(options["trust"])
    settings = Settings(
        profile=Profile(options["profile"]),
        only=tuple(part.strip() for part in only.split(",") if part.strip()),
        limits=limits_of(options),
        false_accusation_rate=options["false_accusation_rate"],
        trust=options.get("trust"),
        network=bool(options.get("network")),
        stability=bool(options.get("stability")),
        calibration=options.get("calibration"),
    )
    # A bad table or an unknown id is a usage error now, not a failure per file.
    load_calibration(settings.calibration)
    if settings.only:
        select(settings)
    return settings


def _check_trust(path: str) -> None:
    """Refuse a trust list without certificates now, rather than file by file."""
    from pathlib import Path

    given = Path(path)
    files = [file for file in given.iterdir() if file.is_file()] if given.is_dir() else [given]
    if not any(b"-----BEGIN CERTIFICATE" in file.read_bytes() for file in files):
        raise click.UsageError(f"--trust: {path} holds no PEM certificate")


class _Tally:
    """What the exit status depends on."""

    def __init__(self) -> None:
        self.failed = 0
        self.labels: set[str | None] = set()

    def add(self, outcome: Outcome) -> None:
        self.failed += outcome.record["status"] == "failed"
        self.labels.add(outcome.record["verdict"])


if __name__ == "__main__":
    main()
