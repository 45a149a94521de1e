"""The verbs `bonafide store prune`, `erase`, `hold` and `holds`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bonafide.cli.store_options import actor, hash_of, moment, store_option
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.store import open_store

if TYPE_CHECKING:
    from bonafide.server.spool import Spool
    from bonafide.store.rows import Removed
    from bonafide.store.store import Store

_UNFINISHED = 1
_WHOLE = 64  # digits of a hash

spool_option = click.option(
    "--spool",
    metavar="DIR",
    envvar="BONAFIDE_SPOOL",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the service's uploads and pages.  [default: $BONAFIDE_SPOOL, or beside the "
    "default store]",
)
_why = click.option("--why", required=True, metavar="TEXT", help="The reason, for the audit trail.")


@click.command()
@click.option(
    "--older-than",
    "before",
    required=True,
    callback=moment,
    metavar="WHEN",
    help="Delete what is older: 90d, 12h, or what was there before 2026-11-21.",
)
@click.option(
    "--reports", is_flag=True, help="Delete reports, names of files and ended jobs from the store."
)
@click.option("--media", is_flag=True, help="Delete uploads and pages from the spool.")
@click.option("--dry-run", is_flag=True, help="Delete nothing; say how much it would be.")
@spool_option
@store_option
def prune(
    before: datetime, reports: bool, media: bool, dry_run: bool, spool: Path | None, url: str | None
) -> None:
    """Delete what is older than it may be; files under hold stay.

    A report's age begins when it was stored, or when the last job ended that got it. Pages go with
    their reports. Others may write meanwhile.

    \b
    bonafide store prune --older-than 90d --reports --media
    bonafide store prune --older-than 90d --reports --dry-run
    """
    if not reports and not media:
        raise click.UsageError("say what to delete: --reports, --media, or both")
    store, place = open_store(url), _spool(spool, needed=media)
    if dry_run:
        count = store.prunable(before) if reports else 0
        click.echo(f"{count} reports would be deleted; nothing was")
        return
    removed = jobs = 0
    if reports:
        for batch in _until_none(lambda: store.prune(before, actor())):
            removed += len(batch.reports)
            if place:
                place.remove((), batch.reports)
        while more := store.prune_jobs(before):
            jobs += more
    uploads = pages = 0
    if media and place:
        age = max(0.0, (datetime.now(before.tzinfo) - before).total_seconds())
        uploads, pages = place.sweep(age, age, *store.kept())
    click.echo(f"deleted: {removed} reports, {jobs} jobs, {uploads} uploads, {pages} pages")
    _reclaim(store, removed + jobs)


@click.command()
@click.argument("hash_", metavar="[HASH]", default="")
@click.option("--owner", metavar="NAME", help="Everything that this key, or user, put in.")
@_why
@spool_option
@store_option
def erase(hash_: str, owner: str | None, why: str, spool: Path | None, url: str | None) -> None:
    """Delete everything that is known of one file, or that one owner put in.

    HASH is the SHA-256 of the file, or its first digits. The audit trail keeps the hash, the time
    and the name of the key, and says that the report was deleted, by whom, and why: no names
    of persons in TEXT.

    \b
    bonafide store erase 2c0357a5 --why "request 12"
    bonafide store erase --owner newsroom --why "contract ended"

    \b
    Exit status: 0 all is deleted · 1 some files are being examined: run it again.
    """
    if bool(hash_) == bool(owner):
        raise click.UsageError("give a HASH, or --owner NAME")
    store, place = open_store(url), _spool(spool, needed=False)
    if owner:
        removed = list(_until_none(lambda: store.erase_owner(owner, why, actor()), jobs=True))
        running = store.erase_owner(owner, why, actor()).running
    else:
        removed = [store.erase_file(_named(store, hash_), why, actor())]
        running = 0
    files = [_named(store, hash_)] if hash_ and len(hash_) == _WHOLE else []
    files += [sha256 for batch in removed for sha256 in batch.files]
    reports = [id_ for batch in removed for id_ in batch.reports]
    if place:
        place.remove(set(files) - store.kept()[0], reports)
    jobs = sum(batch.jobs for batch in removed)
    click.echo(f"erased: {len(reports)} reports, {jobs} jobs, {len(files)} files")
    _reclaim(store, len(reports) + jobs)
    if running:
        click.echo(f"{running} files are being examined; run this again later", err=True)
        sys.exit(_UNFINISHED)


@click.command()
@click.argument("hash_", metavar="HASH")
@click.option("--release", is_flag=True, help="End the hold.")
@_why
@store_option
def hold(hash_: str, release: bool, why: str, url: str | None) -> None:
    """Keep a file's reports, pages and upload from every deletion, such as for a court.

    HASH is the SHA-256 of the file; first digits do for a file of which there is a report.

    \b
    bonafide store hold 2c0357a5 --why "court order 17"
    bonafide store hold 2c0357a5 --release --why "case closed"
    """
    store = open_store(url)
    sha256 = _named(store, hash_)
    if release:
        done, said = store.release_hold(sha256, why, actor()), "is no longer held"
    else:
        done, said = store.hold(sha256, why, actor()), "is held"
    click.echo(f"{sha256} {said}" + ("" if done else " already" if not release else "; it was not"))


@click.command()
@store_option
def holds(url: str | None) -> None:
    """List the files under hold, oldest first."""
    from bonafide.report.wording import one_line

    for one in open_store(url).holds():
        when = one.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        click.echo(f"{when}  {one.sha256}  {one_line(one.actor, 24)}  {one_line(one.why)}")


def _until_none(delete: Callable[[], Removed], jobs: bool = False) -> Iterable[Removed]:
    while (batch := delete()).reports or (jobs and batch.jobs):
        yield batch


def _named(store: Store, hash_: str) -> str:
    """A whole hash as it is, also of a file that was never examined; else that of a stored file."""
    whole = hash_.lower()
    if len(whole) == _WHOLE and not set(whole) - set("0123456789abcdef"):
        return whole
    return hash_of(store, hash_)


def _spool(folder: Path | None, needed: bool) -> Spool | None:
    """The spool, where there is one.

    Raises:
        InvalidInput: it is needed, and there is none.
        MissingExtra: it is there, and the packages of the service are not.
    """
    from bonafide.server.config import default_spool

    place = folder or default_spool()
    if not (place / "uploads").is_dir():
        if needed:
            raise InvalidInput(f"--media: {place} is no spool of a service")
        return None
    if find_spec("fastapi") is None or find_spec("filelock") is None:
        raise MissingExtra("server", "deleting from the spool")
    from bonafide.server.spool import Spool

    return Spool(place)


def _reclaim(store: Store, removed: int) -> Any:
    if removed and (why := store.reclaim()):
        click.echo(f"the room on the disk is not given back now: {why}", err=True)
