"""Everything in a report that a statement can cite, under ids that stay the same.

| id | what |
|---|---|
| `verdict` | the headline, what it means, and the caveat |
| `answer.<question>` | one answer; a number is added for those about a part of the file |
| `finding.<detector>` | what a detector says: summary, score, threshold |
| `fact.<detector>.<name>` | one measured value, with the unit on the detector's card |
| `region.<n>` | a region of all maps together, the largest first |
| `region.<detector>.<n>` | a rectangle that a detector points at |
| `time.<detector>.<n>` | a stretch or a moment in which a detector measured most |
| `file.<name>` | size, format and what the container says of itself |
| `untested.<detector>` | a detector that was not asked |
| `stability` | how the answers held on changed copies |

Text that a file brings along (metadata, names) is part of some facts. It is kept apart, so that a
statement may quote it and not speak with its words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from bonafide import registry
from bonafide.errors import BonafideError
from bonafide.evidence.verdict import evidence_words, shows_probability
from bonafide.explain import words
from bonafide.explain.facts import numbers, shown, texts_of, unit_of
from bonafide.types import (
    Answer,
    Box,
    Calibrated,
    Card,
    Edits,
    Fact,
    Finding,
    Measurement,
    Question,
    Region,
    Report,
    Span,
    Status,
)

WEAK = 0.4  # log-likelihood ratio from which a finding under its threshold is a weak sign
MOST_REGIONS = 8  # of one detector
MOST_TIMES = 5  # of one detector


class Stance(StrEnum):
    """What a citable thing says about its question."""

    TRACE = "trace"  # reaches its threshold, claims, contradicts itself, or accuses
    WEAK = "weak"  # a weak sign
    CLEAR = "clear"  # a calibrated test that ran and stayed below its threshold
    NEUTRAL = "neutral"  # a measurement that is not weighed
    SILENT = "silent"  # gave no answer, or was not asked


@dataclass(frozen=True)
class Value:
    """One number that a statement may repeat.

    Attributes:
        number: as measured; a share is kept in [0, 1].
        unit: "share", "px", "s", "dB", "bytes"…; "" for none.
        role: "score", "threshold", "probability"…, or the name of the fact.
    """

    number: float
    unit: str
    role: str


@dataclass(frozen=True)
class Citable:
    """One thing that a statement can cite.

    Attributes:
        id: see the table above.
        label: a few words that name it: the title of a detector, the words of a question.
        texts: sentences of the report about it.
        quotes: text that the file brought along; to be quoted only.
        values: its numbers, besides those in `texts`.
        stance: what it says.
        groups: the detector and the question that it belongs to.
        names: further words by which a statement may call it.
        boxes: rectangles, in pixels.
        spans: times, in seconds.
        kind: of a region: "clone", "splice", "regenerated", "unknown"; "" for anything else.
        strength: of an answer: "strong evidence", "no evidence"…; "" for anything else.
    """

    id: str
    label: str
    texts: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    stance: Stance = Stance.NEUTRAL
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    spans: tuple[Span, ...] = ()
    kind: str = ""
    strength: str = ""


def citables(report: Report) -> dict[str, Citable]:
    """Id → everything in `report` that can be cited, in the order of the report."""
    found: dict[str, Citable] = {}
    for one in _all(report):
        found.setdefault(one.id, one)
    return found


def quoted(report: Report) -> tuple[str, ...]:
    """Every text in `report` that the file brought along: metadata, names, comments."""
    texts = [report.media.name, *texts_of(report.media.details)]
    for finding in report.findings:
        for part, _ in finding.parts:
            texts += texts_of(part.facts)
    return tuple(dict.fromkeys(text for text in texts if text))


def _all(report: Report) -> Iterator[Citable]:
    verdict = report.verdict
    yield Citable(
        "verdict",
        "the verdict",
        (
            words.VERDICT_MEANING[verdict.label],
            f"The verdict is {words.VERDICT_WORDS[verdict.label].lower()}.",
            verdict.caveat,
        ),
        names=("verdict", "caveat", words.VERDICT_WORDS[verdict.label].lower()),
    )
    counted: dict[Question, int] = {}
    for answer in verdict.answers:
        counted[answer.question] = number = counted.get(answer.question, 0) + 1
        yield _answer(answer, "" if number == 1 else f".{number}")
    for finding in report.findings:
        yield from _finding(finding)
    yield from _regions(report.edits)
    yield from _file(report)
    for detector, why in report.untested.items():
        yield Citable(
            f"untested.{detector}",
            words.title(detector),
            (f"{words.title(detector)} was not asked: {why}.", why),
            stance=Stance.SILENT,
            groups=(detector,),
            names=_names(detector),
        )
    if report.stability is not None:
        yield Citable("stability", "changed copies", (report.stability.text,))


def _answer(answer: Answer, suffix: str) -> Citable:
    question = answer.question
    told = words.strength(answer)
    subject = ", ".join(filter(None, (question.words, words.about(answer.where))))
    values = [
        Value(number, "share", role)
        for number, role in (
            (answer.probability if shows_probability(answer) else None, "probability"),
            (answer.p_value, "p-value"),
            (answer.miss_rate, "miss rate"),
            (answer.alpha, "bound"),
        )
        if number is not None
    ]
    stances = {"accused": Stance.TRACE, "clear": Stance.CLEAR, "not_assessed": Stance.SILENT}
    return Citable(
        f"answer.{question.value}{suffix}",
        question.words,
        (f"{subject}: {told}", answer.why, answer.stratum),
        values=tuple(values),
        stance=stances.get(answer.decision.value, Stance.WEAK),
        groups=(question.value,),
        names=(question.value, question.deed, question.altered, question.words),
        boxes=(answer.where.box,) if answer.where.box else (),
        spans=(answer.where.span,) if answer.where.span else (),
        strength=evidence_words(answer),
    )


def _finding(finding: Finding) -> Iterator[Citable]:
    detector, card = finding.detector, _card(finding.detector)
    title = words.title(detector)
    groups = (detector, finding.question.value)
    if finding.status is not Status.OK:
        happened = "failed" if finding.status is Status.FAILED else "gave no answer"
        yield Citable(
            f"finding.{detector}",
            title,
            (f"{title} {happened}: {finding.why}.", f"{title} ({finding.why})", finding.why),
            stance=Stance.SILENT,
            groups=groups,
            names=_names(detector),
        )
        return
    known = finding.calibrated
    texts = [finding.summary, *words.reservations(finding, True)]
    texts += [part.summary for part, _ in finding.parts[1:20]]
    for reason in known.warnings if known else ():
        texts.append(reason)
    yield Citable(
        f"finding.{detector}",
        title,
        tuple(dict.fromkeys(text for text in texts if text)),
        quotes=tuple(texts_of(finding.facts)),
        values=tuple(_scores(finding.main, known)),
        stance=stance(finding),
        groups=groups,
        names=_names(detector),
        boxes=tuple(_box(region) for region in finding.regions[:MOST_REGIONS]),
        spans=tuple(part.where.span for part, _ in finding.parts if part.where.span),
    )
    for name, fact in finding.facts.items():
        meaning = card.facts.get(name, "") if card else ""
        unit = unit_of(meaning)
        spoken = name.replace("_", " ")
        yield Citable(
            f"fact.{detector}.{name}",
            f"{title}, {spoken}",
            (f"{spoken}: {shown(fact)}",) if not isinstance(fact, str) else (),
            quotes=tuple(texts_of(fact)),
            values=tuple(Value(number, unit, spoken) for number in numbers(fact)),
            groups=groups,
            names=(*_names(detector), spoken, meaning),
            spans=tuple(Span(number, number) for number in numbers(fact) if unit == "s"),
        )
    for index, region in enumerate(finding.regions[:MOST_REGIONS], 1):
        yield _region(f"region.{detector}.{index}", region, title, groups, finding.main.kind.value)
    yield from _times(finding, title, groups)


def stance(finding: Finding) -> Stance:
    """What a finding that ran says about its question."""
    if finding.hit or finding.main.contradiction or finding.claim is not None:
        return Stance.TRACE
    if finding.llr is not None and finding.llr >= WEAK:
        return Stance.WEAK
    return Stance.CLEAR if finding.calibrated is not None else Stance.NEUTRAL


def _scores(measured: Measurement, known: Calibrated | None) -> Iterator[Value]:
    if measured.score is not None:
        yield Value(measured.score, "", "score")
    if measured.laundered is not None:
        yield Value(measured.laundered, "share", "probability")
    if known is None:
        return
    if math.isfinite(known.threshold):
        yield Value(known.threshold, "", "threshold")
    yield Value(known.false_positive_rate, "share", "false-positive rate")
    # The probability of one finding is not shown to people, so that no sentence may state it.
    if known.llr is not None:
        yield Value(known.llr, "", "log-likelihood ratio")


def _times(finding: Finding, title: str, groups: tuple[str, ...]) -> Iterator[Citable]:
    timed = [(part, known) for part, known in finding.parts if part.where.span is not None]
    timed.sort(key=lambda one: -(one[0].score if one[0].score is not None else -math.inf))
    for index, (part, known) in enumerate(timed[:MOST_TIMES], 1):
        span = part.where.span
        assert span is not None
        yield Citable(
            f"time.{finding.detector}.{index}",
            f"{title}, {words.about(part.where)}",
            (part.summary,) if part.summary else (),
            values=(
                Value(span.start, "s", "time"),
                Value(span.end, "s", "time"),
                *_scores(part, known),
            ),
            stance=Stance.TRACE if _reaches(part, known) else Stance.NEUTRAL,
            groups=groups,
            names=_names(finding.detector),
            spans=(span,),
        )


def _reaches(part: Measurement, known: Calibrated | None) -> bool:
    return known is not None and part.score is not None and part.score >= known.threshold


def _regions(edits: Edits | None) -> Iterator[Citable]:
    for index, region in enumerate(edits.regions if edits else (), 1):
        others = () if region.other is None else (_box(region.other),)
        yield Citable(
            f"region.{index}",
            f"region {index}",
            (f"{words.place(region)}, {words.tell(region)}",),
            values=(
                *_sides(Box(region.x, region.y, region.width, region.height)),
                Value(region.share, "share", "share"),
                Value(region.area, "px", "area"),
                Value(region.strength, "share", "strength"),
            ),
            stance=Stance.TRACE,
            groups=("region", Question.EDITED.value, *region.detectors),
            names=("region", *(name for one in region.detectors for name in _names(one))),
            boxes=(Box(region.x, region.y, region.width, region.height), *others),
            kind=region.kind.value,
        )


def _region(id_: str, region: Region, title: str, groups: tuple[str, ...], kind: str) -> Citable:
    box = _box(region)
    place = f"{box.width} × {box.height} pixels at ({box.x}, {box.y})"
    values = [*_sides(box)]
    if region.score is not None:
        values.append(Value(region.score, "", "score"))
    return Citable(
        id_,
        f"{title}, region",
        (f"{title} marks a region of {place}.",),
        values=tuple(values),
        stance=Stance.TRACE,
        groups=groups,
        names=("region", title),
        boxes=(box,),
        kind=kind,
    )


def _file(report: Report) -> Iterator[Citable]:
    media = report.media
    facts: dict[str, tuple[Fact, str]] = {
        "format": (media.format, ""),
        "bytes": (media.bytes, "bytes"),
        "width": (media.width, "px"),
        "height": (media.height, "px"),
        "kind": (media.kind.value, ""),
    }
    for name, (fact, unit) in facts.items():
        if fact is not None:
            yield Citable(
                f"file.{name}",
                f"{name} of the file",
                (f"The {name} of the file: {shown(fact)} {unit}".strip(),),
                values=tuple(Value(number, unit, name) for number in numbers(fact)),
                names=(name, "file"),
            )
    yield Citable("file.name", "name of the file", quotes=(media.name,), names=("name", "file"))
    for name, fact in media.details.items():
        spoken = name.replace("_", " ")
        unit = "s" if name.endswith("seconds") else "bytes" if name.endswith("bytes") else ""
        yield Citable(
            f"file.{name}",
            f"{spoken} of the file",
            () if isinstance(fact, str) else (f"{spoken}: {shown(fact)}",),
            quotes=tuple(texts_of(fact)),
            values=tuple(Value(number, unit, spoken) for number in numbers(fact)),
            names=(spoken, "file"),
        )


def _sides(box: Box) -> Iterator[Value]:
    yield Value(box.x, "px", "x")
    yield Value(box.y, "px", "y")
    yield Value(box.width, "px", "width")
    yield Value(box.height, "px", "height")


def _box(region: Region) -> Box:
    return Box(region.x, region.y, region.width, region.height)


def _card(detector: str) -> Card | None:
    try:
        return registry.card(detector)
    except BonafideError:
        return None


def _names(detector: str) -> tuple[str, ...]:
    base = detector.removesuffix(registry.FRAMES)
    return (words.title(detector), detector, base.replace("_", " "), base.replace("_", "-"))
