"""The shapes of what the API answers, with examples; reports are described by their own schema."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bonafide.store.feedback import TRUTHS
from bonafide.types import Label

JobState = Literal["queued", "running", "done", "cancelled"]
FileState = Literal["queued", "running", "done", "failed", "cancelled"]
_LABELS = [label.value for label in Label]
Verdict = Annotated[
    str, Field(pattern=f"^({'|'.join(_LABELS)})$", json_schema_extra={"enum": list(_LABELS)})
]
Truth = Annotated[
    str, Field(pattern=f"^({'|'.join(TRUTHS)})$", json_schema_extra={"enum": list(TRUTHS)})
]

_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_JOB = "0b6f1c7d5f3e4f0a8a52f1d3c2b4a697"


class Problem(BaseModel):
    """Why a request was refused, after RFC 9457."""

    type: str = Field(examples=["urn:bonafide:problem:queue_full"])
    title: str = Field(examples=["Service Unavailable"])
    status: int = Field(examples=[503])
    detail: str = Field(examples=["500 files are waiting; try again later"])
    code: str = Field(examples=["queue_full"])
    request_id: str | None = Field(default=None, examples=["7d1d6c1f0a"])
    errors: list[dict[str, str]] = Field(default=[], description="what was wrong, field by field")


class FileFailure(BaseModel):
    """Why a file could not be examined."""

    error: str = Field(examples=["UnsupportedFormat"])
    why: str = Field(examples=["ZIP files are not examined"])
    status: int = Field(description="HTTP status that `POST /v1/examine` gives it", examples=[415])


class JobFile(BaseModel):
    """One file of a job."""

    position: int
    name: str = Field(examples=["photo.jpg"])
    sha256: str | None = Field(examples=[_SHA256])
    state: FileState
    report: str | None = Field(description="where its report is", examples=["/v1/reports/17"])
    verdict: Verdict | None
    verdict_words: str | None = Field(examples=["No trace found"])
    probabilities: dict[str, float | None] | None = Field(
        description="P(question is true) at even prior odds", examples=[{"synthetic": 0.03}]
    )
    evidence: dict[str, str] | None = Field(
        description="the same for people: a probability only where the evidence is strong enough",
        examples=[{"synthetic": "no evidence"}],
    )
    failure: FileFailure | None


class Job(BaseModel):
    """Files that were submitted together."""

    id: str = Field(examples=[_JOB])
    state: JobState
    counts: dict[FileState, int] = Field(examples=[{"done": 2, "queued": 1}])
    profile: str = Field(examples=["standard"])
    stability: bool
    explain: bool = Field(description="whether the operator's model explains the reports")
    owner: str = Field(examples=["newsroom"])
    webhook: str | None
    created_at: datetime
    finished_at: datetime | None
    href: str = Field(examples=[f"/v1/jobs/{_JOB}"])
    files: list[JobFile] = Field(description="left out of lists of jobs")


class Jobs(BaseModel):
    """Jobs, newest first."""

    jobs: list[Job]


class ReportRow(BaseModel):
    """One report in the history."""

    id: int
    href: str = Field(examples=["/v1/reports/17"])
    sha256: str = Field(examples=[_SHA256])
    name: str = Field(examples=["photo.jpg"])
    verdict: Verdict
    format: str = Field(examples=["JPEG"])
    width: int | None
    height: int | None
    bytes: int
    tool: str = Field(description="version of bonafide", examples=["0.3.0"])
    actor: str = Field(description="name of the key that asked", examples=["newsroom"])
    stored_at: datetime


class History(BaseModel):
    """A page of the history, newest first."""

    reports: list[ReportRow]
    next: int | None = Field(description="`before` of the next page, null on the last")


class Near(BaseModel):
    """A file seen before whose picture looks like another one's."""

    href: str = Field(description="its newest report", examples=["/v1/reports/9"])
    sha256: str = Field(examples=[_SHA256])
    name: str = Field(examples=["photo-small.jpg"])
    distance: int = Field(description="bits of 64 in which the perceptual hashes differ")
    verdict: Verdict
    first_seen: datetime


class Similar(BaseModel):
    """Files that look alike, nearest first."""

    similar: list[Near]


class Feedback(BaseModel):
    """What a file is, where its report says otherwise."""

    truth: Truth
    note: str = Field(default="", max_length=2000, examples=["I took it"])
    consent: bool = Field(default=False, description="whether it may become a test file")


class KeptFeedback(Feedback):
    """The same, as it was kept."""

    id: int
    actor: str = Field(examples=["newsroom"])
    created_at: datetime


class Feedbacks(BaseModel):
    """What was said of one report, oldest first."""

    feedback: list[KeptFeedback]


class Health(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "failing"]
    checks: dict[str, str] = Field(examples=[{"store": "ok", "spool": "ok", "worker": "ok"}])


class Secret(BaseModel):
    """What signs the webhooks of the key that asks."""

    secret: str = Field(examples=["whsec_UNhY4JhezH9gQYqvDMWrWH9CwlcKiECVqejMrND2VFw="])


class Address(BaseModel):
    """A file by its address, where the operator allows that."""

    url: str = Field(max_length=2000, examples=["https://example.org/photo.jpg"])
    name: str | None = Field(default=None, max_length=300, examples=["photo.jpg"])


REPORT: dict[str, Any] = {
    "type": "object",
    "description": "A report as `bonafide scan --json` writes it; see docs/report.schema.json.",
    "required": ["schema", "media", "status", "verdict", "findings", "versions", "examined_at"],
    "example": {
        "schema": 2,
        "media": {"name": "photo.jpg", "sha256": _SHA256, "format": "JPEG"},
        "status": "ok",
        "verdict": "no_trace_found",
        "verdict_words": "No trace found",
        "probabilities": {"synthetic": 0.03, "edited": 0.11},
        "because": [],
        "findings": [],
        "versions": {"bonafide": "0.3.0"},
        "examined_at": "2026-01-02T03:04:05+00:00",
    },
}
