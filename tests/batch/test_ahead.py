"""Names are listed ahead of their use, in order, and wait on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bonafide.batch import ahead
from bonafide.batch.ahead import Ahead


def test_many_names_keep_their_order_and_are_counted_before_they_are_used(tmp_path: Path) -> None:
    ended = threading.Event()

    def names() -> Iterator[str]:
        for number in range(3 * ahead.HELD):
            yield f"/{number:05}\n\udcff.png"
        ended.set()

    listing = Ahead(names(), tmp_path, 0.01)
    found = iter(listing)
    taken = [next(found)]
    assert ended.wait(30)
    taken += [name for name in found if name is not None]
    assert taken == list(names()) and listing.total == len(taken)
    assert len(listing._held) == 0 and list(tmp_path.iterdir()) == []


def test_a_slow_listing_says_so_and_its_error_comes_after_its_names(tmp_path: Path) -> None:
    go = threading.Event()

    def names() -> Iterator[str]:
        yield "a"
        go.wait(30)
        yield "b"
        raise ValueError("what is wrong")

    listing = Ahead(names(), tmp_path, 0.01)
    found = iter(listing)
    assert [next(found), next(found)] == ["a", None]
    assert listing.total is None
    go.set()
    taken = []
    with pytest.raises(ValueError, match="what is wrong"):
        taken += [taken.append(name) for name in found if name is not None]
    assert "b" in taken
