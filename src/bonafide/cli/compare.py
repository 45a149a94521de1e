"""`bonafide compare`: one pair of pictures, in a process that can be stopped."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bonafide.cli.options import language_option, limit_options, limits_of
from bonafide.comparison.result import Comparison, Relation
from bonafide.languages.current import current, using
from bonafide.types import Failure

if TYPE_CHECKING:
    from bonafide.media.limits import Limits

DONE, FAILED, FAIL_ON_MET = 0, 1, 3


@dataclass(frozen=True)
class Pair:
    """What the worker is given; `data` holds what came on standard input, in place of "-"."""

    reference: str
    suspect: str
    data: bytes
    limits: Limits
    page: bool
    maps: str | None
    language: str


@dataclass(frozen=True)
class Outcome:
    """What the worker gives back: the comparison without its maps, JSON values, and the page."""

    result: Comparison | Failure
    record: dict[str, Any]
    page: str = ""


@click.command()
@click.argument("reference")
@click.argument("suspect")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--html", metavar="FILE", help="Write one self-contained page with both pictures.")
@click.option(
    "--maps",
    metavar="DIR",
    help="Write what was changed as an 8-bit grey PNG: <suspect>.changed.png.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="RELATION",
    type=click.Choice([relation.value for relation in Relation]),
    help="Exit with status 3 if this is how the pictures relate; may be repeated.",
)
@click.option("--quiet", is_flag=True, help="No notes on standard error.")
@language_option
@limit_options
def compare(
    reference: str,
    suspect: str,
    as_json: bool,
    html: str | None,
    maps: str | None,
    fail_on: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Say whether SUSPECT is a copy of REFERENCE, and mark what was changed in it.

    Copies that were saved again, resized, cropped, turned, mirrored or changed in tone as a whole
    are recognised, and told from other photographs of the same scene. One of the two may be - for
    standard input.

    \b
    Relations: identical_bytes · identical_pixels · reencoded_copy · edited_copy · look_alike ·
               unrelated · inconclusive
    Exit status: 0 done · 1 an input failed · 2 wrong usage · 3 --fail-on met.
    """
    from bonafide.batch import workers

    if reference == suspect == "-":
        raise click.UsageError("only one of the two can come from standard input")
    if html and not Path(html).absolute().parent.is_dir():
        raise click.UsageError(f"--html: the folder of {html} does not exist")
    limits = limits_of(options)
    data = b""
    if "-" in (reference, suspect):
        data = sys.stdin.buffer.read(limits.file_bytes + 1)
    pair = Pair(reference, suspect, data, limits, bool(html), maps, current())
    (_, done), *_ = workers.run(perform, [pair], 1, limits.seconds, fork=True)
    outcome = _lost(pair, done) if isinstance(done, workers.Lost) else done
    _show(outcome, as_json)
    if html and outcome.page:
        Path(html).write_text(outcome.page, "utf-8")
        if not quiet:
            click.echo(f"report written to {html}", err=True)
    if isinstance(outcome.result, Failure):
        sys.exit(FAILED)
    sys.exit(FAIL_ON_MET if outcome.result.relation in fail_on else DONE)


def perform(pair: Pair) -> Outcome:
    """Compare in this process."""
    from bonafide.comparison.compare import compare as compare_media
    from bonafide.errors import MediaError
    from bonafide.media.source import open_media
    from bonafide.report.comparison_dict import comparison_dict

    name = path = None
    try:
        media = []
        for path in (pair.reference, pair.suspect):
            name = "stdin" if path == "-" else Path(path).name
            media.append(open_media(pair.data if path == "-" else path, name, pair.limits))
        result = compare_media(media[0], media[1], pair.limits)
    except MediaError as error:
        known = {"stdin" if path == "-" else Path(path).name: path for path in _paths(pair)}
        failure = Failure(error.name, known.get(error.name), type(error).__name__, error.why)
        return Outcome(failure, comparison_dict(failure))
    record = comparison_dict(result)
    if pair.maps is not None:
        from bonafide.report.comparison_map import write_changed

        written = write_changed(result, _stem(pair.suspect), Path(pair.maps))
        record["maps"] = {} if written is None else {"changed": str(written)}
    page = ""
    if pair.page:
        from bonafide.report.comparison_page import render_page

        first, second = (one.image for one in media)
        assert first is not None and second is not None
        with using(pair.language):
            page = render_page(result, first, second)
    return Outcome(replace(result, mask=None, strength=None), record, page)


def _paths(pair: Pair) -> tuple[str, str]:
    return pair.reference, pair.suspect


def _stem(path: str) -> str:
    return (Path(path.replace("\\", "_")).stem if path != "-" else "stdin") or "file"


def _lost(pair: Pair, lost: Any) -> Outcome:
    from bonafide.report.comparison_dict import comparison_dict

    name = f"{Path(pair.reference).name} and {Path(pair.suspect).name}"
    if lost.timed_out:
        why = (
            f"seconds: stopped after {lost.seconds:.0f}, the limit is "
            f"{pair.limits.seconds:g} (raise it with --max-seconds)"
        )
        failure = Failure(name, None, "LimitExceeded", why)
    else:
        why = "the process that compared them died; a file may be built to crash decoders"
        failure = Failure(name, None, "DecodeError", why)
    return Outcome(failure, comparison_dict(failure))


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        from bonafide.custody.canonical import json_text

        click.echo(json_text(outcome.record, indent=2))
        return
    from rich.console import Console

    from bonafide.report.comparison_terminal import print_comparison

    print_comparison(outcome.result, Console())
