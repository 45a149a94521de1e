"""What is deleted is gone, what is held stays, and the trail tells of both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from bonafide.errors import InvalidInput
from bonafide.store.jobs import ReportGone
from bonafide.store.models import Medium, Name, StoredFile, StoredReport
from bonafide.store.rows import Broken, JobFile
from bonafide.store.store import Store

Record = Callable[..., dict[str, Any]]
Tamper = Callable[..., None]
LATER = datetime.now(UTC) + timedelta(days=1)


def counts(store: Store) -> tuple[int, ...]:
    """Reports, files and names."""
    with store._read() as session:
        return tuple(
            session.scalars(select(func.count()).select_from(table)).one()
            for table in (StoredReport, Medium, Name)
        )


def finished(store: Store, report: int, owner: str, name: str, sha256: str) -> str:
    """A job that ended with a report."""
    id_ = store.add_job([JobFile(name, sha256, sha256)], {}, owner)
    file = store.claim("worker", 60.0)
    assert file is not None and file.job == id_
    assert store.finish(file.id, report)
    return id_


@pytest.fixture
def filled(store: Store, record: Record) -> Store:
    """Two reports of the first file, one of each of three others."""
    for number, key in ((1, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a")):
        store.put_report(record(number), key, number, "anna" if number < 3 else "ben")
    return store


class TestPrune:
    def test_old_reports_go_with_their_files_and_names(self, filled: Store) -> None:
        assert filled.prunable(LATER) == 5
        removed = filled.prune(LATER, "officer")
        assert (len(removed.reports), len(removed.files)) == (5, 4)
        assert counts(filled) == (0, 0, 0)
        assert filled.prune(LATER).reports == ()
        assert filled.check_audit() is None
        last = filled.head()
        assert last is not None
        assert (last.actor, last.action, last.detail["ids"]) == (
            "officer",
            "remove",
            [1, 2, 3, 4, 5],
        )

    def test_young_ones_stay(self, filled: Store) -> None:
        assert filled.prune(datetime.now(UTC) - timedelta(hours=1)).reports == ()
        assert counts(filled)[0] == 5

    def test_in_batches(self, filled: Store) -> None:
        assert [len(filled.prune(LATER, most=2).reports) for _ in range(4)] == [2, 2, 1, 0]
        assert filled.check_audit() is None

    def test_what_is_listed_of_a_file_is_taken_from_what_is_left(
        self, store: Store, record: Record
    ) -> None:
        store.put_report(record(1), "old", None)
        again = record(1)
        again["media"]["details"] = {"progressive": True}
        store.put_report(again, "new", None)
        assert store.prune(LATER, most=1).files == ()
        assert store.check_audit() is None
        with store._read() as session:
            assert session.scalars(select(Medium.details)).one() == {"progressive": True}

    def test_a_report_that_a_job_got_lately_is_not_old(self, store: Store, record: Record) -> None:
        report = store.put_report(record(1), "a", None)
        finished(store, report, "ben", "x.jpg", f"{1:064x}")
        between = datetime.now(UTC)
        with store._write() as session:
            session.execute(text("UPDATE reports SET stored_at = '2020-01-01 00:00:00'"))
        assert store.prune(between - timedelta(hours=1)).reports == ()
        assert store.prune(LATER).reports == (report,)

    def test_a_report_that_a_waiting_job_may_need_stays(self, store: Store, record: Record) -> None:
        store.put_report(record(1), "a", None)
        id_ = store.add_job([JobFile("x", f"{1:064x}", f"{1:064x}")], {}, "ben")
        assert store.prune(LATER).reports == ()
        store.cancel(id_)
        assert len(store.prune(LATER).reports) == 1

    def test_a_job_says_that_its_report_was_deleted(self, store: Store, record: Record) -> None:
        report = store.put_report(record(1), "a", None)
        id_ = finished(store, report, "ben", "x.jpg", f"{1:064x}")
        store.prune(LATER)
        job = store.job(id_)
        assert job is not None
        (file,) = job.files
        assert (file.state, file.report_id) == ("done", None)
        assert file.failure is not None and file.failure["error"] == "Removed"

    def test_jobs_that_ended_go_and_those_under_way_stay(
        self, store: Store, record: Record
    ) -> None:
        report = store.put_report(record(1), "a", None)
        old = finished(store, report, "ben", "x.jpg", f"{1:064x}")
        waiting = store.add_job([JobFile("y", "y")], {}, "ben")
        assert store.prune_jobs(LATER) == 1
        assert store.job(old) is None and store.job(waiting) is not None

    def test_a_report_is_deleted_between_the_look_at_it_and_its_use(
        self, store: Store, record: Record
    ) -> None:
        report = store.put_report(record(1), "a", None)
        store.prune(LATER)
        store.add_job([JobFile("x", "x")], {}, "ben")
        file = store.claim("worker", 60.0)
        assert file is not None
        with pytest.raises(ReportGone):
            store.finish(file.id, report)
        assert store.finish(file.id, store.put_report(record(1), "a", None))
        assert store.check_audit() is None


class TestErase:
    def test_one_file(self, filled: Store) -> None:
        job = finished(filled, 3, "carl", "private name.jpg", f"{2:064x}")
        removed = filled.erase_file(f"{2:064x}", "asked by its subject", "officer")
        assert (removed.reports, removed.files) == ((3,), (f"{2:064x}",))
        assert filled.history(text="picture 2") == []
        found = filled.job(job)
        assert found is not None
        (file,) = found.files
        assert (file.name, file.path, file.sha256, file.report_id) == ("erased", "", None, None)
        assert filled.check_audit() is None
        with pytest.raises(InvalidInput, match="nothing is stored"):
            filled.erase_file(f"{2:064x}", "again")

    def test_not_while_it_is_examined(self, filled: Store) -> None:
        filled.add_job([JobFile("x", f"{2:064x}", f"{2:064x}")], {}, "carl")
        with pytest.raises(InvalidInput, match="try again later"):
            filled.erase_file(f"{2:064x}", "asked")

    def test_one_owner(self, filled: Store, record: Record) -> None:
        known = {"sha256": f"{4:064x}", "name": "anna's name.jpg", "path": None}
        assert filled.known(known, "a") == 5
        job = finished(filled, 5, "anna", "anna's name.jpg", f"{4:064x}")
        other = finished(filled, 1, "ben", "picture 1.jpg", f"{1:064x}")
        waiting = filled.add_job([JobFile("anna's second.jpg", "z")], {}, "anna")
        removed = filled.erase_owner("anna", "left")
        assert (len(removed.reports), removed.jobs, removed.running) == (3, 2, 0)
        assert filled.job(job) is None and filled.job(waiting) is None
        assert filled.job(other) is not None
        assert filled.history(text="anna") == []
        assert [row.actor for row in filled.history()] == ["ben", "ben"]
        assert filled.check_audit() is None
        again = filled.erase_owner("anna", "left")
        assert (again.reports, again.jobs) == ((), 0)

    def test_what_is_being_examined_is_said(self, store: Store) -> None:
        store.add_job([JobFile("x", "x"), JobFile("y", "y")], {}, "anna")
        assert store.claim("worker", 60.0) is not None
        removed = store.erase_owner("anna", "left")
        assert (removed.jobs, removed.running) == (0, 1)


class TestHold:
    def test_a_file_under_hold_is_passed_over(self, filled: Store) -> None:
        held = f"{1:064x}"
        assert filled.hold(held, "case 17", "counsel")
        assert not filled.hold(held, "again", "counsel")
        job = finished(filled, 1, "anna", "x.jpg", held)
        assert len(filled.prune(LATER).reports) == 3
        assert filled.prune_jobs(LATER) == 0
        with pytest.raises(InvalidInput, match="under hold"):
            filled.erase_file(held, "asked")
        assert filled.erase_owner("anna", "left").reports == ()
        assert filled.job(job) is not None
        files, reports = filled.kept()
        assert (files, reports) == ({held}, {1, 2})
        assert filled.check_audit() is None
        assert [(one.sha256, one.why, one.actor) for one in filled.holds()] == [
            (held, "case 17", "counsel")
        ]
        assert filled.release_hold(held, "case closed", "counsel")
        assert not filled.release_hold(held, "again", "counsel")
        assert len(filled.prune(LATER).reports) == 2
        assert filled.check_audit() is None

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM holds",
            "UPDATE holds SET why = 'forged'",
            "INSERT INTO holds SELECT 'other', why, actor, created_at FROM holds",
        ],
    )
    def test_who_changes_one_in_the_database_is_found(
        self, filled: Store, tamper: Tamper, statement: str
    ) -> None:
        filled.hold(f"{1:064x}", "case 17")
        tamper(statement)
        broken = filled.check_audit()
        assert broken is not None and broken.row.startswith("hold ")


class TestTheTrail:
    def test_a_deletion_without_an_entry_is_found(self, filled: Store, tamper: Tamper) -> None:
        filled.prune(LATER, most=2)
        tamper("DELETE FROM reports WHERE id = 4")
        assert filled.check_audit() == Broken("report 4", "It was removed.")

    def test_a_deleted_report_that_is_back_is_found(self, filled: Store, tamper: Tamper) -> None:
        filled.prune(LATER, most=1)
        tamper(
            "INSERT INTO reports (id, key, media_id, name, path, verdict, tool, actor, stored_at, "
            "record) SELECT 1, 'a', media_id, name, path, verdict, tool, actor, stored_at, record "
            "FROM reports WHERE id = 2"
        )
        assert filled.check_audit() == Broken("report 1", "The audit trail does not know it.")

    @pytest.mark.parametrize("ids", [[99], ["x"], None, [2**70]])
    def test_an_entry_that_removes_what_was_not_there(self, filled: Store, ids: Any) -> None:
        entry = filled.record("cli", "remove", "reports", {"ids": ids})
        broken = filled.check_audit()
        assert broken is not None and broken.row == f"audit {entry.number}"


def test_deleting_while_reports_are_written_and_checked(url: str, record: Record) -> None:
    store = Store(url)
    errors: list[BaseException] = []
    broken: list[Broken] = []
    stop = threading.Event()

    def forever(act: Callable[[Store, int], None]) -> threading.Thread:
        def work() -> None:
            own, turn = Store(url), 0
            try:
                while not stop.is_set():
                    act(own, turn)
                    turn += 1
            except BaseException as error:
                errors.append(error)
                stop.set()
            finally:
                own.close()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def put(first: int) -> Callable[[Store, int], None]:
        def act(own: Store, turn: int) -> None:
            number = first + turn % 40  # so that files come back after they were deleted
            report = own.put_report(record(number), f"{turn}", number, "desk")
            own.known({"sha256": f"{number:064x}", "name": f"n{turn}", "path": None}, f"{turn}")
            own.add_job([JobFile("x", "x", f"{number:064x}")], {}, "desk")
            file = own.claim(f"w{first}", 60.0)
            if file is not None:
                try:
                    own.finish(file.id, report)
                except ReportGone:
                    own.finish(file.id, None, {"error": "x", "why": "y"})

        return act

    def prune(own: Store, turn: int) -> None:
        own.prune(LATER, most=7)
        own.prune_jobs(LATER, most=3)

    def erase(own: Store, turn: int) -> None:
        try:
            own.erase_file(f"{turn % 80:064x}", "asked")
        except InvalidInput:
            pass  # not there now, or being examined

    def check(own: Store, turn: int) -> None:
        if found := own.check_audit():
            broken.append(found)

    threads = [forever(act) for act in (put(0), put(20), prune, erase, check)]
    while not stop.is_set():
        head = store.head()
        if head is not None and head.number > 250:
            stop.set()
        stop.wait(0.05)
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert not broken, broken
    assert store.check_audit() is None
    removals = [entry for entry in store.audit() if entry.action == "remove"]
    assert len(removals) > 5
    with store._read() as session:  # nothing points at what is gone
        left = select(func.count()).where(
            StoredFile.report_id.is_not(None),
            StoredFile.report_id.not_in(select(StoredReport.id)),
        )
        assert session.scalars(left).one() == 0
    store.close()


def test_the_room_comes_back(tmp_path: Path, record: Record) -> None:
    store = Store(str(tmp_path / "store.db"))
    for number in range(200):
        store.put_report(record(number, padding="x" * 20_000), "a", None)
    before = (tmp_path / "store.db").stat().st_size
    while store.prune(LATER).reports:
        pass
    assert store.reclaim() is None
    assert (tmp_path / "store.db").stat().st_size < before / 5
    assert store.check_audit() is None
    store.close()
