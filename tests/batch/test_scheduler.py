"""Who gets what on a cluster: no borders, no idle workers, no content twice, no stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tools.simulate_cluster import World, simulate

from bonafide.batch import scheduler as scheduling
from bonafide.batch.scheduler import Block, Copy, Look, Name, Scheduler


class Farm:
    """Workers that do at once what they are told, and a memory of what they did."""

    def __init__(self, names: Sequence[str], workers: int, contents: dict[str, str] | None = None):
        self.contents = contents or {}
        self.known: dict[bytes, tuple[bytes, str]] = {}
        self.scheduler = Scheduler(lambda some: {c: self.known[c] for c in some if c in self.known})
        self.scheduler.offer(Name(name) for name in names)
        self.scheduler.listed = True
        self.workers = [str(number) for number in range(workers)]
        for worker in self.workers:
            self.scheduler.add_worker(worker)
        self.examined: list[str] = []
        self.copied: list[str] = []

    def content(self, path: str) -> bytes:
        return self.contents.get(path, path).encode()

    def looked(self, block: Block) -> tuple[list[Look], list[Copy]]:
        looks = [Look(name.path, "s", self.content(name.path)) for name in block.names]
        return self.scheduler.looked(block, looks, 0.0)

    def work(self, block: Block, tasks: list[Look], copies: list[Copy]) -> None:
        for look in tasks:
            self.known[look.sha256] = (look.path.encode(), "summary")
        self.examined += [look.path for look in tasks]
        self.copied += [copy.look.path for copy in copies]
        paths = {look.path for look in tasks} | {copy.look.path for copy in copies}
        self.scheduler.worked(block, paths, [look.sha256 for look in tasks], 0.01, 0.0)

    def run(self, but: str = "", kills: str = "") -> None:
        """Until nothing more can be given; the worker `but` never answers."""
        busy = True
        while busy and not self.scheduler.done:
            busy = False
            for worker in [one for one in self.workers if one != but]:
                block = self.scheduler.give(worker, 0.0) if self.scheduler.wants(worker) else None
                if block is None:
                    continue
                busy = True
                tasks, copies = self.looked(block)
                if kills and any(look.path == kills for look in tasks):
                    self.died(worker)
                else:
                    self.work(block, tasks, copies)

    def died(self, worker: str, blamed: bool = True) -> None:
        killers = self.scheduler.lost(worker, blamed)
        self.examined += [f"killer {name.path}" for name in killers]
        self.workers[self.workers.index(worker)] = fresh = f"{worker}+"
        self.scheduler.add_worker(fresh)


def names(count: int) -> list[str]:
    return [f"/{number}" for number in range(count)]


def test_a_worker_that_hangs_holds_back_its_own_block_only() -> None:
    """Windows waited at their ends for the slowest file of all."""
    farm = Farm(names(20_000), 4)
    held = farm.scheduler.give("0", 0.0)
    assert held
    farm.run(but="0")
    assert len(farm.examined) == 20_000 - len(held.names) and not farm.scheduler.done


def test_what_waits_behind_a_slow_file_goes_to_others() -> None:
    farm = Farm(names(100), 2)
    block = farm.scheduler.give("0", 0.0)
    assert block
    tasks, _ = farm.looked(block)
    assert farm.scheduler.overdue(1.0) == []
    assert farm.scheduler.overdue(60.0) == [block] and farm.scheduler.overdue(61.0) == []
    # The worker gave up all but the first, which it goes on with.
    farm.known[tasks[0].sha256] = (b"/0", "summary")
    farm.examined.append("/0")
    farm.scheduler.worked(block, {"/0"}, [tasks[0].sha256], 60.0, 60.0)
    farm.run()
    assert sorted(farm.examined) == sorted(names(100)) and farm.scheduler.done


def test_names_that_come_twice_are_given_once() -> None:
    farm = Farm(names(50), 2)
    assert farm.scheduler.offer(Name(name) for name in names(50)) == 50
    farm.run()
    assert sorted(farm.examined) == sorted(names(50)) and farm.scheduler.done


def test_copies_that_are_under_way_at_the_same_time_are_examined_once() -> None:
    farm = Farm(names(40), 2, dict.fromkeys(names(40)[5:], "same"))
    first, second = farm.scheduler.give("0", 0.0), farm.scheduler.give("1", 0.0)
    assert first and second
    one, two = farm.looked(first), farm.looked(second)
    assert len(one[0]) == 6 and two == ([], [])
    farm.work(second, *two)
    farm.work(first, *one)
    farm.run()
    assert len(farm.examined) == 6 and len(farm.copied) == 34 and farm.scheduler.done


def test_copies_of_a_content_whose_worker_died_are_not_lost() -> None:
    farm = Farm(names(16), 2, dict.fromkeys(names(16), "same"))
    first, second = farm.scheduler.give("0", 0.0), farm.scheduler.give("1", 0.0)
    assert first and second
    farm.looked(first)
    farm.work(second, *farm.looked(second))
    farm.died("0")
    farm.run()
    assert len(farm.examined) == 1 and len(farm.copied) == 15 and farm.scheduler.done


@pytest.mark.parametrize("count", [1, 7, 500])
def test_a_file_that_kills_is_found_and_passed_over(count: int) -> None:
    farm = Farm(names(count), 3)
    farm.run(kills="/0")
    assert farm.examined.count("killer /0") == 1 and farm.scheduler.done
    assert sorted(farm.examined[:]) == sorted([*names(count)[1:], "killer /0"])
    deaths = sum(worker.count("+") for worker in farm.workers)
    assert scheduling.TRIES <= deaths <= 6  # one for each time that its block was split


def test_machines_that_go_away_accuse_no_file() -> None:
    farm = Farm(names(1), 2)
    for _ in range(5):
        block = farm.scheduler.give(farm.workers[0], 0.0)
        assert block
        farm.looked(block)
        farm.died(farm.workers[0], blamed=False)
    farm.run()
    assert farm.examined == ["/0"] and farm.scheduler.killers == 0


def test_workers_end_together() -> None:
    farm = Farm(names(1_000), 10)
    farm.scheduler._mean = 0.001  # a block could take all
    sizes = []
    while block := farm.scheduler.give(str(len(sizes) % 10), 0.0):
        sizes.append(len(block.names))
    assert max(sizes) == 50 and sizes[-2] == 30  # so many that ten workers do not wait for blocks


def test_blocks_do_not_become_so_small_that_the_driver_cannot_serve_all_workers() -> None:
    farm = Farm(names(100_000), 1_000)
    farm.scheduler._mean = 0.03
    sizes = []
    while block := farm.scheduler.give(farm.workers[len(sizes) % 1_000], 0.0):
        sizes.append(len(block.names))
    assert min(sizes[:-1]) * 0.03 >= 1_000 * scheduling.BLOCK_COST


def test_nothing_is_lost_or_doubled_in_a_simulation_with_kills_of_everything(
    tmp_path: Path,
) -> None:
    world = World(
        6_000, 20, copies=0.2, poison=4e-4, life=20, start=3, hangs=1e-3, hang=5, timed=False
    )  # fmt: skip
    found = simulate(world, tmp_path)
    assert (found.lost, found.doubled, found.contents_doubled) == (0, 0, 0)
    assert found.deaths > 4 and found.recorded > 0
    assert found.contents_lost <= found.recorded
