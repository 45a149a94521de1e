"""The verbs that read the store: history, show, export, report, store."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bonafide.cli import retention
from bonafide.cli.options import language_option
from bonafide.cli.store_options import hash_of, moment, store_option
from bonafide.errors import InvalidInput
from bonafide.store import open_store
from bonafide.types import Label

if TYPE_CHECKING:
    from bonafide.store.rows import Row

_BROKEN = 1
_SHORT = 12  # digits of a hash that are shown; any number of them may be given
F = TypeVar("F", bound=Callable[..., Any])


def _filters(function: F) -> F:
    """Add the arguments that select reports."""
    options = (
        click.argument("text", default="", metavar="[TEXT]"),
        click.option(
            "--verdict",
            type=click.Choice([label.value for label in Label]),
            help="Only reports with this verdict.",
        ),
        click.option(
            "--since", callback=moment, metavar="WHEN", help="Stored since: 2026-11-21, or 7d ago."
        ),
        click.option(
            "--until",
            callback=moment,
            metavar="WHEN",
            help="Stored before: 2026-11-21, or 12h ago.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@_filters
@click.option(
    "--limit", type=click.IntRange(1, 10**9), default=50, show_default=True, help="Most lines."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON Lines: one row per report, without the report itself.",
)
@store_option
def history(limit: int, as_json: bool, url: str | None, **asked: Any) -> None:
    """List stored reports, newest first.

    TEXT is part of a name or path of the file, or the beginning of its SHA-256.

    \b
    bonafide history
    bonafide history umbrella --verdict manipulated --since 7d
    bonafide history --store postgresql://host/cases --json
    """
    rows = open_store(url).history(limit=limit, **asked)
    for row in rows:
        if as_json:
            values = vars(row) | {"stored_at": row.stored_at.isoformat(timespec="seconds")}
            click.echo(json.dumps(values, ensure_ascii=True))
        else:
            click.echo(_line(row))
    if not rows:
        click.echo("no stored report matches", err=True)


@click.command()
@click.argument("hash_", metavar="HASH")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--id", "id_", type=int, help="Which report of this file.  [default: the newest]")
@store_option
@language_option
def show(hash_: str, as_json: bool, id_: int | None, url: str | None) -> None:
    """Show a stored report as `scan` shows it.

    HASH is the SHA-256 of the file, or its first digits.

    \b
    bonafide show 2c0357a5
    bonafide show 2c0357a5 --json > report.json
    """
    record = _record(hash_, id_, url)
    if as_json:
        click.echo(json.dumps(record, indent=2, ensure_ascii=True))
        return
    from rich.console import Console

    from bonafide.report.from_dict import from_dict
    from bonafide.report.terminal import print_card

    print_card(from_dict(record), Console())


@click.command()
@_filters
@click.option(
    "--jsonl", is_flag=True, help="Write whole reports, one JSON object per line.  [default]"
)
@click.option("--csv", is_flag=True, help="Write one line per report, for spreadsheets.")
@click.option(
    "--parquet", is_flag=True, help="Write the columns of --csv, and the report as JSON text."
)
@click.option(
    "--output", "-o", metavar="FILE", help="Write to this file.  [default: standard output]"
)
@store_option
def export(
    jsonl: bool, csv: bool, parquet: bool, output: str | None, url: str | None, **asked: Any
) -> None:
    """Write stored reports, oldest first.

    TEXT is part of a name or path of the file, or the beginning of its SHA-256.

    \b
    bonafide export > reports.jsonl
    bonafide export --since 2026-11-01 --until 2026-12-01 --csv > november.csv
    bonafide export --verdict ai_generated --parquet -o generated.parquet
    """
    from bonafide.files import atomic_write
    from bonafide.store import writing

    if jsonl + csv + parquet > 1:
        raise click.UsageError("give only one of --jsonl, --csv and --parquet")
    if parquet and output is None:
        raise click.UsageError("--parquet needs --output FILE")
    rows = open_store(url).export(**asked)
    if output is None:
        count = writing.write_text(rows, sys.stdout, csv)
    else:
        with atomic_write(Path(output)) as path:
            if parquet:
                count = writing.write_parquet(rows, path)
            else:
                with path.open("w", encoding="utf-8", newline="") as file:
                    count = writing.write_text(rows, file, csv)
    click.echo(f"{count} reports", err=True)


class _Report(click.Group):
    """A group in which `report HASH` is short for `report pdf HASH`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `pdf` before what is no verb of the group."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["pdf", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Report)
def report() -> None:
    """Write a stored report as PDF, or sign a report.

    \b
    bonafide report 2c0357a5 --pdf case.pdf              short for `report pdf`
    bonafide report sign report.json --key desk.pem      adds a signature
    """


@report.command("sign")
@click.argument("path", metavar="REPORT.json", type=click.Path(dir_okay=False))
@click.option("--key", required=True, metavar="PEM", help="From `bonafide keys new`.")
@click.option(
    "--output", "-o", metavar="FILE", help="Write to this file.  [default: standard output]"
)
def report_sign(path: str, key: str, output: str | None) -> None:
    """Sign a report: add an Ed25519 signature over its RFC 8785 form.

    \b
    bonafide report sign report.json --key desk.pem -o signed.json
    """
    from bonafide.cli.reports import sign_report

    sign_report(path, key, output)


@report.command("pdf")
@click.argument("hash_", metavar="HASH")
@click.option("--pdf", metavar="FILE", required=True, help="Write to this file.")
@click.option("--id", "id_", type=int, help="Which report of this file.  [default: the newest]")
@click.option(
    "--file",
    "picture",
    metavar="PATH",
    help="The examined file, to show its picture.  [default: where it was when examined]",
)
@store_option
@language_option
def report_pdf(hash_: str, pdf: str, id_: int | None, picture: str | None, url: str | None) -> None:
    """Write a stored report as PDF, with the picture if the file is still there, unchanged.

    HASH is the SHA-256 of the file, or its first digits.

    \b
    bonafide report 2c0357a5 --pdf case.pdf
    bonafide report 2c0357a5 --pdf case.pdf --file elsewhere/photo.jpg
    """
    from bonafide.languages.current import current
    from bonafide.report.original import find_media
    from bonafide.report.pdf import write_pdf

    record = _record(hash_, id_, url)
    media, why = find_media(record["media"], picture)
    if write_pdf(record, Path(pdf), media) != current():
        click.echo(f"no font here has the script of {current()}: the PDF is in English", err=True)
    click.echo(f"written to {pdf}" + (f"; without a picture: {why}" if why else ""), err=True)


@click.group()
def store() -> None:
    """Check or print the audit trail of the store; delete from it, or keep from deletion.

    \b
    bonafide store check
    bonafide store log > trail.jsonl
    bonafide store prune --older-than 90d --reports --media
    bonafide store erase 2c0357a5 --why "asked by the person shown"
    bonafide store hold 2c0357a5 --why "court order 17"
    """


for _verb in (retention.prune, retention.erase, retention.hold, retention.holds):
    store.add_command(_verb)


@store.command()
@click.option(
    "--head",
    metavar="NUMBER:HASH",
    help="An entry that you noted elsewhere; finds a trail that was cut or rewritten as a whole.",
)
@store_option
def check(head: str | None, url: str | None) -> None:
    """Check the audit trail, and reports and keys against it; name the first row that is wrong.

    \b
    bonafide store check
    bonafide store check --head 8123:ab34…

    \b
    Exit status: 0 nothing was changed · 1 something was.
    """
    from bonafide.report.wording import one_line

    opened = open_store(url)
    broken = opened.check_audit(_head(head))
    if broken:
        click.echo(f"BROKEN  {one_line(broken.row)}: {broken.why}")
        sys.exit(_BROKEN)
    last = opened.head()
    click.echo(
        "nothing was changed"
        if last is None
        else f"nothing was changed; note this elsewhere: {last.number}:{last.hash}"
    )


@store.command()
@click.option("--after", type=int, default=0, help="Print only entries with a larger number.")
@store_option
def log(after: int, url: str | None) -> None:
    """Print the audit trail as JSON Lines."""
    for entry in open_store(url).audit(after):
        click.echo(json.dumps(vars(entry), ensure_ascii=True))


def _record(prefix: str, id_: int | None, url: str | None) -> dict[str, Any]:
    """The report of a hash; an error where the hash is that of several files."""
    from bonafide.custody.canonical import canonical
    from bonafide.report.from_dict import from_dict

    opened = open_store(url)
    found = opened.reports_of(hash_of(opened, prefix))
    chosen = [one for one in found if id_ in (None, one)]
    if not chosen:
        raise InvalidInput(f"this file has no report {id_}; it has {', '.join(map(str, found))}")
    record = opened.report(chosen[0]) or {}
    try:
        from_dict(record)
        canonical(record)  # also refuses what is no JSON, such as NaN
    except InvalidInput as error:
        raise InvalidInput(
            f"report {chosen[0]} cannot be read ({error}); run `bonafide store check`"
        ) from None
    if len(found) > 1 and id_ is None:
        others = ", ".join(map(str, found[1:]))
        click.echo(f"this is report {chosen[0]}, the newest; others: --id {others}", err=True)
    return record


def _line(row: Row) -> str:
    from bonafide.report.wording import one_line

    when = row.stored_at.astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{when}  {row.sha256[:_SHORT]}  {row.verdict:<15} {one_line(row.name)}"


def _head(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise click.UsageError("--head is NUMBER:HASH, as `bonafide store check` prints it")
    return int(number), digest.lower()
