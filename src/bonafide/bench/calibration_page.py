"""The page that shows how well the calibrated detectors and the whole verdict do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.bench import charts
from bonafide.bench.calibrate import Outcome, Part
from bonafide.bench.charts import Axis, Series
from bonafide.bench.fitting import Floats, expit
from bonafide.bench.metrics import risk_coverage
from bonafide.bench.outcomes import Tally, by_container, by_group, decide_all, whole_verdict
from bonafide.evidence.calibration import Calibration
from bonafide.evidence.reference import Reference
from bonafide.files import atomic_write
from bonafide.types import Decision, Question

FEWEST = 5  # files of a group that gets a line of its own
BINS = 15  # of the calibration error, as in `bonafide.bench.metrics`
_CONTAINERS = {
    "all": "all",
    "jpeg": "JPEG",
    "other": "not JPEG",
    "video": "video",
    "audio": "sound",
}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#444}.grid{stroke:#ddd;fill:none}"
    ".stroke{fill:none;stroke-width:1.9}.stroke.c0{stroke:#1f4f82}"
    ".stroke.c1{stroke:#b3541e;stroke-dasharray:7 3}.stroke.c2{stroke:#0a6242;stroke-dasharray:2 2}"
    ".stroke.c3{stroke:#7a3e9d;stroke-dasharray:9 2 2 2}.dot{fill:#0a6242}"
)


def write_page(page: Path, outcome: Outcome) -> None:
    """Write the page, and its chart beside it as `<stem>-risk.svg`."""
    chart = page.with_name(f"{page.stem}-risk.svg")
    decisions = {part.question: decide_all(part) for part in outcome.parts}
    lines = _header(outcome.table)
    lines += _verdict_lines(outcome.parts, decisions)
    for part in outcome.parts:
        lines += _question(part, decisions[part.question], outcome.table)
    lines += _chart_lines(chart.name) + _contradiction_lines(outcome.table)
    with atomic_write(chart) as partial:
        partial.write_text(_risk_chart(outcome.parts), encoding="utf-8")
    with atomic_write(page) as partial:
        partial.write_text("\n".join(lines), encoding="utf-8")


def summary(outcome: Outcome) -> list[str]:
    """The same in a few lines, for a terminal."""
    decisions = {part.question: decide_all(part) for part in outcome.parts}
    lines = [f"{name}: {_told(tally)}" for name, tally in
             whole_verdict(outcome.parts, decisions).items()]  # fmt: skip
    calibration = calibration_of(outcome.table)
    for part in outcome.parts:
        said = decisions[part.question]
        lines += ["", f"{part.question.value}: {len(part.files)} files, "
                  f"AUC {part.fitted.table['auc']:.3f}"]  # fmt: skip
        for column in part.columns:
            entry = part.fitted.detectors[column.detector]
            weight = part.fitted.table["weights"][column.detector]
            lines.append(f"  {column.detector}: weight {weight:.2f}, AUC {_auc(entry)}")
        for name, (fine, altered) in by_container(part, said).items():
            lines.append(f"  {_CONTAINERS.get(name, name)}: bona fide {_told(fine)}")
            lines.append(f"  {' ' * len(_CONTAINERS.get(name, name))}  altered {_told(altered)}")
        accused = {n: t for n, t in by_group(part, said, False).items() if t.accused}
        lines += [f"  accused: {name} {t.accused} of {t.count}" for name, t in accused.items()]
        lines += [
            f"  {name}: {_told(tally)}" for name, tally in by_group(part, said, True).items()
            if tally.count >= FEWEST
        ]  # fmt: skip
    lines += [f"not fitted: {name}: {why}" for name, why in outcome.skipped.items()]
    return lines + [f"{name}: {why}" for name, why in calibration.uncertified().items()]


def calibration_of(table: Mapping[str, Any]) -> Calibration:
    """The calibration that a table amounts to."""
    questions = {name: Reference(one) for name, one in table["questions"].items()}
    return Calibration(table["detectors"], questions, table["source"], "")


def balanced_ece(truth: Any, probabilities: Floats) -> float:
    """Expected calibration error where both classes weigh the same, as at even prior odds."""
    weight = np.where(truth, 0.5 / max(truth.sum(), 1), 0.5 / max((~truth).sum(), 1))
    member = np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)
    gap = np.bincount(member, weight * (probabilities - truth), BINS)
    return float(np.abs(gap).sum())


def _told(tally: Tally) -> str:
    count, accused, unclear, clear = tally.cells
    return f"{count}, accused {accused}, inconclusive {unclear}, no trace {clear}"


def _auc(entry: Mapping[str, Any]) -> str:
    if "auc" not in entry:
        return "–"
    low, high = entry["auc_interval"]
    return f"{entry['auc']:.3f} ({low:.3f}–{high:.3f})"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def _header(table: Mapping[str, Any]) -> list[str]:
    lines = [
        "# Measured accuracy",
        "",
        "Written by `bonafide bench calibrate`; do not edit.",
        "",
        f"Fitted {table['fitted']} on {table['source']}. Files as they were published, each in its "
        "own format, so that a figure may owe something to format and content as well as to "
        "traces. Evidence is out of fold by source, and a bona fide file is compared with other "
        "sources alone. AUC with a 95 % interval over resampled sources; *found there* is the "
        "share of altered files at or above the threshold that 1 % of bona fide files reach; "
        "*pixel F1* is the mean over files with a mask, at a fixed 0.5; *false regions* is the "
        "share of bona fide files with any place marked.",
        "",
    ]
    for detector, scores in table.get("scores_of", {}).items():
        lines += [
            f"Scores of `{detector}` are by models that had not seen the source of the file "
            f"(`{scores['file']}`, SHA-256 {scores['sha256'][:16]}…).",
            "",
        ]
    return lines


def _verdict_lines(
    parts: Sequence[Part], decisions: Mapping[Question, Sequence[Decision]]
) -> list[str]:
    tallies = whole_verdict(parts, decisions)
    return [
        "## The whole verdict",
        "",
        "From measurements alone, without what files say of themselves.",
        "",
        *_rows(
            ("files", "n", "accused", "inconclusive", "no trace"),
            ((name, *tally.cells) for name, tally in tallies.items()),
        ),
    ]


def _question(part: Part, decisions: Sequence[Decision], table: Mapping[str, Any]) -> list[str]:
    fitted, truth = part.fitted, part.known.truth
    low, high = fitted.table["auc_interval"]
    error = balanced_ece(truth, expit(fitted.total))
    uncertified = calibration_of(table).uncertified().get(part.question.value)
    sources = len(set(part.known.sources[~truth].tolist()))
    lines = [
        f"## {part.question.words[:1].upper()}{part.question.words[1:]}",
        "",
        f"{int((~truth).sum())} bona fide files of {sources} sources and {int(truth.sum())} altered"
        f" ones. All detectors together: AUC {fitted.table['auc']:.3f} ({low:.3f}–{high:.3f}), "
        f"expected calibration error {error:.3f} (classes at even weight, {BINS} bins).",
        "",
    ]
    if uncertified:
        lines += [f"**{uncertified[:1].upper()}{uncertified[1:]}.**", ""]
    lines += _rows(
        ("detector", "AUC (95 %)", "threshold at 1 %", "found there", "pixel F1", "false regions",
         "bona fide / altered", "s per megapixel", "weight"),
        (_detector(part, number) for number in range(len(part.columns))),
    )  # fmt: skip
    lines += ["At the bound of this question, JPEG and other containers apart:", ""]
    containers = by_container(part, decisions).items()
    lines += _rows(
        ("files", "bona fide", "accused", "inconclusive", "no trace", "altered", "found",
         "inconclusive", "no trace"),
        ((_CONTAINERS.get(n, n), *fine.cells, *altered.cells) for n, (fine, altered) in containers),
    )  # fmt: skip
    for altered, head in ((False, "bona fide source"), (True, "generator or kind of edit")):
        groups = by_group(part, decisions, altered)
        lines += _rows(
            (head, "n", "found" if altered else "accused", "inconclusive", "no trace"),
            ((name, *tally.cells) for name, tally in groups.items() if tally.count >= FEWEST),
        )
    return lines


def _detector(part: Part, number: int) -> list[str]:
    column = part.columns[number]
    entry = part.fitted.detectors[column.detector]
    truth = part.known.truth
    said = [record["said"].get(column.detector, {}) for record in part.records]
    spoke = np.isfinite(column.scores) & truth
    found = part.fitted.hit[spoke, number]
    f1 = [one["f1"] for one, yes in zip(said, truth, strict=True) if yes and "f1" in one]
    marks = [one["marked"] > 0 for one, yes in zip(said, truth, strict=True)
             if not yes and "marked" in one]  # fmt: skip
    cost = [
        one["seconds"] / record["measured"]["megapixels"]
        for one, record in zip(said, part.records, strict=True)
        if one.get("seconds") and record["measured"].get("megapixels")
    ]
    return [
        column.detector,
        _auc(entry),
        f"{entry['threshold']:.3g}",
        f"{found.mean():.1%}" if len(found) else "–",
        f"{np.mean(f1):.3f} (n={len(f1)})" if f1 else "–",
        f"{np.mean(marks):.1%}" if marks else "–",
        f"{entry['bona_fide']} / {entry['altered']}",
        f"{np.median(cost):.2f}" if cost else "–",
        f"{part.fitted.table['weights'][column.detector]:.2f}",
    ]


def _chart_lines(chart: str) -> list[str]:
    return [
        "## Risk against coverage",
        "",
        f"![Risk over coverage]({chart})",
        "",
        "Errors as ever less sure probabilities are answered at one half, a line per question in "
        "the order of this page: solid, dashed, dotted, dash-dotted.",
        "",
    ]


def _risk_chart(parts: Sequence[Part]) -> str:
    series = []
    for part in parts:
        curve = risk_coverage(part.known.truth, expit(part.fitted.total))
        points = list(zip(curve.coverage.tolist(), curve.risk.tolist(), strict=True))
        series.append(Series(part.question.value, charts.thin(points)))
    ticks = ((0, "0"), (0.2, "20 %"), (0.4, "40 %"), (0.6, "60 %"))
    axis = Axis("wrong among the decided", 0, 0.6, ticks)
    drawing = charts.lines("Risk over coverage", series, charts.unit_axis("decided"), axis)
    alone = str(drawing).partition("</svg>")[0] + "</svg>\n"  # the caption is the legend
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    return alone.replace("<svg", head, 1).replace(">", f"><style>{_STYLE}</style>", 1)


def _contradiction_lines(table: Mapping[str, Any]) -> list[str]:
    lines = [
        f"`{name}` counts contradictions: {entry['false_positive_rate']:.1%} of "
        f"{entry['bona_fide']} bona fide files reach {entry['threshold']:g}. It is shown and not "
        "weighed; a hit keeps the verdict from being *no trace found*."
        for name, entry in table["detectors"].items()
        if entry["question"] == Question.PROVENANCE.value
    ]
    return ["## What files say of themselves", "", *lines, ""] if lines else []
