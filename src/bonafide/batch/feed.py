"""Names of a batch on a cluster, listed by several actors at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from bonafide.batch.journal import Journal
from bonafide.batch.listing import Lister, Page, Piece, start
from bonafide.batch.run import path_of
from bonafide.batch.scheduler import Name
from bonafide.errors import InvalidInput
from bonafide.media.limits import Limits

LISTERS = 8
TRIES = 3  # of a piece whose lister died


class Feed:
    """Where names come from.

    Args:
        ray: the module, connected.
        given: what the user names.
        column: of tables among it.
        limits: of which `nesting` bounds the depth of folders.
        without: a folder that is passed over.
    """

    def __init__(
        self, ray: Any, given: Iterable[str], column: str, limits: Limits, without: str
    ) -> None:
        self._ray, self._without = ray, without
        self._given = start(given, column, limits)
        self._started = False  # whether all that was given is a piece or a name by now
        self._pieces: list[tuple[Piece, int]] = []  # with tries; the last first, or it would grow
        self._names: deque[str] = deque()
        self._kind = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(Lister)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Piece, int]] = {}  # reference → lister, piece, tries
        self._paused: list[tuple[Any, Piece, int]] = []  # with more to tell
        self._listers = 0
        self.found = 0

    @property
    def over(self) -> bool:
        """Whether no more names come."""
        left = self._pieces or self._names or self._busy or self._paused
        return self._started and not left

    @property
    def calls(self) -> list[Any]:
        """References of calls under way."""
        return list(self._busy)

    def take(self, journal: Journal, room: int) -> list[Name]:
        """Up to `room` names with what is known of each; more are listed meanwhile.

        Raises:
            InvalidInput: a list cannot be read.
        """
        if room > 0:
            self._list(room)
        paths = [path_of(self._names.popleft()) for _ in range(min(room, len(self._names)))]
        seen = journal.seen_all(paths)
        return [Name(path, seen.get(path)) for path in paths]

    def hear(self, reference: Any) -> None:
        """Take the answer of a lister.

        Raises:
            InvalidInput: something cannot be listed.
        """
        lister, piece, tries = self._busy.pop(reference)
        try:
            page: Page | InvalidInput | None = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            self._listers -= 1
            if tries + 1 >= TRIES:
                raise InvalidInput(
                    f"{piece.place} cannot be listed: whatever tries, dies"
                ) from None
            self._pieces.append(
                (piece, tries + 1)
            )  # from its start: names come again, and are known
            return
        if isinstance(page, InvalidInput):
            raise page
        if page is None:
            self._idle.append(lister)
            return
        self.found += len(page.names)
        self._names.extend(page.names)
        self._pieces += [(one, 0) for one in page.pieces]
        self._paused.append((lister, piece, tries))

    def _list(self, room: int) -> None:
        while not self._started and len(self._names) < room and len(self._pieces) < LISTERS:
            found = next(self._given, None)
            if found is None:
                self._started = True
            elif isinstance(found, Piece):
                self._pieces.append((found, 0))
            else:
                self.found += 1
                self._names.append(found)
        if len(self._names) >= room:
            return
        for lister, piece, tries in self._paused:
            self._busy[lister.more.remote(None)] = (lister, piece, tries)
        self._paused.clear()
        while self._pieces and (self._idle or self._listers < LISTERS):
            if self._idle:
                lister = self._idle.pop()
            else:
                lister = self._kind.remote(self._without)
                self._listers += 1
            piece, tries = self._pieces.pop()
            self._busy[lister.more.remote(piece)] = (lister, piece, tries)
