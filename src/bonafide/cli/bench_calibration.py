"""The verbs of `bonafide bench` that make calibrations: measure, calibrate, regions and more."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from bonafide.bench import tables
from bonafide.cli.bench_options import (
    DONE,
    SOME_FAILED,
    bar,
    files_of,
    jobs_option,
    listed,
    manifests_argument,
    most_option,
    pairs,
    protocol_option,
    quiet_option,
    where_option,
)
from bonafide.cli.judge import judge_of, judge_options


@click.command()
@manifests_argument
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE.jsonl", help="Gets a line per file; may exist already.")  # fmt: skip
@click.option("--detectors", metavar="ID,...",
              help="Detectors to run.  [default: all that can be used]")  # fmt: skip
@where_option
@most_option
@judge_options
@jobs_option
@quiet_option
def measure(
    manifests: tuple[Path, ...],
    out: Path,
    detectors: str | None,
    where: tuple[str, ...],
    most: int,
    jobs: int,
    quiet: bool,
    **options: Any,
) -> None:
    """Score labelled files as they are, to calibrate on.

    A manifest has the columns path and label, and one of origin, source or group. Run again, it
    scores only what is missing.

    \b
    Exit status: 0 done · 1 some file could not be read · 2 wrong usage.
    """
    from bonafide.bench.labelled import read_labelled
    from bonafide.bench.measure import measure as measuring

    files = read_labelled(manifests, pairs(where, "--where", "COLUMN=VALUE"), most)
    judge = judge_of(options, quiet)
    with bar("measuring", quiet) as tick:
        count = jobs or os.cpu_count() or 1
        failed = measuring(files, out, listed(detectors), count, tick, judge)
    click.echo(str(out))
    sys.exit(SOME_FAILED if failed else DONE)


@click.command()
@click.argument("places", type=click.Path(exists=True), nargs=-1, required=True,
                metavar="FILE.jsonl...|RUN|MANIFEST")  # fmt: skip
@click.option("--manifest", "manifests", multiple=True,
              type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Labels and sources of the files in FILE.jsonl; may be repeated.")  # fmt: skip
@click.option("--detector", "detectors", multiple=True, metavar="ID",
              help="Detector that is to vote; may be repeated.  [default: all]")  # fmt: skip
@click.option("--scores-of", multiple=True, metavar="ID=FILE.csv",
              help="Out-of-fold scores of a trained detector (path, score, facts) in place of "
              "those measured.")  # fmt: skip
@click.option(
    "--trained-on",
    multiple=True,
    metavar="ID=MANIFEST",
    help="Files that a trained detector has seen; their sources are left out for it.",
)
@protocol_option
@click.option("--out", metavar="FILE",
              help="The calibration to write.  [default: in the user's data folder]")  # fmt: skip
@click.option("--into", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Put what is fitted into this table: its other questions, and files of other "
              "kinds of media, stay.")  # fmt: skip
@click.option("--drop", "dropped", multiple=True, metavar="ID",
              help="With --into: take this detector out of it; may be repeated.")  # fmt: skip
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.md",
              help="Write the figures by detector, source, generator and format.")  # fmt: skip
@jobs_option
@quiet_option
def calibrate(
    places: tuple[str, ...],
    manifests: tuple[Path, ...],
    detectors: tuple[str, ...],
    scores_of: tuple[str, ...],
    trained_on: tuple[str, ...],
    protocol: str,
    out: str | None,
    into: str | None,
    dropped: tuple[str, ...],
    page: Path | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Fit a calibration, from what `bonafide bench measure` wrote, a run, or a manifest.

    From FILE.jsonl every question is fitted for which its files have labels, as for the calibration
    that ships. From a run or a manifest only the named detectors are fitted; a run must hold the
    scores of all detectors that vote on the same question. `bonafide scan
    --calibration FILE` lays the result over the shipped calibration.

    \b
    bonafide bench measure photos.csv --out scores.jsonl
    bonafide bench calibrate scores.jsonl --manifest photos.csv --out own.json --page own.md
    """
    from bonafide.bench.calibration_file import added, write

    if all(place.endswith(".jsonl") for place in places):
        from bonafide.bench.calibrate import from_scores
        from bonafide.bench.calibration_page import summary, write_page

        if not manifests:
            raise click.UsageError("FILE.jsonl needs --manifest FILE, which has the labels")
        outcome = from_scores(
            places, manifests, detectors, files_of(scores_of, "--scores-of"),
            files_of(trained_on, "--trained-on"),
        )  # fmt: skip
        table = added(outcome.table, into, dropped) if into else outcome.table
        written = write(table, out or into)
        if page is not None:
            write_page(page, outcome)
        if not quiet:
            click.echo("\n".join(summary(outcome)), err=True)
    else:
        if into:
            raise click.UsageError("--into needs FILE.jsonl")
        if len(places) > 1 or not detectors:
            raise click.UsageError("give one run or one manifest, and at least one --detector")
        table = _of_own(places[0], detectors, protocol, jobs, quiet)
        written = write(table, out)
        tables.print_calibration(table)
    click.echo(str(written))


@click.command()
@manifests_argument
@click.option(
    "--maps",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the maps of each picture; one that exists is continued.",
)
@click.option("--out", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE", help="The calibration to write the tables into.")  # fmt: skip
@click.option("--detectors", metavar="ID,...",
              help="Detectors to join.  [default: those that outline edits]")  # fmt: skip
@click.option(
    "--false-regions",
    type=click.FloatRange(0, 1),
    default=0.03,
    show_default=True,
    metavar="SHARE",
    help="Share of untouched pictures in which anything may be marked.",
)
@click.option("--keep", is_flag=True,
              help="Keep the prior and the tables of all other detectors; add these.")  # fmt: skip
@where_option
@most_option
@jobs_option
@quiet_option
def regions(
    manifests: tuple[Path, ...],
    maps: Path,
    out: Path,
    detectors: str | None,
    false_regions: float,
    keep: bool,
    where: tuple[str, ...],
    most: int,
    jobs: int,
    quiet: bool,
) -> None:
    """Fit how the maps of detectors are joined, on edited pictures with masks and untouched ones.

    Use other pictures than those on which regions are evaluated, and none that a trained detector
    has seen. Exit status: as `bonafide bench measure`.
    """
    from bonafide.bench.labelled import read_labelled
    from bonafide.bench.region_fitting import fit_into
    from bonafide.bench.region_maps import measure_maps

    files = read_labelled(manifests, pairs(where, "--where", "COLUMN=VALUE"), most)
    with bar("measuring", quiet) as tick:
        failed = measure_maps(files, maps, listed(detectors), jobs or os.cpu_count() or 1, tick)
    fitted = fit_into(maps, out, false_regions, keep)
    click.echo(json.dumps(fitted["added"] if keep else fitted["held_out"]))
    sys.exit(SOME_FAILED if failed else DONE)


@click.command("operating-point")
@click.argument("network", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="ID-VERSION.onnx")  # fmt: skip
@manifests_argument
@click.option("--false-regions", type=click.FloatRange(0, 1), default=0.01, show_default=True,
              metavar="SHARE", help="Share of authentic pictures in which anything may be "
              "marked.")  # fmt: skip
def operating_point(network: Path, manifests: tuple[Path, ...], false_regions: float) -> None:
    """Choose from what a localiser of JPEG history counts as a mark, and write it into its file.

    Of all settings that mark anything in at most SHARE of the authentic pictures, the one with the
    best mean pixel F1 on edited ones is taken. Use pictures of sources that the network was not
    trained on, as `bonafide tamper` makes them.
    """
    from bonafide.cli.train import library

    found, left_out = library("operating_point").set_operating_point(
        network, manifests, false_regions
    )
    for line in left_out:
        click.echo(f"left out: {line}", err=True)
    click.echo(
        f"{found.operating}: pixel F1 {found.f1:.3f} on {found.edited} edited pictures, marks in "
        f"{100 * found.false:.1f} % of {found.authentic} authentic ones"
    )


def _of_own(
    place: str, detectors: tuple[str, ...], protocol: str, jobs: int, quiet: bool
) -> dict[str, Any]:
    """A calibration of the user's own, from the folder of a run or a labelled manifest."""
    from bonafide.bench.calibrate_run import from_manifest, from_run
    from bonafide.bench.protocol import load_protocol

    if Path(place).is_dir():
        return from_run(place, detectors)
    with bar("scoring", quiet) as tick:
        return from_manifest(place, load_protocol(protocol), detectors, jobs, tick)
