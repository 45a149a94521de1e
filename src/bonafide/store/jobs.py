"""A queue of files in the database, from which any number of workers on any host take.

Every owner has a queue. A file is given a turn when it is handed in: the first one after what waits
of its owner, but not before what everybody else is waiting for. So owners take turns, however many
files each has, and a file comes ever closer, whoever hands in what after it. Within an owner's
queue jobs take turns in the same way, so that a picture does not wait for a folder. This is
start-time fair queueing with files of equal cost: P. Goyal, H. Vin, H. Cheng, "Start-time Fair
Queueing", IEEE/ACM Transactions on Networking 5 (5), 1997.

A worker holds a file on a lease. One that dies lets the lease run out, and the file is taken again,
a few times at most, since a file that kills whoever opens it would otherwise go round for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, func, select, true, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from bonafide.errors import InvalidInput
from bonafide.store.audit import Audit
from bonafide.store.models import StoredFile, StoredJob
from bonafide.store.rows import Job, JobFile
from bonafide.store.text import storable

MOST_ATTEMPTS = 3
_ENDED = ("done", "failed", "cancelled")


class ReportGone(InvalidInput):
    """A report that was deleted between the look at it and its use."""


class Jobs(Audit):
    """The part of the store that knows what is to be done."""

    def add_job(
        self,
        files: Sequence[JobFile],
        settings: Mapping[str, Any],
        owner: str,
        webhook: str | None = None,
    ) -> str:
        """Queue files.

        Args:
            files: in order; of each, `name`, `path` and `sha256` count.
            settings: JSON values that the worker needs, the same for all files.
            owner: name of the key.
            webhook: address to tell at the end.

        Returns:
            Id of the job.

        Raises:
            InvalidInput: there are no files.
        """
        if not files:
            raise InvalidInput("a job needs at least one file")
        id_ = uuid.uuid4().hex
        with self._write() as session:
            session.add(
                StoredJob(
                    id=id_,
                    owner=storable(owner),
                    settings=dict(settings),
                    webhook=webhook,
                    created_at=self._now(session),
                )
            )
            session.flush()
            turn, step = self._next_turn(session, storable(owner))
            session.add_all(
                StoredFile(
                    job_id=id_,
                    owner=storable(owner),
                    turn=turn + position,
                    step=step + position,
                    position=position,
                    name=storable(file.name),
                    path=file.path,
                    sha256=file.sha256,
                )
                for position, file in enumerate(files)
            )
        return id_

    def claim(self, worker: str, lease_seconds: float) -> JobFile | None:
        """Take the next file, so that nobody else gets it while the lease lasts.

        Args:
            worker: who takes it.
            lease_seconds: after this time without `finish` another worker may take it.
        """
        if not self._anything_to_claim():
            return None
        with self._write() as session:
            expired = (StoredFile.state == "running") & (
                StoredFile.lease_until < self._now(session)
            )
            self._put_back(session, expired, tried=True)
            file = self._next_file(session)
            if file is None:
                return None
            # In one statement: a second update of a row makes PostgreSQL lock the job as well,
            # which others hold while they wait for this row.
            until = self._now(session) + timedelta(seconds=lease_seconds)
            file.state, file.worker, file.lease_until = "running", storable(worker), until
            file.attempts += 1
            settings = session.scalars(
                select(StoredJob.settings).where(StoredJob.id == file.job_id)
            ).one()
            return _file(file, settings)

    def finish(
        self, file_id: int, report_id: int | None, failure: Mapping[str, Any] | None = None
    ) -> bool:
        """Say what became of a file.

        Args:
            file_id: of the file.
            report_id: of its report, or
            failure: why there is none, JSON values.

        Returns:
            Whether this counted: False where another worker was first, or the job was cancelled
            before.

        Raises:
            ReportGone: the report was deleted meanwhile.
        """
        try:
            return self._finish(file_id, report_id, failure)
        except IntegrityError:
            raise ReportGone(f"report {report_id} was deleted") from None

    def _finish(
        self, file_id: int, report_id: int | None, failure: Mapping[str, Any] | None
    ) -> bool:
        with self._write() as session:
            # Whoever ends files of one job waits here, so that exactly one sees the last one end.
            job = session.scalars(
                select(StoredJob)
                .join(StoredFile, StoredFile.job_id == StoredJob.id)
                .where(StoredFile.id == file_id)
                .with_for_update(of=StoredJob)
            ).first()
            file = session.get(StoredFile, file_id, populate_existing=True)
            if job is None or file is None or file.state in _ENDED:
                return False
            file.state = "failed" if report_id is None else "done"
            file.report_id = report_id
            file.failure = dict(failure or {}) if report_id is None else None
            file.lease_until = None
            session.flush()
            self._end_if_done(session, job)
            return True

    def release(self, worker: str, *, tried: bool) -> None:
        """Put back what a worker holds that is no more, without waiting for its lease to end.

        Args:
            worker: as `claim` was told.
            tried: whether this counts as an attempt; not where it was told to stop.
        """
        held = (StoredFile.state == "running") & (StoredFile.worker == storable(worker))
        with self._write() as session:
            self._put_back(session, held, tried)

    def cancel(self, id: str) -> bool:  # noqa: A002
        """Take a job's waiting files out of the queue; those under way are finished.

        Returns:
            False if there is no such job, or it has ended.
        """
        with self._write() as session:
            job = session.scalars(
                select(StoredJob).where(StoredJob.id == id).with_for_update()
            ).first()
            if job is None or job.finished_at or job.cancelled_at:
                return False
            job.cancelled_at = self._now(session)
            session.execute(
                update(StoredFile)
                .where(StoredFile.job_id == id, StoredFile.state == "queued")
                .values(state="cancelled")
            )
            self._end_if_done(session, job)
            return True

    def job(self, id: str) -> Job | None:  # noqa: A002
        """A job with its files."""
        with self._read() as session:
            job = session.get(StoredJob, id)
            if job is None:
                return None
            files = session.scalars(
                select(StoredFile).where(StoredFile.job_id == id).order_by(StoredFile.position)
            )
            return _job(session, job, tuple(_file(file, job.settings) for file in files))

    def jobs(self, owner: str | None = None, limit: int = 50) -> list[Job]:
        """Jobs without their files, newest first; of one owner, or of all for None."""
        asked = select(StoredJob).order_by(StoredJob.created_at.desc()).limit(limit)
        if owner is not None:
            asked = asked.where(StoredJob.owner == storable(owner))
        with self._read() as session:
            return [_job(session, job) for job in session.scalars(asked)]

    def waiting(self) -> int:
        """Files that nobody has taken yet."""
        with self._read() as session:
            asked = select(func.count()).where(StoredFile.state == "queued")
            return session.scalars(asked).one()

    def claim_webhook(self, lease_seconds: float, but: Collection[str] = ()) -> Job | None:
        """Take an ended job whose webhook is to be told now.

        `webhook_attempts` of what is returned counts this attempt.

        Args:
            lease_seconds: after this time without `settle_webhook` it is due again.
            but: owners whose jobs are left for later.
        """
        with self._write() as session:
            now = self._now(session)
            job = session.scalars(
                select(StoredJob)
                .where(StoredJob.webhook_due <= now, StoredJob.owner.not_in(map(storable, but)))
                .order_by(StoredJob.webhook_due)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).first()
            if job is None:
                return None
            job.webhook_attempts += 1
            job.webhook_due = now + timedelta(seconds=lease_seconds)
            session.flush()
            return _job(session, job)

    def settle_webhook(self, id: str, again_in: float | None) -> None:  # noqa: A002
        """Say that a webhook was told, or given up (None), or when to try again, in seconds."""
        with self._write() as session:
            due = None if again_in is None else self._now(session) + timedelta(seconds=again_in)
            session.execute(update(StoredJob).where(StoredJob.id == id).values(webhook_due=due))

    def _next_turn(self, session: Session, owner: str) -> tuple[int, int]:
        """Turn and step of the first file that an owner hands in now."""
        queued, own = StoredFile.state == "queued", StoredFile.owner == owner
        last = select(func.max(StoredFile.turn)).where(queued, own).scalar_subquery()
        among_all, of_owner = _tags(StoredFile.turn, true()), _tags(StoredFile.step, own)
        own_last, *tags = session.execute(select(last, *among_all, *of_owner)).one()
        count = len(among_all)
        return max(_next(tags[:count]), (own_last or 0) + 1), _next(tags[count:])

    def _next_file(self, session: Session) -> StoredFile | None:
        """The file whose turn it is: of the owner who comes first, the file that comes first.

        Both rows are held, and passed over by whoever else looks meanwhile.
        """
        queued = select(StoredFile).where(StoredFile.state == "queued").limit(1)
        first = session.scalars(
            queued.order_by(StoredFile.turn, StoredFile.id).with_for_update(skip_locked=True)
        ).first()
        if first is None:
            return None
        file = session.scalars(
            queued.where(StoredFile.owner == first.owner)
            .order_by(StoredFile.step, StoredFile.id)
            .with_for_update(skip_locked=True)
        ).first()
        assert file is not None
        if file is not first:  # which goes on waiting, for the turn that this one does not need
            file.turn, first.turn = first.turn, file.turn
        return file

    def _anything_to_claim(self) -> bool:
        """Asked first, so that idle workers do not keep SQLite's one writer busy."""
        with self._read() as session:
            expired = (StoredFile.state == "running") & (
                StoredFile.lease_until < self._now(session)
            )
            asked = select(StoredFile.id).where((StoredFile.state == "queued") | expired).limit(1)
            return session.scalar(asked) is not None

    def _put_back(self, session: Session, lost: ColumnElement[bool], tried: bool) -> None:
        """Put files of dead workers back, or give them up.

        The job is locked before its files, as everywhere, so that nobody waits for each other.
        """
        ids = session.scalars(select(StoredFile.job_id).where(lost).distinct()).all()
        for id_ in sorted(ids):
            job = session.scalars(
                select(StoredJob)
                .where(StoredJob.id == id_)
                .with_for_update(skip_locked=True)
                .execution_options(populate_existing=True)
            ).first()
            if job is None:  # somebody else is at it
                continue
            for file in session.scalars(
                select(StoredFile)
                .where(StoredFile.job_id == id_, lost)
                .execution_options(populate_existing=True)
            ):
                file.attempts -= not tried
                _put_back(file, cancelled=job.cancelled_at is not None)
            session.flush()
            self._end_if_done(session, job)

    def _end_if_done(self, session: Session, job: StoredJob) -> None:
        left = select(func.count()).where(
            StoredFile.job_id == job.id, StoredFile.state.not_in(_ENDED)
        )
        if job.finished_at is None and session.scalars(left).one() == 0:
            job.finished_at = self._now(session)
            job.webhook_due = job.finished_at if job.webhook else None


def _tags(
    tag: InstrumentedAttribute[int], whose: ColumnElement[bool]
) -> list[ScalarSelect[int | None]]:
    """The largest turn or step that was served, by state, and the smallest that waits."""
    served = [
        select(func.max(tag)).where(StoredFile.state == state, whose).scalar_subquery()
        for state in ("running", "done", "failed")  # one look into an index each
    ]
    waits = select(func.min(tag)).where(StoredFile.state == "queued", whose)
    return [*served, waits.scalar_subquery()]


def _next(tags: Sequence[int | None]) -> int:
    """The turn or step after what was served, and not before what waits, from `_tags`."""
    *served, waits = tags
    return max(1 + max(tag or 0 for tag in served), waits or 0)


def _put_back(file: StoredFile, cancelled: bool) -> None:
    file.lease_until = None
    if cancelled:
        file.state = "cancelled"
    elif file.attempts < MOST_ATTEMPTS:
        file.state = "queued"
    else:
        file.state = "failed"
        why = f"{file.attempts} workers took it and none came back"
        file.failure = {"error": "WorkerLost", "why": why}


def _file(row: StoredFile, settings: Mapping[str, Any]) -> JobFile:
    return JobFile(
        name=row.name,
        path=row.path,
        sha256=row.sha256,
        id=row.id,
        job=row.job_id,
        position=row.position,
        settings=settings,
        state=row.state,
        worker=row.worker,
        attempts=row.attempts,
        report_id=row.report_id,
        failure=row.failure,
    )


def _job(session: Session, job: StoredJob, files: tuple[JobFile, ...] = ()) -> Job:
    counted = session.execute(
        select(StoredFile.state, func.count())
        .where(StoredFile.job_id == job.id)
        .group_by(StoredFile.state)
    )
    counts = {of: int(count) for of, count in counted}
    if job.cancelled_at:
        state = "cancelled"
    elif job.finished_at:
        state = "done"
    else:
        state = "queued" if set(counts) == {"queued"} else "running"
    return Job(
        id=job.id,
        owner=job.owner,
        settings=job.settings,
        webhook=job.webhook,
        webhook_attempts=job.webhook_attempts,
        state=state,
        counts=counts,
        created_at=job.created_at,
        finished_at=job.finished_at,
        files=files,
    )
