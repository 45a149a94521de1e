"""Scores along time: what the page, the terminal and the print draw of a series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from bonafide.explain.words import clock
from bonafide.languages.speak import gettext as _
from bonafide.languages.speak import told
from bonafide.report.wording import number, ordered, plain_number, title
from bonafide.types import Finding, Report, Series

MOST_CHARTS = 6
MOST_POINTS = 600  # of a line; finer steps cannot be seen
WIDTH, HEIGHT = 1000.0, 100.0  # of a drawing, in its own units
_BLOCKS, _ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"


@dataclass(frozen=True)
class Chart:
    """One series, ready to be drawn.

    Attributes:
        detector, title: whose it is.
        times: seconds, rising.
        values: the detector's own scale; NaN where nothing was measured.
        threshold: the score that counts as a hit, None without one.
        length: seconds that the time axis covers, more than 0.
    """

    detector: str
    title: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    threshold: float | None
    length: float

    def x(self, seconds: float) -> float:
        """Where a time lies on the axis, in [0, 1]."""
        return min(max(seconds / self.length, 0.0), 1.0)

    def y(self, value: float) -> float:
        """Where a value lies, in [0, 1], the largest at 0."""
        low, high = self._range()
        return min(max((high - value) / (high - low), 0.0), 1.0)

    @property
    def points(self) -> tuple[tuple[float, float, float, float], ...]:
        """(x, y, seconds, value) of every measured point."""
        return tuple(
            (self.x(time), self.y(value), time, value)
            for time, value in zip(self.times, self.values, strict=True)
            if math.isfinite(value)
        )

    @property
    def path(self) -> str:
        """SVG path data of the line in a box of `WIDTH` × `HEIGHT`; it breaks where values lack."""
        pairs = list(zip(self.times, self.values, strict=True))
        pieces = []
        for measured, run in groupby(pairs, key=lambda pair: math.isfinite(pair[1])):
            if measured:
                corners = [f"{WIDTH * self.x(t):.1f} {HEIGHT * self.y(v):.1f}" for t, v in run]
                pieces.append(f"M{'L'.join(corners)}")
        return "".join(pieces)

    @property
    def ticks(self) -> tuple[str, ...]:
        """Five times from the start of the axis to its end."""
        return tuple(clock(self.length * quarter / 4) for quarter in range(5))

    def strongest(self, most: int) -> list[tuple[float, float]]:
        """(seconds, value) of the largest values, the largest first."""
        found = [(time, value) for _, _, time, value in self.points]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most]

    @property
    def summary(self) -> str:
        """The series in one sentence."""
        if not self.points:
            return _("Nothing was measured.")
        most = [f"{plain_number(value)} at {clock(time)}" for time, value in self.strongest(3)]
        highest = told(", ".join(most))
        if self.threshold is None:
            return _("Highest: %(values)s.", values=highest)
        limit = number(self.threshold)
        return _("Highest: %(values)s. Counts from %(limit)s.", values=highest, limit=limit)

    def sparkline(self, columns: int, ascii_only: bool) -> str:
        """One character per stretch of time, or per value where those are fewer."""
        signs = _ASCII if ascii_only else _BLOCKS
        count = min(columns, len(self.values))
        line = []
        for column in range(count):
            first, last = (len(self.values) * end // count for end in (column, column + 1))
            values = [value for value in self.values[first:last] if math.isfinite(value)]
            level = (1.0 - self.y(max(values))) * len(signs) if values else -1.0
            line.append(signs[min(int(level), len(signs) - 1)] if level >= 0 else " ")
        return "".join(line)

    def _range(self) -> tuple[float, float]:
        known = [value for value in self.values if math.isfinite(value)]
        known += [] if self.threshold is None else [self.threshold]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        pad = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
        return low - pad, high + pad


def charts(report: Report) -> list[Chart]:
    """The series of all findings, those that moved the verdict first, at most `MOST_CHARTS`."""
    return list(_charts(ordered(report), duration(report)))[:MOST_CHARTS]


def duration(report: Report) -> float:
    """Seconds that the file lasts by its header, 0.0 where it does not say."""
    lengths = (report.media.details.get(name) for name in ("duration_seconds", "audio_seconds"))
    known = [one for one in lengths if isinstance(one, int | float) and math.isfinite(one)]
    return max(0.0, *known) if known else 0.0


def _charts(findings: Sequence[Finding], known: float) -> Iterator[Chart]:
    for finding in findings:
        limit = finding.calibrated.threshold if finding.calibrated else math.inf
        for series in finding.main.series:
            times, values = _thinned(series)
            if not times:
                continue
            name = (
                _("%(title)s: %(series)s", title=title(finding.detector), series=told(series.name))
                if series.name
                else ""
            )
            own = not series.name and math.isfinite(limit)  # the threshold is one of the score
            yield Chart(
                finding.detector,
                name or title(finding.detector),
                times,
                values,
                limit if own else None,
                max(known, times[-1]) or 1.0,
            )


def _thinned(series: Series) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Times and values, of a long series the largest value of each stretch."""
    pairs = [
        (time, value)
        for time, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
        if math.isfinite(time)
    ]
    pairs.sort(key=lambda pair: pair[0])
    if len(pairs) > MOST_POINTS:
        ends = [len(pairs) * step // MOST_POINTS for step in range(MOST_POINTS + 1)]
        pairs = [
            max(pairs[a:b], key=lambda pair: pair[1] if math.isfinite(pair[1]) else -math.inf)
            for a, b in pairwise(ends)
        ]
    return tuple(time for time, _ in pairs), tuple(value for _, value in pairs)
