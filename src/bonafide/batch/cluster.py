"""Run a batch over the machines of a Ray cluster.

Workers are actors that live as long as the batch. This process lists, decides who gets what
(`bonafide.batch.scheduler`), and commits (`bonafide.batch.journal`); workers read, examine and
write. Whatever dies, its names are given to others; if this process dies, the same command goes on.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bonafide.batch.examiner import Order, Ready, Worked
from bonafide.batch.feed import Feed
from bonafide.batch.fleet import Fleet
from bonafide.batch.journal import Journal, Keep
from bonafide.batch.results import Form
from bonafide.batch.run import Tally
from bonafide.batch.scheduler import Block, Copy, Look, Scheduler
from bonafide.batch.work import Answer, answer_killed
from bonafide.errors import InvalidInput, MissingExtra
from bonafide.examination import Settings, key

LOOK_SECONDS = 0.1  # without news, before other things are looked after
REACH_SECONDS = 10.0  # to answer a first call
FINISH_SECONDS = 300.0  # in which workers write their last parts
CARE_SECONDS = 1.0  # between two looks at the fleet and at what is overdue
_CACHE = 256  # MiB of the progress database


def run(
    given: Iterable[str],
    column: str,
    settings: Settings,
    folder: Path,
    form: Form,
    address: str,
    jobs: int = 0,
    *,
    hashed: bool = False,
    keep: Keep | None = None,
    watch: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Examine what is new or changed, as `bonafide.batch.run.run` does.

    Args:
        given: what the user names, see `bonafide.batch.names.expand`.
        column: of tables among it.
        settings: the same for all.
        folder: see `bonafide.batch.journal`. Workers that see it write their rows there, as
            Parquet; those that do not, or if there is something to `keep`, send them.
        form: of the results.
        address: "auto" for a cluster that runs on or is known to this machine, "local" to start
            one here for this batch, or "host:port" of its head, or "ray://host:port".
        jobs: workers, 0 for one per core of the cluster, however many it has at the time.
        hashed: whether to compute perceptual hashes.
        keep: see `bonafide.batch.journal.Keep`.
        watch: called after each block.

    Raises:
        MissingExtra: Ray is not installed.
        InvalidInput: there is no cluster at the address, a machine of it would examine otherwise
            than this one, the folder cannot be used, or a list cannot be read.
        RuntimeError: workers cannot be started, or one raised, a bug.
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
        import ray
    except ModuleNotFoundError:
        raise MissingExtra("cluster", "--ray") from None
    settings = replace(settings, threads=1)
    journal = Journal(folder, key(settings), form, keep, _CACHE)
    writes = form is Form.PARQUET and keep is None
    token = f".shared-{secrets.token_hex(8)}"
    order = Order(settings, journal.key, hashed, folder.resolve() if writes else None, token)
    (folder / token).touch()
    try:
        _connect(ray, address)
        try:
            feed = Feed(ray, given, column, settings.limits, str(folder))
            tally = _Run(ray, journal, order, jobs, feed, watch).to_the_end()
        finally:
            ray.shutdown()
    except BaseException:
        journal.release()
        raise
    finally:
        (folder / token).unlink(missing_ok=True)
    journal.close()
    return tally


class _Run:
    """What this process does while workers work."""

    def __init__(
        self,
        ray: Any,
        journal: Journal,
        order: Order,
        jobs: int,
        feed: Feed,
        watch: Callable[[Tally], None],
    ) -> None:
        self.ray, self.journal, self.order, self.feed, self.watch = ray, journal, order, feed, watch
        self.scheduler = Scheduler(journal.known_all)
        self.fleet = Fleet(ray, order, jobs)
        self.calls: dict[Any, tuple[str, str, Block | None]] = {}  # reference → what, worker, block
        self.tally = Tally()
        self.cared = 0.0

    def to_the_end(self) -> Tally:
        while not self.scheduler.done:
            now = time.monotonic()
            if now - self.cared >= CARE_SECONDS:
                self.cared = now
                self.care(now)
            self.take_names()
            self.hand_out()
            self.hear(self.answered())
            self.journal.commit_if_due()
        self.finish()
        self.tally.total = self.tally.names
        return self.tally

    def finish(self) -> None:
        """Have workers leave whole parts; what they do not, is done when the journal is closed."""
        workers = [one for one in self.fleet.ready if self.fleet.stream(one)]
        asked = {self.fleet.call(one, "finish"): one for one in workers}
        if not asked:
            return
        ended, _ = self.ray.wait(list(asked), num_returns=len(asked), timeout=FINISH_SECONDS)
        for reference in ended:
            stream = self.fleet.stream(asked[reference])
            try:
                place = self.ray.get(reference)
            except self.ray.exceptions.RayError:
                continue
            if stream:
                self.journal.add_written((), stream, place)

    def care(self, now: float) -> None:
        """Fit the fleet to the cluster, and ask back what waits behind a slow file."""
        for worker, reference in self.fleet.grow():
            self.calls[reference] = ("ready", worker, None)
        for block in self.scheduler.overdue(now):
            self.fleet.shed(block.worker)

    def take_names(self) -> None:
        room = self.fleet.size * 1_000 + 10_000 - self.scheduler.waiting
        names = self.feed.take(self.journal, room)
        double = self.scheduler.offer(names)
        self.tally.known += double
        self.tally.names += double
        self.scheduler.listed = self.feed.over
        if self.feed.over:
            self.tally.total = self.feed.found

    def hand_out(self) -> None:
        for worker in self.fleet.ready:
            while self.scheduler.wants(worker):
                block = self.scheduler.give(worker, time.monotonic())
                if block is None:
                    break
                if block.names:
                    reference = self.fleet.call(worker, "look", block.names)
                    self.calls[reference] = ("look", worker, block)
                else:
                    self.have_worked(worker, block, [])

    def have_worked(self, worker: str, block: Block, looks: list[Look]) -> None:
        """Have a block examined after it was looked at, if anything of it is left."""
        tasks, copies = self.scheduler.looked(block, looks, time.monotonic())
        if not self.fleet.stream(worker):
            self.count_copies(block, list(copies))
            copies = []
        if tasks or copies:
            reference = self.fleet.call(worker, "work", tasks, copies)
            self.calls[reference] = ("work", worker, block)
        else:
            done = {copy.look.path for copy in block.copies}
            self.scheduler.worked(block, done, (), 0.0, time.monotonic())

    def answered(self) -> list[Any]:
        """References of calls that have an answer, also of those that failed."""
        waiting = [*self.calls, *self.feed.calls]
        if not waiting:
            time.sleep(LOOK_SECONDS)
            return []
        ready, rest = self.ray.wait(waiting, num_returns=1, timeout=LOOK_SECONDS)
        if ready and rest:
            more, _ = self.ray.wait(rest, num_returns=len(rest), timeout=0)
            ready += more
        return list(ready)

    def hear(self, references: list[Any]) -> None:
        for reference in references:
            if reference not in self.calls:
                self.feed.hear(reference)
                continue
            what, worker, block = self.calls.pop(reference)
            try:
                value = self.ray.get(reference)
            except self.ray.exceptions.RayActorError:
                self.lose(worker)
            except self.ray.exceptions.RayTaskError as error:
                raise RuntimeError(f"a worker raised: {error}") from error
            else:
                self.deal(what, worker, block, value)

    def deal(self, what: str, worker: str, block: Block | None, value: Any) -> None:
        if block is None:
            self.welcome(worker, value)
        elif not self.scheduler.holds(block):
            return  # its worker was given up; what it wrote since then does not count
        elif what == "look":
            self.have_worked(worker, block, self.settle(block, value))
        else:
            self.take_in(worker, block, value)

    def welcome(self, worker: str, ready: Ready) -> None:
        if not ready.like:
            raise InvalidInput(
                "a machine of the cluster differs from this one in the version of bonafide, in its "
                "networks, in the trust list or in the calibration: install the same on both"
            )
        self.fleet.welcome(worker, ready)
        self.scheduler.add_worker(worker)

    def settle(self, block: Block, answers: list[Answer]) -> list[Look]:
        """Deal with names that need no examination; the others."""
        looks, settled = [], []
        seen = {name.path: name.seen for name in block.names}
        for answer in answers:
            last = seen[answer.path]
            if answer.outcome is not None:
                self.count(self.journal.add(answer), examined=1)
                settled.append(answer.path)
            elif last and answer.sha256 == last.sha256:
                if answer.stamp == last.stamp:
                    self.count(last.verdict, known=1)
                else:
                    verdict = self.journal.add_date(answer.path, answer.stamp, last.verdict)
                    self.count(verdict, copies=1)
                settled.append(answer.path)
            else:
                assert answer.sha256 is not None, "a name without a failure has a content"
                looks.append(Look(answer.path, answer.stamp, answer.sha256))
        self.scheduler.settled(settled, block)
        self.watch(self.tally)
        return looks

    def take_in(self, worker: str, block: Block, worked: Worked) -> None:
        """Remember what a worker did."""
        done = {copy.look.path for copy in block.copies}
        if worked.entries:
            stream = self.fleet.stream(worker)
            assert stream is not None
            self.journal.add_written(worked.entries, stream, worked.place)
            for entry in worked.entries:
                copy = entry.path in done
                self.count(entry.verdict, examined=not copy, copies=copy)
            done |= {entry.path for entry in worked.entries}
        for answer in worked.answers:
            self.count(self.journal.add(answer), examined=1)
        done |= {answer.path for answer in worked.answers}
        digests = [entry.sha256 for entry in worked.entries]
        digests += [answer.sha256 for answer in worked.answers]
        contents = [digest for digest in digests if digest is not None]
        self.scheduler.worked(block, done, contents, worked.seconds, time.monotonic())
        self.watch(self.tally)

    def count_copies(self, block: Block, copies: list[Copy]) -> None:
        """Write copies here, for a worker that cannot."""
        for copy in copies:
            answer = Answer(copy.look.path, copy.look.stamp, copy.look.sha256, None)
            self.count(self.journal.add(answer), copies=1)
        self.scheduler.settled([copy.look.path for copy in copies], block)
        block.copies.clear()

    def lose(self, worker: str) -> None:
        """Give up a worker, and give its names to others; record what killed it too often."""
        if not self.fleet.holds(worker):
            return  # several calls of one worker fail
        blamed = self.fleet.lose(worker)
        for name in self.scheduler.lost(worker, blamed):
            self.count(self.journal.add(answer_killed(name.path)), examined=1)

    def count(
        self, verdict: str | None, examined: int = 0, copies: int = 0, known: int = 0
    ) -> None:
        self.tally.examined += examined
        self.tally.copies += copies
        self.tally.known += known
        self.tally.add(verdict)


def _connect(ray: Any, address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host:  # Ray itself would go on trying for a long time
            socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:300]
        raise InvalidInput(f"no Ray cluster at {address!r}: {why}") from error
