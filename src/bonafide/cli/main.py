"""The command line. Results go to standard output, everything else to standard error.

Nothing but click is imported before a verb runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bonafide import __version__
from bonafide.cli.batch import batch_options
from bonafide.cli.explain import Explainer, asking_of, explain_options
from bonafide.cli.judge import judge_options
from bonafide.cli.options import language_option, limit_options
from bonafide.cli.verbs import Verbs, add_verbs
from bonafide.errors import BonafideError
from bonafide.types import Label, Profile

if TYPE_CHECKING:
    from bonafide.batch.job import Outcome

DONE, SOME_FAILED, USAGE, FAIL_ON_MET, INTERRUPTED = 0, 1, 2, 3, 130


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`bonafide VERB --help` explains a verb; `bonafide PATH` means `bonafide scan PATH`.",
)
@click.version_option(__version__, prog_name="bonafide")
def bonafide() -> None:
    """Is this picture or video genuine, AI-generated or edited? Where, and how sure is that?

    \b
    bonafide photo.jpg                        a verdict with its evidence
    bonafide photo.jpg --html report.html     the same as a page with pictures
    bonafide scan folder --jsonl > out.jsonl  one JSON object per file
    bonafide serve --no-auth                  the web app, on this machine only
    bonafide demo                             try it on pictures made on the spot
    """


@bonafide.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@batch_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: one report, or an array for several files."
)
@click.option(
    "--jsonl", is_flag=True, help="Print one JSON object per file and line, in input order."
)
@click.option("--html", metavar="FILE", help="Write one self-contained page with pictures.")
@click.option(
    "--maps",
    metavar="DIR",
    help="Write each map as an 8-bit grey PNG of at most 20 megapixels: <stem>.<detector>.png.",
)
@click.option("--only", metavar="ID,...", help="Run only these detectors.")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.STANDARD.value,
    show_default=True,
    help="triage: what the file declares; standard: all that can move a verdict; thorough: "
    "also slow and weak detectors.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="VERDICT",
    type=click.Choice([label.value for label in Label]),
    help="Exit with status 3 if a file gets this verdict; may be repeated.",
)
@click.option(
    "--trust",
    metavar="PEM",
    type=click.Path(exists=True),
    help="Certificate authorities (file or folder) whose content credentials count as trusted, in "
    "place of all others; see `bonafide trust`.",
)
@click.option(
    "--network", is_flag=True, help="Allow fetching content credentials that are stored elsewhere."
)
@click.option(
    "--false-accusation-rate",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    help="Bound on the share of bona fide files that each question may accuse.  "
    "[default: each question's own, 0.01]",
)
@click.option(
    "--stability",
    is_flag=True,
    help="Examine changed copies too; withdraw an accusation that does not hold on them.",
)
@click.option(
    "--liveness",
    is_flag=True,
    help="Ask too whether a face is a print, a screen or a mask before the camera.",
)
@click.option(
    "--caption",
    metavar="TEXT",
    help="Compare this caption with text in the picture and with the file's own record; for one "
    "file.",
)
@click.option(
    "--transcript",
    is_flag=True,
    help="Write down what is said, with times; a machine does, and errs. Needs `bonafide weights "
    "pull transcribe_base`.",
)
@click.option(
    "--calibration",
    metavar="FILE",
    envvar="BONAFIDE_CALIBRATION",
    help="A calibration of your own, from `bonafide bench calibrate`.  [default: "
    "$BONAFIDE_CALIBRATION]",
)
@judge_options
@explain_options
@click.option("--keep", is_flag=True, help="Put reports into the default store.")
@click.option(
    "--store",
    metavar="URL",
    help="Put reports into this store.  [default with --keep: $BONAFIDE_STORE, or a file in the "
    "user's data folder]",
)
@click.option(
    "--sign", metavar="PEM", help="Sign each report with this key, from `bonafide keys new`."
)
@click.option(
    "--jobs", type=click.IntRange(min=0), default=0, help="Processes; 0 for one per core."
)
@click.option("--quiet", is_flag=True, help="No progress bar and no notes on standard error.")
@click.option("--debug", is_flag=True, help="Print warnings of decoders and tracebacks.")
@language_option
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
    bonafide scan folder --out results             a batch; run again to continue
    bonafide scan --list files.csv --column file --out results --profile triage
    bonafide scan s3://bucket/in --out results --ray auto

    \b
    Exit status: 0 done · 1 some input failed · 2 wrong usage · 3 --fail-on met.
    """
    from pathlib import Path

    from bonafide.batch import workers

    if out:
        workers.prepare("bonafide.batch.work")  # while this process imports what it needs
    from bonafide.batch.names import expand
    from bonafide.cli import output
    from bonafide.cli.batch import run_batch
    from bonafide.cli.report_sink import Keeper
    from bonafide.cli.scan import given_files
    from bonafide.cli.scan import scan as scan_files
    from bonafide.cli.settings import settings_of, warn_of_old_lists
    from bonafide.store import open_store

    if as_json and jsonl:
        raise click.UsageError("give --json or --jsonl, not both")
    given = (*paths, *(f"@{file}" for file in lists))
    if not given:
        raise click.UsageError("nothing to examine: give a PATH or --list FILE")
    if ray and not out:
        raise click.UsageError("--ray needs --out DIR")
    settings = settings_of({**options, "quiet": quiet})
    asking = asking_of(options)
    if not quiet:
        warn_of_old_lists(settings)
    if out:
        if asking:
            raise click.UsageError("--explain cannot be used with --out")
        if settings.judge:
            raise click.UsageError("--judge cannot be used with --out")
        if settings.caption:
            raise click.UsageError("--caption belongs to one file: it cannot be used with --out")
        if as_json or html or maps or "-" in paths:
            raise click.UsageError("--out cannot be used with --json, --html, --maps or PATH -")
        counted = run_batch(
            given,
            column,
            settings,
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
        raise click.UsageError(f"--html: the folder of {html} does not exist")
    files = list(given_files(expand(given, column, settings.limits, ordered=True), settings.limits))
    if not files:
        raise click.UsageError("no files found")
    if settings.caption and len(files) > 1:
        raise click.UsageError(f"--caption belongs to one file, and there are {len(files)}")
    count = min(jobs or os.cpu_count() or 1, len(files))
    opened = open_store(store) if keep or store else None
    kept = Keeper(opened, sign, settings, quiet)
    share = asking.share.value if asking else ""
    outcomes = scan_files(
        files, settings, count, maps, bool(html), debug, bool(opened), fork=True, share=share
    )
    if asking:
        outcomes = map(Explainer(asking, quiet, settings, options["explain_steps"]), outcomes)
    outcomes = map(kept, outcomes)
    show = output.chosen("json" if as_json else "jsonl" if jsonl else "text", len(files) > 1)
    tally = _Tally()

    def sections() -> Iterator[str]:
        for outcome in output.watched(outcomes, 0 if quiet else len(files), show.console):
            show(outcome)
            tally.add(outcome)
            yield outcome.section

    if html:
        from bonafide.report.html import write_html

        title = files[0][2] if len(files) == 1 else output.many(len(files))
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
@language_option
def detectors(detector: str | None, as_json: bool) -> None:
    """List the detectors, or show the card of one: how it works, and when it fails.

    \b
    bonafide detectors
    bonafide detectors copy_move
    """
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
    """Make photographs and altered copies in FOLDER, examine them, write FOLDER/report.html.

    FOLDER is made if it does not exist; it is `demo` unless you say otherwise. Two short clips of a
    face are made as well, one of them forged for a second. Where espeak-ng, flite or pico2wave is
    installed, it speaks a sentence that is examined too.
    """
    from pathlib import Path

    from bonafide.cli.demo import make_demo
    from bonafide.cli.demo_clips import make_clips
    from bonafide.cli.demo_speech import make_speech

    made = make_demo(Path(folder))
    skipped = []
    for more in (make_speech(folder), make_clips(folder)):
        if isinstance(more, str):
            skipped.append(more)
        else:
            made += more
    for file in made:
        click.echo(f"{file.path.name}: {file.done}", err=True)
    for why in skipped:
        click.echo(why, err=True)
    anchors = sorted(Path(folder).glob("*.pem"))
    ctx.invoke(
        scan,
        paths=tuple(str(file.path) for file in made),
        html=str(Path(folder) / "report.html"),
        trust=str(anchors[0]) if anchors else None,
        profile=Profile.STANDARD.value,
    )


add_verbs(bonafide)


def main() -> None:
    """Entry point; turns expected errors into one line and the right exit status."""
    # Files are examined in parallel, so that threads of libraries would only compete for the cores.
    # Both libraries read this when they are first loaded.
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
