"""Find the first row that is not as it was written.

The audit trail is recomputed; then every report and every key is compared with what the trail tells
of it. Whoever owns the database may have written anything there, so nothing that is read is relied
on to be readable. All is read as it was at one moment, so that others may write meanwhile, and
entries and reports are read side by side, in memory that does not grow with them: both are in the
order in which they were put.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from bonafide.custody.canonical import digest
from bonafide.errors import InvalidInput
from bonafide.store.audit import GENESIS, Audit, entry_of, seal
from bonafide.store.database import Unreadable
from bonafide.store.models import Medium, StoredEntry, StoredHold, StoredKey, StoredReport
from bonafide.store.reports import called
from bonafide.store.rows import Broken, Entry

_PAGE = 1_000  # rows held at a time
# Earlier versions asked the clock twice, for a row and then for the entry that tells of it.
_APART = timedelta(seconds=2)
_FACTS = ("bytes", "kind", "format", "width", "height", "details")  # of media, also in the record
_UNREADABLE = "It cannot be read."
_UNKNOWN = "The audit trail does not know it."
_CHANGED = "It is not what was stored."
_REMOVED = "It was removed."
_ODD = (
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    AttributeError,
    InvalidInput,
)  # values of another sort


class Checks(Audit):
    """The part of the store that finds what was tampered with."""

    def check_audit(self, head: tuple[int, str] | None = None) -> Broken | None:
        """Recompute the whole trail, and compare every report and every key with its entries.

        Args:
            head: number and hash of an entry that were noted elsewhere.

        Returns:
            The first row that is not as it was written, None if all are.
        """
        told = _Told()
        with self._snapshot() as session:
            steps: dict[str, Callable[[], Broken | None]] = {
                "audit": lambda: self._check_entries(session, told, head),
                "reports": lambda: self._check_reports(session, told),
                "keys": lambda: self._check_keys(session, told),
                "holds": lambda: self._check_holds(session, told),
            }
            for table, step in steps.items():
                try:
                    broken = step()
                except Unreadable:
                    return Broken(f"table {table}", _UNREADABLE)
                if broken:
                    return broken
        return None

    def _check_entries(
        self, session: Session, told: _Told, head: tuple[int, str] | None
    ) -> Broken | None:
        previous, number = GENESIS, 0
        for found, row in self._rows(session, select(StoredEntry), StoredEntry.number):
            number += 1
            if found != number:
                return Broken(f"audit {number}", "This entry is missing.")
            if row is None:
                return Broken(f"audit {number}", _UNREADABLE)
            entry = entry_of(row[0])
            noted = head[1] if head and head[0] == number else entry.hash
            why = _flaw_of_entry(entry, previous, noted, told)
            if why:
                return Broken(f"audit {number}", why)
            previous = entry.hash
        if head and head[0] > number:
            return Broken(f"audit {number + 1}", "The trail ends before the entry that was noted.")
        return None

    def _check_reports(self, session: Session, told: _Told) -> Broken | None:
        expected = self._expected(session, told.removed_ids())
        next_one = next(expected, None)
        earlier = aliased(StoredReport)
        is_first = ~exists().where(
            earlier.media_id == StoredReport.media_id, earlier.id < StoredReport.id
        )
        asked = select(StoredReport, Medium, is_first).join(Medium)
        for id_, row in self._rows(session, asked, StoredReport.id):
            if next_one is not None and next_one.id < id_:
                return Broken(f"report {next_one.id}", _REMOVED)
            if row is None:
                return Broken(f"report {id_}", _UNREADABLE)
            report, medium, first, _ = row
            known = next_one if next_one is not None and next_one.id == id_ else None
            why = _flaw_of_report(report, medium, known, first)
            if why:
                return Broken(f"report {id_}", why)
            next_one = next(expected, None)
        return None if next_one is None else Broken(f"report {next_one.id}", _REMOVED)

    def _expected(self, session: Session, removed: NDArray[np.int64]) -> Iterator[_ToldReport]:
        """What the trail tells of reports that must be there; entries were found sound before."""
        asked = select(StoredEntry).where(StoredEntry.action == "report")
        for _, row in self._rows(session, asked, StoredEntry.number):
            one = _told_report(entry_of(row[0]))
            place = int(np.searchsorted(removed, one.id))
            if place == len(removed) or removed[place] != one.id:
                yield one

    def _check_holds(self, session: Session, told: _Told) -> Broken | None:
        with self._reading():
            there = {hold.sha256: hold for hold in session.scalars(select(StoredHold))}
        for sha256 in sorted(there.keys() | told.held.keys()):
            hold, entry = there.get(sha256), told.held.get(sha256)
            if hold is None:
                return Broken(f"hold {sha256}", _REMOVED)
            if entry is None:
                return Broken(f"hold {sha256}", _UNKNOWN)
            if (hold.why, hold.actor) != (entry.detail.get("why"), entry.actor):
                return Broken(f"hold {sha256}", _CHANGED)
        return None

    def _check_keys(self, session: Session, told: _Told) -> Broken | None:
        for id_, row in self._rows(session, select(StoredKey), StoredKey.id):
            if row is None:
                return Broken(f"key {id_}", _UNREADABLE)
            key = row[0]
            why = _flaw_of_key(key, told.added.pop(key.name, None), told.ended.get(key.name))
            if why:
                return Broken(f"key {key.name}", why)
        gone = next(iter(told.added), None)
        return None if gone is None else Broken(f"key {gone}", _REMOVED)

    def _rows(
        self,
        session: Session,
        asked: Select[*tuple[Any, ...]],
        number: InstrumentedAttribute[int],
    ) -> Iterator[tuple[int, Any]]:
        """Numbers of rows in order, and the rows, which end with their number.

        A row is None if it cannot be read. Raises `Unreadable` if none can.
        """
        page = self._page(session, asked, number)
        while page:
            yield from page
            session.expunge_all()  # else it holds every row that was read
            page = self._page(session, asked.where(number > page[-1][0]), number)

    def _page(
        self,
        session: Session,
        asked: Select[*tuple[Any, ...]],
        number: InstrumentedAttribute[int],
    ) -> list[tuple[int, Any]]:
        some = asked.add_columns(number).order_by(number).limit(_PAGE)
        try:
            with self._reading():
                return [(row[-1], row) for row in session.execute(some)]
        except Unreadable:
            with self._reading():
                numbers = session.scalars(
                    some.with_only_columns(number, maintain_column_froms=True)
                ).all()
        return [(one, self._row(session, some.where(number == one))) for one in numbers]

    def _row(self, session: Session, asked: Select[*tuple[Any, ...]]) -> Any:
        try:
            with self._reading():
                return session.execute(asked).one()
        except Unreadable:
            return None


class _ToldReport(NamedTuple):
    """What the trail tells of a report."""

    id: int
    sha256: str
    key: str
    record: str
    actor: str
    at: datetime


class _Told:
    """What the trail tells: keys that were added and revoked by name, holds, deleted reports."""

    def __init__(self) -> None:
        self.last_report = 0  # id
        self.removed = array("q")  # ids
        self.held: dict[str, Entry] = {}
        self.added: dict[str, Entry] = {}
        self.ended: dict[str, Entry] = {}

    def hear(self, entry: Entry) -> str | None:
        """Take in the next entry; why it cannot be true, None if it can."""
        if entry.action == "report":
            return self._hear_report(entry)
        if entry.action == "add key":
            if entry.subject in self.added:
                return "It adds a key that was there already."
            self.added[entry.subject] = entry
        elif entry.action == "revoke key":
            if entry.subject not in self.added or entry.subject in self.ended:
                return "It revokes a key that was not in force."
            self.ended[entry.subject] = entry
        elif entry.action == "hold":
            self.held[entry.subject] = entry
        elif entry.action == "release hold":
            if self.held.pop(entry.subject, None) is None:
                return "It ends a hold that was not in force."
        elif entry.action == "remove":
            for id_ in map(int, entry.detail["ids"]):
                if not 0 < id_ <= self.last_report:
                    return f"It removes report {id_}, of which no entry before it tells."
                self.removed.append(id_)
        return None

    def removed_ids(self) -> NDArray[np.int64]:
        """Ids of deleted reports, ascending."""
        return np.sort(np.asarray(self.removed, np.int64))

    def _hear_report(self, entry: Entry) -> str | None:
        id_ = _told_report(entry).id
        if id_ <= self.last_report:
            return f"It tells of report {id_}, of which an earlier entry tells."
        self.last_report = id_
        return None


def _told_report(entry: Entry) -> _ToldReport:
    return _ToldReport(
        int(entry.detail["id"]),
        entry.subject,
        str(entry.detail["key"]),
        str(entry.detail["record"]),
        entry.actor,
        datetime.fromisoformat(entry.at),
    )


def _flaw_of_entry(entry: Entry, previous: str, noted: str, told: _Told) -> str | None:
    try:
        if entry.previous != previous:
            return "It does not follow from the entry before it."
        if entry.hash != seal(entry):
            return "Its content is not what was hashed when it was written."
        if entry.hash != noted:
            return "Its hash is not the one that was noted."
        return told.hear(entry)
    except _ODD:
        return _UNREADABLE


def _flaw_of_report(
    report: StoredReport, medium: Medium, told: _ToldReport | None, first: bool
) -> str | None:
    """What is wrong with a report; the `first` of a file is where the file's facts came from."""
    if told is None:
        return _UNKNOWN
    try:
        record = report.record
        stored = (medium.sha256, report.key, digest(record), report.actor)
        if stored != told[1:5] or not _together(report.stored_at, told.at):
            return _CHANGED
        listed = (report.name, report.path, report.verdict, report.tool)
        said = (*called(record["media"]), record["verdict"], record["versions"]["bonafide"])
        if listed != said:
            return _CHANGED
        return _flaw_of_medium(medium, record["media"], told.at) if first else None
    except _ODD:
        return _UNREADABLE


def _flaw_of_medium(medium: Medium, facts: dict[str, Any], at: datetime) -> str | None:
    agrees = all(getattr(medium, name) == facts[name] for name in _FACTS)
    if agrees and _together(medium.first_seen, at):
        return None
    return "What is listed of its file is not what was stored."


def _flaw_of_key(key: StoredKey, added: Entry | None, ended: Entry | None) -> str | None:
    if added is None:
        return _UNKNOWN
    try:
        detail = added.detail
        kept = detail.get("digest", key.digest)  # earlier versions did not tell it
        if (key.scopes, key.rate, key.digest) != (detail["scopes"], detail["rate"], kept):
            return _CHANGED
        if not _together(key.created_at, datetime.fromisoformat(added.at)):
            return _CHANGED
        if ended is None or key.revoked_at is None:
            agrees = ended is None and key.revoked_at is None
        else:
            agrees = _together(key.revoked_at, datetime.fromisoformat(ended.at))
        return None if agrees else "Whether it is in force is not what was stored."
    except _ODD:
        return _UNREADABLE


def _together(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= _APART
