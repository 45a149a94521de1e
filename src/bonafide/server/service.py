"""What the routes share: the parts of one running service, and jobs as clients see them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from bonafide.errors import InvalidInput
from bonafide.explain.words import strength
from bonafide.report import wording
from bonafide.report.from_dict import from_dict
from bonafide.server import models
from bonafide.server.auth import Caller, Guard
from bonafide.server.config import Config
from bonafide.server.intake import Intake
from bonafide.server.metrics import Metrics
from bonafide.server.problems import Problem, failure_status
from bonafide.server.spool import Spool
from bonafide.store import open_store
from bonafide.store.rows import Job, JobFile, Near, Row
from bonafide.store.store import Store
from bonafide.types import WHOLE

SWEEP_SECONDS = 600.0
_SIMILAR = 6  # files that look alike and are named
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two looks at a job


@dataclass(frozen=True)
class Summary:
    """The little of a report that lists show."""

    verdict: str
    words: str
    probabilities: Mapping[str, float | None]
    evidence: Mapping[str, str]


class Service:
    """One web process and its parts."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.store: Store = open_store(config.store)
        self.spool = Spool(config.spool)
        self.metrics = Metrics(self.store)
        self.guard = Guard(self.store, config)
        self.intake = Intake(self.store, self.spool, config, self.metrics)
        self.worker_alive = True
        self._summary = lru_cache(4096)(self._summarise)  # a stored report never changes

    def job(self, id_: str, caller: Caller) -> Job:
        """A job that `caller` may see.

        Raises:
            Problem: 404, also for a job of somebody else.
        """
        job = self.store.job(id_)
        if job is None or (job.owner != caller.name and not caller.may("admin")):
            raise Problem(404, "no_job", "there is no such job")
        return job

    def jobs(self, caller: Caller, limit: int) -> list[models.Job]:
        """The newest jobs that `caller` may see, without their files."""
        owner = None if caller.may("admin") else caller.name
        return [self.shown(job) for job in self.store.jobs(owner, limit)]

    def shown(self, job: Job) -> models.Job:
        """A job as clients see it."""
        return models.Job.model_validate(
            {
                "id": job.id,
                "state": job.state,
                "counts": dict(job.counts),
                "profile": job.settings["profile"],
                "stability": job.settings["stability"],
                "explain": bool(job.settings.get("explain")),  # older jobs do not say
                "owner": job.owner,
                "webhook": job.webhook,
                "created_at": job.created_at,
                "finished_at": job.finished_at,
                "href": f"/v1/jobs/{job.id}",
                "files": [self.shown_file(file) for file in job.files],
            }
        )

    def shown_file(self, file: JobFile) -> models.JobFile:
        """A file of a job as clients see it."""
        summary = self._summary(file.report_id) if file.report_id else None
        failure = None
        if file.failure is not None:
            failure = {
                "error": file.failure["error"],
                "why": file.failure["why"],
                "status": failure_status(file.failure),
            }
        return models.JobFile.model_validate(
            {
                "position": file.position,
                "name": file.name,
                "sha256": file.sha256,
                "state": file.state,
                "report": f"/v1/reports/{file.report_id}" if file.report_id else None,
                "verdict": summary and summary.verdict,
                "verdict_words": summary and summary.words,
                "probabilities": summary and dict(summary.probabilities),
                "evidence": summary and dict(summary.evidence),
                "failure": failure,
            }
        )

    def record(self, report: int) -> dict[str, Any]:
        """A report as it is stored.

        Raises:
            Problem: 404.
        """
        record = self.store.report(report)
        if record is None:
            raise Problem(404, "no_report", "there is no such report")
        return record

    def record_for(self, file: JobFile) -> dict[str, Any]:
        """The report on a file that was handed in, under the name by which this caller sent it.

        The stored one may be of somebody who had the same file before, whose name and path of it,
        and whose signature, are no business of this caller.

        Raises:
            Problem: 404.
        """
        assert file.report_id is not None
        record = self.record(file.report_id)
        record["media"] = record["media"] | {"name": file.name, "path": None}
        record.pop("signature", None)  # it would not hold for the changed record anyway
        return record

    def say(self, report: int, truth: str, note: str, consent: bool, caller: Caller) -> None:
        """Keep what a caller says a file is.

        Raises:
            Problem: 404 without such a report, 422 for what cannot be kept.
        """
        self.record(report)
        try:
            self.store.add_feedback(report, truth, note, consent, caller.name)
        except InvalidInput as error:
            raise Problem(422, "invalid", str(error)) from None

    def similar(self, record: Mapping[str, Any]) -> list[Near]:
        """Other files whose pictures look like the one of a report, nearest first."""
        sha256 = record["media"]["sha256"]
        looks = self.store.looks(sha256)
        return [] if looks is None else self.store.near_duplicates(looks, _SIMILAR, sha256)

    def checks(self) -> dict[str, str]:
        """Part of the service → "ok", or what is wrong with it."""
        found = {"spool": "ok" if os.access(self.spool.uploads, os.W_OK) else "not writable"}
        try:
            self.store.waiting()
            found["store"] = "ok"
        except Exception as error:  # whatever a driver raises, the answer is that it fails
            found["store"] = type(error).__name__
        if self.config.workers:
            found["worker"] = "ok" if self.worker_alive else "being restarted"
        return found

    def sweep(self) -> tuple[int, int]:
        """Delete uploads and pages that were kept long enough; how many of each."""
        uploads, pages, _ = self.config.kept_seconds
        return self.spool.sweep(uploads, pages, *self.store.kept())

    def forget(self) -> int:
        """Delete reports, with their pages, and jobs that were kept long enough; how many."""
        _, _, kept = self.config.kept_seconds
        if kept is None:
            return 0
        before, count = datetime.now(UTC) - timedelta(seconds=kept), 0
        while removed := self.store.prune(before, "policy").reports:
            self.spool.remove((), removed)
            count += len(removed)
        while self.store.prune_jobs(before):
            pass
        if count:
            self._summary.cache_clear()
        return count

    def sweep_if_due(self) -> tuple[int, int, int] | None:
        """`sweep` and `forget`, unless a process of the service did so a short time ago."""
        if not self.spool.due(SWEEP_SECONDS if self.config.retain else SWEEP_SECONDS / 10):
            return None
        forgotten = self.forget()
        return *self.sweep(), forgotten

    async def watch(self, id_: str, request: Request) -> AsyncIterator[Job]:
        """A job, again and again until it has ended or the client left.

        The pauses grow, so that many who wait for slow jobs cost little.
        """
        pause = _FIRST_PAUSE
        while True:
            job = await run_in_threadpool(self.store.job, id_)
            if job is None:
                return
            yield job
            if job.finished_at is not None or await request.is_disconnected():
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, 1.3 * pause)

    async def wait(self, id_: str, seconds: float, request: Request) -> Job:
        """A job as it is when it has ended, or after `seconds`."""
        job = await run_in_threadpool(self.store.job, id_)
        assert job is not None
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    async for seen in self.watch(id_, request):
                        job = seen
            except TimeoutError:
                pass
        return job

    def _summarise(self, report: int) -> Summary:
        record = self.record(report)
        told = {
            asked.value: strength(answer)
            for asked, answer in wording.answers(from_dict(record))
            if answer is None or answer.where == WHOLE
        }
        return Summary(record["verdict"], record["verdict_words"], record["probabilities"], told)


def shown_row(row: Row) -> models.ReportRow:
    """A line of the history as clients see it."""
    known = {name: getattr(row, name) for name in models.ReportRow.model_fields if name != "href"}
    return models.ReportRow.model_validate(known | {"href": f"/v1/reports/{row.id}"})


def shown_near(near: Near) -> models.Near:
    """A file that looks alike as clients see it."""
    return models.Near.model_validate(vars(near) | {"href": f"/v1/reports/{near.report_id}"})
