"""How fast the store answers when it is large: fill one with made rows, then measure.

    createdb speed
    python tools/store_speed.py postgresql://localhost/speed --fill 1000000
    python tools/store_speed.py postgresql://localhost/speed

Filling goes past the store's own functions, but hashes as they do, so that `store check` holds.
Measuring prints the median and the 99th percentile of each call in milliseconds, then the reports
per second that several processes put together. What it puts while measuring stays in the store.
With `--check` it checks the whole store, and prints how long that takes and the memory of this
process. With `--prune ROWS` it deletes the oldest so many while `--workers` processes put reports,
gives the room back, and checks.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import text

from bonafide.custody.canonical import digest
from bonafide.store import open_store
from bonafide.store.audit import GENESIS, seal
from bonafide.store.rows import Entry
from bonafide.store.store import Store

WORDS = ("photo", "image", "scan", "press", "umbrella", "harbour", "market", "parade", "flood")
VERDICTS = ("no_trace_found", "no_trace_found", "inconclusive", "manipulated", "ai_generated")
POPULAR = 0x5A5A_F0F0_3C3C_9999  # perceptual hash of every twentieth file
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {
    "media": "id sha256 bytes kind format width height details perceptual_hash band0 band1 band2 "
    "band3 first_seen",
    "names": "media_id digest name path",
    "reports": "id media_id key name path verdict tool actor stored_at record",
    "audit": "number at actor action subject detail previous hash",
}


def sha256_of(number: int) -> str:
    """The hash of a made file."""
    return hashlib.sha256(f"made file {number}".encode()).hexdigest()


def record(number: int, size: int = 14) -> dict[str, Any]:
    """A report as large as a real one."""
    name = f"{WORDS[number % len(WORDS)]}-{number}.jpg"
    finding = {
        "detector": "made", "version": "1", "question": "edited", "status": "ok", "why": "",
        "summary": "A sentence of the usual length that tells what was measured here.",
        "score": 0.125, "probability": 0.25,
        "parts": [{"where": {}, "score": 0.125, "facts": {"mean": 12.5, "share": 0.0625}}],
        "seconds": 0.1,
    }  # fmt: skip
    return {
        "schema": 2,
        "media": {
            "path": f"/archive/2026/{number % 97:02d}/{name}", "name": name,
            "sha256": sha256_of(number), "bytes": 1000 + number, "kind": "image",
            "width": 640, "height": 480, "format": "JPEG", "details": {"subsampling": "4:2:0"},
        },
        "status": "ok",
        "verdict": VERDICTS[number % len(VERDICTS)],
        "findings": [finding] * size,
        "versions": {"bonafide": "0.2.0"},
    }  # fmt: skip


def looks(number: int) -> int:
    """The perceptual hash of a made file, uint64."""
    if number % 20 == 0:
        return POPULAR
    return int(np.random.default_rng(number).integers(0, 2**64, dtype=np.uint64))


def entry(number: int, made: dict[str, Any], previous: str) -> Entry:
    """What the audit trail tells of the report of a made file."""
    detail = {"id": number, "key": "0" * 64, "record": digest(made)}
    at = (BEGAN + timedelta(seconds=number)).isoformat(timespec="microseconds")
    told = Entry(number, at, "desk", "report", made["media"]["sha256"], detail, previous, "")
    return replace(told, hash=seal(told))


def rows_of(number: int, made: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Table and values of everything that one made file leaves, but the entry."""
    seen = looks(number)
    media, at = made["media"], BEGAN + timedelta(seconds=number)
    bands = [seen >> 16 * band & 0xFFFF for band in range(4)]
    signed = seen - 2**64 if seen >= 2**63 else seen
    both = hashlib.sha256(f"{media['name']}\n{media['path']}".encode()).hexdigest()
    yield "media", (
        number, media["sha256"], media["bytes"], "image", "JPEG", 640, 480,
        json.dumps(media["details"]), signed, *bands, at,
    )  # fmt: skip
    yield "names", (number, both, media["name"], media["path"])
    yield "reports", (
        number, number, "0" * 64, media["name"], media["path"], made["verdict"], "0.2.0", "desk",
        at, json.dumps(made),
    )  # fmt: skip


def fill(store: Store, count: int) -> None:
    """Put made rows into an empty store on PostgreSQL."""
    connection = store._engine.raw_connection()
    cursor = connection.cursor()
    previous = GENESIS
    for start in range(1, count + 1, 20_000):
        held: dict[str, io.StringIO] = {table: io.StringIO() for table in COLUMNS}
        for number in range(start, min(start + 20_000, count + 1)):
            made = record(number)
            told = entry(number, made, previous)
            previous = told.hash
            sealed = {**vars(told), "detail": json.dumps(told.detail)}
            for table, values in (*rows_of(number, made), ("audit", tuple(sealed.values()))):
                cells = (str(value).replace("\\", "\\\\") for value in values)
                held[table].write("\t".join(cells) + "\n")
        for table, lines in held.items():
            columns = ", ".join(COLUMNS[table].split())
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:  # type: ignore[attr-defined]
                copy.write(lines.getvalue())
        connection.commit()
        print(f"{min(start + 19_999, count):,} of {count:,}", flush=True)
    for table in ("media", "reports"):
        cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {count})")
    connection.commit()
    connection.close()
    with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.execute(text("VACUUM ANALYZE"))


def measure(store: Store, count: int, times: int, only: str) -> None:
    """Print how long calls take whose name has `only` in it."""
    draw = random.Random(7)
    fresh = iter(range(10**9 + time.time_ns() % 10**9, 10**10))

    def any_file() -> int:
        return draw.randint(1, count)

    def hit() -> None:
        number = any_file()
        made = record(number)["media"]
        assert store.known(made, "0" * 64) is not None

    calls: dict[str, Callable[[], Any]] = {
        "history, newest 50": lambda: store.history(),
        "history, deep page": lambda: store.history(before=any_file()),
        "history by verdict": lambda: store.history(verdict="manipulated"),
        "search, frequent word": lambda: store.history(text="umbrella"),
        "search, one file's name": lambda: store.history(text=f"-{any_file()}.jpg"),
        "search, nothing found": lambda: store.history(text=f"absent {draw.random()}"),
        "search, first digits of a hash": lambda: store.history(text=sha256_of(any_file())[:9]),
        "hash by first digits": lambda: store.hashes(sha256_of(any_file())[:9]),
        "report by number": lambda: store.report(any_file()),
        "near-duplicates, rare": lambda: store.near_duplicates(looks(20 * (any_file() // 20) + 1)),
        "near-duplicates, popular": lambda: store.near_duplicates(POPULAR),
        "cache hit": hit,
        "put a report": lambda: store.put_report(record(next(fresh)), "k" * 64, None, "desk"),
        "submit a file": lambda: store.add_job(_file(any_file()), {}, "desk"),
    }
    for name, call in calls.items():
        if only not in name:
            continue
        call()
        taken = []
        until = time.perf_counter() + 40.0  # for calls that take seconds
        while len(taken) < times and (len(taken) < 3 or time.perf_counter() < until):
            began = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - began))
        middle, last = np.percentile(taken, (50, 99))
        print(
            f"{name:34} {len(taken):5} calls  p50 {middle:9.2f} ms  p99 {last:9.2f} ms", flush=True
        )


def check(store: Store) -> None:
    """Print how long it takes to check all, and in how much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, worked = time.perf_counter(), time.process_time()
    broken = store.check_audit()
    head = store.head()
    assert broken is None and head is not None, broken
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"check of {head.number:,} entries: {time.perf_counter() - began:.0f} s, of which "
        f"{time.process_time() - worked:.0f} s of processor time of this process; "
        f"{most // 1024} MiB, {before // 1024} before"
    )


def _file(number: int) -> list[Any]:
    from bonafide.store.rows import JobFile

    digest = sha256_of(number)
    return [JobFile(f"{number}.jpg", digest, digest)]


def _put(url: str, first: int, seconds: float, done: Any) -> None:
    store, until, count = open_store(url), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        store.put_report(record(first + count), "k" * 64, None, "desk")
        count += 1
    done.put(count)


def rate(url: str, workers: int, seconds: float) -> None:
    """Print how many reports per second several processes put together."""
    context = multiprocessing.get_context("spawn")
    done, base = context.Queue(), 10**11 + time.time_ns() % 10**10 * 1000
    processes = [
        context.Process(target=_put, args=(url, base + 10**8 * n, seconds, done))
        for n in range(workers)
    ]
    for process in processes:
        process.start()
    total = sum(done.get() for _ in processes)
    for process in processes:
        process.join()
    print(f"{workers} processes: {total / seconds:.0f} reports/s")


def _put_until(url: str, first: int, stop: Any, done: Any) -> None:
    store, taken = open_store(url), []
    while not stop.is_set():
        began = time.perf_counter()
        store.put_report(record(first + len(taken)), "k" * 64, None, "desk")
        taken.append(time.perf_counter() - began)
    done.put(taken)


def prune(store: Store, url: str, rows: int, workers: int) -> None:
    """Delete the oldest reports while others write, give room back, and check."""
    context = multiprocessing.get_context("spawn")
    done, stop, base = context.Queue(), context.Event(), 10**11 + time.time_ns() % 10**10 * 1000
    writers = [
        context.Process(target=_put_until, args=(url, base + 10**8 * n, stop, done))
        for n in range(workers)
    ]
    for writer in writers:
        writer.start()
    print(f"before: {_room(store)}")
    began, count = time.perf_counter(), 0
    before = BEGAN + timedelta(seconds=rows)
    while removed := store.prune(before, "speed").reports:
        count += len(removed)
    seconds = time.perf_counter() - began
    stop.set()
    taken = [one for _ in writers for one in done.get()]
    for writer in writers:
        writer.join()
    print(
        f"deleted {count:,} reports in {seconds:.0f} s while {len(taken):,} were put, which took "
        f"{1000 * np.median(taken):.0f} ms, and {1000 * np.percentile(taken, 99):.0f} at 99 %"
    )
    began = time.perf_counter()
    why = store.reclaim()
    print(f"after: {_room(store)}; reclaimed in {time.perf_counter() - began:.0f} s {why or ''}")
    check(store)


def _room(store: Store) -> str:
    """The room that the database takes, and that is free inside of its largest table."""
    with store._engine.connect() as connection:
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return f"{size / 1024**2:,.0f} MiB"


def main() -> None:
    """Fill or measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url", help="a store on PostgreSQL")
    parser.add_argument("--fill", type=int, default=0, metavar="ROWS", help="fill it, and end")
    parser.add_argument("--times", type=int, default=200, help="calls of each kind, at most")
    parser.add_argument("--only", default="", metavar="TEXT", help="calls whose name has this")
    parser.add_argument("--workers", type=int, default=4, help="processes that put reports")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which they do so")
    parser.add_argument("--prune", type=int, default=0, metavar="ROWS", help="delete the oldest")
    parser.add_argument("--check", action="store_true", help="check the whole store, and end")
    given = parser.parse_args()
    store = open_store(given.url)
    if given.fill:
        fill(store, given.fill)
        return
    if given.prune:
        prune(store, given.url, given.prune, given.workers)
        return
    if given.check:
        check(store)
        return
    with store._engine.connect() as connection:
        found = text("SELECT count(*) FROM media WHERE id <= 100000000")
        count = int(connection.execute(found).scalar_one())
    measure(store, min(count, 10**6), given.times, given.only)
    if given.workers:
        rate(given.url, given.workers, given.seconds)


if __name__ == "__main__":
    main()
