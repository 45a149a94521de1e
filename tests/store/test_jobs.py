"""No file is worked on twice, none is lost, and a dead worker holds nothing up for long."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from bonafide.errors import InvalidInput
from bonafide.store.jobs import MOST_ATTEMPTS
from bonafide.store.rows import JobFile
from bonafide.store.store import Store

LONG = 60.0  # seconds
EXPIRED = -1.0  # of a worker that died: the lease has run out before it began


def files(count: int) -> list[JobFile]:
    return [JobFile(f"file {n}", f"/spool/{n}", sha256=f"{n:064x}") for n in range(count)]


def test_a_job_from_queue_to_end(store: Store, record: Callable[..., dict[str, Any]]) -> None:
    id_ = store.add_job(files(2), {"profile": "triage"}, "anna")
    assert store.waiting() == 2
    job = store.job(id_)
    assert job is not None
    assert (job.state, job.counts, job.owner) == ("queued", {"queued": 2}, "anna")
    first = store.claim("worker", LONG)
    assert first is not None
    assert (first.name, first.path, first.sha256) == ("file 0", "/spool/0", f"{0:064x}")
    assert (first.job, first.settings, first.attempts) == (id_, {"profile": "triage"}, 1)
    assert store.waiting() == 1
    report = store.put_report(record(), "key", None)
    assert store.finish(first.id, report)
    job = store.job(id_)
    assert job is not None
    assert (job.state, job.counts, job.finished_at) == ("running", {"done": 1, "queued": 1}, None)
    second = store.claim("worker", LONG)
    assert second is not None
    assert store.finish(second.id, None, {"error": "DecodeError", "why": "it is damaged"})
    job = store.job(id_)
    assert job is not None
    assert (job.state, job.counts) == ("done", {"done": 1, "failed": 1})
    assert job.finished_at is not None
    assert job.finished_at >= job.created_at
    assert [file.report_id for file in job.files] == [report, None]
    assert job.files[1].failure == {"error": "DecodeError", "why": "it is damaged"}
    assert store.claim("worker", LONG) is None


def test_a_job_needs_files(store: Store) -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        store.add_job([], {}, "anna")


def test_what_does_not_exist(store: Store) -> None:
    assert store.job("nothing") is None
    assert store.cancel("nothing") is False
    assert store.finish(17, None) is False
    assert store.claim("worker", LONG) is None


def test_a_single_file_does_not_wait_for_a_folder(store: Store) -> None:
    store.add_job(files(100), {}, "platform")
    single = store.add_job(files(1), {}, "checker")
    claimed = [store.claim("worker", LONG) for _ in range(2)]
    assert single in [file.job for file in claimed if file]


def test_jobs_are_listed_by_owner_newest_first(store: Store) -> None:
    ids = [store.add_job(files(1), {}, owner) for owner in ("anna", "ben", "anna")]
    assert [job.id for job in store.jobs("anna")] == [ids[2], ids[0]]
    assert [job.id for job in store.jobs()] == ids[::-1]
    assert [job.id for job in store.jobs(limit=1)] == [ids[2]]
    assert store.jobs("nobody") == []


@pytest.mark.parametrize("claimers", [6])
def test_many_claimers_take_each_file_once(url: str, claimers: int) -> None:
    store = Store(url)
    expected = {
        (id_, position)
        for id_, count in ((store.add_job(files(n), {}, "a"), n) for n in (20, 15, 1))
        for position in range(count)
    }
    taken: list[tuple[str, int]] = []
    errors: list[BaseException] = []
    ended: list[str] = []

    def work(name: str) -> None:
        own = Store(url)
        try:
            while file := own.claim(name, LONG):
                taken.append((file.job, file.position))
                assert own.finish(file.id, None, {"why": name})
                while job := own.claim_webhook(LONG):
                    ended.append(job.id)
        except BaseException as error:
            errors.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(f"worker {n}",)) for n in range(claimers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert Counter(taken) == Counter(expected)
    assert {job.state for job in store.jobs()} == {"done"}
    store.close()


def test_each_end_is_seen_exactly_once(url: str) -> None:
    """Files of one job that end at the same moment leave one webhook to be told."""
    store = Store(url)
    id_ = store.add_job(files(12), {}, "a", webhook="https://example.org/told")
    claimed = [file for _ in range(12) if (file := store.claim("w", LONG))]
    assert store.claim_webhook(LONG) is None
    start = threading.Barrier(12)

    def end(file: JobFile) -> None:
        own = Store(url)
        start.wait()
        assert own.finish(file.id, None, {})
        own.close()

    threads = [threading.Thread(target=end, args=(file,)) for file in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [store.claim_webhook(LONG) for _ in range(3)]
    assert [job.id if job else None for job in told] == [id_, None, None]
    store.close()


class TestLeases:
    def test_a_file_of_a_dead_worker_is_taken_again(self, store: Store) -> None:
        store.add_job(files(1), {}, "a")
        first = store.claim("dies", EXPIRED)
        assert first is not None
        again = store.claim("lives", LONG)
        assert again is not None
        assert (again.id, again.attempts, again.worker) == (first.id, 2, "lives")
        assert store.claim("third", LONG) is None

    def test_what_a_stopped_worker_held_is_put_back(self, store: Store) -> None:
        store.add_job(files(3), {}, "a")
        for worker in ("told to stop", "died", "lives"):
            assert store.claim(worker, LONG) is not None
        assert store.claim("next", LONG) is None
        store.release("told to stop", tried=False)
        store.release("died", tried=True)
        taken = [store.claim("next", LONG) for _ in range(3)]
        assert [file and (file.position, file.attempts) for file in taken] == [(0, 1), (1, 2), None]

    def test_a_late_answer_counts_if_it_is_the_first(self, store: Store) -> None:
        id_ = store.add_job(files(1), {}, "a")
        slow = store.claim("slow", EXPIRED)
        quick = store.claim("quick", LONG)
        assert slow is not None
        assert quick is not None
        assert store.finish(slow.id, None, {"why": "from slow"})
        assert not store.finish(quick.id, None, {"why": "from quick"})
        job = store.job(id_)
        assert job is not None
        assert job.files[0].failure == {"why": "from slow"}

    def test_a_file_that_kills_its_workers_is_given_up(self, store: Store) -> None:
        id_ = store.add_job(files(1), {}, "a", webhook="https://example.org")
        for _ in range(MOST_ATTEMPTS):
            assert store.claim("dies", EXPIRED) is not None
        assert store.claim("lives", LONG) is None
        job = store.job(id_)
        assert job is not None
        assert (job.state, job.counts) == ("done", {"failed": 1})
        failure = job.files[0].failure
        assert failure is not None
        assert failure["error"] == "WorkerLost"
        assert store.claim_webhook(LONG) is not None

    def test_late_answers_and_takers_do_not_lock_each_other_out(self, url: str) -> None:
        """Leases run out while their holders answer, and others take what ran out."""
        store = Store(url)
        ids = [store.add_job(files(8), {}, "a") for _ in range(2)]
        errors: list[BaseException] = []

        def work(name: str) -> None:
            own = Store(url)
            try:
                while file := own.claim(name, 0.001):
                    own.finish(file.id, None, {"why": name})
            except BaseException as error:
                errors.append(error)
            finally:
                own.close()

        threads = [threading.Thread(target=work, args=(f"worker {n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        time.sleep(0.01)
        while file := store.claim("last", LONG):
            store.finish(file.id, None, {})
        assert [job.state for job in map(store.job, ids) if job] == ["done", "done"]
        store.close()


class TestCancelling:
    def test_waiting_files_are_taken_out(self, store: Store) -> None:
        id_ = store.add_job(files(3), {}, "a")
        assert store.cancel(id_)
        assert store.claim("worker", LONG) is None
        job = store.job(id_)
        assert job is not None
        assert (job.state, job.counts) == ("cancelled", {"cancelled": 3})
        assert job.finished_at is not None
        assert not store.cancel(id_)

    def test_a_file_under_way_is_finished(self, store: Store) -> None:
        id_ = store.add_job(files(2), {}, "a")
        file = store.claim("worker", LONG)
        assert file is not None
        assert store.cancel(id_)
        job = store.job(id_)
        assert job is not None
        assert job.finished_at is None
        assert store.finish(file.id, None, {"why": "damaged"})
        job = store.job(id_)
        assert job is not None
        assert (job.state, job.counts) == ("cancelled", {"cancelled": 1, "failed": 1})
        assert job.finished_at is not None

    def test_a_dead_workers_file_is_not_taken_again(self, store: Store) -> None:
        id_ = store.add_job(files(1), {}, "a")
        assert store.claim("dies", EXPIRED) is not None
        assert store.cancel(id_)
        assert store.claim("lives", LONG) is None
        job = store.job(id_)
        assert job is not None
        assert job.counts == {"cancelled": 1}
        assert job.finished_at is not None

    def test_a_job_that_has_ended_cannot_be_cancelled(self, store: Store) -> None:
        id_ = store.add_job(files(1), {}, "a")
        file = store.claim("worker", LONG)
        assert file is not None
        store.finish(file.id, None, {})
        assert not store.cancel(id_)


class TestWebhooks:
    def test_it_is_tried_again_and_then_settled(self, store: Store) -> None:
        id_ = store.add_job(files(1), {}, "a", webhook="https://example.org")
        file = store.claim("worker", LONG)
        assert file is not None
        store.finish(file.id, None, {})
        first = store.claim_webhook(EXPIRED)
        assert first is not None
        assert (first.id, first.webhook, first.webhook_attempts) == (id_, "https://example.org", 1)
        second = store.claim_webhook(LONG)
        assert second is not None
        assert second.webhook_attempts == 2
        assert store.claim_webhook(LONG) is None
        store.settle_webhook(id_, again_in=0.0)
        assert store.claim_webhook(LONG) is not None
        store.settle_webhook(id_, again_in=None)
        assert store.claim_webhook(LONG) is None

    def test_jobs_without_one_have_nothing_to_tell(self, store: Store) -> None:
        store.cancel(store.add_job(files(1), {}, "a"))
        assert store.claim_webhook(LONG) is None


class TestTurns:
    """Who is served in which order, with one worker."""

    def served(self, store: Store, count: int) -> list[str]:
        found = []
        for _ in range(count):
            file = store.claim("worker", LONG)
            assert file is not None
            job = store.job(file.job)
            assert job is not None
            found.append(f"{job.owner} {file.name}")
            assert store.finish(file.id, None, {"why": "served"})
        return found

    def test_owners_take_turns_however_many_files_and_jobs_each_has(self, store: Store) -> None:
        for _ in range(10):
            store.add_job(files(3), {}, "many jobs")
        store.add_job(files(30), {}, "folder")
        store.add_job(files(3), {}, "few")
        owners = [one.rpartition(" file")[0] for one in self.served(store, 9)]
        assert Counter(owners) == {"many jobs": 3, "folder": 3, "few": 3}
        assert owners == owners[:3] * 3

    def test_steady_single_files_do_not_starve_a_folder(self, store: Store) -> None:
        store.add_job(files(20), {}, "folder")
        owners = []
        for _ in range(40):  # the checker hands in the next one as soon as the last was taken
            if not any(job.state == "queued" for job in store.jobs("checker", 1)):
                store.add_job(files(1), {}, "checker")
            (one,) = self.served(store, 1)
            owners.append(one.split()[0])
        assert Counter(owners) == {"folder": 20, "checker": 20}

    def test_nor_those_of_the_same_owner(self, store: Store) -> None:
        """Even where more come than can be served."""
        folder = store.add_job(files(10), {}, "desk")
        jobs = []
        for _ in range(20):
            store.add_job(files(1), {}, "desk")
            file = store.claim("worker", LONG)
            assert file is not None
            jobs.append(file.job)
            store.finish(file.id, None, {})
        assert jobs[:10].count(folder) >= 3
        assert jobs[10:].count(folder) >= 1

    def test_a_picture_does_not_wait_for_the_folder_of_its_owner(self, store: Store) -> None:
        store.add_job(files(50), {}, "desk")
        self.served(store, 5)
        single = store.add_job(files(1), {}, "desk")
        taken = [file.job for _ in range(2) if (file := store.claim("worker", LONG))]
        assert single in taken

    def test_what_an_owner_had_before_is_not_held_against_them(self, store: Store) -> None:
        store.add_job(files(50), {}, "busy before")
        self.served(store, 50)
        store.add_job(files(10), {}, "new")
        store.add_job(files(1), {}, "busy before")
        assert "busy before file 0" in self.served(store, 2)

    def test_a_file_keeps_its_turn_when_its_worker_dies(self, store: Store) -> None:
        store.add_job(files(2), {}, "a")
        first = store.claim("dies", LONG)
        assert first is not None
        store.add_job(files(5), {}, "b")
        store.release("dies", tried=True)
        again = store.claim("lives", LONG)
        assert again is not None and again.id == first.id

    def test_three_owners_of_whom_one_hands_in_a_thousand(self, store: Store) -> None:
        """The others are served at every third turn at the latest, from the first to the last."""
        for start in range(0, 1000, 100):
            store.add_job(files(1000)[start : start + 100], {}, "platform")
        waited: dict[str, list[int]] = {"anna": [], "ben": []}
        since: dict[str, int] = {}
        for turn in range(120):
            for owner in waited:
                if owner not in since:
                    store.add_job(files(1), {}, owner)
                    since[owner] = turn
            (one,) = self.served(store, 1)
            owner = one.split()[0]
            if owner in since:
                waited[owner].append(turn - since.pop(owner))
        assert all(len(one) >= 38 and max(one) <= 3 for one in waited.values())
        assert sum(map(len, waited.values())) <= 82  # and a third is left for the thousand
