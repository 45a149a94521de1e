"""What an examination did and when, as plain data.

Files are examined in processes that have no network. So they write down the steps, their answer
carries these, and the process that gets it makes spans of them (`bonafide.telemetry.traces`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import astuple, dataclass
from typing import Any

from bonafide.errors import InvalidInput

EXAMINATION = "examination"  # the step that the others lie in
MOST = 500  # steps of one answer
_LONGEST = 200  # characters of a text

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done.

    Attributes:
        name: of what.
        began, ended: nanoseconds since 1970.
        status: "ok", or in one word why there is no result.
    """

    name: str
    began: int
    ended: int
    status: str = "ok"


class Steps:
    """Steps of one examination; threads may add to it at the same time."""

    def __init__(self) -> None:
        self.done: list[Step] = []

    def add(self, name: str, began: int, status: str = "ok") -> None:
        """A step that began at a moment and has ended now."""
        self.done.append(Step(name, began, time.time_ns(), status))

    def add_detector(self, detector: str, began: int, status: str) -> None:
        """The measurement of a detector, from a moment until now."""
        self.add(f"detector {detector}", began, status)


_current: ContextVar[Steps | None] = ContextVar("steps", default=None)


def current() -> Steps | None:
    """Where the steps of this examination are written down, None if nobody asked for them.

    A thread that others started does not see it and must be given it.
    """
    return _current.get()


@contextmanager
def recorded() -> Iterator[Steps]:
    """Write down the steps of what is examined inside, and the whole as one step."""
    steps, began = Steps(), time.time_ns()
    token = _current.set(steps)
    try:
        yield steps
    finally:
        _current.reset(token)
        steps.add(EXAMINATION, began)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Write down what is done inside, if anybody asked for it."""
    steps, began = current(), time.time_ns()
    try:
        yield
    finally:
        if steps is not None:
            steps.add(name, began)


def told(steps: Sequence[Step]) -> list[list[Value]]:
    """Steps as JSON values."""
    return [list(astuple(one)) for one in steps[-MOST:]]


def heard(values: Any) -> tuple[Step, ...]:
    """The steps that `told` wrote, from a process that a hostile file may have taken over.

    Raises:
        InvalidInput: they are none.
    """
    if not isinstance(values, list) or len(values) > MOST:
        raise InvalidInput("these are no steps")
    found = []
    for value in values:
        if not isinstance(value, list) or [type(one) for one in value] != [str, int, int, str]:
            raise InvalidInput("these are no steps")
        name, began, ended, status = value
        if not 0 <= began <= ended < 1 << 63:
            raise InvalidInput("these are no steps")
        found.append(Step(name[:_LONGEST], began, ended, status[:_LONGEST]))
    return tuple(found)
