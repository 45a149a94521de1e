"""What `bonafide bench` prints: tables for a terminal, JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from bonafide.evidence.verdict import FALSE_ACCUSATION_RATE

_WIDTH = 132  # where nothing says how wide the reader's screen is


def print_results(measured: Mapping[str, Any], as_json: bool) -> None:
    """The figures of a run, one table per degradation, or all of them as JSON."""
    if as_json:
        print_json(measured)
        return
    console = _console()
    for part in measured["degradations"]:
        headings = ["scored", "AUC", "balanced accuracy", "found at 1 %", "s/MP"]
        maps = any((one["pixels"] or {}).get("has_maps") for one in part["detectors"].values())
        headings += ["pixel F1", "IoU", "pixel AUC", "false regions"] if maps else []
        table = Table(Column("detector", no_wrap=True), *headings)
        table.title, table.title_justify = part["name"], "left"
        for name, one in part["detectors"].items():
            figures = one["figures"]
            table.add_row(
                name,
                f"{one['coverage']['scored']}/{one['coverage']['asked']}",
                _with_interval(figures["auc"]),
                _decimals(figures["balanced_accuracy"]["value"]),
                _decimals(figures["tpr_at_calibrated_1_percent"]["value"]),
                _decimals(one["cost"]["seconds_per_megapixel"]),
                *(_pixel_cells(one["pixels"] or {}) if maps else []),
            )
        console.print(table)
    run_about = measured["run"]
    click.echo(f"protocol {run_about['protocol']['name']} {run_about['protocol_sha256']}")
    click.echo(f"manifest {run_about['manifest']['sha256']}")


def _pixel_cells(pixels: Mapping[str, Any]) -> list[str]:
    """How well a map agrees with masks; nothing of a detector that never had a map."""
    if not pixels.get("has_maps"):
        return ["–"] * 4
    return [
        _with_interval(pixels["f1"]),
        *(_decimals(pixels[name]["value"]) for name in ("iou", "auc", "false_region_rate")),
    ]


def print_comparison(found: Mapping[str, Any]) -> None:
    """Differences between two runs or detectors; what qualifies them goes to standard error."""
    for note in found["notes"]:
        click.echo(note, err=True)
    table = Table(
        Column("detector", no_wrap=True),
        "degradation",
        "files",
        "AUC A",
        "AUC B",
        "B − A",
        "p (Holm)",
    )
    for row in found["rows"]:
        auc = row["auc"]
        name = row["first"] if row["first"] == row["second"] else f"{row['first']}, {row['second']}"
        table.add_row(
            name,
            row["degradation"],
            str(row["common"]),
            _decimals(auc["first"]),
            _decimals(auc["second"]),
            _with_interval(auc),
            "–" if row["p_holm"] is None else f"{row['p_holm']:.4f}",
        )
    _console().print(table)


def print_audit(found: Mapping[str, Any]) -> None:
    """What an audit found."""
    table = Table("cues", "AUC, random folds", "AUC, folds by group")
    for test in found["cue_tests"]:
        grouped = _with_interval(test["grouped"]) if test["grouped"] else "–"
        table.add_row(test["name"], _with_interval(test["random"]), grouped)
    if found["cue_tests"]:
        _console().print(table)
    for warning in found["warnings"]:
        click.echo(f"- {warning}")
    if not found["warnings"]:
        click.echo("nothing to warn about")


def print_calibration(table: Mapping[str, Any]) -> None:
    """What was fitted; to standard error, since the result is a file."""
    for question, fused in table["fusion"].items():
        for name, weight in fused["weights"].items():
            entry = table["detectors"].get(name)
            auc = f", AUC {entry['auc']:.3f}" if entry else ", as it ships"
            click.echo(f"{name}: weight {weight:.2f} in {question}{auc}", err=True)
        bona_fide = len(fused["bona_fide"])
        if bona_fide < 2 / FALSE_ACCUSATION_RATE:
            click.echo(
                f"{bona_fide} bona fide pictures are too few to accuse any at "
                f"{100 * FALSE_ACCUSATION_RATE:.0f} %: {2 / FALSE_ACCUSATION_RATE:.0f} are needed",
                err=True,
            )


def print_pairs(pairs: Mapping[str, str]) -> None:
    """Names and what they mean."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    for name, text in pairs.items():
        table.add_row(name, text)
    _console().print(table)


def _console() -> Console:
    plain = Console(markup=False, highlight=False, emoji=False)
    if not plain.is_terminal:
        plain.width = _WIDTH
    return plain


def print_json(content: Any) -> None:
    """Indented JSON."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def _decimals(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_interval(value: Mapping[str, Any]) -> str:
    if value["value"] is None or value["low"] is None:
        return _decimals(value["value"])
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
