"""Files and their reports: put in once, found by hash, by words, or by looking alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, func, or_, select, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from bonafide.custody.canonical import digest
from bonafide.errors import InvalidInput
from bonafide.signals.phash import DISTANCE, distance
from bonafide.store.audit import Audit
from bonafide.store.models import BANDS, Medium, Name, StoredNumber, StoredReport
from bonafide.store.rows import Near, Row
from bonafide.store.text import storable

_BAND_BITS = 64 // BANDS
_CANDIDATES = 5_000  # that share one quarter
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
        sealed = digest(record)  # before the lock, since it takes longer than all that follows
        with self._write() as session:
            self._lock_chain(session)  # taken before anything is read, so that nothing is put twice
            medium = self._medium(session, record["media"], perceptual_hash)
            known = session.scalar(
                select(StoredReport.id).where(
                    StoredReport.media_id == medium.id, StoredReport.key == key
                )
            )
            return known or self._add(session, medium, record, sealed, key, actor)

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
            name, path = called(facts)
            if found is None or session.scalar(_named(found.media_id, name, path)) is not None:
                return None if found is None else int(found.id)
        try:
            with self._write() as session:
                self._remember_name(session, found.media_id, name, path)
        except IntegrityError:
            return None  # it was deleted meanwhile
        return int(found.id)

    def report(self, id: int) -> dict[str, Any] | None:  # noqa: A002
        """The report with this id."""
        with self._read() as session:
            return session.scalar(select(StoredReport.record).where(StoredReport.id == id))

    def hashes(self, prefix: str, most: int = 2) -> list[str]:
        """At most `most` hashes of files that begin with `prefix`, in lower case."""
        asked = select(Medium.sha256).where(_begins(prefix))
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
            return [Row(*values) for values in found]

    def export(
        self,
        *,
        text: str = "",
        verdict: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[tuple[Row, dict[str, Any]]]:
        """Stored reports with their records, oldest first, in memory that does not grow."""
        asked = _matching(text, verdict, since, until).add_columns(StoredReport.record)
        asked = asked.order_by(StoredReport.id)
        after = 0
        while True:
            with self._read() as session:
                page = [
                    (Row(*values[:-1]), values[-1])
                    for values in session.execute(asked.where(StoredReport.id > after).limit(_PAGE))
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
        index finds. Files of the very same hash come first; where a great many share a quarter,
        no more than 5,000 of them are looked at.

        Source: M. Norouzi, A. Punjani, D. Fleet, "Fast Search in Hamming Space with Multi-Index
        Hashing", CVPR 2012.

        Args:
            perceptual_hash: uint64.
            most: at most so many.
            other_than: hash of a file that is left out.
        """
        wanted = (Medium.id, Medium.sha256, Medium.perceptual_hash, Medium.first_seen)
        other = Medium.sha256 != other_than
        same = (
            select(*wanted)
            .where(Medium.perceptual_hash == _signed(perceptual_hash), other)
            .limit(most)
        )
        columns = (Medium.band0, Medium.band1, Medium.band2, Medium.band3)
        with self._read() as session:
            found = {row.id: row for row in session.execute(same)}
            for column, band in zip(columns, _bands(perceptual_hash), strict=True):
                if len(found) >= most and all(
                    row.perceptual_hash == _signed(perceptual_hash) for row in found.values()
                ):
                    break  # nothing is nearer than these
                shares = select(*wanted).where(column.in_(_within_one_bit(band)), other)
                found |= {row.id: row for row in session.execute(shares.limit(_CANDIDATES))}
            near = sorted(
                (apart, row.id, row)
                for row in found.values()
                if (apart := distance(_unsigned(row.perceptual_hash), perceptual_hash)) <= DISTANCE
            )[:most]
            return [
                Near(row.sha256, report.name, apart, report.id, report.verdict, row.first_seen)
                for apart, id_, row in near
                for report in session.execute(
                    select(StoredReport.id, StoredReport.name, StoredReport.verdict)
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
        insert = postgresql.insert if self.postgres else sqlite.insert
        values = {"media_id": medium, "digest": _both(name, path), "name": name, "path": path}
        session.execute(insert(Name).values(values).on_conflict_do_nothing())

    def _next_id(self, session: Session) -> int | None:
        """The id of the next report, larger than all before; None where the database sees to that.

        SQLite gives the largest id again after its report was deleted; the audit trail, pages and
        links would take the one for the other.
        """
        if self.postgres:
            return None
        deleted = session.get(StoredNumber, StoredReport.__tablename__)
        largest = session.scalar(select(func.max(StoredReport.id))) or 0
        return 1 + max(largest, deleted.value if deleted else 0)

    def _add(
        self,
        session: Session,
        medium: Medium,
        record: Mapping[str, Any],
        sealed: str,
        key: str,
        actor: str,
    ) -> int:
        name, path = called(record["media"])
        moment = self._now(session)
        report = StoredReport(
            id=self._next_id(session),
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
        detail = {"id": report.id, "key": key, "record": sealed}
        self._append(session, moment, actor, "report", medium.sha256, detail)
        return report.id


def called(facts: Mapping[str, Any]) -> tuple[str, str | None]:
    """Name and path of a record's media, as they are stored."""
    path = facts.get("path")
    return storable(facts["name"]), None if path is None else storable(path)


def _matching(
    text: str, verdict: str | None, since: datetime | None, until: datetime | None
) -> Select[*tuple[Any, ...]]:
    """What `Row` holds of the reports that are meant; their records are not read."""
    asked: Select[*tuple[Any, ...]] = select(*_LISTED).join(Medium)
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
    called: Select[int] | CompoundSelect[int] = select(Name.media_id).where(
        or_(Name.name.icontains(text, autoescape=True), Name.path.icontains(text, autoescape=True))
    )
    if _HEX.issuperset(text.lower()) and len(text) <= 64:
        # Together, since no index serves "this or that" over two tables.
        aliased_medium = aliased(Medium)
        begins = _begins(text.lower(), aliased_medium)
        called = union(called, select(aliased_medium.id).where(begins))
    return StoredReport.media_id.in_(called)


_LISTED = (  # in the order of the attributes of `Row`
    StoredReport.id, Medium.sha256, StoredReport.key, StoredReport.name, StoredReport.path,
    StoredReport.verdict, Medium.format, Medium.width, Medium.height, Medium.bytes,
    StoredReport.tool, StoredReport.actor, StoredReport.stored_at,
)  # fmt: skip


def _begins(prefix: str, medium: type[Medium] = Medium) -> ColumnElement[bool]:
    """Whether a hash begins with hexadecimal digits; unlike LIKE this uses the index everywhere."""
    return (medium.sha256 >= prefix) & (medium.sha256 < f"{prefix}g")


def _both(name: str, path: str | None) -> str:
    return hashlib.sha256(f"{name}\n{path or ''}".encode()).hexdigest()


def _named(media_id: int, name: str, path: str | None) -> Select[int]:
    return select(Name.id).where(Name.media_id == media_id, Name.digest == _both(name, path))


def _bands(value: int) -> tuple[int, ...]:
    mask = (1 << _BAND_BITS) - 1
    return tuple(value >> (_BAND_BITS * band) & mask for band in range(BANDS))


def _within_one_bit(band: int) -> list[int]:
    return [band, *(band ^ 1 << bit for bit in range(_BAND_BITS))]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _unsigned(value: int) -> int:
    return value & (1 << 64) - 1
