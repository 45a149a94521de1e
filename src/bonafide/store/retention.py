"""Delete what may no longer be kept, and keep what must be.

Reports are deleted with an entry in the audit trail that names their numbers. The trail itself is
never cut: of a deleted report it keeps the hash of the file, the hash of the report, who put it in
and when, so that `check_audit` can still tell a deletion that was recorded from one that was not.
A file under hold is passed over by every deletion.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, aliased

from bonafide.errors import InvalidInput
from bonafide.store.jobs import Jobs
from bonafide.store.models import (
    Medium,
    Name,
    StoredFeedback,
    StoredFile,
    StoredHold,
    StoredJob,
    StoredNumber,
    StoredReport,
)
from bonafide.store.rows import Hold, Removed
from bonafide.store.text import storable

BATCH = 500  # reports deleted in one transaction, so that others can write in between
ERASED = "erased"  # stands for the name of a file in jobs of others
_GONE = {"error": "Removed", "why": "the report was deleted"}
_UNDER_WAY = ("queued", "running")


class Retention(Jobs):
    """The part of the store that forgets."""

    def prune(self, before: datetime, actor: str = "cli", most: int = BATCH) -> Removed:
        """Delete one batch of reports that nobody asked for since a moment.

        A report's age begins when it was stored, or when the last job ended that got it. Call it
        again until nothing is removed.

        Args:
            before: reports that are younger stay.
            actor: who deletes.
            most: reports at once.
        """
        with self._write() as session:
            self._lock_chain(session)
            old = (StoredReport.stored_at < before) & ~_asked_for_since(before)
            rows = self._chosen(session, old & ~_is_held() & ~_is_awaited(), most)
            return self._remove(session, rows, f"older than {before:%Y-%m-%d %H:%M} UTC", actor)

    def prunable(self, before: datetime) -> int:
        """How many reports `prune` would delete in all."""
        old = (StoredReport.stored_at < before) & ~_asked_for_since(before)
        asked = select(func.count()).select_from(StoredReport).join(Medium)
        with self._read() as session:
            return session.scalars(asked.where(old, ~_is_held(), ~_is_awaited())).one()

    def prune_jobs(self, before: datetime, most: int = BATCH) -> int:
        """Delete one batch of jobs, with the names of their files, that ended before a moment."""
        ended = (StoredJob.finished_at < before) & StoredJob.webhook_due.is_(None)
        with self._write() as session:
            return self._remove_jobs(session, ended, most)

    def erase_file(self, sha256: str, why: str, actor: str = "cli") -> Removed:
        """Delete everything that is known of one file but the entries of the trail.

        Raises:
            InvalidInput: it is under hold, it is being examined, or nothing is known of it.
        """
        with self._write() as session:
            self._lock_chain(session)
            if session.get(StoredHold, sha256):
                raise InvalidInput(f"{sha256} is under hold; release it first")
            of_file = StoredFile.sha256 == sha256
            if session.scalar(select(exists().where(of_file, StoredFile.state.in_(_UNDER_WAY)))):
                raise InvalidInput(f"{sha256} waits or is being examined; try again later")
            rows = self._chosen(session, Medium.sha256 == sha256, None)
            names = session.execute(
                update(StoredFile)
                .where(of_file)
                .values(name=ERASED, path="", sha256=None, report_id=None, failure=_GONE)
            )
            if not rows and not _count(names):
                raise InvalidInput(f"nothing is stored of {sha256}")
            return self._remove(session, rows, why, actor)

    def erase_owner(self, owner: str, why: str, actor: str = "cli") -> Removed:
        """Cancel the jobs of one owner, then delete them and every report that this owner put in.

        Names that only this owner's jobs gave to files of others go as well. Call it again until
        nothing is removed; files under hold stay, and those that are being examined now.
        """
        owner = storable(owner)
        with self._read() as session:
            unfinished = session.scalars(
                select(StoredJob.id).where(
                    StoredJob.owner == owner,
                    StoredJob.finished_at.is_(None),
                    StoredJob.cancelled_at.is_(None),
                )
            ).all()
        for id_ in unfinished:
            self.cancel(id_)
        with self._write() as session:
            self._lock_chain(session)
            self._forget_names(session, owner)
            rows = self._chosen(session, (StoredReport.actor == owner) & ~_is_held(), BATCH)
            removed = self._remove(session, rows, why, actor)
            ended = (StoredJob.owner == owner) & StoredJob.finished_at.is_not(None)
            jobs = self._remove_jobs(session, ended, BATCH)
            running = session.scalar(
                select(func.count()).where(StoredFile.owner == owner, StoredFile.state == "running")
            )
        return Removed(removed.reports, removed.files, jobs, int(running or 0))

    def hold(self, sha256: str, why: str, actor: str = "cli") -> bool:
        """Keep a file's reports, pages and upload from deletion; False if they are kept already."""
        with self._write() as session:
            self._lock_chain(session)
            if session.get(StoredHold, sha256):
                return False
            moment = self._now(session)
            kept = StoredHold(
                sha256=sha256, why=storable(why), actor=storable(actor), created_at=moment
            )
            session.add(kept)
            self._append(session, moment, actor, "hold", sha256, {"why": storable(why)})
            return True

    def release_hold(self, sha256: str, why: str, actor: str = "cli") -> bool:
        """End a hold; False if there is none."""
        with self._write() as session:
            self._lock_chain(session)
            found = session.get(StoredHold, sha256)
            if found is None:
                return False
            session.delete(found)
            moment = self._now(session)
            self._append(session, moment, actor, "release hold", sha256, {"why": storable(why)})
            return True

    def holds(self) -> list[Hold]:
        """Every hold, oldest first."""
        with self._read() as session:
            found = session.scalars(select(StoredHold).order_by(StoredHold.created_at))
            return [Hold(one.sha256, one.why, one.actor, one.created_at) for one in found]

    def kept(self) -> tuple[set[str], set[int]]:
        """Files whose uploads must stay, held or waiting, and the reports of those held."""
        waiting = select(StoredFile.sha256).where(StoredFile.state.in_(_UNDER_WAY))
        reports = select(StoredReport.id).join(Medium).where(_is_held())
        with self._read() as session:
            files = {*session.scalars(select(StoredHold.sha256)), *session.scalars(waiting)}
            return {one for one in files if one}, set(session.scalars(reports))

    def reclaim(self) -> str | None:
        """Give the room of what was deleted back; why that was not possible, None if it was.

        SQLite makes the file smaller, for which nobody else may write. PostgreSQL marks the room as
        free for what comes.
        """
        try:
            with self._engine.connect() as connection:
                if self.postgres:
                    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                    connection.execute(text("VACUUM (ANALYZE)"))
                else:
                    raw = connection.connection.driver_connection
                    assert raw is not None
                    raw.execute("VACUUM")
                    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (DBAPIError, sqlite3.Error) as error:
            return str(getattr(error, "orig", error)).strip().splitlines()[0]
        return None

    def _chosen(
        self, session: Session, which: ColumnElement[bool], most: int | None
    ) -> Sequence[Any]:
        """Reports to delete, locked: whoever refers to one now is waited for, or passed over."""
        asked = (
            select(StoredReport.id, StoredReport.media_id, Medium.sha256)
            .join(Medium)
            .where(which)
            .order_by(StoredReport.id)
            .limit(most)
            .with_for_update(of=StoredReport, skip_locked=most is not None)
        )
        return session.execute(asked).all()

    def _remove(self, session: Session, rows: Sequence[Any], why: str, actor: str) -> Removed:
        if not rows:
            return Removed((), ())
        ids, media = [row.id for row in rows], {row.media_id: row.sha256 for row in rows}
        session.execute(delete(StoredFeedback).where(StoredFeedback.report_id.in_(ids)))
        session.execute(
            update(StoredFile)
            .where(StoredFile.report_id.in_(ids))
            .values(report_id=None, failure=_GONE)
        )
        session.execute(delete(StoredReport).where(StoredReport.id.in_(ids)))
        left = set(
            session.scalars(
                select(StoredReport.media_id).where(StoredReport.media_id.in_(media)).distinct()
            )
        )
        gone = [id_ for id_ in media if id_ not in left]
        # Who gives one of them another name now is waited for; who comes later finds it gone.
        session.execute(select(Medium.id).where(Medium.id.in_(gone)).with_for_update())
        session.execute(delete(Name).where(Name.media_id.in_(gone)))
        session.execute(delete(Medium).where(Medium.id.in_(gone)))
        for id_ in left:
            _describe_anew(session, id_)
        if not self.postgres:
            name = StoredReport.__tablename__
            known = session.get(StoredNumber, name)
            session.merge(StoredNumber(name=name, value=max(*ids, known.value if known else 0)))
        detail = {"ids": ids, "why": storable(why)}
        self._append(session, self._now(session), actor, "remove", "reports", detail)
        return Removed(tuple(ids), tuple(media[id_] for id_ in gone))

    def _remove_jobs(self, session: Session, which: ColumnElement[bool], most: int) -> int:
        held = select(StoredHold.sha256)
        keeps = exists().where(StoredFile.job_id == StoredJob.id, StoredFile.sha256.in_(held))
        ids = session.scalars(select(StoredJob.id).where(which, ~keeps).limit(most)).all()
        session.execute(delete(StoredFile).where(StoredFile.job_id.in_(ids)))
        session.execute(delete(StoredJob).where(StoredJob.id.in_(ids)))
        return len(ids)

    def _forget_names(self, session: Session, owner: str) -> None:
        """Forget names that only the jobs of this owner gave."""
        other = aliased(StoredFile)
        of_owner = (
            select(Name.id)
            .join(Medium)
            .join(StoredFile, (StoredFile.sha256 == Medium.sha256) & (StoredFile.name == Name.name))
            .where(
                StoredFile.owner == owner,
                Name.path.is_(None),
                ~_is_held(),
                ~exists().where(
                    other.sha256 == Medium.sha256, other.name == Name.name, other.owner != owner
                ),
                ~exists().where(
                    StoredReport.media_id == Medium.id,
                    StoredReport.name == Name.name,
                    StoredReport.actor != owner,
                ),
            )
        )
        session.execute(
            delete(Name).where(Name.id.in_(of_owner)).execution_options(synchronize_session=False)
        )


def _is_held() -> ColumnElement[bool]:
    return Medium.sha256.in_(select(StoredHold.sha256))


def _is_awaited() -> ColumnElement[bool]:
    """Whether a job that waits for this file may be answered with this report."""
    return exists().where(StoredFile.sha256 == Medium.sha256, StoredFile.state.in_(_UNDER_WAY))


def _asked_for_since(moment: datetime) -> ColumnElement[bool]:
    young = or_(StoredJob.finished_at.is_(None), StoredJob.finished_at >= moment)
    return exists().where(
        StoredFile.report_id == StoredReport.id, StoredFile.job_id == StoredJob.id, young
    )


def _describe_anew(session: Session, media_id: int) -> None:
    """Take what is listed of a file from the oldest report that is left of it."""
    oldest = session.scalars(
        select(StoredReport)
        .where(StoredReport.media_id == media_id)
        .order_by(StoredReport.id)
        .limit(1)
    ).one()
    facts, medium = oldest.record["media"], session.get_one(Medium, media_id)
    for name in ("bytes", "kind", "format", "width", "height", "details"):
        setattr(medium, name, facts[name])
    medium.first_seen = oldest.stored_at


def _count(result: Any) -> int:
    return int(result.rowcount)
