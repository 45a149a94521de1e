"""The audit trail: entries that are only ever added, each sealed with the hash of the one before.

Whoever changes, removes or inserts an entry has to compute every later hash anew. A trail that was
cut at its end, or rewritten as a whole, still hangs together; it differs from a head that was noted
elsewhere, which is what `Checks.check_audit` compares it with. Database triggers refuse changes as
well, against mistakes; somebody who owns the database can drop them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bonafide.custody.canonical import canonical
from bonafide.store.database import Database
from bonafide.store.models import StoredEntry
from bonafide.store.rows import Entry
from bonafide.store.text import storable

GENESIS = "0" * 64  # stands before the first entry
_PAGE = 1_000  # rows held at a time


class Audit(Database):
    """The part of the store that knows who did what."""

    def record(
        self, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> Entry:
        """Add an entry.

        Args:
            actor: who, such as the name of a key.
            action: what, one word such as "examine".
            subject: to what, such as the hash of a file.
            detail: JSON values.
        """
        with self._write() as session:
            self._lock_chain(session)
            return self._append(session, self._now(session), actor, action, subject, detail or {})

    def audit(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a number above `after`, in order, in memory that does not grow."""
        while True:
            with self._read() as session:
                page = session.scalars(
                    select(StoredEntry)
                    .where(StoredEntry.number > after)
                    .order_by(StoredEntry.number)
                    .limit(_PAGE)
                ).all()
                entries = [entry_of(row) for row in page]
            if not entries:
                return
            yield from entries
            after = entries[-1].number

    def head(self) -> Entry | None:
        """The last entry; noted elsewhere, it finds a trail that was cut or rewritten."""
        with self._read() as session:
            last = session.scalars(
                select(StoredEntry).order_by(StoredEntry.number.desc()).limit(1)
            ).first()
            return entry_of(last) if last else None

    def _append(
        self,
        session: Session,
        moment: datetime,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any],
    ) -> Entry:
        """Add an entry; the caller holds the chain's lock."""
        last = session.execute(
            select(StoredEntry.number, StoredEntry.hash)
            .order_by(StoredEntry.number.desc())
            .limit(1)
        ).first()
        unsealed = Entry(
            number=last.number + 1 if last else 1,
            at=moment.isoformat(timespec="microseconds"),
            actor=storable(actor),
            action=action,
            subject=storable(subject),
            detail=dict(detail),
            previous=last.hash if last else GENESIS,
            hash="",
        )
        values = vars(unsealed) | {"hash": seal(unsealed)}
        session.add(StoredEntry(**values))
        session.flush()
        return Entry(**values)


def seal(entry: Entry) -> str:
    """Hexadecimal SHA-256 of the previous hash, a line feed, and the entry in RFC 8785 form."""
    content = {key: value for key, value in vars(entry).items() if key not in ("previous", "hash")}
    return hashlib.sha256(entry.previous.encode() + b"\n" + canonical(content)).hexdigest()


def entry_of(row: StoredEntry) -> Entry:
    """The entry in a row."""
    return Entry(
        row.number, row.at, row.actor, row.action, row.subject, row.detail, row.previous, row.hash
    )
