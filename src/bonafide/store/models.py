"""The tables. Every change here needs a migration; a test compares both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BANDS = 4  # of 16 bits, of a perceptual hash
Identity = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers only INTEGER by itself


class Utc(TypeDecorator[datetime]):
    """A moment in UTC, with its time zone also on SQLite, which keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """All tables, with names for constraints, which migrations need."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it as it is)
        datetime: Utc,
        dict[str, Any]: JSON,
        list[str]: JSON,
        str: Text,
    }


class Medium(Base):
    """A file, by its content."""

    __tablename__ = "media"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(16))
    format: Mapped[str] = mapped_column(String(32))
    width: Mapped[int | None]
    height: Mapped[int | None]
    details: Mapped[dict[str, Any]]
    # As a signed number.
    perceptual_hash: Mapped[int | None] = mapped_column(BigInteger, index=True)
    band0: Mapped[int | None] = mapped_column(index=True)
    band1: Mapped[int | None] = mapped_column(index=True)
    band2: Mapped[int | None] = mapped_column(index=True)
    band3: Mapped[int | None] = mapped_column(index=True)
    first_seen: Mapped[datetime]


class Name(Base):
    """A name under which a file was handed in; one file may have had several."""

    __tablename__ = "names"
    __table_args__ = (UniqueConstraint("media_id", "digest"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    media_id: Mapped[int] = mapped_column(ForeignKey("media.id"))
    digest: Mapped[str] = mapped_column(String(64))  # of both; they may be too long for an index
    name: Mapped[str]
    path: Mapped[str | None]


class StoredReport(Base):
    """A report, as JSON."""

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("media_id", "key"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    media_id: Mapped[int] = mapped_column(ForeignKey("media.id"))
    key: Mapped[str] = mapped_column(String(64))
    name: Mapped[str]
    path: Mapped[str | None]
    verdict: Mapped[str] = mapped_column(String(32), index=True)
    tool: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str]
    stored_at: Mapped[datetime] = mapped_column(index=True)
    record: Mapped[dict[str, Any]]


class StoredJob(Base):
    """Files handed in together."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200), index=True)
    settings: Mapped[dict[str, Any]]
    webhook: Mapped[str | None]
    webhook_attempts: Mapped[int] = mapped_column(default=0)
    webhook_due: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    cancelled_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class StoredFile(Base):
    """One file of a job."""

    __tablename__ = "job_files"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        Index(None, "state", "turn", "id"),
        Index(None, "state", "owner", "step", "id"),
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    position: Mapped[int]
    name: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    owner: Mapped[str] = mapped_column(String(200))  # of the job
    turn: Mapped[int] = mapped_column(BigInteger)  # when its owner's turn comes, among all owners
    step: Mapped[int] = mapped_column(BigInteger)  # when it comes, among the files of its owner
    state: Mapped[str] = mapped_column(String(16), default="queued")
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"), index=True)
    failure: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class StoredHold(Base):
    """A file whose reports must not be deleted, such as for a court."""

    __tablename__ = "holds"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    why: Mapped[str]
    actor: Mapped[str]
    created_at: Mapped[datetime]


class StoredNumber(Base):
    """The largest id that was deleted from a table, where the database would give it again."""

    __tablename__ = "numbers"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class StoredFeedback(Base):
    """What somebody says a file is, where its report says otherwise."""

    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"), index=True)
    truth: Mapped[str] = mapped_column(String(32))
    note: Mapped[str]
    consent: Mapped[bool]
    actor: Mapped[str]
    created_at: Mapped[datetime]


class StoredKey(Base):
    """An API key; the secret is kept as its SHA-256 only."""

    __tablename__ = "keys"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    rate: Mapped[int]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class StoredEntry(Base):
    """One entry of the audit trail; the database refuses to change or delete it."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(Identity, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
