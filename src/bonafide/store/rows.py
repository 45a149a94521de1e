"""What the store takes and gives, as frozen values that outlive any connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SCOPES = ("examine", "read", "admin")  # of an API key


@dataclass(frozen=True)
class Row:
    """One stored report in a list.

    Attributes:
        id: of the report; a later one has a larger id.
        sha256: of the file.
        key: of the examination: detectors, networks and settings, see `examination.key`.
        name, path: what the file was called when the report was made.
        verdict: value of a `types.Label`.
        format: container, upper case.
        width, height: pixels, None without a picture.
        bytes: size of the file.
        tool: version of bonafide.
        actor: who put it in.
        stored_at: UTC.
    """

    id: int
    sha256: str
    key: str
    name: str
    path: str | None
    verdict: str
    format: str
    width: int | None
    height: int | None
    bytes: int
    tool: str
    actor: str
    stored_at: datetime


@dataclass(frozen=True)
class Near:
    """A file seen before whose picture looks like another one's.

    Attributes:
        sha256, name: of the file.
        distance: bits of 64 in which the perceptual hashes differ, 0 to 6.
        report_id, verdict: its newest report.
        first_seen: UTC.
    """

    sha256: str
    name: str
    distance: int
    report_id: int
    verdict: str
    first_seen: datetime


@dataclass(frozen=True)
class JobFile:
    """One file of a job. To add one, give `name` and `path`; the store fills the rest.

    Attributes:
        name: shown to people.
        path: where the worker finds the bytes.
        sha256: of the bytes, where known beforehand.
        id, job, position: of the row, of its job, and its place there from 0.
        settings: of the job.
        state: "queued", "running", "done", "failed" or "cancelled".
        worker: who has it, or had it last.
        attempts: how often it was claimed.
        report_id: of the outcome, once done.
        failure: of the outcome, once failed: `error` and `why`.
    """

    name: str
    path: str
    sha256: str | None = None
    id: int = 0
    job: str = ""
    position: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    state: str = "queued"
    worker: str | None = None
    attempts: int = 0
    report_id: int | None = None
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """Files that were handed in together.

    Attributes:
        id: 32 hexadecimal digits.
        owner: name of the key that added it.
        settings: as given.
        webhook: address to tell when it has ended, None for nobody.
        webhook_attempts: how often that was tried.
        state: "queued", "running", "done" or "cancelled".
        counts: state of a file → how many of the job's files are in it.
        created_at, finished_at: UTC.
        files: in their order; () in lists of jobs.
    """

    id: str
    owner: str
    settings: Mapping[str, Any]
    webhook: str | None
    webhook_attempts: int
    state: str
    counts: Mapping[str, int]
    created_at: datetime
    finished_at: datetime | None
    files: tuple[JobFile, ...] = ()


@dataclass(frozen=True)
class Removed:
    """What one batch of a deletion took away.

    Attributes:
        reports: ids.
        files: hashes of files of which no report is left.
        jobs: how many.
        running: files of the owner that are being examined now, whose reports come later.
    """

    reports: tuple[int, ...]
    files: tuple[str, ...]
    jobs: int = 0
    running: int = 0


@dataclass(frozen=True)
class Hold:
    """A file whose reports must not be deleted: its hash, why, who said so, and when (UTC)."""

    sha256: str
    why: str
    actor: str
    created_at: datetime


@dataclass(frozen=True)
class Feedback:
    """What somebody says a file is.

    Attributes:
        id: of this.
        report: id of the report that it is about.
        sha256, name, path: of the file.
        verdict: of the report.
        truth: what they say, one of `store.feedback.TRUTHS`.
        note: how they know.
        consent: whether the file may become a test file.
        actor: who says so.
        created_at: UTC.
    """

    id: int
    report: int
    sha256: str
    name: str
    path: str | None
    verdict: str
    truth: str
    note: str
    consent: bool
    actor: str
    created_at: datetime


@dataclass(frozen=True)
class Key:
    """An API key, without its secret, which is not kept.

    Attributes:
        id, name: of the key; names are unique.
        scopes: what it may do.
        rate: requests per minute, 0 for no bound.
        created_at, revoked_at: UTC.
    """

    id: int
    name: str
    scopes: frozenset[str]
    rate: int
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class Entry:
    """One entry of the audit trail.

    Attributes:
        number: from 1, without gaps.
        at: UTC, ISO 8601.
        actor, action, subject: who did what to what.
        detail: JSON values.
        previous: hash of the entry before, 64 zeros for the first.
        hash: hexadecimal SHA-256 of `previous` and this entry's canonical form.
    """

    number: int
    at: str
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Broken:
    """The first thing that an inspection of the store found wrong.

    Attributes:
        row: "audit 17", "report 4", "key desk" or "table keys".
        why: one plain sentence.
    """

    row: str
    why: str
