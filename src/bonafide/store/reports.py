"""Files and their reports: put in once, found by hash, by words, or by looking alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select, union
from sqlalchemy.orm import Session

from bonafide.custody.canonical import digest
from bonafide.errors import InvalidInput
from bonafide.signals.phash import DISTANCE, distance
from bonafide.store.audit import Audit
from bonafide.store.models import BANDS, Medium, Name, StoredReport
from bonafide.store.rows import Near, Row
from bonafide.store.text import storable

_BAND_BITS = 64 // BANDS
_PAGE = 500  # reports held at a time
_HEX = frozenset("0123456789abcdef")


class Reports(Audit):
    """The part of the store that remembers what was found."""

    def put_report(
        self, record: Mapping[str, Any], key: str, perceptual_hash: int | None, actor: str = "cli"
    ) -> int:
        """Store a report, unless one of this file with this key is there.

        Args:
            record: what `report.to_dict` returned for a `Report`.
            key: of the examination, from `examination.key`.
            perceptual_hash: of the picture, uint64; None where there is none.
            actor: who asked for it.

        Returns:
            Id of the report, new or old. A name that the file did not have before is remembered
            in either case.

        Raises:
            InvalidInput: `record` is that of a failure.
        """
        if record.get("status") != "ok":
            raise InvalidInput("a failure is not stored as a report")
        with self._write() as session:
            self._lock_chain(session)  # taken before anything is read, so that nothing is put twice
            medium = self._medium(session, record["media"], perceptual_hash)
            known = session.scalar(
                select(StoredReport.id).where(
                    StoredReport.media_id == medium.id, StoredReport.key == key
                )
            )
            return known or self._add(session, medium, record, key, actor)

    def known(self, facts: Mapping[str, Any], key: str) -> int | None:
        """The id of the report of a file under this key of the examination, None without one.

        Args:
            facts: of the file: `sha256`, and the `name` and `path` by which it came now, which are
                remembered if it did not have them before.
            key: from `examination.key`.
        """
        asked = (
            select(StoredReport.id, StoredReport.media_id)
            .join(Medium)
            .where(Medium.sha256 == facts["sha256"], StoredReport.key == key)
        )
        with self._read() as session:
            found = session.execute(asked).first()
        if found is None:
            return None
        with self._write() as session:
            self._lock_chain(session)  # so that no name is remembered twice
            self._remember_name(session, found.media_id, *called(facts))
        return int(found.id)

    def report(self, id: int) -> dict[str, Any] | None:  # noqa: A002
        """The report with this id."""
        with self._read() as session:
            return session.scalar(select(StoredReport.record).where(StoredReport.id == id))

    def hashes(self, prefix: str, most: int = 2) -> list[str]:
        """At most `most` hashes of files that begin with `prefix`, in lower case."""
        asked = select(Medium.sha256).where(Medium.sha256.startswith(prefix, autoescape=True))
        with self._read() as session:
            return list(session.scalars(asked.order_by(Medium.sha256).limit(most)))

    def reports_of(self, sha256: str) -> list[int]:
        """Ids of a file's reports, newest first."""
        asked = select(StoredReport.id).join(Medium).where(Medium.sha256 == sha256)
        with self._read() as session:
            return list(session.scalars(asked.order_by(StoredReport.id.desc())))

    def history(
        self,
        *,
        text: str = "",
        verdict: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Row]:
        """Stored reports, newest first.

        Args:
            text: is part of any name or path that the file had, or begins its hash.
            verdict: value of a `types.Label`.
            since, until: when it was stored; the first included, the last not.
            limit: most rows.
            before: only reports with a smaller id; of the last row, for the next page.
        """
        asked = _matching(text, verdict, since, until)
        if before is not None:
            asked = asked.where(StoredReport.id < before)
        with self._read() as session:
            found = session.execute(asked.order_by(StoredReport.id.desc()).limit(limit)).all()
            return [_row(report, medium) for report, medium in found]

    def export(
        self,
        *,
        text: str = "",
        verdict: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[tuple[Row, dict[str, Any]]]:
        """Stored reports with their records, oldest first, in memory that does not grow."""
        asked = _matching(text, verdict, since, until).order_by(StoredReport.id)
        after = 0
        while True:
            with self._read() as session:
                page = [
                    (_row(report, medium), report.record)
                    for report, medium in session.execute(
                        asked.where(StoredReport.id > after).limit(_PAGE)
                    )
                ]
            if not page:
                return
            yield from page
            after = page[-1][0].id

    def looks(self, sha256: str) -> int | None:
        """The perceptual hash of a file seen before, uint64; None where there is none."""
        with self._read() as session:
            asked = select(Medium.perceptual_hash).where(Medium.sha256 == sha256)
            value = session.scalar(asked)
            return None if value is None else _unsigned(value)

    def near_duplicates(
        self, perceptual_hash: int, most: int = 8, other_than: str = ""
    ) -> list[Near]:
        """Files whose pictures look alike, nearest first.

        Hashes that differ in at most 6 of 64 bits differ in at most one bit of one of four
        quarters, so it is enough to compare those that share a quarter up to one bit, which an
        index finds.

        Source: M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index
        Hashing", CVPR 2012.

        Args:
            perceptual_hash: uint64.
            most: at most so many.
            other_than: hash of a file that is left out.
        """
        columns = (Medium.band0, Medium.band1, Medium.band2, Medium.band3)
        candidates = union(
            *(
                select(Medium.id).where(column.in_(_within_one_bit(band)))
                for column, band in zip(columns, _bands(perceptual_hash), strict=True)
            )
        )
        with self._read() as session:
            rows = session.execute(
                select(Medium.id, Medium.sha256, Medium.perceptual_hash, Medium.first_seen).where(
                    Medium.id.in_(candidates), Medium.sha256 != other_than
                )
            )
            near = sorted(
                (apart, id_, sha256, first_seen)
                for id_, sha256, value, first_seen in rows
                if value is not None
                and (apart := distance(_unsigned(value), perceptual_hash)) <= DISTANCE
            )[:most]
            return [
                Near(sha256, report.name, apart, report.id, report.verdict, first_seen)
                for apart, id_, sha256, first_seen in near
                for report in session.scalars(
                    select(StoredReport)
                    .where(StoredReport.media_id == id_)
                    .order_by(StoredReport.id.desc())
                    .limit(1)
                )
            ]

    def _medium(
        self, session: Session, facts: Mapping[str, Any], perceptual_hash: int | None
    ) -> Medium:
        medium = session.scalar(select(Medium).where(Medium.sha256 == facts["sha256"]))
        if medium is None:
            medium = Medium(
                sha256=facts["sha256"],
                bytes=facts["bytes"],
                kind=facts["kind"],
                format=facts["format"],
                width=facts["width"],
                height=facts["height"],
                details=facts["details"],
                first_seen=self._now(session),
            )
            session.add(medium)
        if perceptual_hash is not None and medium.perceptual_hash is None:
            medium.perceptual_hash = _signed(perceptual_hash)
            medium.band0, medium.band1, medium.band2, medium.band3 = _bands(perceptual_hash)
        session.flush()
        self._remember_name(session, medium.id, *called(facts))
        return medium

    def _remember_name(self, session: Session, medium: int, name: str, path: str | None) -> None:
        both = hashlib.sha256(f"{name}\n{path or ''}".encode()).hexdigest()
        known = select(Name.id).where(Name.media_id == medium, Name.digest == both)
        if session.scalar(known) is None:
            session.add(Name(media_id=medium, digest=both, name=name, path=path))

    def _add(
        self, session: Session, medium: Medium, record: Mapping[str, Any], key: str, actor: str
    ) -> int:
        name, path = called(record["media"])
        moment = self._now(session)
        report = StoredReport(
            media_id=medium.id,
            key=key,
            name=name,
            path=path,
            verdict=record["verdict"],
            tool=record["versions"]["bonafide"],
            actor=storable(actor),
            stored_at=moment,
            record=dict(record),
        )
        session.add(report)
        session.flush()
        detail = {"id": report.id, "key": key, "record": digest(record)}
        self._append(session, moment, actor, "report", medium.sha256, detail)
        return report.id


def called(facts: Mapping[str, Any]) -> tuple[str, str | None]:
    """Name and path of a record's media, as they are stored."""
    path = facts.get("path")
    return storable(facts["name"]), None if path is None else storable(path)


def _matching(
    text: str, verdict: str | None, since: datetime | None, until: datetime | None
) -> Select[StoredReport, Medium]:
    asked = select(StoredReport, Medium).join(Medium)
    if text:
        asked = asked.where(_says(storable(text)))
    if verdict:
        asked = asked.where(StoredReport.verdict == verdict)
    if since:
        asked = asked.where(StoredReport.stored_at >= since)
    if until:
        asked = asked.where(StoredReport.stored_at < until)
    return asked


def _says(text: str) -> ColumnElement[bool]:
    called = select(Name.media_id).where(
        or_(Name.name.icontains(text, autoescape=True), Name.path.icontains(text, autoescape=True))
    )
    found = Medium.id.in_(called)
    if _HEX.issuperset(text.lower()) and len(text) <= 64:
        return or_(found, Medium.sha256.startswith(text.lower()))
    return found


def _row(report: StoredReport, medium: Medium) -> Row:
    return Row(
        id=report.id,
        sha256=medium.sha256,
        key=report.key,
        name=report.name,
        path=report.path,
        verdict=report.verdict,
        format=medium.format,
        width=medium.width,
        height=medium.height,
        bytes=medium.bytes,
        tool=report.tool,
        actor=report.actor,
        stored_at=report.stored_at,
    )


def _bands(value: int) -> tuple[int, ...]:
    mask = (1 << _BAND_BITS) - 1
    return tuple(value >> (_BAND_BITS * band) & mask for band in range(BANDS))


def _within_one_bit(band: int) -> list[int]:
    return [band, *(band ^ 1 << bit for bit in range(_BAND_BITS))]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _unsigned(value: int) -> int:
    return value & (1 << 64) - 1
