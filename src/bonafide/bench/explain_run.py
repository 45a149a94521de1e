"""`bonafide bench explain`: explain stored reports, and say how good the explanations are.

Two explainers are compared on the same reports: `words`, and a model. What the model said before
the check and what was shown after it are rows of their own.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonafide import registry
from bonafide.bench import explain_ask, explain_figures, explain_judge, explain_look
from bonafide.bench.explain_erase import Filler
from bonafide.bench.explain_judge import Standing
from bonafide.bench.statistics import bootstrap_mean
from bonafide.errors import BonafideError, InvalidInput
from bonafide.examination import Examiner, Settings
from bonafide.explain import words
from bonafide.explain.cache import Cache, folder
from bonafide.explain.check import Checker
from bonafide.explain.citable import Stance, citables
from bonafide.explain.endpoint import Endpoint, EndpointError
from bonafide.explain.model import Asking, explain
from bonafide.report.from_dict import from_dict
from bonafide.report.to_dict import explained as explained_record
from bonafide.types import Question, Report, Statement

LONGEST_LINE = 20_000_000  # characters of a report
WORDS, MADE, SHOWN = "words", "made", "shown"
Tick = Callable[[int, int, int], None]


@dataclass
class Row:
    """What one explainer did on one report.

    Attributes:
        statements: number of statements.
        lengths: words in all of them.
        standings: of each statement.
        told: of each mention, whether it is true.
        mentioned: tests that are said to have found something.
        present: tests that did.
        answers, truth: to the questions in their first phrase; unreadable answers are left out.
        rephrased: shares of answers that are the same in the second phrase; None if not asked.
        cites: what each explanation, one per seed, cites.
    """

    statements: int
    lengths: int
    standings: list[Standing]
    told: list[bool]
    mentioned: set[str]
    present: set[str]
    answers: list[bool] = field(default_factory=list)
    truth: list[bool] = field(default_factory=list)
    rephrased: float | None = None
    cites: list[set[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What is asked.

    Attributes:
        asking: how the model is asked; None to measure what the reports hold already.
        seeds: explanations of each of the first `seeded` reports, for consistency.
        seeded: reports that are explained again with other seeds.
        questions: whether yes-or-no questions are put.
        seed: of questions and resampling.
        repeats: bootstrap resamples.
    """

    asking: Asking | None = None
    seeds: int = 1
    seeded: int = 0
    questions: bool = True
    seed: int = 0
    repeats: int = 1000


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of reports in a file of JSON Lines; failures are left out.

    Raises:
        InvalidInput: a line is no JSON object, or the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                record = json.loads(line[:LONGEST_LINE])
                if not isinstance(record, dict):
                    raise InvalidInput(f"{path}, line {number}: this is no report")
                if record.get("status") == "ok":
                    yield record
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from None


def run(
    records: Sequence[dict[str, Any]],
    plan: Plan,
    out: Path | None = None,
    tick: Tick = lambda done, total, failed: None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Explain every report and measure the explanations.

    Args:
        records: of reports.
        plan: what is asked.
        out: gets each record with its explanation, a line each, as soon as it is there; records
            that it has already (by the digest of their file) are not asked about again.
        tick: called with (done, total, failed).

    Returns:
        The figures, and the records with their explanations.
    """
    done = {one["media"]["sha256"]: one for one in read(out)} if out and out.exists() else {}
    rows: dict[str, list[Row]] = {WORDS: [], MADE: [], SHOWN: []}
    explained: list[dict[str, Any]] = []
    failed = 0
    for index, given in enumerate(records):
        record = done.get(given["media"]["sha256"], given)
        report = from_dict(record)
        if plan.asking is not None and record is given:
            added = explain(report, plan.asking)
            report = replace(report, explained=added)
            record = record | {"explained": explained_record(added)}
            if out is not None:
                with out.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(record) + "\n")
        if report.explained is not None and report.explained.failure:
            failed += 1
        explained.append(record)
        _add(rows, report, record, plan, index)
        tick(index + 1, len(records), failed)
    figures = {name: _figures(found, plan) for name, found in rows.items() if found}
    return {
        "reports": len(records),
        "explainers": figures,
        "model": _effort(explained),
        "failures": failed,
    }, explained


def _add(
    rows: dict[str, list[Row]], report: Report, record: dict[str, Any], plan: Plan, index: int
) -> None:
    said = words.statements(
        report.media, report.findings, report.verdict, report.stability, report.edits
    )
    asked = explain_ask.questions(report, plan.seed + index) if plan.questions else []
    own = _row(report, record, said)
    _answer(own, report, asked, explain_ask.by_words)
    own.cites = [{cite for one in said for cite in one.cites}] * max(2, plan.seeds)
    rows[WORDS].append(own)
    added = report.explained
    if added is None:
        return
    made = [*added.kept, *(one.statement for one in added.dropped)]
    rows[MADE].append(_row(report, record, made))
    shown = _row(report, record, added.kept)
    if plan.asking is not None:
        asking = plan.asking
        endpoint = Endpoint(asking.url, asking.model, asking.key, asking.timeout)
        try:
            by_model = explain_ask.ByModel(endpoint, asking.seed, Cache(folder()))
            _answer(shown, report, asked, by_model)
            shown.cites = [_cites(added.kept)]
            for number in range(1, plan.seeds if index < plan.seeded else 1):
                other = explain(report, replace(asking, seed=asking.seed + 1000 * number))
                if not other.failure:
                    shown.cites.append(_cites(other.kept))
        except EndpointError:
            pass  # what was answered before counts
    rows[SHOWN].append(shown)


def _cites(statements: Iterable[Statement]) -> set[str]:
    return {cite for one in statements for cite in one.cites}


def _row(report: Report, record: Mapping[str, Any], said: Sequence[Statement]) -> Row:
    mentions = [one for told in said for one in explain_judge.mentions(report, record, told)]
    present = {
        one.groups[0]
        for one in citables(report).values()
        if one.id.startswith("finding.") and one.stance is Stance.TRACE
    }
    return Row(
        statements=len(said),
        lengths=sum(len(one.text.split()) for one in said),
        standings=[explain_judge.standing(record, one) for one in said],
        told=[one.true for one in mentions],
        mentioned={one.detector for one in mentions},
        present=present,
    )


def _answer(
    row: Row, report: Report, asked: Sequence[explain_ask.Asked], answerer: explain_ask.Answerer
) -> None:
    if not asked:
        return
    first = answerer(report, asked, 0)
    second = answerer(report, asked, 1)
    for one, answer in zip(asked, first, strict=True):
        if answer is not None:
            row.answers.append(answer)
            row.truth.append(one.truth)
    row.rephrased = statistics.mean(a == b for a, b in zip(first, second, strict=True))


def _figures(rows: Sequence[Row], plan: Plan) -> dict[str, Any]:
    """Each figure as a mean over the reports that have one, with its interval."""

    def share(standing: Standing) -> list[float]:
        return [
            sum(one is standing for one in row.standings) / len(row.standings)
            for row in rows
            if row.standings
        ]

    chairs = [explain_figures.chair(row.told) for row in rows]
    found: dict[str, Sequence[float | None]] = {
        "statements": [row.statements for row in rows],
        "words": [row.lengths for row in rows],
        "supported": share(Standing.SUPPORTED),
        "unsupported": share(Standing.UNSUPPORTED),
        "contradicted": share(Standing.CONTRADICTED),
        "chair_i": [one for one, _ in chairs],
        "chair_s": [one for row, (_, one) in zip(rows, chairs, strict=True) if row.statements],
        "cover": [explain_figures.cover(row.mentioned, row.present) for row in rows],
        "consistent_phrases": [row.rephrased for row in rows],
        "consistent_seeds": [explain_figures.consistency(row.cites) for row in rows],
    }
    figures = {name: _interval(values, plan) for name, values in found.items()}
    figures |= {f"pope_{name}": value for name, value in _pope(rows, plan).items()}
    totals = {one.value: sum(row.standings.count(one) for row in rows) for one in Standing}
    return {"figures": figures, "totals": totals}


def _interval(values: Sequence[float | None], plan: Plan) -> dict[str, Any]:
    known = [float(one) for one in values if one is not None]
    if not known:
        return {"value": None, "low": None, "high": None, "n": 0}
    found = bootstrap_mean(known, repeats=plan.repeats, seed=plan.seed)
    ends = [None if np.isnan(end) else float(end) for end in (found.low, found.high)]
    return {"value": float(found.value), "low": ends[0], "high": ends[1], "n": len(known)}


def _pope(rows: Sequence[Row], plan: Plan) -> dict[str, Any]:
    """Over all questions; intervals by drawing reports."""
    asked = [row for row in rows if row.answers]
    if not asked:
        return {}

    def over(chosen: Sequence[Row]) -> dict[str, float | None]:
        answers = [one for row in chosen for one in row.answers]
        return explain_figures.pope(answers, [one for row in chosen for one in row.truth])

    rng = np.random.default_rng(plan.seed)
    drawn = [
        over([asked[place] for place in rng.integers(0, len(asked), len(asked))])
        for _ in range(plan.repeats)
    ]
    found = {}
    for name, value in over(asked).items():
        known = [one[name] for one in drawn if one[name] is not None]
        ends: tuple[float | None, float | None] = (None, None)
        if known and len(asked) > 1:
            low, high = np.percentile(np.asarray(known, np.float64), [2.5, 97.5])
            ends = float(low), float(high)
        found[name] = {"value": value, "low": ends[0], "high": ends[1], "n": len(asked)}
    return found


def _effort(records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Made, kept and dropped by the model, and what it took."""
    added = [one["explained"] for one in records if one.get("explained")]
    if not added:
        return None
    reasons: dict[str, int] = {}
    for one in added:
        for reason, count in one["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    return {
        "model": added[0]["model"],
        "prompt": added[0]["prompt"],
        "made": sum(one["made"] for one in added),
        "kept": sum(len(one["kept"]) for one in added),
        "copies": sum(_copies(record) for record in records if record.get("explained")),
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1])),
        "seconds": round(sum(one["seconds"] or 0.0 for one in added), 1),
        "tokens_in": sum(one["tokens_in"] for one in added),
        "tokens_out": sum(one["tokens_out"] for one in added),
    }


def _copies(record: Mapping[str, Any]) -> int:
    """How many of the kept statements are a sentence of the report, word for word."""
    try:
        report = from_dict(record)
    except BonafideError:
        return 0
    assert report.explained is not None
    checker = Checker(report)
    return sum(checker.copies(one) for one in report.explained.kept)


def look_again(
    records: Sequence[Mapping[str, Any]],
    plan: Plan,
    most: int,
    fillers: Mapping[str, Filler],
    tick: Tick = lambda done, total, failed: None,
) -> dict[str, Any]:
    """Examine pictures again with cited regions erased; see `explain_look`.

    Args:
        records: of reports; those that mark a joint region and whose picture is still there count.
        plan: with a model in it, the model explains the copies too.
        most: pictures.
        fillers: by name.
        tick: called with (done, total, failed).
    """
    chosen = [
        one for one in records if (one.get("edits") or {}).get("regions") and one["media"]["path"]
    ][:most]
    explainers: dict[str, explain_look.Explainer] = {WORDS: explain_look.by_words}
    if plan.asking is not None:
        asking = plan.asking
        explainers[SHOWN] = lambda report: explain(report, asking).kept
    known = registry.ids()
    only = tuple(
        sorted(
            {
                finding["detector"]
                for one in chosen
                for finding in one["findings"]
                if finding["question"] == Question.EDITED.value and finding["detector"] in known
            }
        )
    )
    examiner = Examiner(Settings(only=only, threads=1)) if chosen else None
    looked: dict[str, list[explain_look.Looked]] = {name: [] for name in explainers}
    unread = 0
    for number, record in enumerate(chosen):
        assert examiner is not None
        seen = explain_look.look(
            record["media"]["path"], explainers, examiner, fillers, plan.seed + number
        )
        unread += seen is None
        for name, one in (seen or {}).items():
            looked[name].append(one)
        tick(number + 1, len(chosen), unread)
    return {
        "pictures": len(chosen),
        "unreadable": unread,
        "explainers": {
            name: {
                figure: _interval(values, plan)
                for figure, values in explain_look.figures(rows, [*fillers]).items()
            }
            for name, rows in looked.items()
            if rows
        },
    }
