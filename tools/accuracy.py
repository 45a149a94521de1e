"""The page that shows how well the calibrated detectors and the whole verdict do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.bench import charts
from bonafide.bench.charts import Axis, Series
from bonafide.bench.fitting import Column, Fitted, expit, outcomes
from bonafide.bench.metrics import risk_coverage
from bonafide.evidence import verdict
from bonafide.types import Question
from labelled import Sample

BOUNDS = (0.005, 0.01, 0.02, 0.05)  # false-accusation rates that are shown
BINS = 15  # of the calibration error, as in `bonafide.bench.metrics`
_TITLES = {Question.SYNTHETIC: "Made by a generator", Question.EDITED: "Edited after capture"}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#444}.grid{stroke:#ddd;fill:none}"
    ".stroke{fill:none;stroke-width:1.9}.stroke.c0{stroke:#1f4f82}"
    ".stroke.c1{stroke:#b3541e;stroke-dasharray:7 3}.stroke.c2{stroke:#0a6242;stroke-dasharray:2 2}"
    ".dot{fill:#0a6242}"
)

Table = dict[str, dict[str, dict[str, Any]]]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One question: its pictures, what was said about them, and what was fitted."""

    question: Question
    samples: list[Sample]
    truth: Bools
    groups: NDArray[np.str_]
    columns: list[Column]
    fitted: Fitted
    records: Table


@dataclass(frozen=True)
class Whole:
    """The verdict on every picture at one bound; (n,) each."""

    accused: Bools
    quiet: Bools
    bona_fide: Bools
    generated: Bools
    edited: Bools

    @property
    def decided(self) -> Bools:
        """Whether the verdict is not *inconclusive*."""
        return self.accused | self.quiet

    @property
    def wrong(self) -> Bools:
        """Bona fide and accused, or altered and without a trace."""
        return np.where(self.bona_fide, self.accused, self.quiet & self.decided)


def write(page: Path, calibration: dict[str, Any], parts: Sequence[Part]) -> None:
    """Write the page, and its chart beside it as `<stem>-risk.svg`."""
    chart = page.with_name(f"{page.stem}-risk.svg")
    chart.write_text(_risk_chart(parts))
    lines = _header(calibration)
    for part in parts:
        lines += _question(part)
    lines += _whole_lines(parts, chart.name) + _claim_lines(calibration)
    page.write_text("\n".join(lines))


def whole(parts: Sequence[Part], rate: float) -> Whole:
    """The verdict drawn from out-of-fold evidence, without what files say about themselves.

    A question that a picture is not labelled for was not asked of it: it neither accuses nor
    keeps the verdict from *no trace found*.
    """
    paths = sorted({sample.path for part in parts for sample in part.samples})
    row = {path: number for number, path in enumerate(paths)}
    accused, bona_fide = np.zeros(len(paths), np.bool_), np.ones(len(paths), np.bool_)
    quiet = np.ones(len(paths), np.bool_)
    altered = {}
    for part in parts:
        rows = np.array([row[sample.path] for sample in part.samples])
        fitted = part.fitted
        drawn = outcomes(fitted.evidence, fitted.hit, fitted.fusion["bona_fide"], rate)
        accused[rows] |= drawn.accused
        quiet[rows] &= drawn.quiet
        altered[part.question] = np.zeros(len(paths), np.bool_)
        altered[part.question][rows] = part.truth
        bona_fide &= ~altered[part.question]
    return Whole(
        accused, quiet & ~accused, bona_fide, altered[Question.SYNTHETIC], altered[Question.EDITED]
    )


def balanced_ece(truth: Bools, probabilities: Floats) -> float:
    """Expected calibration error where both classes weigh the same, as at even prior odds."""
    weight = np.where(truth, 0.5 / max(truth.sum(), 1), 0.5 / max((~truth).sum(), 1))
    member = np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)
    gap = np.bincount(member, weight * (probabilities - truth), BINS)
    return float(np.abs(gap).sum())


def _question(part: Part) -> list[str]:
    truth, fitted = part.truth, part.fitted
    lines = [
        f"## {_TITLES[part.question]}",
        "",
        f"{int((~truth).sum())} bona fide and {int(truth.sum())} altered pictures.",
        "",
        "| detector | AUC (95 %) | threshold at 1 % | found there | pixel F1 at 0.5 | "
        "false regions | bona fide / altered | seconds per megapixel | weight |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for column, weight in zip(part.columns, fitted.weights, strict=True):
        records = part.records[column.detector]
        entry = fitted.detectors[column.detector]
        lines.append(_detector_line(column, entry, records, part, float(weight)))
    auc, (low, high) = fitted.fusion["auc"], fitted.fusion["auc_interval"]
    bona_fide = fitted.fusion["bona_fide"]
    drawn = outcomes(fitted.evidence, fitted.hit, bona_fide, verdict.FALSE_ACCUSATION_RATE)
    return [
        *lines,
        f"| **all, fused** | {auc:.3f} ({low:.3f}–{high:.3f}) | | | | | "
        f"{len(bona_fide)} / {int(truth.sum())} | | |",
        "",
        f"At a false-accusation rate of {verdict.FALSE_ACCUSATION_RATE / 2:.1%} for this question, "
        f"{fitted.fusion['hit_rate']:.0%} are found; {fitted.fusion['miss_rate']:.0%} show no "
        f"trace. Expected calibration error {balanced_ece(truth, expit(fitted.evidence)):.3f} "
        f"(classes at even weight, {BINS} bins, out of fold).",
        "",
        *_by_source(part, drawn.accused, drawn.quiet),
    ]


def _detector_line(
    column: Column,
    entry: dict[str, Any],
    records: dict[str, dict[str, Any]],
    part: Part,
    weight: float,
) -> str:
    known = [(s, records[s.path]) for s in part.samples if s.path in records]
    altered = [record for sample, record in known if getattr(sample, part.question.value)]
    clean = [record for sample, record in known if not getattr(sample, part.question.value)]
    spoke = np.isfinite(column.scores) & part.truth
    found = (column.scores[spoke] >= entry["threshold"]).mean()
    f1 = [record["f1"] for record in altered if "f1" in record]
    marked = [record.get("marked", 0.0) > 0 for record in clean if record["status"] == "ok"]
    has_map = any("marked" in record for record in clean)
    cost = [r["seconds"] / r["megapixels"] for r in clean if r.get("megapixels")]
    low, high = entry["auc_interval"]
    return (
        f"| {column.detector} | {entry['auc']:.3f} ({low:.3f}–{high:.3f}) | "
        f"{entry['threshold']:.3g} | {found:.1%} | "
        f"{f'{np.mean(f1):.3f} (n={len(f1)})' if f1 and has_map else '–'} | "
        f"{f'{np.mean(marked):.1%}' if has_map else '–'} | "
        f"{entry['bona_fide']} / {entry['altered']} | "
        f"{f'{np.median(cost):.2f}' if cost else '–'} | {weight:.2f} |"
    )


def _by_source(part: Part, accused: Bools, quiet: Bools) -> list[str]:
    lines = [
        "By source (out of fold), those with ten pictures or more:",
        "",
        "| source | n | bona fide | median evidence | accused | no trace |",
        "|---|---|---|---|---|---|",
    ]
    sources = np.array([sample.source for sample in part.samples])
    for source in sorted(set(sources)):
        chosen = sources == source
        if chosen.sum() < 10:
            continue
        lines.append(
            f"| {source} | {int(chosen.sum())} | "
            f"{'no' if part.truth[chosen].mean() > 0.5 else 'yes'} | "
            f"{np.median(part.fitted.evidence[chosen]):+.2f} | {accused[chosen].mean():.1%} | "
            f"{quiet[chosen].mean():.0%} |"
        )
    return [*lines, ""]


def _whole_lines(parts: Sequence[Part], chart: str) -> list[str]:
    lines = [
        "## Risk against coverage of the whole verdict",
        "",
        "The verdict drawn from both questions at several false-accusation rates, from out-of-fold "
        "evidence and without what files say about themselves. *Decided* is the share that is not "
        "*inconclusive*, *errors* the share of the decided that is wrong: a bona fide picture "
        "accused, or an altered one without a trace. At the proportions of these files. Generated "
        "pictures were not asked whether they were edited, nor the other way round.",
        "",
        "| rate | bona fide: accused | inconclusive | no trace | generated: found | inconclusive | "
        "no trace | edited: found | inconclusive | no trace | decided | errors |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for rate in BOUNDS:
        drawn = whole(parts, rate)
        cells = [f"{rate:.1%}"]
        for kind in (drawn.bona_fide, drawn.generated, drawn.edited):
            open_ = ~drawn.decided[kind]
            cells += [
                f"{share.mean():.1%}" if len(share) else "–"
                for share in (drawn.accused[kind], open_, drawn.quiet[kind])
            ]
        cells += [f"{drawn.decided.mean():.1%}", f"{drawn.wrong[drawn.decided].mean():.1%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"![Risk over coverage]({chart})",
        "",
        "Errors as ever less sure probabilities are answered at one half: solid, made by a "
        "generator; dashed, edited. Dots: the whole verdict at the rates of the table.",
        "",
    ]


def _risk_chart(parts: Sequence[Part]) -> str:
    series = []
    for part in parts:
        curve = risk_coverage(part.truth, expit(part.fitted.evidence))
        points = list(zip(curve.coverage.tolist(), curve.risk.tolist(), strict=True))
        series.append(Series(part.question.value, charts.thin(points)))
    dots = []
    for rate in BOUNDS:
        drawn = whole(parts, rate)
        dots.append((float(drawn.decided.mean()), float(drawn.wrong[drawn.decided].mean())))
    series.append(Series("verdict", dots, marks=True))
    axis = Axis("wrong among the decided", 0, 0.6, ((0, "0"), (0.2, "20 %"), (0.4, "40 %"),
                                                   (0.6, "60 %")))  # fmt: skip
    drawing = charts.lines("Risk over coverage", series, charts.unit_axis("decided"), axis)
    alone = str(drawing).partition("</svg>")[0] + "</svg>\n"  # the caption is the legend
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    return alone.replace("<svg", head, 1).replace(">", f"><style>{_STYLE}</style>", 1)


def _header(calibration: dict[str, Any]) -> list[str]:
    lines = [
        "# Measured accuracy",
        "",
        "Written by `tools/calibrate.py`; do not edit.",
        "",
        f"Fitted {calibration['fitted']} on {calibration['source']}. Files as they were published, "
        "each in its own format, so that a figure may owe something to format and content as well "
        "as to traces; folds are by source and scene. AUC with a 95 % interval over resampled "
        "sources and scenes; "
        "*found there* is the share of altered pictures at or above the threshold that 1 % of bona "
        "fide pictures reach; *pixel F1* is the mean over pictures with a mask, at a fixed 0.5; "
        "*false regions* is the share of bona fide pictures with any pixel marked.",
        "",
    ]
    for detector, scores in calibration["scores_of"].items():
        lines += [
            f"Scores of `{detector}` are {scores['how']} (`{scores['file']}`, SHA-256 "
            f"{scores['sha256'][:16]}…).",
            "",
        ]
    return lines


def _claim_lines(calibration: dict[str, Any]) -> list[str]:
    lines = ["## What files say about themselves", ""]
    lines += ["| detector | generated that claim it | bona fide that claim it | llr |"]
    lines += ["|---|---|---|---|"]
    for name, entry in calibration["claims"].items():
        (hit, generated), (false, genuine) = entry["generated"], entry["bona_fide"]
        lines.append(
            f"| {name} | {hit} of {generated} | {false} of {genuine} | {entry['llr']:.2f} |"
        )
    for name, entry in calibration["detectors"].items():
        if entry["question"] == Question.PROVENANCE.value:
            lines += [
                "",
                f"`{name}` counts contradictions: {entry['found']} of {entry['altered']} pictures "
                f"with forged EXIF and {entry['false_positive_rate']:.1%} of {entry['bona_fide']} "
                f"with their own reach {entry['threshold']:g}. It is shown and not weighed; a hit "
                "keeps the verdict from being *no trace found*.",
            ]
    return [*lines, ""]
