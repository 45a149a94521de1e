"""Which worker of a cluster gets which names: blocks, contents, stragglers, and files that kill.

Nothing here knows Ray or a clock: what happened is told by calls, and what to do is their result.
So the same code runs a cluster and a simulation of one (`tools/simulate_cluster.py`).

A block goes through a worker in two steps. *Look*: the worker reads the files and says their
SHA-256. Here it is decided which contents nobody has examined or is examining; *work*: those are
examined. So no content is examined twice, though no worker knows of another.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bonafide.batch.work import Seen

MOST = 256  # names of a block
FIRST = 8  # names of a block while nobody knows how long one takes
TRIES = 2  # of a name that was alone in its block when its worker died
SPLIT = 8  # blocks that are made of one whose worker died
IN_FLIGHT = 2  # blocks of a worker: one that it works on, one that it has looked at
OVERDUE = 3.0  # times the seconds that a block should take, after which its rest goes to others
BLOCK_COST = 0.003  # seconds of this process that a block costs, whatever is in it
_WEIGHT = 0.1  # of the last block in the mean of seconds


@dataclass(frozen=True, slots=True)
class Name:
    """A name to look at: its path, and what an earlier run found."""

    path: str
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker saw of a name: its stamp, None where there is none, and its SHA-256."""

    path: str
    stamp: str | None
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Copy:
    """A name whose content was examined under another: that one, and what came out."""

    look: Look
    first: bytes
    summary: str


@dataclass(slots=True)
class Block:
    """Names that one worker has.

    Attributes:
        number: no other block has it.
        worker: that has it.
        names: in it.
        given: when it was given, seconds.
        suspect: whether a worker died with its names: this block is alone with its worker.
        tries: workers that died with it while it held one name.
        claims: SHA-256 of contents that are examined in it.
        copies: of contents that are known, whose rows the worker writes.
        working: whether it was looked at.
        shed: whether its rest was asked back.
    """

    number: int
    worker: str
    names: list[Name]
    given: float
    suspect: bool = False
    tries: int = 0
    claims: set[bytes] = field(default_factory=set)
    copies: list[Copy] = field(default_factory=list)
    working: bool = False
    shed: bool = False


Known = Callable[[Sequence[bytes]], Mapping[bytes, tuple[bytes, str]]]


class Scheduler:
    """Names that wait, and blocks that are under way.

    Args:
        known: SHA-256 of contents → of those that were examined, the name and what came out.
        seconds: that a block should take; None for what suits the number of workers.
    """

    def __init__(self, known: Known, seconds: float | None = None) -> None:
        self._known, self._seconds = known, seconds
        self._fresh: deque[Name] = deque()
        self._first: deque[list[Name]] = deque()  # blocks that come before fresh names
        self._suspects: deque[tuple[list[Name], int]] = deque()  # with their tries
        self._draining: set[str] = set()  # workers that take nothing but suspects
        self._copies: deque[Copy] = deque()
        self._blocks: dict[int, Block] = {}
        self._of: dict[str, set[int]] = {}  # worker → its blocks
        self._paths: set[str] = set()  # that wait or are under way
        self._claims: dict[bytes, int] = {}  # content → block
        self._waiting: dict[bytes, list[Look]] = {}  # content that is claimed → its copies
        self._next, self._mean = 0, 0.0
        self.listed = False  # whether no more names come
        self.killers = 0

    # Names and workers.

    def offer(self, names: Iterable[Name]) -> int:
        """Take names in; how many of them were there already."""
        double = 0
        for name in names:
            if name.path in self._paths:
                double += 1
            else:
                self._paths.add(name.path)
                self._fresh.append(name)
        return double

    @property
    def waiting(self) -> int:
        """Fresh names that no worker has."""
        return len(self._fresh)

    @property
    def done(self) -> bool:
        """Whether everything that was listed is done."""
        return self.listed and not self._paths

    def add_worker(self, worker: str) -> None:
        """A worker is there."""
        self._of[worker] = set()

    def wants(self, worker: str) -> bool:
        """Whether a worker that is there has room for a block."""
        blocks = self._of[worker]
        return len(blocks) < IN_FLIGHT and not any(self._blocks[one].suspect for one in blocks)

    def block_seconds(self) -> float:
        """Seconds that a block should take: with many workers longer, for the sake of this one."""
        return self._seconds or min(10.0, max(1.0, len(self._of) / 100))

    # The way of a block.

    def give(self, worker: str, now: float) -> Block | None:
        """A block for a worker, which it is to look at; None if there is none."""
        suspect, tries = False, 0
        names: list[Name] = []
        if self._drains(worker):
            if self._of[worker]:
                return None
            suspect, (names, tries) = True, self._suspects.popleft()
        elif self._first:
            names = self._first.popleft()
        else:
            names = [self._fresh.popleft() for _ in range(min(self._size(), len(self._fresh)))]
        if not names and not self._copies:
            return None
        self._next += 1
        block = Block(self._next, worker, names, now, suspect, tries)
        self._blocks[block.number] = block
        self._of[worker].add(block.number)
        return block

    def looked(
        self, block: Block, looks: Sequence[Look], now: float
    ) -> tuple[list[Look], list[Copy]]:
        """What the worker is to examine, and whose rows it is to write as copies.

        Args:
            block: that the worker has.
            looks: at those of its names whose content counts; the others were `settled`.
            now: seconds.
        """
        tasks = []
        known = self._known([look.sha256 for look in looks])
        for look in looks:
            found = known.get(look.sha256)
            if found is not None:
                block.copies.append(Copy(look, *found))
            elif look.sha256 in self._claims:
                self._waiting.setdefault(look.sha256, []).append(look)
                self._take_out(block, look.path)
            else:
                self._claims[look.sha256] = block.number
                block.claims.add(look.sha256)
                tasks.append(look)
        while self._copies and len(block.copies) < MOST and not block.suspect:
            block.copies.append(self._copies.popleft())
        block.working, block.given = True, now
        return tasks, block.copies

    def settled(self, paths: Iterable[str], block: Block) -> None:
        """Names of a block need nothing more."""
        gone = set(paths)
        block.names = [name for name in block.names if name.path not in gone]
        self._paths -= gone

    def worked(
        self,
        block: Block,
        paths: set[str],
        contents: Iterable[bytes],
        seconds: float,
        now: float,
    ) -> None:
        """A worker is done with a block, and what it wrote is remembered.

        Args:
            block: that it had.
            paths: of names and copies that it dealt with; what it was not asked to do or did not
                come to goes to others.
            contents: that it examined and that are known now.
            seconds: for which it worked.
            now: seconds.
        """
        self._drop(block)
        asked = sum(name.path in paths for name in block.names)
        if asked:
            self._mean += (seconds / asked - self._mean) * (_WEIGHT if self._mean else 1.0)
        for number in self._of.get(block.worker, ()):
            self._blocks[number].given = now  # the worker begins with it only now
        self._paths -= paths
        for content in contents:
            self._claims.pop(content, None)
            block.claims.discard(content)
            if content in self._waiting:
                found = self._known([content])[content]
                self._copies.extend(Copy(look, *found) for look in self._waiting.pop(content))
        self._release(block)
        undone = [copy for copy in block.copies if copy.look.path not in paths]
        self._copies.extend(undone)
        paths = paths.union(copy.look.path for copy in undone)
        self._again([name for name in block.names if name.path not in paths])

    def overdue(self, now: float) -> list[Block]:
        """Blocks whose rest is to be asked back, each once: a file in them takes long."""
        limit = OVERDUE * self.block_seconds()
        late = [
            block
            for block in self._blocks.values()
            if block.working
            and not block.shed
            and len(block.names) > 1
            and now - block.given > limit
        ]
        for block in late:
            block.shed = True
        return late

    def lost(self, worker: str, blamed: bool = True) -> list[Name]:
        """A worker is gone with its blocks. Names that have now killed often enough.

        Args:
            worker: that is gone.
            blamed: whether a file may be the reason; else its machine went.
        """
        killers = []
        self._draining.discard(worker)
        for number in sorted(self._of.pop(worker, ())):
            block = self._blocks[number]
            self._drop(block)
            self._release(block)
            self._copies.extend(block.copies)
            copied = {copy.look.path for copy in block.copies}
            names = [name for name in block.names if name.path not in copied]
            if not names:
                continue
            if not blamed:
                self._again(names, block)
            elif len(names) > 1:
                size = math.ceil(len(names) / SPLIT)
                for start in range(0, len(names), size):
                    self._suspects.append((names[start : start + size], 0))
            elif block.suspect and block.tries + 1 >= TRIES:
                killers += names
                self._paths.discard(names[0].path)
            else:
                self._suspects.append((names, block.tries + block.suspect))
        self.killers += len(killers)
        return killers

    def _drains(self, worker: str) -> bool:
        """Whether a worker is, for as long as there are suspects, one of those that take them."""
        if not self._suspects:
            self._draining.clear()
        elif len(self._draining) < max(1, len(self._of) // SPLIT):
            self._draining.add(worker)
        return worker in self._draining

    def holds(self, block: Block) -> bool:
        """Whether a block is under way: what is said of any other comes too late."""
        return block.number in self._blocks

    def _size(self) -> int:
        """Names of the next block: fewer towards the end, so that all workers end together.

        But so many that this process can serve all workers with blocks of that size.
        """
        size = FIRST if not self._mean else int(self.block_seconds() / self._mean)
        if self.listed:
            rest = math.ceil(len(self._fresh) / (2 * max(1, len(self._of))))
            worth = math.ceil(BLOCK_COST * len(self._of) / self._mean) if self._mean else 1
            size = min(size, max(rest, worth))
        return max(1, min(MOST, size))

    def _again(self, names: list[Name], block: Block | None = None) -> None:
        if names and block and block.suspect:
            self._suspects.append((names, block.tries))
        elif names:
            self._first.append(names)

    def _take_out(self, block: Block, path: str) -> None:
        block.names = [name for name in block.names if name.path != path]

    def _drop(self, block: Block) -> None:
        self._blocks.pop(block.number, None)
        self._of.get(block.worker, set()).discard(block.number)

    def _release(self, block: Block) -> None:
        """Give up the contents of a block; their copies are looked at again."""
        for content in block.claims:
            self._claims.pop(content, None)
            self._again([Name(look.path) for look in self._waiting.pop(content, ())])
        block.claims.clear()
