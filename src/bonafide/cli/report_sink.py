"""Signs and stores the reports of `bonafide scan`, and names files that look alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bonafide.batch.job import Outcome
from bonafide.cli.store_options import actor
from bonafide.examination import Settings, key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from bonafide.store.rows import Near
    from bonafide.store.store import Store


class Keeper:
    """Called with each outcome, in this process; returns it, signed if that was asked for.

    Args:
        store: where reports go, None for nowhere.
        signing: path of a private key, None to sign nothing.
        settings: of the examination.
        quiet: do not name files that look like this one.

    Raises:
        InvalidInput: the key cannot be used.
        MissingExtra: signing needs a package that is not installed.
    """

    def __init__(
        self, store: Store | None, signing: str | None, settings: Settings, quiet: bool = False
    ) -> None:
        self.store, self.quiet = store, quiet
        self._signing = read_key(signing) if signing else None
        self._key = key(settings) if store else ""
        self._actor = actor()

    def __call__(self, outcome: Outcome) -> Outcome:
        """Sign and store a report; failures are passed on as they are."""
        if outcome.record["status"] != "ok":
            return outcome
        if self._signing:
            from bonafide.custody.signing import sign

            outcome = replace(outcome, record=sign(outcome.record, self._signing))
        if self.store:
            self._keep(self.store, outcome)
        return outcome

    def again(self, media: Mapping[str, Any]) -> None:
        """Have the store remember another name of a file that was examined under these settings.

        Args:
            media: of a record: hash, name and path.
        """
        if self.store:
            self.store.known(media, self._key)

    def mark(self) -> str:
        """The last entry of the store's audit trail: whoever has it has what came before."""
        head = self.store.head() if self.store else None
        return f"{head.number}:{head.hash}" if head else ""

    def holds(self, mark: str) -> bool:
        """Whether the store has the entry that `mark` stands for."""
        if not self.store or not mark:
            return True
        number, _, digest = mark.partition(":")
        entry = next(self.store.audit(int(number) - 1), None)
        return entry is not None and (entry.number, entry.hash) == (int(number), digest)

    def _keep(self, store: Store, outcome: Outcome) -> None:
        media, looks = outcome.record["media"], outcome.perceptual_hash
        if looks is not None and not self.quiet:
            for near in store.near_duplicates(looks, most=3, other_than=media["sha256"]):
                click.echo(f"{_shown(media['name'])} {_sentence(near)}", err=True)
        store.put_report(outcome.record, self._key, looks, self._actor)


def read_key(path: str) -> Ed25519PrivateKey:
    """The private key in a file; its password is asked for on the terminal.

    Raises:
        InvalidInput: it cannot be used.
        MissingExtra: the package cryptography is not installed.
    """
    from bonafide.custody.signing import private_key

    return private_key(
        Path(path), lambda: str(click.prompt(f"Password of {path}", hide_input=True, err=True))
    )


def _sentence(near: Near) -> str:
    like = "looks the same as" if near.distance == 0 else "looks like"
    return (
        f"{like} {_shown(near.name)}, seen on {near.first_seen:%Y-%m-%d}, {near.verdict} "
        f"({near.distance} of 64 bits differ; bonafide show {near.sha256[:12]})"
    )


def _shown(name: str) -> str:
    from bonafide.report.wording import one_line

    return one_line(name, 80)
