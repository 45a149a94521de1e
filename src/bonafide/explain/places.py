"""Places and times in a sentence: each has to be one that the report marks."""

from __future__ import annotations

import re

from bonafide.explain import reading
from bonafide.explain.reading import POINT, SIZE
from bonafide.explain.scope import Problem, Scope
from bonafide.types import Box, Report

_SIDE = re.compile(
    r"\b(upper|lower|top|bottom|left|right|middle|centre|center|central|corner|edge|edges)\b"
)
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(?:\.\d+)?\b")
_EVERYWHERE = re.compile(r"\b(everywhere|throughout|entire|whole (?:picture|image|file))\b")


def problem(scope: Scope) -> Problem | None:
    """What is wrong with the places and times of a sentence; None if nothing is."""
    return _points(scope) or _sides(scope) or _times(scope)


def marked(report: Report, x: int, y: int) -> bool:
    """Whether the joint map of a report marks a pixel; False where it has no map."""
    one = report.edits.map if report.edits else None
    if one is None or not (0 <= x < one.width and 0 <= y < one.height):
        return False
    row, column = (y - one.top) // one.cell, (x - one.left) // one.cell
    rows, columns = one.values.shape
    return bool(one.values[min(row, rows - 1), min(column, columns - 1)] >= 0.5)


def _boxes(scope: Scope) -> list[Box]:
    return [box for one in scope.cited for box in one.boxes]


def _points(scope: Scope) -> Problem | None:
    """Coordinates and sizes belong together as the report has them."""
    boxes = _boxes(scope)
    texts = [text for one in scope.cited for text in one.texts]
    for match in POINT.finditer(scope.sentence):
        x, y = int(match.group(1)), int(match.group(2))
        exact = any((box.x, box.y) == (x, y) for box in boxes)
        told = any(_has(POINT, text, x, y) for text in texts)
        inside = bool(scope.cites("region.")) and marked(scope.report, x, y)
        if not (exact or told or inside):
            return Problem("region", f"Nothing that it cites lies at ({x}, {y}).")
    points = {(int(m.group(1)), int(m.group(2))) for m in POINT.finditer(scope.sentence)}
    media = scope.report.media
    for match in SIZE.finditer(scope.sentence):
        width, height = int(match.group(1)), int(match.group(2))
        fits = [(box.width, box.height) for box in boxes]
        if scope.cites("file.width", "file.height"):
            fits.append((media.width or 0, media.height or 0))
        if (width, height) not in fits and not any(
            _has(SIZE, text, width, height) for text in texts
        ):
            return Problem("region", f"Nothing that it cites has {width} × {height} pixels.")
        here = [box for box in boxes if (box.x, box.y) in points]
        if here and not any((box.width, box.height) == (width, height) for box in here):
            return Problem("region", f"The region there does not have {width} × {height} pixels.")
    return None


def _has(pattern: re.Pattern[str], text: str, one: int, other: int) -> bool:
    return any((int(m.group(1)), int(m.group(2))) == (one, other) for m in pattern.finditer(text))


def _sides(scope: Scope) -> Problem | None:
    """Words for parts of the picture: every region that is cited has to lie there."""
    clauses = [clause for clause in scope.clauses if not scope.repeats(clause)]
    found = [match.group(1) for c in clauses for match in _SIDE.finditer(c.text.lower())]
    width, height = scope.report.media.width, scope.report.media.height
    everywhere = any(_EVERYWHERE.search(clause.text.lower()) for clause in clauses)
    if everywhere and scope.cites("region."):
        return Problem("region", "The regions that it cites do not cover the whole.")
    if not found:
        return None
    boxes = [box for one in scope.cites("region.") for box in one.boxes[:1]]
    if not boxes or not width or not height:
        return Problem("region", f"“{found[0]}”: it cites no region.")
    for box in boxes:
        x, y = (box.x + box.width / 2) / width, (box.y + box.height / 2) / height
        for word in found:
            if not _lies(word, x, y, box, width, height):
                return Problem("region", f"The region that it cites is not “{word}”.")
    return None


def _lies(word: str, x: float, y: float, box: Box, width: int, height: int) -> bool:
    """Whether a box whose centre is (x, y), in shares of the picture, lies where a word says."""
    if word in ("edge", "edges"):
        reach = 0.05
        return (
            box.x <= reach * width
            or box.y <= reach * height
            or box.x + box.width >= (1 - reach) * width
            or box.y + box.height >= (1 - reach) * height
        )
    return {
        "left": x < 0.45,
        "right": x > 0.55,
        "top": y < 0.45,
        "upper": y < 0.45,
        "bottom": y > 0.55,
        "lower": y > 0.55,
        "corner": min(x, 1 - x) < 0.33 and min(y, 1 - y) < 0.33,
    }.get(word, 0.3 <= x <= 0.7 and 0.3 <= y <= 0.7)


def _times(scope: Scope) -> Problem | None:
    """A clock time has to lie in a stretch that is cited."""
    spans = [span for one in scope.cited for span in one.spans]
    texts = " ".join(text for one in scope.cited for text in one.texts)
    for number in reading.numbers(scope.sentence):
        if not _CLOCK.fullmatch(number.text) or number.text in texts:
            continue
        half = number.step / 2 + 1e-9
        if not any(span.start - half <= number.value <= span.end + half for span in spans):
            return Problem("time", f"Nothing that it cites is at {number.text}.")
    return None
