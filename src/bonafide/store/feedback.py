"""What people say a file is, kept with the report that said otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from bonafide.errors import InvalidInput
from bonafide.store.audit import Audit
from bonafide.store.models import Medium, StoredFeedback, StoredReport
from bonafide.store.rows import Feedback
from bonafide.store.text import storable
from bonafide.types import ACCUSATIONS

BONA_FIDE = "bona_fide"
TRUTHS = (BONA_FIDE, *(label.value for label in ACCUSATIONS))
LONGEST_NOTE = 2_000  # characters
_PAGE = 1_000  # rows held at a time


class Feedbacks(Audit):
    """The part of the store that remembers mistakes."""

    def add_feedback(
        self, report: int, truth: str, note: str = "", consent: bool = False, actor: str = "cli"
    ) -> int:
        """Keep what somebody says a file is.

        Args:
            report: id of the report that is wrong.
            truth: one of `TRUTHS`.
            note: how they know, at most `LONGEST_NOTE` characters.
            consent: whether the file may become a test file.
            actor: who says so.

        Returns:
            Its id.

        Raises:
            InvalidInput: there is no such report or truth, or the note is too long.
        """
        if truth not in TRUTHS:
            raise InvalidInput(f"no file is {truth!r}; a truth is one of {', '.join(TRUTHS)}")
        if len(note) > LONGEST_NOTE:
            raise InvalidInput(f"a note may have {LONGEST_NOTE:,} characters")
        with self._write() as session:
            self._lock_chain(session)  # so that the report is not deleted meanwhile
            asked = select(Medium.sha256).join(StoredReport).where(StoredReport.id == report)
            sha256 = session.scalar(asked)
            if sha256 is None:
                raise InvalidInput(f"there is no report {report}")
            moment = self._now(session)
            kept = StoredFeedback(
                report_id=report,
                truth=truth,
                note=storable(note),
                consent=consent,
                actor=storable(actor),
                created_at=moment,
            )
            session.add(kept)
            session.flush()
            detail = {"report": report, "truth": truth, "consent": consent}
            self._append(session, moment, actor, "feedback", sha256, detail)
            return kept.id

    def feedback(self, report: int | None = None) -> Iterator[Feedback]:
        """What was said of one report, or of all for None, oldest first."""
        asked = (
            select(
                StoredFeedback.id, StoredFeedback.report_id, Medium.sha256, StoredReport.name,
                StoredReport.path, StoredReport.verdict, StoredFeedback.truth,
                StoredFeedback.note, StoredFeedback.consent, StoredFeedback.actor,
                StoredFeedback.created_at,
            )
            .join(StoredReport, StoredReport.id == StoredFeedback.report_id)
            .join(Medium, Medium.id == StoredReport.media_id)
            .order_by(StoredFeedback.id)
            .limit(_PAGE)
        )  # fmt: skip
        if report is not None:
            asked = asked.where(StoredFeedback.report_id == report)
        after = 0
        while True:
            with self._read() as session:
                later = asked.where(StoredFeedback.id > after)
                page = [Feedback(*row) for row in session.execute(later)]
            if not page:
                return
            yield from page
            after = page[-1].id
