"""Charts as inline SVG: no script, no font, no library, sharp on paper.

Colours come from the page's style sheet by class (`c0` … `c7`), so that a chart follows light, dark
and print; series differ by dash as well as by colour. Text is escaped here, since a chart enters
the page as finished markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

COLOURS = 8  # classes that the style sheet knows


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: shown in the legend.
        points: (x, y) in data units; a NaN breaks the line.
        low, high: bounds of y at each point, drawn as a band; empty for none.
        marks: whether each point has a dot.
    """

    name: str
    points: Sequence[tuple[float, float]]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    marks: bool = False


@dataclass(frozen=True)
class Bar:
    """One row of `bars`: a value with its interval, NaN where unknown."""

    name: str
    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """What lies along one side.

    Attributes:
        label: with its unit.
        low, high: ends in data units.
        ticks: (position, text).
    """

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


def unit_axis(label: str, low: float = 0.0) -> Axis:
    """An axis from `low` to 1 with a tick every quarter, or every tenth from 0.5."""
    step = 0.25 if low < 0.5 else 0.1
    count = round((1 - low) / step)
    ticks = [low + step * number for number in range(count + 1)]
    return Axis(label, low, 1.0, tuple((tick, f"{tick:.2g}") for tick in ticks))


def lines(
    title: str,
    series: Sequence[Series],
    horizontal: Axis,
    vertical: Axis,
    diagonal: bool = False,
    level: float | None = None,
    square: bool = True,
) -> Markup:
    """A line chart with a legend below.

    Args:
        title: read out in place of the drawing.
        series: at most `COLOURS` are told apart.
        horizontal, vertical: axes; points outside are cut off at the frame.
        diagonal: draw the line from corner to corner (chance, or perfect calibration).
        level: draw a dashed line at this height.
        square: of one shape with its neighbours; otherwise wide.
    """
    frame = _Frame(360 if square else 640, 300, horizontal, vertical, 56, 14, 12, 46)
    parts = [*frame.grid()]
    if diagonal:
        parts.append(frame.path([(horizontal.low, vertical.low), (horizontal.high, vertical.high)],
                                "reference"))  # fmt: skip
    if level is not None:
        parts.append(frame.path([(horizontal.low, level), (horizontal.high, level)], "reference"))
    for number, one in enumerate(series):
        colour = f"c{number % COLOURS}"
        if one.low and one.high:
            band = [(x, y) for (x, _), y in zip(one.points, one.high, strict=True)]
            band += [(x, y) for (x, _), y in zip(one.points, one.low, strict=True)][::-1]
            parts.append(frame.area([p for p in band if not math.isnan(p[1])], colour))
        parts.append(frame.path(one.points, f"stroke {colour}"))
        if one.marks:
            parts += [frame.dot(x, y, 3, colour) for x, y in one.points]
    return frame.figure(title, parts) + legend([one.name for one in series])


def dots(
    title: str,
    points: Sequence[tuple[float, float, float]],
    horizontal: Axis,
    vertical: Axis,
) -> Markup:
    """A reliability diagram: (announced, observed, share of files); area grows with the share."""
    frame = _Frame(360, 300, horizontal, vertical, 56, 14, 12, 46)
    parts = [*frame.grid()]
    parts.append(frame.path([(0.0, 0.0), (1.0, 1.0)], "reference"))
    known = [point for point in points if not any(map(math.isnan, point))]
    parts.append(frame.path([(x, y) for x, y, _ in known], "stroke thin c0"))
    parts += [frame.dot(x, y, 2 + 14 * math.sqrt(share), "c0 see-through") for x, y, share in known]
    return frame.figure(title, parts)


def bars(title: str, rows: Sequence[Bar], axis: Axis, reference: float | None = None) -> Markup:
    """Horizontal bars with intervals, one row each; names wrap nowhere, so they are cut.

    Args:
        title: read out in place of the drawing.
        rows: in the order shown.
        axis: of the values.
        reference: where bars begin, such as the value of chance; the low end otherwise.
    """
    left, right, width, step = 240.0, 52.0, 640.0, 22.0
    height = step * len(rows) + 34
    start = axis.low if reference is None else reference
    span = width - left - right

    def at(value: float) -> float:
        inside = min(max(value, axis.low), axis.high)
        return left + span * (inside - axis.low) / (axis.high - axis.low)

    parts = []
    for position, text in axis.ticks:
        x = at(position)
        parts.append(f'<path class="grid" d="M{x:.1f} 4V{height - 28:.1f}"/>')
        parts.append(_text(x, height - 14, text, "tick", "middle"))
    parts.append(f'<path class="axis" d="M{at(start):.1f} 4V{height - 28:.1f}"/>')
    for number, row in enumerate(rows):
        y = 6 + step * number
        parts.append(_text(left - 10, y + 14, _cut(row.name, 36), "name", "end", row.name))
        if math.isnan(row.value):
            parts.append(_text(left + 6, y + 14, row.note or "not defined", "tick", "start"))
            continue
        first, last = sorted((at(start), at(row.value)))
        parts.append(
            f'<rect class="bar c0" x="{first:.1f}" y="{y + 4:.1f}" '
            f'width="{max(last - first, 1):.1f}" height="{step - 8:.1f}"/>'
        )
        if not (math.isnan(row.low) or math.isnan(row.high)):
            middle = y + step / 2
            parts.append(
                f'<path class="whisker" d="M{at(row.low):.1f} {middle:.1f}H{at(row.high):.1f}'
                f'M{at(row.low):.1f} {middle - 4:.1f}v8M{at(row.high):.1f} {middle - 4:.1f}v8"/>'
            )
        parts.append(_text(width - right + 8, y + 14, f"{row.value:.3f}", "value", "start"))
    return _svg(width, height, title, parts, "wide")


def legend(names: Iterable[str]) -> Markup:
    """What each colour and dash stands for, as HTML that wraps."""
    items = [
        Markup('<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true">'
               '<path class="stroke c{}" d="M1 4H27"/></svg>{}</li>').format(number % COLOURS, name)
        for number, name in enumerate(names)
    ]  # fmt: skip
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


class _Frame:
    """The plotting area of a chart, and the way from data units to the drawing's."""

    def __init__(
        self,
        width: float,
        height: float,
        horizontal: Axis,
        vertical: Axis,
        left: float,
        right: float,
        top: float,
        bottom: float,
    ) -> None:
        self.width, self.height = width, height
        self.horizontal, self.vertical = horizontal, vertical
        self.left, self.top = left, top
        self.across, self.down = width - left - right, height - top - bottom

    def x(self, value: float) -> float:
        return self.left + self.across * _share(value, self.horizontal)

    def y(self, value: float) -> float:
        return self.top + self.down * (1 - _share(value, self.vertical))

    def grid(self) -> list[str]:
        end = self.top + self.down
        parts = []
        for position, text in self.horizontal.ticks:
            parts.append(f'<path class="grid" d="M{self.x(position):.1f} {self.top}V{end}"/>')
            parts.append(_text(self.x(position), end + 16, text, "tick", "middle"))
        for position, text in self.vertical.ticks:
            parts.append(
                f'<path class="grid" d="M{self.left} {self.y(position):.1f}h{self.across}"/>'
            )
            parts.append(_text(self.left - 8, self.y(position) + 4, text, "tick", "end"))
        middle, centre = self.left + self.across / 2, self.top + self.down / 2
        parts.append(_text(middle, self.height - 8, self.horizontal.label, "label", "middle"))
        parts.append(
            f'<text class="label" text-anchor="middle" transform="rotate(-90)" '
            f'x="{-centre:.1f}" y="14">{escape(self.vertical.label)}</text>'
        )
        return parts

    def path(self, points: Sequence[tuple[float, float]], style: str) -> str:
        steps, pen = [], "M"
        for x, y in points:
            if math.isnan(x) or math.isnan(y):
                pen = "M"
                continue
            steps.append(f"{pen}{self.x(x):.1f} {self.y(y):.1f}")
            pen = "L"
        return f'<path class="{style}" d="{"".join(steps)}"/>' if steps else ""

    def area(self, points: Sequence[tuple[float, float]], style: str) -> str:
        if not points:
            return ""
        corners = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)
        return f'<path class="band {style}" d="M{corners}Z"/>'

    def dot(self, x: float, y: float, radius: float, style: str) -> str:
        if math.isnan(x) or math.isnan(y):
            return ""
        return (
            f'<circle class="dot {style}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" '
            f'r="{radius:.1f}"/>'
        )

    def figure(self, title: str, parts: Iterable[str]) -> Markup:
        return _svg(self.width, self.height, title, parts, "chart")


def thin(
    points: Sequence[tuple[float, float]], tolerance: float = 0.002
) -> list[tuple[float, float]]:
    """Fewer points of a curve, none of which was further than `tolerance` from what is left.

    Source: D. Douglas, T. Peucker, Cartographica 10, 1973.
    """
    if len(points) < 3:
        return list(points)
    array = np.array(points, np.float64)
    kept = np.zeros(len(array), np.bool_)
    kept[[0, -1]] = True
    spans = [(0, len(array) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        inner, start = array[first + 1 : last] - array[first], array[last] - array[first]
        length = float(np.hypot(*start))
        away = (
            np.abs(start[0] * inner[:, 1] - start[1] * inner[:, 0]) / length
            if length
            else np.hypot(inner[:, 0], inner[:, 1])
        )
        worst = int(np.argmax(away))
        if away[worst] > tolerance:
            middle = first + 1 + worst
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return [points[int(index)] for index in np.flatnonzero(kept)]


def _share(value: float, axis: Axis) -> float:
    return min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)


def _text(x: float, y: float, text: str, style: str, anchor: str, whole: str = "") -> str:
    hover = f"<title>{escape(whole)}</title>" if whole and whole != text else ""
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(text)}{hover}</text>"
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _svg(width: float, height: float, title: str, parts: Iterable[str], style: str) -> Markup:
    return Markup(  # every text inside was escaped where it was written
        f'<svg class="{style}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
