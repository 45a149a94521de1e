"""Reports go in once and come out as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from bonafide.errors import InvalidInput
from bonafide.store.store import Store

KEY = "k" * 64
Record = Callable[..., dict[str, Any]]


def test_a_report_comes_out_as_it_went_in(store: Store, record: Record) -> None:
    given = record(7, odd={"nul": "\0", "half": "\udc80", "large": 2**70, "text": "Å 漢 🙂"})
    number = store.put_report(given, KEY, None)
    assert store.report(number) == given
    assert store.known(given["media"], KEY) == number
    assert store.report(number + 1) is None
    assert store.known(given["media"], "other") is None


def test_the_same_examination_is_stored_once(store: Store, record: Record) -> None:
    first = store.put_report(record(1), KEY, 5)
    assert store.put_report(record(1, verdict="ai_generated"), KEY, 5) == first
    assert store.put_report(record(1), "other", 5) != first
    assert [row.key for row in store.history()] == ["other", KEY]


def test_failures_are_refused(store: Store, record: Record) -> None:
    with pytest.raises(InvalidInput, match="failure"):
        store.put_report(record(1, status="failed"), KEY, None)


def test_history_is_newest_first_and_in_pages(store: Store, record: Record) -> None:
    for number in range(1, 8):
        store.put_report(record(number), KEY, None, actor="somebody")
    first = store.history(limit=3)
    assert [row.name for row in first] == [f"picture {n}.jpg" for n in (7, 6, 5)]
    second = store.history(limit=3, before=first[-1].id)
    assert [row.name for row in second] == [f"picture {n}.jpg" for n in (4, 3, 2)]
    row = second[0]
    assert (row.format, row.width, row.height, row.bytes) == ("JPEG", 640, 480, 1004)
    assert (row.actor, row.tool, row.verdict) == ("somebody", "0.1.0", "inconclusive")
    assert abs(row.stored_at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("UMBRELLA", ["100 % umbrella_a.png"]),
        ("% UMB", ["100 % umbrella_a.png"]),
        ("a_a", ["100 % umbrella_a.png"]),
        ("_b", []),
        ("/FOLDER/cat", ["cat.jpg"]),
        (f"{2:064x}"[:64], ["cat.jpg"]),
        ("00000", ["cat.jpg", "100 % umbrella_a.png"]),
        ("second name", ["cat.jpg"]),
        ("a\0", []),
    ],
)
def test_history_finds_words_and_hashes(
    store: Store, record: Record, text: str, found: list[str]
) -> None:
    store.put_report(record(1, name="100 % umbrella_a.png"), KEY, None)
    store.put_report(record(2, name="cat.jpg"), KEY, None)
    store.put_report(record(2, name="second name.jpg"), KEY, None)  # remembered, not stored again
    assert [row.name for row in store.history(text=text)] == found


def test_history_by_verdict_and_time(store: Store, record: Record) -> None:
    store.put_report(record(1), KEY, None)
    store.put_report(record(2, verdict="ai_generated"), KEY, None)
    middle = store.history()[0].stored_at
    store.put_report(record(3, verdict="ai_generated"), KEY, None)
    assert [row.sha256[-1] for row in store.history(verdict="ai_generated")] == ["3", "2"]
    assert [row.sha256[-1] for row in store.history(since=middle)] == ["3", "2"]
    assert [row.sha256[-1] for row in store.history(until=middle)] == ["1"]
    elsewhere = middle.astimezone(datetime.now().astimezone().tzinfo)
    assert [row.sha256[-1] for row in store.history(until=elsewhere)] == ["1"]


def test_hostile_names_are_stored(store: Store, record: Record) -> None:
    names = ["\0", "\udcff", "x" * 100_000, "'; DROP TABLE reports; --", "<script>", "\x1b[2J", ""]
    for number, name in enumerate(names):
        store.put_report(record(number, name=name), KEY, None)
    assert len(store.history()) == len(names)
    assert store.history(text="drop table")[0].name == names[3]


def test_export_yields_everything_oldest_first(store: Store, record: Record) -> None:
    given = [record(number) for number in range(1, 6)]
    for one in given:
        store.put_report(one, KEY, None)
    assert [exported for _, exported in store.export()] == given
    assert [row.sha256 for row, _ in store.export(text="picture 2")] == [f"{2:064x}"]


def test_many_writers_store_every_report_once(url: str, record: Record) -> None:
    errors: list[BaseException] = []

    def write() -> None:
        store = Store(url)
        try:
            for number in range(10):
                store.put_report(record(number), KEY, number)
        except BaseException as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    store = Store(url)
    assert sorted(row.sha256 for row in store.history()) == [f"{n:064x}" for n in range(10)]
    assert store.check_audit() is None


class TestNearDuplicates:
    BASE = 0xFEDC_BA98_7654_3210

    @pytest.mark.parametrize("flips", [0, 1 << 63, 0x8001_8001_0003_0000, 0x3F, 0x3F << 58])
    def test_up_to_six_bits_are_found(self, store: Store, record: Record, flips: int) -> None:
        number = store.put_report(record(1), KEY, self.BASE)
        (near,) = store.near_duplicates(self.BASE ^ flips)
        assert near.distance == flips.bit_count()
        assert (near.report_id, near.sha256, near.name) == (number, f"{1:064x}", "picture 1.jpg")

    def test_all_pairs_agree_with_plain_counting(self, store: Store, record: Record) -> None:
        values = [self.BASE ^ (0x1111_0101_0011_0001 << n & 2**64 - 1) for n in range(16)]
        values += [self.BASE ^ sum(1 << 9 * bit for bit in range(n)) for n in range(8)]
        for number, value in enumerate(values):
            store.put_report(record(number), KEY, value)
        for value in values:
            expected = sorted(
                (value ^ other).bit_count() for other in values if (value ^ other).bit_count() <= 6
            )
            assert [near.distance for near in store.near_duplicates(value, 99)] == expected

    def test_seven_bits_and_flat_pictures_are_not(self, store: Store, record: Record) -> None:
        store.put_report(record(1), KEY, self.BASE)
        store.put_report(record(2), KEY, None)
        assert store.near_duplicates(self.BASE ^ 0x7F) == []

    def test_the_nearest_come_first_and_itself_can_be_left_out(
        self, store: Store, record: Record
    ) -> None:
        for number in range(5):
            store.put_report(record(number), KEY, self.BASE ^ (1 << number) - 1)
        found = store.near_duplicates(self.BASE, most=3)
        assert [near.distance for near in found] == [0, 1, 2]
        found = store.near_duplicates(self.BASE, other_than=f"{0:064x}")
        assert [near.distance for near in found] == [1, 2, 3, 4]


def test_a_report_that_was_put_is_on_the_disk_though_the_lock_does_not_wait_for_it(
    store: Store, record: Record
) -> None:
    if not store.postgres:
        pytest.skip("SQLite has one writer, which waits")
    flushed = 0
    for number in range(10):
        store.put_report(record(number), "a" * 64, None)
        with store._engine.connect() as connection:
            asked = text("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")
            flushed += bool(connection.execute(asked).scalar_one())
    assert flushed > 5  # the server itself may have written something in between
