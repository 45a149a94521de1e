"""Options and arguments that the verbs of the store share."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from bonafide.errors import InvalidInput

if TYPE_CHECKING:
    from bonafide.store.store import Store

_LEAST = 4  # digits of a hash that name a file

store_option = click.option(
    "--store",
    "url",
    metavar="URL",
    help="The store: postgresql://… or an SQLite file.  [default: $BONAFIDE_STORE, or a file in "
    "the user's data folder]",
)


def actor() -> str:
    """Who is at the command line, for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a process without a user, as in a container
        return "cli"


def moment(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> datetime | None:
    """A date, a time, or how long ago: 2026-11-21, 2026-11-21T14:00, 7d, 12h."""
    if text is None:
        return None
    ago = {"d": "days", "h": "hours"}.get(text[-1:])
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{ago: float(text[:-1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        why = f"{text!r} is neither a date (2026-11-21) nor an age (7d, 12h)"
        raise click.BadParameter(why) from None


def hash_of(store: Store, prefix: str) -> str:
    """The hash of the one stored file whose hash begins with some digits.

    Raises:
        InvalidInput: these are no digits, or those of no file, or of several.
    """
    if len(prefix) < _LEAST or set(prefix.lower()) - set("0123456789abcdef"):
        raise InvalidInput(f"give at least {_LEAST} hexadecimal digits of a hash, not {prefix!r}")
    hashes = store.hashes(prefix.lower(), most=6)
    if not hashes:
        raise InvalidInput(f"no stored file has a hash that begins with {prefix}")
    if len(hashes) > 1:
        shown = ", ".join(one[: len(prefix) + 8] for one in hashes[:5])
        raise InvalidInput(f"several hashes begin with {prefix}: {shown}{' …' * (len(hashes) > 5)}")
    return hashes[0]
