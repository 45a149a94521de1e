"""Groups of pictures of an earlier compression.

Every group begins with a frame that is coded alone. What is predicted from frames before drifts
away from the scene, and that frame sets it right: even where nothing moves, all pixels change a
little. When the file is decoded and compressed again, with its groups elsewhere, these frames still
change more than their neighbours, and cost more bytes, at a fixed distance.

Sources: W. Wang, H. Farid, "Exposing Digital Forgeries in Video by Detecting Double MPEG
Compression", ACM MM&Sec 2006; D. Vázquez-Padín, M. Fontani, T. Bianchi et al., "Detection of Video
Double Encoding with GOP Size Estimation", WIFS 2012 (the trace; they count how blocks are
predicted, which told less here than the change of the quietest cells and the bytes together).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonafide.media.video import Coded
from bonafide.signals.frame_steps import Steps, running_median
from bonafide.signals.periods import Period, period_of

SURE = -2.0  # log10 of the false alarms from which groups are told
SHORTEST = 9  # frames; shorter periods are those of a codec's own frames in between
_SHARES = (0.04, 0.08, 0.16)  # of the frames that count as standing out
_AROUND = 6


def matched(seconds: NDArray[np.float64], coded: Sequence[Coded]) -> tuple[Coded, ...] | None:
    """The packet of each frame, by time; None where they do not fit."""
    if not coded or not len(seconds):
        return None
    times = np.array([one.seconds for one in coded])
    nearest = np.clip(np.searchsorted(times, seconds - 1e-3), 0, len(times) - 1)
    if float(np.abs(times[nearest] - seconds).max()) > 2e-3:
        return None
    return tuple(coded[at] for at in nearest)


def kinds_of(coded: Sequence[Coded]) -> NDArray[np.int64]:
    """How frames are coded, as a number for each kind, int64 (n,)."""
    return np.array([4 * one.keyframe + 2 * one.kept + one.between for one in coded], np.int64)


def earlier_groups(steps: Steps, coded: Sequence[Coded]) -> Period | None:
    """The distance at which frames stand out that are no keyframes; None where none does.

    Args:
        steps: of the frames.
        coded: of each of them, from `matched`.
    """
    count = len(coded)
    keys = np.array([one.keyframe for one in coded])
    usable = ~keys
    usable[:1] = False
    if usable.sum() < 4 * SHORTEST:
        return None
    change = [_standing(np.log(steps.fine[:, at] + 0.3), usable) for at in (0, 1)]
    stands = (change[0] + change[1]) / 2 + _dear(coded, keys)
    found: Period | None = None
    for share in _SHARES:
        events = stands > np.quantile(stands[usable], 1 - share)
        period = period_of(events, usable, SHORTEST, count // 4)
        if period is not None and (found is None or period.log10_alarms < found.log10_alarms):
            found = period
    if found is None or found.log10_alarms + np.log10(len(_SHARES)) > SURE:
        return None
    return None if _own(found, np.flatnonzero(keys)) else found


def _standing(values: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far values stand above their surroundings, in deviations, bounded."""
    above = values - running_median(values, _AROUND)
    scale = 1.4826 * float(np.median(np.abs(above[usable]))) + 1e-3
    found: NDArray[np.float64] = np.clip(above / scale, -3, 6)
    return found


def _dear(coded: Sequence[Coded], keys: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The same of the bytes of each frame, against frames that are coded in the same way."""
    kinds, size = kinds_of(coded), np.log(np.array([one.size for one in coded]) + 50.0)
    found = np.zeros(len(coded))
    for kind in np.unique(kinds[~keys]):
        places = np.flatnonzero((kinds == kind) & ~keys)
        if len(places) > 8:
            found[places] = _standing(size[places], np.ones(len(places), bool))
    return found


def _own(period: Period, keys: NDArray[np.intp]) -> bool:
    """Whether the file's own keyframes, or the frames right after them, explain a period."""
    if len(keys) < 3:
        return False
    apart = np.diff(keys)
    usual = int(np.median(apart))
    if np.mean(apart == usual) < 0.7 or usual % period.every:
        return False
    behind = (period.first - int(keys[0])) % period.every
    return behind <= 3 or period.every - behind <= 3
