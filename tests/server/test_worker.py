"""The worker against a real store: crashes, hangs, lost uploads, and what is kept how long."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bonafide.batch import workers
from bonafide.server import worker
from bonafide.server.config import FORGET_SECONDS
from bonafide.server.service import Service
from bonafide.server.tables import job_table
from bonafide.server.worker import Worker, examine_upload, outcome_of
from bonafide.store.models import StoredJob, StoredReport
from bonafide.store.rows import JobFile

Make = Callable[..., bytes]
WISH = {"profile": "triage", "stability": False, "owner": "desk"}


def crash_or_hang(task: Any) -> Any:
    """What a decoder may do; the name of the file says which."""
    if task.file.name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if task.file.name == "hang":
        time.sleep(60)
    if task.file.name == "bug":
        task = replace(task, settings=None)
    return examine_upload(task)


@pytest.fixture
def service(config_in: Any) -> Iterator[Service]:
    service = Service(config_in())
    yield service
    service.store.close()


def test_a_crash_a_hang_and_a_bug_cost_one_file_each(service: Service, make_picture: Make) -> None:
    names = ["good", "crash", "hang", "bug", "gone", "good again"]
    kept = [service.spool.keep(io.BytesIO(make_picture(seed))) for seed in (0, 1, 2, 3, 4, 0)]
    files = [JobFile(name, one.sha256, one.sha256) for name, one in zip(names, kept, strict=True)]
    service.spool.upload(kept[4].sha256).unlink()
    id_ = service.store.add_job(files, WISH, "desk")
    examining = Worker(service.store, service.spool, service.config)

    def ended() -> bool:
        job = service.store.job(id_)
        return job is not None and job.finished_at is not None

    work = workers.InJson(crash_or_hang, outcome_of)
    for task, outcome in workers.stream(work, examining.claim, ended, 2, 8.0):
        examining.settle(task, outcome)
    job = service.store.job(id_)
    assert job is not None
    outcomes = {file.name: (file.state, (file.failure or {}).get("error")) for file in job.files}
    assert outcomes == {
        "good": ("done", None),
        "crash": ("failed", "DecodeError"),
        "hang": ("failed", "LimitExceeded"),
        "bug": ("failed", "InternalError"),
        "gone": ("failed", "SourceError"),
        "good again": ("done", None),
    }
    assert len({file.report_id for file in job.files if file.report_id}) == 1
    shown = service.shown(job)
    statuses = [file.failure.status for file in shown.files if file.failure]
    assert statuses == [422, 422, 500, 422]
    assert "good again" in job_table(shown)


def hang(task: Any) -> Any:
    time.sleep(600)


def test_a_worker_told_to_stop_gives_up_what_hangs(
    service: Service, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = service.spool.keep(io.BytesIO(make_picture(9)))
    id_ = service.store.add_job([JobFile("a", kept.sha256, kept.sha256)], WISH, "desk")

    def file() -> JobFile:
        job = service.store.job(id_)
        assert job is not None
        return job.files[0]

    def tell() -> None:
        while file().state != "running":
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(worker, "PATIENCE", 0.2)
    monkeypatch.setattr(worker, "EXAMINE", hang)
    monkeypatch.setattr(worker.logs, "configure", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    others = multiprocessing.active_children()  # of tests that ran in this process before
    telling = threading.Thread(target=tell)
    telling.start()
    try:
        worker.main(service.config)
    finally:
        telling.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (file().state, file().attempts) == ("queued", 0)  # as if nobody had taken it
    assert set(multiprocessing.active_children()) <= set(others)


def test_a_worker_ends_when_it_cannot_keep_results(service: Service, make_picture: Make) -> None:
    """It must not wait for its processes; the file is nobody's fault and goes back."""
    kept = service.spool.keep(io.BytesIO(make_picture(9)))
    id_ = service.store.add_job([JobFile("a", kept.sha256, kept.sha256)], WISH, "desk")
    service.spool.page(1).mkdir(parents=True)  # where the first page is to be written
    config = replace(service.config, workers=2)
    process = multiprocessing.get_context("spawn").Process(target=worker.main, args=(config,))
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 1
    job = service.store.job(id_)
    assert job is not None and (job.files[0].state, job.files[0].attempts) == ("queued", 0)


def test_what_is_old_is_swept(service: Service, make_picture: Make) -> None:
    old, fresh = (service.spool.keep(io.BytesIO(make_picture(seed))) for seed in (1, 2))
    long_ago = time.time() - 3600 * service.config.retention_hours - 60
    os.utime(service.spool.upload(old.sha256), (long_ago, long_ago))
    service.spool.write_page(7, "<section></section>")
    assert service.sweep() == (1, 0)
    assert not service.spool.upload(old.sha256).exists()
    assert service.spool.upload(fresh.sha256).exists()
    service.spool.keep(io.BytesIO(make_picture(2)))
    stale = time.time() - 86400 * service.config.page_days - 60
    os.utime(service.spool.page(7), (stale, stale))
    assert service.sweep() == (0, 1)


def test_an_upload_that_comes_again_while_old_ones_are_swept_stays(
    service: Service, make_picture: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is old when the sweeper looks, and new when the sweeper deletes."""
    content = make_picture(11)
    kept = service.spool.keep(io.BytesIO(content))
    path = service.spool.upload(kept.sha256)
    os.utime(path, (0, 0))
    unlink, again = Path.unlink, []

    def slow(self: Path, missing_ok: bool = False) -> None:
        if self == path and not again:
            arriving = threading.Thread(target=service.spool.keep, args=(io.BytesIO(content),))
            again.append(arriving)
            arriving.start()
            arriving.join(0.5)  # it arrives now, or has to wait until this is done
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", slow)
    service.sweep()
    again[0].join()
    assert path.read_bytes() == content


def test_one_process_sweeps_for_all(service: Service, make_picture: Make) -> None:
    kept = service.spool.keep(io.BytesIO(make_picture(12)))
    assert service.sweep_if_due() == (0, 0, 0)
    os.utime(service.spool.upload(kept.sha256), (0, 0))
    other = Service(service.config)
    assert other.sweep_if_due() is None  # somebody did so just now
    assert other.sweep() == (1, 0)
    other.store.close()


def examined(service: Service, names: list[str], make: Make) -> Any:
    """A job whose files a worker in this process examined."""
    kept = [service.spool.keep(io.BytesIO(make(seed))) for seed in range(len(names))]
    files = [JobFile(name, one.sha256, one.sha256) for name, one in zip(names, kept, strict=True)]
    id_ = service.store.add_job(files, WISH, "desk")
    examining = Worker(service.store, service.spool, service.config)
    while task := examining.claim():
        examining.settle(task, outcome_of(task, examine_upload(task)))
    job = service.store.job(id_)
    assert job is not None and job.finished_at is not None
    return job


def ago(service: Service, seconds: float) -> None:
    """Let time go by: all that is stored, and all files, are so much older."""
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    with service.store._write() as session:
        session.execute(update(StoredReport).values(stored_at=then))
        session.execute(update(StoredJob).values(finished_at=then))
    for path in service.spool.folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then.timestamp(), then.timestamp()))


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [({"retain": False}, FORGET_SECONDS), ({"report_days": 30.0}, 30 * 86400)],
    ids=["nothing is retained", "for thirty days"],
)
def test_reports_are_forgotten_by_policy_but_those_held(
    config_in: Any, make_picture: Make, policy: dict[str, Any], seconds: float
) -> None:
    service = Service(config_in(**policy))
    job = examined(service, ["a", "b"], make_picture)
    held, other = job.files
    service.store.hold(held.sha256, "case 17")
    ago(service, seconds - 60)
    assert service.forget() == 0
    ago(service, seconds + 60)
    assert service.sweep_if_due() == (1, 0, 1)  # the page went with its report
    assert service.spool.upload(held.sha256).exists()
    assert service.spool.page(held.report_id).exists()
    assert not service.spool.upload(other.sha256).exists()
    assert not service.spool.page(other.report_id).exists()
    assert service.store.report(other.report_id) is None
    assert service.store.report(held.report_id) is not None
    service.store.close()


def test_an_upload_that_waits_is_not_swept(service: Service, make_picture: Make) -> None:
    kept = service.spool.keep(io.BytesIO(make_picture(8)))
    service.store.add_job([JobFile("a", kept.sha256, kept.sha256)], WISH, "desk")
    os.utime(service.spool.upload(kept.sha256), (0, 0))
    assert service.sweep() == (0, 0)


def test_a_job_whose_report_was_deleted_is_shown(service: Service, make_picture: Make) -> None:
    job = examined(service, ["a"], make_picture)
    ago(service, 100.0)
    assert service.store.prune(datetime.now(UTC) - timedelta(seconds=50)).reports
    found = service.store.job(job.id)
    assert found is not None
    (file,) = service.shown(found).files
    assert file.report is None and file.failure is not None
    assert (file.failure.error, file.failure.status) == ("Removed", 410)


def test_no_hash_no_path(service: Service) -> None:
    for name in ("../x", "", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        with pytest.raises(ValueError):
            service.spool.upload(name)


def test_a_report_whose_page_is_gone_is_still_shown(service: Service, make_picture: Make) -> None:
    from bonafide.server import render

    kept = service.spool.keep(io.BytesIO(make_picture(3)))
    id_ = service.store.add_job([JobFile("<b>a", kept.sha256, kept.sha256)], WISH, "desk")
    examining = Worker(service.store, service.spool, service.config)
    task = examining.claim()
    assert task is not None
    examining.settle(task, outcome_of(task, examine_upload(task)))
    job = service.store.job(id_)
    assert job is not None and job.files[0].report_id is not None
    report = job.files[0].report_id
    small = render.thumbnail(service.spool, report)
    assert small and small.mime in ("image/jpeg", "image/png", "image/webp")
    service.spool.thumbnail(report).unlink()  # as in a spool of an earlier version
    assert render.thumbnail(service.spool, report) == small
    service.spool.page(report).unlink()
    page = render.standalone(service.spool, report, service.record(report))
    assert "Inconclusive" in page and "&lt;b&gt;a" in page and "<b>a" not in page
    assert render.thumbnail(service.spool, report) is None


@pytest.mark.parametrize(
    ("section", "data"),
    [
        ('<section data-name="a > b &quot;" data-thumbnail="data:image/png;base64,aGk=">', b"hi"),
        ("<section data-thumbnail='data:image/png;base64,aGk='>", b"hi"),
        ('<section data-name="data-thumbnail=&quot;data:image/png;base64,aGk=&quot;">', b""),
        ('<section><p data-thumbnail="data:image/png;base64,aGk=">', b""),
        ('<section data-thumbnail="data:text/html;base64,aGk=">', b""),
        ('<section data-thumbnail="data:image/png;base64,a<k=">', b""),
        ("", b""),
    ],
)
def test_the_small_picture_is_read_as_html(section: str, data: bytes) -> None:
    from bonafide.server.render import thumbnail_of

    assert thumbnail_of(section) == data


def test_a_worker_leaves_signs_of_life(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(service.config, store=str(service.config.store))
    assert not worker.lives(config)
    asked = Worker(service.store, service.spool, config)._beating(lambda: False)
    assert asked() is False and worker.lives(config)
    monkeypatch.setattr(worker, "SILENCE", -1.0)
    assert not worker.lives(config)
