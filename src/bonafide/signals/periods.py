"""Events that come back at a fixed distance, against what chance would give.

Source: A. Desolneux, L. Moisan, J.-M. Morel, "From Gestalt Theory to Image Analysis", 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.signals.acontrario import log10_false_alarms


@dataclass(frozen=True)
class Period:
    """The period that chance explains least.

    Attributes:
        every: distance, in places.
        first: the first place, in [0, every).
        hits: events at first + k · every.
        places: how many of those places there are, but for those that could hold no event.
        log10_alarms: log10 of how many periods as regular chance would give.
    """

    every: int
    first: int
    hits: int
    places: int
    log10_alarms: float


def period_of(
    events: NDArray[np.bool_],
    possible: NDArray[np.bool_],
    least: int,
    most: int,
    fewest: int = 4,
    chance: NDArray[np.float64] | None = None,
) -> Period | None:
    """The most regular period of events; None where there are too few for any.

    Chance is: as many events, anywhere among the possible places, or as `chance` says.

    Args:
        events: bool (n,).
        possible: bool (n,), False where an event could not be seen.
        least, most: periods that are tried, in places.
        fewest: hits that a period needs.
        chance: float64 (n,) in [0, 1], how often an event is to be expected at a place for a known
            reason; what it explains does not count.
    """
    count = len(events)
    seen, can = (events & possible).astype(np.int64), possible.astype(np.int64)
    total, room = int(seen.sum()), int(can.sum())
    if total < fewest or total >= room:
        return None
    share = total / room
    expected = np.full(count, share) if chance is None else np.maximum(chance, share)
    last = min(most, count // fewest)
    tests = sum(range(least, last + 1))
    best: Period | None = None
    for every in range(least, last + 1):
        rows = -(-count // every)
        padded = np.zeros((3, rows * every))
        padded[0, :count], padded[1, :count], padded[2, :count] = seen, can, expected * can
        hits, places, likely = padded.reshape(3, rows, every).sum(1)
        for first in np.flatnonzero((hits >= fewest) & (hits > likely)):
            rate = min(likely[first] / places[first], 0.999)
            alarms = log10_false_alarms(math.log10(tests), hits[first], places[first], rate)
            if best is None or alarms < best.log10_alarms:
                best = Period(every, int(first), int(hits[first]), int(places[first]), alarms)
    return best
