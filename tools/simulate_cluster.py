"""Simulate a batch on a cluster: the scheduler and the journal are real, workers only sleep.

    python tools/simulate_cluster.py --names 10000000 --workers 1000 --mean 0.031

A virtual clock runs over calls to workers that look at files and examine them; service times are
drawn from quantiles that were measured, or from a log-normal distribution with a mean. Some files
are copies, some hang until they are stopped, some kill their worker; workers die now and then, a
quarter of them at once in the middle, and the process that runs the batch twice. What it computes
is timed, and it answers nobody while it computes; so a process that is too slow shows.

Printed: makespan against the ideal, processor time and memory of the process that runs the batch,
and names and contents that were lost or written twice.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.batch.entries import Entry
from bonafide.batch.journal import Journal
from bonafide.batch.results import Form
from bonafide.batch.scheduler import Block, Copy, Look, Name, Scheduler
from bonafide.batch.streams import Place

EACH = 1_000_000  # rows after which the state is printed
SUMMARY = '{"made": "as long as that of a real report, which names verdict and probabilities"}' * 4


@dataclass(frozen=True)
class World:
    """What is simulated.

    Attributes:
        names, workers: how many.
        mean: seconds that a file takes, with a log-normal spread of `sigma`.
        look: seconds to read a file and compute its hash.
        copies: share of names whose content came before.
        hangs, hang: share of contents that are stopped, and the seconds until that.
        poison: share of contents that kill their worker.
        life: mean seconds until a worker dies by itself.
        start: seconds until there is another.
        call: seconds of processor time of the driver for each call of a worker, beside what is
            measured here.
        drivers: how often the driver is killed.
        timed: whether the driver's own computing takes time; if not, all is reproducible.
        seed: of everything that is drawn.
    """

    names: int
    workers: int
    mean: float = 0.031
    sigma: float = 0.8
    look: float = 0.0005
    copies: float = 0.05
    hangs: float = 1e-5
    hang: float = 240.0
    poison: float = 1e-6
    life: float = 20_000.0
    start: float = 30.0
    call: float = 0.0007
    drivers: int = 2
    timed: bool = True
    seed: int = 0


class Files:
    """What each name holds, computed from its number."""

    def __init__(self, world: World) -> None:
        self.world = world
        rng = np.random.default_rng(world.seed)
        size = 1 << 16
        spread = rng.lognormal(0.0, world.sigma, size)
        self._seconds = spread * world.mean / spread.mean()
        self._random = rng.random((3, size))

    @staticmethod
    def path(number: int) -> str:
        """The name with a number."""
        return f"/archive/{number % 9973:04}/{number:010}.jpg"

    @staticmethod
    def number(path: str) -> int:
        """The number of a name."""
        return int(path[-14:-4])

    def content(self, number: int) -> int:
        """The number of the first name with this content."""
        mixed = number * 2654435761 & 0xFFFFFFFF
        if mixed < self.world.copies * 2**32 and number:
            return self.content(mixed * 97 % number)
        return number

    def sha256(self, content: int) -> bytes:
        """Of a content."""
        return hashlib.sha256(content.to_bytes(8, "big")).digest()

    def seconds(self, content: int) -> float:
        """That it takes to examine a content."""
        if self._share(content, 1) < self.world.hangs:
            return self.world.hang
        return float(self._seconds[content * 40503 & 0xFFFF])

    def kills(self, content: int) -> bool:
        """Whether a content kills its worker."""
        return self._share(content, 2) < self.world.poison

    @staticmethod
    def _share(content: int, salt: int) -> float:
        return ((content + salt * 7919) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) / 2.0**64


class Driver:
    """The process that runs the batch: what `bonafide.batch.cluster` does, without Ray."""

    def __init__(
        self, world: World, files: Files, folder: Path, wrote: Callable[[Any], None]
    ) -> None:
        self.world, self.files, self.wrote = world, files, wrote
        self.journal = Journal(folder, "k", Form.PARQUET, None, 256)
        self.scheduler = Scheduler(self.journal.known_all)
        self.next = 0  # name to list
        self.parts: dict[str, int] = {}
        self.again: int = 0

    def list(self) -> None:
        """Offer names as far as there is room."""
        room = len(self.scheduler._of) * 1_000 + 10_000 - self.scheduler.waiting
        numbers = range(self.next, min(self.world.names, self.next + max(0, room)))
        paths = list(map(self.files.path, numbers))
        seen = self.journal.seen_all(paths)
        self.scheduler.offer(Name(path, seen.get(path)) for path in paths)
        self.next = max(self.next, numbers.stop)
        self.scheduler.listed = self.next >= self.world.names

    def looked(self, block: Block, now: float) -> tuple[list[Look], list[Copy]]:
        """Deal with what a worker saw; what it is to do."""
        looks, settled = [], []
        for name in block.names:
            number = self.files.number(name.path)
            if name.seen:
                settled.append(name.path)
            else:
                looks.append(Look(name.path, "s", self.files.sha256(self.files.content(number))))
        self.scheduler.settled(settled, block)
        return self.scheduler.looked(block, looks, now)

    def worked(self, block: Block, entries: list[Entry], seconds: float, now: float) -> None:
        """Remember what a worker did."""
        done = {entry.path for entry in entries}
        self.parts[block.worker] = part = self.parts.get(block.worker, 0) + 1
        if entries:
            self.wrote(entries)
            self.journal.add_written(entries, block.worker, Place(part, 0))
        contents = [entry.sha256 for entry in entries if entry.summary and entry.sha256]
        self.scheduler.worked(block, done, contents, seconds, now)


class Simulation:
    """One batch from its start to its end."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.files = world, folder, Files(world)
        self.draw = random.Random(world.seed)
        self.rows = bytearray(world.names)
        self.results = bytearray(world.names)  # by content
        self.fresh: list[Entry] = []  # written, not committed
        self.events: list[tuple[float, int, str, Any]] = []
        self.order = count()
        self.free = 0.0  # when the driver has time
        self.spent, self.calls, self.deaths, self.killed = 0.0, 0, 0, 0
        self.worked_seconds = 0.0
        self.committed = 0
        self.busy: dict[str, float] = {}  # worker → when it is done with what it has
        self.began: dict[int, float] = {}  # block → when its worker begins with it
        self.plans: dict[int, tuple[list[Look], list[Copy]]] = {}
        self.shed: dict[int, float] = {}
        self.named = count()
        self.driver = self._driver()

    def run(self) -> float:
        """The makespan, seconds of the virtual clock."""
        world = self.world
        for _ in range(world.workers):
            self._at(self.draw.random() * 5, "worker", None)
        ideal = self.ideal()
        for number in range(world.drivers):
            self._at(ideal * (number + 1) / (world.drivers + 1), "driver", None)
        self._at(ideal / 2, "preempt", None)
        self._at(1.0, "care", None)
        now = 0.0
        while not self.driver.scheduler.done:
            moment, _, kind, what = heapq.heappop(self.events)
            now = max(moment, self.free)
            began = time.process_time()
            calls = self.calls
            getattr(self, f"_on_{kind}")(what, now)
            if kind in ("looked", "worked", "care", "ready", "died"):
                spent = (self.calls - calls) * world.call
                spent += time.process_time() - began if world.timed else 0.0
                self.spent += spent
                self.free = now + spent
        self.driver.journal.close()
        self._commit()
        return now

    def ideal(self) -> float:
        """Seconds in which so many workers can do it at best."""
        contents = np.arange(min(self.world.names, 200_000))
        mean = np.mean(
            [
                self.files.seconds(int(one))
                for one in contents
                if self.files.content(int(one)) == one
            ]
        )
        unique = 1.0 - self.world.copies
        return float(self.world.names * (unique * mean + self.world.look) / self.world.workers)

    def _on_worker(self, _: Any, now: float) -> None:
        name = f"{next(self.named):012x}"
        self.busy[name] = now
        self._at(now, "ready", name)
        self._at(now + self.draw.expovariate(1 / self.world.life), "death", (name, True))

    def _on_ready(self, worker: str, now: float) -> None:
        self.driver.scheduler.add_worker(worker)
        self.driver.list()
        self._give(worker, now)

    def _on_death(self, what: tuple[str, bool], now: float) -> None:
        worker, _ = what
        if worker in self.busy:
            del self.busy[worker]
            self.deaths += 1
            self._at(now, "died", what)
            self._at(now + self.world.start, "worker", None)

    def _on_died(self, what: tuple[str, bool], now: float) -> None:
        for name in self.driver.scheduler.lost(*what):
            self.killed += 1
            entry = Entry(name.path, None, None, None, '{"media": {"path": "x"}}', None)
            self.fresh.append(entry)
            self.driver.journal.add_written([entry], "0" * 12, Place(self.killed, 0))
        for worker in list(self.busy):
            self._give(worker, now)

    def _on_preempt(self, _: None, now: float) -> None:
        for worker in self.draw.sample(sorted(self.busy), len(self.busy) // 4):
            self._on_death((worker, False), now)

    def _on_driver(self, _: None, now: float) -> None:
        """The driver is killed: what it had not committed is lost, and all workers with it."""
        self.driver.journal.release()
        self.fresh.clear()
        self.events = [one for one in self.events if one[2] in ("driver", "preempt", "care")]
        heapq.heapify(self.events)
        self.busy.clear()
        self.plans.clear()
        began = time.process_time()
        self.driver = self._driver()
        self.free = now + 30.0 + (time.process_time() - began if self.world.timed else 0.0)
        for _ in range(self.world.workers):
            self._at(self.free + self.draw.random() * 5, "worker", None)

    def _on_care(self, _: None, now: float) -> None:
        for block in self.driver.scheduler.overdue(now):
            self.calls += 1
            self.shed[block.number] = now
            self._at(now, "shed", block)
        self.driver.journal.commit_if_due()
        self._commit_if_done()
        self._at(now + 1.0, "care", None)

    def _on_looked(self, block: Block, now: float) -> None:
        if not self._lives(block):
            return
        self.plans[block.number] = plan = self.driver.looked(block, now)
        if not any(plan):
            self.driver.scheduler.worked(block, set(), (), 0.0, now)
        else:
            self.calls += 1
            begin = max(now, self.busy[block.worker])
            self.began[block.number] = begin
            end, killed = begin, None
            for look in plan[0]:
                content = self.files.content(self.files.number(look.path))
                if self.files.kills(content):
                    killed = end
                    break
                end += self.files.seconds(content)
            if killed is not None:
                self._at(killed, "death", (block.worker, True))
            else:
                self.busy[block.worker] = end
                self._at(end, "worked", (block, end - begin))
        self.driver.list()
        self._give(block.worker, now)

    def _on_shed(self, block: Block, now: float) -> None:
        """A worker gives up what it has not begun with."""
        if not self._lives(block) or self.began.get(block.number, now) >= now:
            return
        looks, copies = self.plans[block.number]
        end, kept = self.began[block.number], 0
        for look in looks:
            if end > now:
                break
            end += self.files.seconds(self.files.content(self.files.number(look.path)))
            kept += 1
        if kept < len(looks):
            self.plans[block.number] = looks[:kept], copies
            self.busy[block.worker] = end
            self._at(end, "worked", (block, end - self.began[block.number]))

    def _on_worked(self, what: tuple[Block, float], now: float) -> None:
        block, seconds = what
        if not self._lives(block):
            return
        looks, copies = self.plans.pop(block.number)
        entries = [Entry(look.path, "s", look.sha256, "v", None, SUMMARY) for look in looks]
        entries += [Entry(one.look.path, "s", one.look.sha256, "v", None, None) for one in copies]
        self.worked_seconds += seconds
        self.driver.worked(block, entries, seconds, now)
        self._commit_if_done()
        self.driver.list()
        self._give(block.worker, now)

    def _give(self, worker: str, now: float) -> None:
        scheduler = self.driver.scheduler
        while worker in self.busy and worker in scheduler._of and scheduler.wants(worker):
            block = scheduler.give(worker, now)
            if block is None:
                return
            self.calls += 1
            end = max(now, self.busy[worker]) + self.world.look * len(block.names)
            self.busy[worker] = end
            self._at(end, "looked", block)

    def _driver(self) -> Driver:
        return Driver(self.world, self.files, self.folder, self.fresh.extend)

    def _lives(self, block: Block) -> bool:
        return block.worker in self.busy and self.driver.scheduler.holds(block)

    def _commit_if_done(self) -> None:
        if not self.driver.journal._progress.open:
            self._commit()

    def _commit(self) -> None:
        for entry in self.fresh:
            self.committed += 1
            if self.committed % EACH == 0:
                print(
                    f"{self.committed:,} rows: {self.spent:,.0f} s of processor time, "
                    f"{most_memory() // 1024:,} MiB",
                    file=sys.stderr,
                    flush=True,
                )
            number = self.files.number(entry.path)
            self.rows[number] = min(255, self.rows[number] + 1)
            if entry.summary:
                content = self.files.content(number)
                self.results[content] = min(255, self.results[content] + 1)
        self.fresh.clear()

    def _at(self, moment: float, kind: str, what: Any) -> None:
        heapq.heappush(self.events, (moment, next(self.order), kind, what))


@dataclass(frozen=True)
class Outcome:
    """What a simulation showed: seconds, and counts of names and contents."""

    ideal: float
    makespan: float
    driver: float
    calls: int
    deaths: int
    recorded: int
    lost: int
    doubled: int
    contents_lost: int
    contents_doubled: int
    memory: int


def simulate(world: World, folder: Path) -> Outcome:
    """Run a whole batch and look at what is there afterwards."""
    made = Simulation(world, folder)
    ideal = made.ideal()
    makespan = made.run()
    memory = most_memory()
    rows = np.frombuffer(made.rows, np.uint8)
    results = np.frombuffer(made.results, np.uint8)
    numbers = range(world.names)
    there = np.fromiter((made.files.content(number) == number for number in numbers), bool)
    wanted = results[there]
    return Outcome(
        ideal, makespan, made.spent, made.calls, made.deaths, made.killed,
        int((rows == 0).sum()), int((rows > 1).sum()),
        int((wanted == 0).sum()), int((wanted > 1).sum()),
        memory,
    )  # fmt: skip


def most_memory() -> int:
    """Of this process so far, KiB; two bytes a name are the simulation's."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def lines(world: World, found: Outcome) -> Iterator[str]:
    """What is printed."""
    yield f"{world.names:,} names, {world.workers:,} workers, {world.mean:g} s a file"
    ratio = found.makespan / found.ideal
    yield f"makespan {found.makespan:,.0f} s, ideal {found.ideal:,.0f} s: {ratio:.3f}"
    each = 1e6 * found.driver / world.names
    share = found.driver / found.makespan
    yield (
        f"driver: {found.driver:,.0f} s of processor time, {each:.1f} µs a name"
        f", {share:.0%} of one core; {found.calls:,} calls, {found.memory // 1024:,} MiB"
    )
    yield f"workers that died: {found.deaths:,}; files recorded as killers: {found.recorded}"
    yield f"names lost {found.lost}, written twice {found.doubled}"
    yield (
        f"contents not examined {found.contents_lost} (killers are among them), examined twice "
        f"{found.contents_doubled}"
    )


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--mean", type=float, default=World.mean, help="seconds a file")
    parser.add_argument("--sigma", type=float, default=World.sigma, help="of their logarithms")
    parser.add_argument("--drivers", type=int, default=World.drivers, help="kills of the driver")
    parser.add_argument("--poison", type=float, default=World.poison)
    parser.add_argument("--life", type=float, default=World.life, help="seconds of a worker")
    parser.add_argument("--call", type=float, default=World.call, help="seconds for one call")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    world = World(**vars(given))
    with tempfile.TemporaryDirectory() as folder:
        found = simulate(world, Path(folder))
    print("\n".join(lines(world, found)))
    sys.exit(bool(found.lost or found.doubled or found.contents_doubled))


if __name__ == "__main__":
    main()
