"""The audit trail: entries that are only ever added, each sealed with the hash of the one before.

Whoever changes, removes or inserts an entry has to compute every later hash anew. A trail that was
cut at its end, or rewritten as a whole, still hangs together; it differs from a head that was noted
elsewhere, which is what `check_audit` compares it with. Database triggers refuse changes as well,
against mistakes; somebody who owns the database can drop them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bonafide.custody.canonical import canonical, digest
from bonafide.store.database import Database
from bonafide.store.models import Medium, StoredEntry, StoredReport
from bonafide.store.rows import Broken, Entry
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
            return self._append(session, actor, action, subject, detail or {})

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
                entries = [_entry(row) for row in page]
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
            return _entry(last) if last else None

    def check_audit(self, head: tuple[int, str] | None = None) -> Broken | None:
        """Recompute the whole trail, and compare every stored report with its entry.

        Args:
            head: number and hash of an entry that were noted elsewhere.

        Returns:
            The first row that is not as it was written, None if all are.
        """
        previous, number = GENESIS, 0
        told: dict[int, tuple[str, ...]] = {}
        for entry in self.audit():
            number += 1
            row = f"audit {entry.number}"
            if entry.number != number:
                return Broken(f"audit {number}", "This entry is missing.")
            if entry.previous != previous:
                return Broken(row, "It does not follow from the entry before it.")
            if entry.hash != seal(entry):
                return Broken(row, "Its content is not what was hashed when it was written.")
            if head and head[0] == number and head[1] != entry.hash:
                return Broken(row, "Its hash is not the one that was noted.")
            if entry.action == "report":
                told[int(entry.detail["id"])] = (
                    entry.subject,
                    str(entry.detail["key"]),
                    str(entry.detail["record"]),
                )
            previous = entry.hash
        if head and head[0] > number:
            return Broken(f"audit {number + 1}", "The trail ends before the entry that was noted.")
        return self._check_reports(told)

    def _check_reports(self, told: dict[int, tuple[str, ...]]) -> Broken | None:
        after = 0
        while True:
            with self._read() as session:
                page = session.execute(
                    select(StoredReport, Medium.sha256)
                    .join(Medium)
                    .where(StoredReport.id > after)
                    .order_by(StoredReport.id)
                    .limit(_PAGE)
                ).all()
            for report, sha256 in page:
                expected = told.pop(report.id, None)
                if expected is None:
                    return Broken(f"report {report.id}", "The audit trail does not know it.")
                if (sha256, report.key, digest(report.record)) != expected or not _agrees(report):
                    return Broken(f"report {report.id}", "It is not what was stored.")
            if not page:
                break
            after = page[-1][0].id
        gone = min(told, default=None)
        return None if gone is None else Broken(f"report {gone}", "It was removed.")

    def _append(
        self, session: Session, actor: str, action: str, subject: str, detail: Mapping[str, Any]
    ) -> Entry:
        self._lock_chain(session)
        last = session.scalars(
            select(StoredEntry).order_by(StoredEntry.number.desc()).limit(1)
        ).first()
        unsealed = Entry(
            number=last.number + 1 if last else 1,
            at=self._now(session).isoformat(timespec="microseconds"),
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


def _agrees(report: StoredReport) -> bool:
    """Whether the columns that lists are made from say what the record says."""
    media = report.record["media"]
    path = None if media["path"] is None else storable(media["path"])
    return (report.name, report.path, report.verdict) == (
        storable(media["name"]),
        path,
        report.record["verdict"],
    )


def _entry(row: StoredEntry) -> Entry:
    return Entry(
        row.number, row.at, row.actor, row.action, row.subject, row.detail, row.previous, row.hash
    )
