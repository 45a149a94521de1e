"""Digital silence in the middle of sound that is never silent.

A microphone and its amplifier always give some noise. A run of samples that are exactly zero, in a
recording whose quietest moments are louder than that, was put there: by a gate that closes when
nobody speaks, which then happens again and again, or by an editor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORTEST = 0.008  # seconds of a run
HABIT = 6  # runs from which they are a habit of the recorder, not an edit
_EDGE = 0.3  # seconds at the beginning and the end in which runs do not count
_CELL = 0.02  # seconds over which the peak is taken
_BESIDE = 8 / 32768  # of full scale: what the sound beside a run must reach
_NEVER = 3 / 32768  # of full scale: the quietest twentieth of the cells must reach this
_MOST_RUNS = 10_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Gap:
    """A run of zeros; seconds from the first sample."""

    start: float
    end: float


class Gaps:
    """Collects runs of zeros from a recording that is given piece by piece.

    Attributes:
        runs: those of at least `SHORTEST`, in order, the edges of the recording included.
    """

    def __init__(self, rate: int) -> None:
        """Nothing is known yet; `rate` is in samples per second."""
        self.runs: list[Gap] = []
        self._rate = rate
        self._count = 0
        self._began: int | None = None
        self._peaks: list[Floats] = []

    def add(self, samples: Floats) -> None:
        """Samples that follow those given before, float32 (n,) in [-1, 1]."""
        zero = np.concatenate([[self._began is not None], samples == 0, [False]])
        edges = np.flatnonzero(np.diff(zero.astype(np.int8)))
        starts = edges[::2] if not zero[0] else edges[1::2]
        ends = edges[1::2] if not zero[0] else edges[::2]
        begun = [self._count + int(one) for one in starts]
        if self._began is not None:
            begun.insert(0, self._began)
        self._began = None
        for first, last in zip(begun, (self._count + int(one) for one in ends), strict=True):
            if last == self._count + len(samples):
                self._began = first  # it may go on
            else:
                self._close(first, last)
        cell = max(1, round(_CELL * self._rate))
        cells = np.abs(samples[: len(samples) // cell * cell]).reshape(-1, cell)
        self._peaks.append(cells.max(1).astype(np.float32))
        self._count += len(samples)

    def _close(self, first: int, last: int) -> None:
        if last - first >= SHORTEST * self._rate and len(self.runs) < _MOST_RUNS:
            self.runs.append(Gap(first / self._rate, last / self._rate))

    def found(self) -> list[Gap]:
        """The runs that no habit explains, in order; [] where the sound itself falls silent."""
        if not self._peaks or len(self.runs) >= HABIT:
            return []
        peaks = np.concatenate(self._peaks)
        silent = np.zeros(len(peaks), bool)
        for run in self.runs:
            silent[int(run.start / _CELL) : int(run.end / _CELL) + 1] = True
        heard = peaks[~silent]
        if len(heard) < 50 or np.quantile(heard, 0.05) < _NEVER:
            return []
        length = self._count / self._rate
        return [
            run
            for run in self.runs
            if run.start > _EDGE
            and run.end < length - _EDGE
            and self._beside(peaks, run) >= _BESIDE
        ]

    @staticmethod
    def _beside(peaks: Floats, run: Gap) -> float:
        """The smaller of the peaks within 40 ms before and after a run."""
        first, last = int(run.start / _CELL), int(run.end / _CELL)
        before, after = peaks[max(0, first - 2) : first + 1], peaks[last : last + 3]
        return float(min(before.max(initial=0.0), after.max(initial=0.0)))
