"""The verbs `bonafide feedback` and `bonafide bench feedback`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bonafide.cli.store_options import actor, hash_of, store_option
from bonafide.errors import InvalidInput
from bonafide.questions import ACCUSATIONS
from bonafide.store import open_store

if TYPE_CHECKING:
    from bonafide.store.rows import Feedback

# As `store.feedback.TRUTHS`, which cannot be read without the database library.
_TRUTHS = ("bona_fide", *(label.value for label in ACCUSATIONS))


@click.command()
@click.argument("hash_", metavar="HASH")
@click.option("--truth", required=True, type=click.Choice(_TRUTHS), help="What the file is.")
@click.option("--note", default="", metavar="TEXT", help="How you know.")
@click.option("--consent", is_flag=True, help="The file may become a test file.")
@click.option("--id", "id_", type=int, help="Which report of this file.  [default: the newest]")
@store_option
def feedback(
    hash_: str, truth: str, note: str, consent: bool, id_: int | None, url: str | None
) -> None:
    """Say what a file is whose stored report is wrong; kept with the report.

    HASH is the SHA-256 of the file, or its first digits.

    \b
    bonafide feedback 2c0357a5 --truth bona_fide --note "I took it"
    bonafide bench feedback --out mistakes.csv
    """

    store = open_store(url)
    found = store.reports_of(hash_of(store, hash_))
    chosen = [one for one in found if id_ in (None, one)]
    if not chosen:
        raise InvalidInput(f"this file has no report {id_}; it has {', '.join(map(str, found))}")
    store.add_feedback(chosen[0], truth, note, consent, actor())
    click.echo(f"kept with report {chosen[0]}")


@click.command("feedback")
@click.option("--out", required=True, metavar="FILE", help="The manifest to write.")
@click.option(
    "--files",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Copy the files here under their hashes: only those that may become test files.",
)
@click.option(
    "--spool",
    metavar="DIR",
    envvar="BONAFIDE_SPOOL",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the service, where uploads lie.  [default: $BONAFIDE_SPOOL]",
)
@store_option
def bench_feedback(out: str, folder: Path | None, spool: Path | None, url: str | None) -> None:
    """Write a manifest of the files that people said were judged wrongly.

    A file is looked for where it was examined, and among the uploads of the service. Of several
    words on one file the last counts.

    \b
    bonafide bench feedback --out mistakes.csv --files mistakes
    bonafide bench run mistakes.csv --out run
    """
    from bonafide.bench.feedback import collect
    from bonafide.bench.layouts import relative
    from bonafide.bench.manifest import write_manifest

    def find(one: Feedback) -> Path | None:
        upload = spool / "uploads" / one.sha256[:2] / one.sha256 if spool else None
        if upload and upload.is_file():
            return upload
        return Path(one.path) if one.path else None

    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    found = collect(open_store(url).feedback(), find, folder)
    if found.samples:
        target = Path(out)
        write_manifest(target, relative(found.samples, Path(), target.parent))
    for sha256, why in found.left_out.items():
        click.echo(f"left out: {sha256[:12]}: {why}", err=True)
    click.echo(f"{len(found.samples)} files, {len(found.left_out)} left out", err=True)
